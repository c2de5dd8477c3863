"""Networks answer for labels in doubt, and the audit of those, as a person calls them.

Slow are those for which networks of four folds are trained: by a data set's name alone, in all its
processes, and inside this process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.__main__ import main as analyse
from analysis.audit.answers import answers_for, is_answers
from datasets import load_dataset
from datasets.split import split_dataset
from harness.reference import __main__ as reference
from harness.reference import networks
from harness.reference.networks import DataEntry, read_entry, trained_specs
from harness.trials.catalogue import DataCatalogue
from headstart.errors import DataError, InputError, RunFolderError
from runs import environment

UNIFORM = "{name: optdigits, corrupt_labels: {kind: uniform, fraction: 0.4, seed: 4}}"


def audit(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "analysis", "audit", *words],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=280,
    )  # fmt: skip


def test_ctrl_c_in_an_audit_waits_for_the_process_that_answers(monkeypatch, capfd, tmp_path):
    """Another program in its place: it is told too, as a terminal does, and ends by itself."""
    real, ready = subprocess.Popen, tmp_path / "ready"
    program = (
        "import pathlib, signal, sys, time; signal.signal(2, lambda *_: exit(0)); "
        "pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    )
    started = []

    def start(command, **options):
        started.append(real([sys.executable, "-c", program, str(ready)], **options))
        while not ready.exists():  # the program would not notice a signal before
            assert started[0].poll() is None
            time.sleep(0.01)
        return started[0]

    def interrupted(process, timeout=None):
        monkeypatch.setattr(real, "wait", wait)
        process.send_signal(2)
        raise KeyboardInterrupt

    wait = real.wait
    monkeypatch.setattr("analysis.audit.answers.subprocess.Popen", start)
    monkeypatch.setattr(real, "wait", interrupted)
    assert answers_for("glyphs")[1] == 130
    assert started[0].returncode is not None
    assert capfd.readouterr().err.endswith("the same command goes on where it was\n")


def test_of_a_set_that_own_code_reads_it_is_said_that_no_folds_are_trained(monkeypatch, capsys):
    choice = SimpleNamespace(split=SimpleNamespace(fold=None), own_code="d", shown="my.py:birds")
    spec = SimpleNamespace(data=SimpleNamespace(choice=choice))
    catalogue = SimpleNamespace(open=lambda _: SimpleNamespace(parts={}))
    monkeypatch.setattr(reference, "covers_all", lambda *_: False)
    assert reference._judge_all([spec], catalogue)
    text = capsys.readouterr().err
    assert text.startswith("my.py:birds: your own code reads this set, so no folds of it")
    assert "the validation and test images" in text


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> Path:
    """The file of networks that learned the labels in doubt, one a fold, in this process."""
    run = tmp_path_factory.mktemp("audits") / "audit-optdigits"
    sweep = networks.run_sweep
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "run_sweep", lambda argv: sweep([*argv, "--engine", "here"]))
        fewer = networks.TRAINED.replace("at_least_steps: 800", "at_least_steps: 250")
        patch.setattr(networks, "TRAINED", fewer)
        assert reference.main([str(run), "--train", UNIFORM, "--networks", "1"]) == 0
    (file,) = run.glob("audit/*.npz")
    return file


def assert_audited(text: str, answers: Path) -> None:
    first, *_, last = text.splitlines()
    assert first == "# Labels of “optdigits” with corrupt_labels: uniform"
    assert "of them, which makes" in text
    where = answers.with_suffix("")
    assert last.endswith(where.name)
    assert {f.name for f in where.iterdir()} >= {"audit.md", "confusion.png", "contradicted.csv"}


@pytest.mark.parametrize("is_begun", [False, True])
def test_the_sweep_file_of_an_audit_is_in_its_run_folder_and_gone_at_the_end(
    tmp_path, monkeypatch, is_begun
):
    run, read = tmp_path / "audits" / "audit-optdigits", []

    def refuse(argv: list[str]) -> int:
        read.append(json.loads(Path(argv[0]).read_text()))
        assert Path(argv[0]).parent == run, "nothing of ours lies in the temporary folder"
        if is_begun:
            (run / "trials").mkdir()
        raise InputError("these data do not fit")

    monkeypatch.setattr(networks, "run_sweep", refuse)
    with pytest.raises(InputError, match="these data do not fit"):
        networks.train_networks(DataEntry("optdigits", {}), run, 3, None)
    assert (read[0]["data"]["name"], read[0]["seeds"]) == ("optdigits", 3)
    assert run.exists() == is_begun
    assert not list(run.glob(".*"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_data_set_is_audited_by_its_name_alone(tmp_path):
    """Slow: the audit, the networks' command and its worker are processes that import much."""
    audited = audit(tmp_path, UNIFORM, "--networks", "1")
    assert audited.returncode == 0, audited.stderr
    (file,) = tmp_path.glob("runs/audit-*/audit/*.npz")
    assert_audited(audited.stdout, file)


@pytest.mark.slow
def test_a_run_that_answered_is_audited(answers, capsys):
    assert analyse(["audit", str(answers.parents[1])]) == 0
    assert_audited(capsys.readouterr().out, answers)


@pytest.mark.slow
def test_each_image_is_judged_by_the_network_that_it_was_held_out_from(answers):
    specs = trained_specs(answers.parents[1], DataCatalogue(), None)
    labels = load_dataset("optdigits", image_size=(28, 28), channels=1).labels
    held = []
    for spec in specs:
        rng = np.random.default_rng(spec.streams["split"])
        split = split_dataset(DataCatalogue().open(spec.data), spec.data.choice.split, rng)
        assert not {*split.train, *split.validation} & set(split.test)
        held += split.test.tolist()
    assert (len(specs), sorted(held)) == (4, list(range(len(labels))))
    with np.load(answers) as found:
        assert found["indices"].tolist() == sorted(held)
        assert np.mean(found["given"] != labels[found["indices"]]) == pytest.approx(0.36, abs=0.05)
        read = found["probabilities"].argmax(axis=1)
        assert np.mean(read == labels[found["indices"]]) > 0.7  # in spite of what it was told


@pytest.mark.slow
def test_the_analysis_needs_no_torch_to_audit_a_file(answers, tmp_path):
    code = (
        "import sys\n"
        "from analysis.__main__ import main\n"
        f"assert main(['audit', {str(answers)!r}, '--out', 'there']) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "there" / "audit.md").is_file()


@pytest.mark.slow
def test_a_run_answers_for_another_data_set(answers, tmp_path):
    run, out = answers.parents[1], tmp_path / "pairs.npz"
    spoilt = "{name: optdigits, corrupt_labels: {kind: pairs, fraction: 1.0}}"
    assert reference.main([str(run), "--on", spoilt, "--out", str(out)]) == 0
    labels = load_dataset("optdigits").labels
    with np.load(out) as found:
        assert found["indices"].tolist() == list(range(len(labels)))
        assert (found["given"] == (labels + 1) % 10).all()
        assert len(found["trusted_given"]) == len(labels)  # each fold's network on its own
    assert is_answers(out)
    with pytest.raises(DataError, match="trained on these very labels"):
        reference.main([str(run), "--on", UNIFORM, "--out", str(out)])


@pytest.mark.slow
def test_a_mistake_is_one_clear_line(tmp_path):
    """Slow: a command, and the process that loads torch for it."""
    done = audit(tmp_path, "{name: optdigits, corrupt_labels: {kind: odd, fraction: 1}}")
    assert done.returncode == 2
    assert "corrupt_labels" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_entries_are_names_paths_or_mappings(tmp_path):
    assert read_entry("mnist", "--on") == DataEntry("mnist", {})
    assert read_entry(str(tmp_path), "--on") == DataEntry("folder", {"path": str(tmp_path)})
    arrays = tmp_path / "mine.npz"
    np.savez(arrays, images=np.zeros((4, 8, 8), np.uint8), labels=[0, 1, 0, 1])
    entry = read_entry(str(arrays), "--on")
    assert (entry.name, entry.in_words()) == ("npz", "“mine.npz”")
    assert not is_answers(arrays)
    for text in ("[1, 2]", "{path: x}", "3"):
        with pytest.raises(InputError, match="--on"):
            read_entry(text, "--on")
    with pytest.raises(InputError, match="'no_such_set' is no data set"):
        read_entry("no_such_set", "--train")


def test_what_cannot_be_audited_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "trials").mkdir()
    (tmp_path / "sweep.yaml").touch()
    with pytest.raises(InputError, match="audits a data set"):
        answers_for(str(tmp_path), reference="other")
    with pytest.raises(RunFolderError, match="is no run folder"):
        answers_for("optdigits", reference=str(tmp_path / "none"))
    with pytest.raises(InputError, match="--networks 0"):
        answers_for("optdigits", networks=0)
