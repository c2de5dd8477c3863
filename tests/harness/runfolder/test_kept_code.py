"""The run folder keeps the text of the user's own code, and no command takes it from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan.planner import make_plan
from harness.runfolder.kept_code import keep_code
from harness.sweepfile.reader import load_sweep
from headstart.errors import InputError, RunFolderError
from headstart.own_code import given_code, read_code

SWEEP = """\
name: own
question: Is its code kept?
model: {name: "my_nets.py:Net"}
data: {name: glyphs, count: 60, seed: 1, classes: digits, train: 40, validation: 10, test: 10}
arms: {one: {}}
seeds: 1
"""
NET = "from parts.blocks import Base\n\nclass Net(Base):\n    pass\n"
BLOCK = """from torch import nn

class Base(nn.Linear):
    def __init__(self, n_classes): super().__init__(784, n_classes)
    def forward(self, x): return super().forward(x.flatten(1))
"""


@pytest.fixture
def trials(write_sweep, context):
    path = write_sweep(text=SWEEP)
    path.with_name("my_nets.py").write_text(NET, encoding="utf-8")
    path.with_name("parts").mkdir()
    path.with_name("parts").joinpath("blocks.py").write_text(BLOCK, encoding="utf-8")
    return make_plan(load_sweep(path), context.catalogue).trials


def test_each_file_is_kept_as_text(trials, tmp_path: Path) -> None:
    run = tmp_path / "run"
    keep_code(run, trials)
    digest = trials[0].condition.model.code
    kept = run / "code" / digest
    texts = {p.relative_to(kept).as_posix(): p.read_text("utf-8") for p in kept.rglob("*.*")}
    assert texts == {"my_nets.py.txt": NET, "parts/blocks.py.txt": BLOCK}
    keep_code(run, trials)  # what is there stays
    with pytest.raises(InputError, match="is not there"):
        given_code("my_nets.py:Net", digest, [kept])


def test_code_that_changed_since_the_plan_is_not_kept_as_it(trials, tmp_path: Path) -> None:
    path = read_code(trials[0].condition.model.name).path
    path.write_text(f"{NET}\n# another line\n", encoding="utf-8")
    with pytest.raises(InputError, match="changed since the plan was made"):
        keep_code(tmp_path / "run", trials)
    assert not (tmp_path / "run").exists()


def test_a_link_in_its_place_is_refused(trials, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "else").mkdir()
    (run / "code").symlink_to(tmp_path / "else")
    with pytest.raises(RunFolderError, match="is a link"):
        keep_code(run, trials)
    assert list((tmp_path / "else").iterdir()) == []
