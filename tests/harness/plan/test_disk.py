"""Bytes of weights and states are those of the files that a run leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan import disk
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.training.context import TrialContext
from harness.training.trial import Trial
from harness.trials.catalogue import DataCatalogue
from runs import run_here

SWEEP = """\
name: bytes
question: How much is it?
model: {name: midas_cnn, width: 8, dense: 100}
data: {name: glyphs, count: 120, seed: 1, train: 64, validation: 20, test: 20}
train: {batch_size: 32, epochs: 2}
pretrain:
  drawn: {data: {name: glyphs, count: 90, seed: 2, train: 64, validation: 20}}
arms:
  all: {initialize: drawn}
  last: {initialize: drawn, fine_tune: last_layer}
  sgd: {train: {optimizer: sgd}}
seeds: 1
"""


def planned(folder: Path, *settings: str):
    (folder / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    return make_plan(load_sweep(folder / "sweep.yaml", None, settings), DataCatalogue())


@pytest.mark.slow
@pytest.mark.parametrize("settings", [
    ("save.every=1", "save.last=true"), ("save.weights=delta",), ("save.weights=none",),
    ("save.weights=delta", "arms.last.fine_tune={lora: {rank: 2, targets: [dense]}}"),
])  # fmt: skip
def test_the_bytes_of_weights_are_those_of_the_files(tmp_path, settings):
    """Slow: networks of all kinds are built and saved."""
    plan = planned(tmp_path, *settings)
    given = [text for each in settings for text in ("--set", each)]
    assert run_here(tmp_path / "sweep.yaml", tmp_path / "run", *given).returncode == 0
    for trial_id, expected in disk.bytes_of_plan(plan).items():
        files = (tmp_path / "run/trials" / trial_id).rglob("*.safetensors")
        sizes = [path.stat().st_size for path in files]
        assert sum(sizes) == pytest.approx(expected.weights, rel=0.05)
        assert all(size == pytest.approx(expected.file, rel=0.05) for size in sizes)


@pytest.mark.parametrize(
    ("arm", "settings"),
    [("all", ()), ("sgd", ()), ("sgd", ("arms.sgd.fine_tune={lora: {rank: 32}}",))],
)
def test_the_bytes_of_a_state_are_those_of_its_file(tmp_path, arm, settings):
    plan = planned(tmp_path, *settings)
    spec = next(t for t in plan.trials if t.arm == ("drawn" if arm == "all" else arm))
    with RunFolder(tmp_path / "run") as folder:
        place = folder.trial_folder(spec.id)
        trial = Trial(spec, place, TrialContext(DataCatalogue()))
        list(trial.start())
        trial.train()
        trial.save_state()
        size = place.state_file().stat().st_size
    assert size == pytest.approx(disk.bytes_of_plan(plan)[spec.id].state, rel=0.1, abs=20_000)


def test_the_line(tmp_path, monkeypatch):
    """Sizes come from the cache the second time: no network is built."""
    plan = planned(tmp_path, "save.every=2", "save.last=true")
    (line,) = disk.describe(plan)
    assert line.startswith("Weights: about 1.75 MB on disk when all have ended (those of")
    assert "the last ones, every 2 epochs; a file has " in line
    monkeypatch.setattr(disk, "_measured", None)
    assert list(disk.describe(plan)) == [line]


def test_a_long_look_at_networks_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(disk, "_measured", lambda trial: trial)
    assert disk._all_measured(["a", "b", "c"], every_s=0.0) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines() == [
        f"networks and what trains of them: {n} of 3 are looked at" for n in (1, 2)
    ]
    disk._all_measured(["a", "b", "c"])
    assert capsys.readouterr().err == ""


def test_a_head_that_holds_most_weights_is_a_line_for_arms_that_start_from_some(
    tmp_path, monkeypatch
):
    plan = planned(tmp_path)
    head = next(iter(disk.bytes_of_plan(plan).values())).head
    assert head == 4 * (100 * 10 + 10)  # the last layer, from `dense` to the classes
    monkeypatch.setattr(disk, "LARGE_HEAD", 0.0)
    line, _ = disk.describe(plan)
    assert line.startswith("all, last: the head holds 3% of the network's weights")


@pytest.mark.slow
def test_blocks_that_are_computed_again_take_less_memory_in_a_step(tmp_path):
    """Slow: it measures the memory of steps in processes."""
    steps = []
    for flag in ("false", "true"):
        text = SWEEP.replace("{name: midas_cnn, width: 8, dense: 100}", "{name: resnet18}")
        (tmp_path / "sweep.yaml").write_text(
            text.replace("epochs: 2}", f"epochs: 2, gradient_checkpointing: {flag}}}", 1)
        )
        plan = make_plan(load_sweep(tmp_path / "sweep.yaml", None, ()), DataCatalogue())
        steps.append({id: sizes.step for id, sizes in disk.bytes_of_plan(plan).items()})
    assert steps[0].keys() == steps[1].keys()  # it is not in the id
    saved = [steps[0][id] - steps[1][id] for id in steps[0]]  # the arm `last` keeps none
    assert min(saved) >= 0
    assert sum(each > 0 for each in saved) == 3


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (999_999, "1 MB"), (2_967_072, "2.97 MB"),
     (79_900_000_000, "79.9 GB")],
)  # fmt: skip
def test_bytes_in_words(n, text):
    assert disk.shown_bytes(n) == text


def test_dropout_does_not_hide_what_a_step_takes(tmp_path: Path):
    found = []
    for share in (0, 0.5):
        plan = planned(
            tmp_path, f"model={{name: midas_cnn, width: 8, dense: 100, dropout: {share}}}"
        )
        found.append(disk._measured(plan.trials[0]))
    assert found[0].activations > 0
    assert found[1].activations > found[0].activations, "what dropout keeps"
    assert found[1].widest == found[0].widest
