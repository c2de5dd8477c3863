"""Run folders that a stranger made, given to every command that reads one.

A run is trained once and spoilt for each case; each command must end with one line and status 2, or
do its work without what is hostile. Nothing outside of the folders that it may write to changes.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness import status
from harness.evaluate import __main__ as evaluate
from harness.reference import __main__ as reference
from harness.reference import networks
from headstart.digests import LINE, digest_of, sealed, sealed_table
from headstart.errors import EXIT_INPUT, HeadstartError
from runs import run_here, sign_again

SWEEP = """\
name: s
question: q
model: {name: lenet5}
data: {name: glyphs, count: 200, train: 100, validation: 40, test: 40}
train: {epochs: 1, batch_size: 64}
arms: {a: {}, b: {train: {learning_rate: 0.01}}}
vary: [order, init, head]
seeds: 1
compare: [{treatment: b, control: a}]
"""
FROM_RUN = """\
name: t
question: q
model: {name: lenet5}
data: {name: glyphs, count: 200, train: 100, validation: 40, test: 40}
train: {epochs: 1, batch_size: 64}
arms: {a: {initialize: {run: RUN, arm: a}}}
seeds: 1
compare: []
"""
SECRET = "the secret of whoever runs the command"
HOSTILE_NAMES = (
    "../../../../yaml.py", "/tmp/absolute.py", "..", ".", "", "a/../../../b", "a\nb", "a\x1b[2Jb",
    "model.safetensors/../../../../x", ".hidden", "$(touch x)", "`touch x`", "a b", "con", "é",
    "x" * 300, "~/.bashrc", "-rf",
)  # fmt: skip


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two arms, as one that runs at `tmp/run` would be."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "sweep.yaml").write_text(SWEEP)
    assert run_here(folder / "sweep.yaml", folder / "run").returncode == 0
    return folder / "run"


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    """A folder with a secret, a sweep file, and the stranger's run in `stranger`."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "from_run.yaml").write_text(FROM_RUN.replace("RUN", str(tmp_path / "stranger")))
    shutil.copytree(original, tmp_path / "stranger")
    shutil.copytree(original, tmp_path / "other")
    return tmp_path


@pytest.fixture(autouse=True)
def _short_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit trains its networks for one epoch, in this process; it reads all as ever."""
    sweep, settings = networks.run_sweep, "epochs: 10, at_least_steps: 800"
    assert settings in networks.TRAINED
    monkeypatch.setattr(networks, "TRAINED", networks.TRAINED.replace(settings, "epochs: 1"))
    monkeypatch.setattr(networks, "run_sweep", lambda argv: sweep([*argv, "--engine", "here"]))


def trial_of(place: Path) -> Path:
    return min((place / "stranger" / "trials").iterdir())


def change_record(trial: Path, **changes: object) -> None:
    path = trial / "trial.json"
    path.write_text(json.dumps(sealed({**json.loads(path.read_text()), **changes})))


# -- the commands ------------------------------------------------------------------------------


def reuse(place: Path) -> int:
    return run_here(
        place / "sweep.yaml", place / "mine", "--reuse", str(place / "stranger")
    ).returncode


def resume(place: Path) -> int:
    return run_here(place / "sweep.yaml", place / "stranger").returncode


def initialize(place: Path) -> int:
    return run_here(place / "from_run.yaml", place / "mine").returncode


def analyse(place: Path) -> None:
    from analysis.__main__ import main

    main([str(place / "stranger")])


def read_everything(place: Path, *others: Path) -> None:
    """All that a report reads of a run, without drawing it."""
    from analysis.findings.load import load_runs

    runs = load_runs([place / "stranger", *others])
    for trial_id in runs.trials["trial_id"]:
        runs.record(trial_id)
        runs.predictions(trial_id)
    for fingerprint in runs.trials["dataset_fingerprint"].unique():
        runs.images(str(fingerprint))


def merge(place: Path) -> None:
    read_everything(place, place / "other")


def compare(place: Path) -> None:
    from analysis.__main__ import main

    main(["diff", str(place / "other"), str(place / "stranger")])


def show_status(place: Path) -> int:
    return status.main([str(place / "stranger")])


def show_slurm_status(place: Path) -> None:
    from slurm.status import count_trials, describe_trials, read_nodes

    for line in describe_trials(count_trials(place / "stranger", 0.0)):
        print(line)
    read_nodes(place / "stranger", 0.0)


def evaluate_it(place: Path) -> int:
    return evaluate.main([str(place / "stranger"), "--on", "own"])


def refer_to(place: Path) -> int:
    return reference.main([str(place / "stranger")])


COMMANDS: tuple[Callable[[Path], int | None], ...] = (
    reuse, resume, initialize, read_everything, merge, compare, show_status, show_slurm_status,
    evaluate_it, refer_to,
)  # fmt: skip


def listing(place: Path) -> dict[str, bytes]:
    """What lies outside of the folders that a command may write to."""
    own = ("stranger", "mine", "report")
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.relative_to(place).parts[0] not in own
    }


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise AssertionError(f"it hangs: over {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(command: Callable[[Path], int | None], place: Path) -> str:
    """What the error says, a line for each mistake; nothing where the command did its work."""
    before = listing(place)
    output, message, exit_status = io.StringIO(), "", EXIT_INPUT
    with no_longer_than(240), redirect_stdout(output), redirect_stderr(output):
        try:
            command(place)
        except HeadstartError as err:
            message, exit_status = str(err), err.exit_status
    assert exit_status == EXIT_INPUT, message
    assert all(line.isprintable() for line in message.split("\n"))
    assert listing(place) == before
    for folder in ("mine", "report"):
        for path in (place / folder).rglob("*"):
            if path.is_file():
                assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in output.getvalue() + message
    assert "\x1b" not in message
    return message


# -- hostile names -----------------------------------------------------------------------------


def name_in_record(place: Path, name: str) -> None:
    trial = trial_of(place)
    record = json.loads((trial / "trial.json").read_text())
    change_record(trial, files=[*record["files"], name])


def name_in_archive(place: Path, name: str) -> None:
    """The whole trial in an archive, as a pack's, with a member of that name."""
    trial = trial_of(place)
    name_in_record(place, name)
    packs = place / "stranger" / "packs"
    packs.mkdir(exist_ok=True)
    with zipfile.ZipFile(packs / "p.zip", "w") as archive:
        archive.writestr(f"{trial.name}/trial.json", (trial / "trial.json").read_bytes())
        archive.write(trial / "curve.parquet", "curves.parquet")
        archive.writestr(f"{trial.name}/{name}", "open('pwned', 'w')")
        archive.writestr(f"{name}/trial.json", (trial / "trial.json").read_bytes())
    (trial / "trial.json").unlink()


def name_of_trial(place: Path, name: str) -> None:
    change_record(trial_of(place), trial_id=name)
    path = place / "stranger" / "plan.json"
    plan = json.loads(path.read_text())
    plan["trials"][0]["id"] = name
    path.write_text(json.dumps(sealed(plan)))


def name_in_table(place: Path, name: str) -> None:
    for table in ("trials", "curves"):
        path = place / "stranger" / f"{table}.parquet"
        frame = pd.read_parquet(path)
        frame["trial_id"] = frame["trial_id"].replace(trial_of(place).name, name)
        if table == "trials":
            frame["dataset_fingerprint"] = name
        frame.to_parquet(path)


def name_of_network(place: Path, name: str) -> None:
    path = place / "stranger" / "sweep.yaml"
    text = path.read_text().split(LINE)[0].replace("name: lenet5", f"name: {json.dumps(name)}")
    path.write_text(f"{text}{LINE}{digest_of(text.encode())}\n")


NAMED = (name_in_record, name_in_archive, name_of_trial, name_in_table, name_of_network)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("spoil", NAMED)
def test_a_name_that_leads_elsewhere(place, spoil, command):
    """Slow: every kind of name for every command that reads a run folder."""
    spoil(place, "../../../../yaml.py")
    outcome(command, place)


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
@pytest.mark.parametrize("spoil", [name_in_record, name_in_archive])
def test_every_hostile_name_is_refused_by_reuse(place, spoil, name):
    spoil(place, name)
    message = outcome(reuse, place)
    assert "is not used as a path" in message or "is no file of a trial" in message
    assert not (place / "mine" / "trials" / trial_of(place).name / "trial.json").exists()


@pytest.mark.parametrize("command", [reuse, resume, initialize, show_status, evaluate_it])
def test_a_name_in_a_record_is_refused_by_every_command(place, command):
    name_in_record(place, "../x")
    assert "is not used as a path" in outcome(command, place)


# -- links, pipes and folders in the place of files ----------------------------------------------

FILES = (
    "trials/ID/trial.json", "trials/ID/curve.parquet", "trials/ID/predictions.npz",
    "trials/ID/model.safetensors", "trials.parquet", "curves.parquet", "plan.json", "sweep.yaml",
    "provenance.json", "packs/p.zip", "images/ID.npz", ".lock-1-of-1.json", "slurm/jobs.json",
    "slurm/.job-1/node-1.json",
)  # fmt: skip


def link(path: Path, place: Path) -> None:
    path.symlink_to(place / "secret")


def pipe(path: Path, place: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, place: Path) -> None:
    path.mkdir()


def huge(path: Path, place: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 40)


def put(place: Path, name: str, make: Callable[[Path, Path], None]) -> Path:
    path = place / "stranger" / name.replace("ID", trial_of(place).name)
    if name.startswith("images"):
        path = min((place / "stranger" / "images").iterdir())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    make(path, place)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "command"),
    [(make, command) for make in (link, pipe) for command in COMMANDS]
    + [
        (make, command)
        for make in (folder, huge)
        for command in (reuse, read_everything, evaluate_it)
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file(place, name, make, command):
    """Slow: every file of a run folder for every command that reads one."""
    put(place, name, make)
    outcome(command, place)


@pytest.mark.parametrize("make", [link, pipe, folder, huge])
@pytest.mark.parametrize("name", ["predictions.npz", "model.safetensors", "trial.json"])
def test_reuse_takes_nothing_that_is_no_file(place, name, make):
    path = put(place, f"trials/ID/{name}", make)
    message = outcome(reuse, place)
    assert str(path) in message
    trial = place / "mine" / "trials" / path.parent.name
    assert not any((trial / each).exists() for each in ("trial.json", name))


def link_folder(place: Path, name: str) -> None:
    path = place / "stranger" / name.replace("ID", trial_of(place).name)
    outside = place / "outside" / path.name
    outside.parent.mkdir()
    if path.exists():
        shutil.move(path, outside)
    else:
        outside.mkdir()
        path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside)


FOLDERS = (
    "trials", "trials/ID", "packs", "images", "report", "report/tables", "report/figures",
    "tensorboard", "evaluations", "audit",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("command", [reuse, resume, analyse, evaluate_it, refer_to])
def test_nothing_is_read_or_written_through_a_linked_folder(place, name, command):
    """Slow: ten folders for five commands, of which one draws a report."""
    link_folder(place, name)
    outcome(command, place)  # which compares what lies outside


@pytest.mark.parametrize("linked", ["state", "state/GEN", "state/GEN/result", "checkpoints"])
def test_a_state_behind_a_link_is_not_adopted(place, linked, monkeypatch):
    """`files` of its record would move somebody's files into the run folder."""
    monkeypatch.setattr("harness.runfolder.folder.LAG_S", 0.5)  # no other node writes here
    trial = trial_of(place)
    record = json.loads((trial / "trial.json").read_text())
    outside = place / "outside"
    (outside / "GEN" / "result").mkdir(parents=True)
    for result in (outside, outside / "GEN", outside / "GEN" / "result"):
        (result / "secret").write_text(SECRET)
        content = sealed({**record, "files": ["secret", "trial.json"], "digests": None})
        (result / "trial.json").write_text(json.dumps(content))
    (trial / "trial.json").unlink()
    (trial / linked).parent.mkdir(parents=True, exist_ok=True)
    (trial / linked).symlink_to(outside)
    assert "is a link" in outcome(resume, place)


# -- numbers and texts ---------------------------------------------------------------------------


def lying_predictions(place: Path) -> None:
    path = trial_of(place) / "predictions.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000, 10), }\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("indices", "labels", "predicted", "probabilities"):
            archive.writestr(f"{name}.npy", content)
    sign_again(path.parent)


def pickled_predictions(place: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (open, (str(place / "pwned"), "w"))

    path = trial_of(place) / "predictions.npz"
    names = ("indices", "labels", "predicted", "probabilities")
    np.savez(path, **{name: np.array([Evil()], object) for name in names})
    sign_again(path.parent)


def lying_weights(place: Path) -> None:
    path = trial_of(place) / "model.safetensors"
    header = b'{"w":{"dtype":"F32","shape":[1000000000,9],"data_offsets":[0,36000000000]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    sign_again(path.parent)


def pickled_weights(place: Path) -> None:
    import torch

    path = trial_of(place) / "model.safetensors"
    torch.save({"w": torch.zeros(3)}, path)
    sign_again(path.parent)


def code_in_yaml(place: Path) -> None:
    path = place / "stranger" / "sweep.yaml"
    tag = "why: !!python/object/apply:os.system ['touch pwned']\n"
    text = path.read_text().split(LINE)[0] + tag
    path.write_text(f"{text}{LINE}{digest_of(text.encode())}\n")


def unfolding_yaml(place: Path) -> None:
    lines = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x{k}: &x{k} [{', '.join([f'*x{k - 1}'] * 10)}]" for k in range(1, 12)]
    path = place / "stranger" / "sweep.yaml"
    text = path.read_text().split(LINE)[0] + "\n".join(lines) + "\n"
    path.write_text(f"{text}{LINE}{digest_of(text.encode())}\n")


def unfolding_table(place: Path) -> None:
    import pyarrow as pa

    frame = pd.read_parquet(place / "stranger" / "trials.parquet")
    rows = {name: [frame[name].iloc[0]] * 900_000 for name in ("trial_id", "stage", "status")}
    text = pa.DictionaryArray.from_arrays(np.zeros(900_000, np.int32), ["z" * 1_000_000])
    table = pa.table({**rows, "sweep": text, "arm": text, "seed": np.zeros(900_000, np.int64)})
    (place / "stranger" / "trials.parquet").write_bytes(sealed_table(table))


def deep_json(place: Path) -> None:
    for name in ("provenance.json", "plan.json"):
        (place / "stranger" / name).write_text("[" * 100_000)
    (trial_of(place) / "trial.json").write_text('{"a":' * 100_000)


CONTENTS = (
    lying_predictions, pickled_predictions, lying_weights, pickled_weights, code_in_yaml,
    unfolding_yaml, unfolding_table, deep_json,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("spoil", CONTENTS)
def test_content_that_lies_or_carries_code(place, spoil, command, monkeypatch):
    """Slow: eight files that lie for every command that reads a run folder."""
    monkeypatch.chdir(place)
    spoil(place)
    outcome(command, place)
    assert not (place / "pwned").exists()


@pytest.mark.parametrize("spoil", CONTENTS)
def test_content_that_lies_in_what_a_report_reads(place, spoil, monkeypatch):
    test_content_that_lies_or_carries_code(place, spoil, read_everything, monkeypatch)


@pytest.mark.parametrize("name", ["trials", "trials/ID", "packs", "tensorboard"])
def test_nothing_is_written_through_a_linked_folder(place, name):
    link_folder(place, name)
    assert "is a link" in outcome(resume, place)
