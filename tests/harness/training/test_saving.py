"""Weights that are kept whole, as differences, or not at all: the same trials and the same bits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harness.evaluate.models import answers, find_models, own_answers, read_run
from harness.plan.planner import make_plan
from harness.reference.__main__ import main as reference
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from headstart.errors import InputError, RunFolderError, SpecError
from models.weights import read_weights
from runs import run_here

SWEEP = """\
name: kept
question: Is it the same however weights are kept?
model: {name: lenet5}
data: {name: glyphs, count: 120, seed: 1, train: 64, validation: 20, test: 20}
train: {batch_size: 32, epochs: 1}
pretrain:
  drawn: {data: {name: glyphs, count: 90, seed: 2, train: 64, validation: 20}}
arms:
  scratch: {}
  frozen: {fine_tune: last_layer}
  pretrained: {initialize: drawn, fine_tune: last_layer}
seeds: 1
"""
KEEP_ALL = ("--set", "save.every=1", "--set", "save.last=true")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with the sweep and its run in each way of keeping weights."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    for way, options in (("best", KEEP_ALL), ("delta", KEEP_ALL), ("none", ())):
        given = (*options, "--set", f"save.weights={way}")
        assert run_here(folder / "sweep.yaml", folder / way, *given).returncode == 0
    return folder


def files_of(run: Path) -> list[str]:
    return sorted(p.relative_to(run).as_posix() for p in run.glob("trials/*/**/*.safetensors"))


def trial_of(run: Path, arm: str) -> Path:
    rows = [json.loads(path.read_text()) for path in run.glob("trials/*/trial.json")]
    return next(run / "trials" / row["trial_id"] for row in rows if row["arm"] == arm)


def test_differences_have_the_same_ids_and_the_same_bits(runs):
    whole, delta = files_of(runs / "best"), files_of(runs / "delta")
    assert whole == delta
    assert len(whole) == 4 * 3
    for name in whole:
        one, other = load_file(runs / "best" / name), read_weights(runs / "delta" / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(("arm", "n_stored"), [("frozen", 2), ("pretrained", 2), ("scratch", 10)])
def test_only_what_was_trained_is_stored(runs, arm, n_stored):
    """Of a frozen network the last layer; of one that starts from random weights all of them."""
    assert len(load_file(trial_of(runs / "delta", arm) / "model.safetensors")) == n_stored


def test_a_saved_difference_answers_as_whole_weights_do(runs):
    sweeps = {way: read_run(runs / way) for way in ("best", "delta")}
    images = torch.randint(0, 256, (4, 1, 28, 28), dtype=torch.uint8).numpy()
    labels = torch.zeros(4, dtype=torch.int64).numpy()
    shares = {
        way: [answers(m, images, labels).probabilities for m in find_models(runs / way, sweep)]
        for way, sweep in sweeps.items()
    }
    assert len(shares["best"]) == 3
    assert all((a == b).all() for a, b in zip(*shares.values(), strict=True))


FROM_RUN = SWEEP.split("pretrain:")[0] + """\
arms: {next: {initialize: {run: RUN, arm: pretrained}, head: keep}}
seeds: 1
"""  # fmt: skip


def test_a_chain_from_a_run_has_the_same_id_however_that_run_kept_its_weights(runs, tmp_path):
    ids = set()
    for way in ("best", "delta"):
        path = tmp_path / f"{way}.yaml"
        path.write_text(FROM_RUN.replace("RUN", str(runs / way)), encoding="utf-8")
        ids |= {trial.id for trial in make_plan(load_sweep(path), DataCatalogue()).trials}
        last = run_here(path, tmp_path / way, "--set", "save.weights=delta")
        assert last.returncode == 0
    assert len(ids) == 1
    (trial,) = ids
    one, other = (read_weights(tmp_path / w / "trials" / trial / "model.safetensors")
                  for w in ("best", "delta"))  # fmt: skip
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_of_none_only_what_others_start_from_stays(runs):
    stage = trial_of(runs / "none", "drawn")
    assert files_of(runs / "none") == [f"trials/{stage.name}/model.safetensors"]
    whole = {p.name for p in (runs / "best/trials").iterdir()}
    assert whole == {p.name for p in (runs / "none/trials").iterdir()}


def test_whatever_needs_weights_that_were_not_kept_says_so(runs, tmp_path):
    """Answers to its own test images are there; new ones, labels in doubt and chains need them."""
    run = runs / "none"
    model = find_models(run, read_run(run), ["pretrained"])[0]
    assert len(own_answers(model)[0]) == 20
    line = r"pretrained, seed 0, has no weights \(save: \{weights: none\}\); with weights: best, "
    blank = torch.zeros(1, 1, 28, 28, dtype=torch.uint8).numpy()
    with pytest.raises(RunFolderError, match=line):
        answers(model, blank, torch.zeros(1, dtype=torch.int64).numpy())
    with pytest.raises(RunFolderError, match=line):
        reference([str(run), "--arm", "pretrained"])
    path = tmp_path / "chain.yaml"
    path.write_text(FROM_RUN.replace("RUN", str(run)), encoding="utf-8")
    with pytest.raises(InputError, match=line):
        run_here(path, tmp_path / "out")


@pytest.mark.parametrize("other", ["every=2", "last=true"])
def test_none_keeps_none(tmp_path, other):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP, encoding="utf-8")
    with pytest.raises(SpecError, match=r"save: weights: none keeps no weights, and every"):
        load_sweep(path, None, ["save.weights=none", f"save.{other}"])


def test_a_start_that_is_gone_at_the_end_is_a_note_and_whole_weights(runs, tmp_path, monkeypatch):
    """Training needs it no more then, and what was trained is kept in any case."""
    from harness.training import saving

    def gone(*_: object) -> None:
        raise InputError("start.safetensors: weights cannot be read: No such file or directory")

    monkeypatch.setattr(saving, "save_difference", gone)
    run = tmp_path / "run"
    assert run_here(runs / "sweep.yaml", run, "--set", "save.weights=delta").returncode == 0
    trial = trial_of(run, "pretrained")
    assert len(load_file(trial / "model.safetensors")) == 10
    notes = json.loads((trial / "trial.json").read_text())["notes"]
    assert [n for n in notes if n.startswith("its weights are kept whole: start.safetensors")]
