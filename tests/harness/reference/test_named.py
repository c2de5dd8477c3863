"""A stranger's `sweep.yaml` is followed in the user's own folders alone, unless he allows it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from harness.reference.named import refuse_outside
from harness.reference.networks import trained_specs
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Sweep
from harness.trials.catalogue import DataCatalogue
from headstart.errors import HeadstartError, InputError
from runs import run_here

SWEEP = """\
name: s
question: q
model: {{name: lenet5}}
data: {data}
train: {{epochs: 1}}
arms: {{a: {arm}}}
seeds: 1
compare: []
"""


def sweep_of(folder: Path, data: str = "{name: optdigits}", arm: str = "{}") -> Sweep:
    path = folder / "stranger.yaml"
    path.write_text(SWEEP.format(data=data, arm=arm))
    return load_sweep(path)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, in it the folder `data`, beside it files that are nobody's business."""
    for path in ("desk/data/mine", "desk/photos", "private", "run/trials"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / "private" / path).touch()
    for path in ("desk/data/mine.npz", "private/a.npz", "private/b.csv", "private/w.safetensors"):
        (tmp_path / path).touch()
    (tmp_path / "desk/data/linked").symlink_to(tmp_path / "private")
    monkeypatch.chdir(tmp_path / "desk")
    monkeypatch.delenv("HEADSTART_DATA", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("data", "arm"),
    [
        ("{name: npz, path: TMP/private/a.npz}", "{}"),
        ("{name: npz, path: ../private/a.npz}", "{}"),
        ("{name: npz, path: data/../../private/a.npz}", "{}"),
        ("{name: npz, path: data/linked/../private/a.npz}", "{}"),
        ("{name: csv, path: TMP/private/b.csv}", "{}"),
        ("{name: csv, path: mine.npz, test_path: TMP/private/b.csv}", "{}"),
        ("{name: folder, path: photos}", "{}"),
        ("{name: folder, path: data/mine, labels: TMP/private/b.csv}", "{}"),
        ("{name: folder, path: data/mine, labels: {train: ../../../private/b.csv}}", "{}"),
        ("{name: folder, path: data/mine, class_names: ../private/b.csv}", "{}"),
        ("{name: sheets, photos: {'TMP/private/*.csv': '0'}}", "{}"),
        ("{first_of: [{name: npz, path: data/mine.npz}, {name: folder, path: /proc}]}", "{}"),
        ("{name: optdigits}", "{initialize: TMP/private/w.safetensors}"),
        ("{name: optdigits}", "{initialize: {run: TMP/run, arm: a}}"),
        ("{name: optdigits}", "{data: {name: idx, path: TMP/private}}"),
    ],
)
def test_what_lies_elsewhere_is_listed_and_not_opened(places, data, arm):
    data, arm = (text.replace("TMP", str(places)) for text in (data, arm))
    with pytest.raises(
        InputError, match=r"outside of the data folder data: .+; give .*--open-named"
    ):
        refuse_outside(places / "run/sweep.yaml", sweep_of(places, data, arm), None)


@pytest.mark.parametrize(
    "data",
    [
        "{name: npz, path: mine.npz}",
        "{name: npz, path: data/mine.npz}",
        "{name: npz, path: TMP/desk/data/mine.npz}",
        "{name: npz, path: linked/a.npz}",  # a link that the user put there
        "{name: folder, path: TMP/nowhere}",  # nothing there that could be opened
        "{name: mnist}",
        "{name: glyphs, count: 200}",
    ],
)
def test_what_lies_in_the_users_folders_is_opened(places, data):
    sweep = sweep_of(places, data.replace("TMP", str(places)))
    refuse_outside(places / "run/sweep.yaml", sweep, None)
    refuse_outside(places / "run/sweep.yaml", sweep, Path("../desk/data"))


def test_a_folder_of_the_command_line_is_the_users(places):
    sweep = sweep_of(places, f"{{name: npz, path: {places}/private/a.npz}}")
    refuse_outside(places / "run/sweep.yaml", sweep, places / "private")


def test_a_command_says_so_and_knocks_at_no_address(places, monkeypatch):
    """The run names an address for a set that is not here; then a file outside."""
    from harness.reference import __main__ as reference

    monkeypatch.setenv("HEADSTART_CACHE", str(places / "cache"))
    path = places / "mine.yaml"
    text = SWEEP.format(
        data="{name: glyphs, count: 200, train: 60, validation: 20, test: 20}", arm="{}"
    )
    path.write_text(text)
    run = places / "trained"
    assert run_here(path, run).returncode == 0
    resolved = (run / "sweep.yaml").read_text()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        for data, message in (
            (f"{{name: mnist, source: '{address}'}}", "'mnist' is not on this machine"),
            (f"{{name: npz, path: {places}/private/a.npz}}", f"{places}/private/a.npz; give"),
        ):
            (run / "sweep.yaml").write_text(SWEEP.format(data=data, arm="{}"))
            with pytest.raises(HeadstartError, match=re.escape(message)):
                reference.main([str(run)])
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has knocked
            server.accept()
    with pytest.raises(HeadstartError, match=r"a\.npz: not a whole|a\.npz.*cannot be read"):
        reference.main([str(run), "--open-named"])
    (run / "sweep.yaml").write_text(resolved)
    assert trained_specs(run, DataCatalogue(), None)
