"""The command on a small sweep: starts, what is looked at, files, and results beside scores."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from harness.forecast.__main__ import main
from harness.forecast.extract import OTHER_HEAD, RANDOM, extract, outputs_of, pooled
from harness.forecast.scores import SCORES
from harness.forecast.starts import starts_of
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.training.features import FeatureStore
from harness.training.network import prepare_network
from harness.trials.catalogue import DataCatalogue
from headstart.errors import InputError
from headstart.records import check_run_folder
from models.groups import LayerGroup
from runs import run_here

ARMS = ("pretrained: {initialize: drawn}", "pretrained: {initialize: drawn}\n"
        "  last: {initialize: drawn, fine_tune: last_layer}")  # fmt: skip
QUICK = (("epochs: 3, evaluate_every: {steps: 4}", "epochs: 1"), ARMS)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A sweep file of two starts and three arms, and its finished run with a forecast."""
    from small_sweep import SMALL

    folder = tmp_path_factory.mktemp("ran")
    text = SMALL
    for old, new in QUICK:
        assert old in text
        text = text.replace(old, new)
    (folder / "sweep.yaml").write_text(text)
    run_here(folder / "sweep.yaml", folder / "run")
    return folder


@pytest.fixture
def forecast(ran, capsys):
    def make(*options):
        status = main([str(ran / "sweep.yaml"), "--out", str(ran / "run"), *options])
        return status, capsys.readouterr().out

    return make


def test_scores_stand_beside_results(ran, forecast):
    status, said = forecast()
    assert status == 0
    assert "2 starts on 400 training and validation images, mean of 2 seeds" in said
    assert "drawn: the start of pretrained, last" in said
    assert "arms that share one, and differ in how they are tuned, have the same scores" in said
    assert f"random: no LEEP, NCE: {RANDOM}" in said
    assert "right order; regret 0.00 points; it chose drawn, the best one" in said
    table = pd.read_parquet(ran / "run" / "forecast" / "forecast.parquet")
    assert len(table) == 3 * 2 * len(SCORES)  # arms, seeds, scores
    assert set(table["score"]) == set(SCORES)
    both = table[table["arm"].isin(["pretrained", "last"])].pivot_table(
        "value", ["seed", "score"], "arm"
    )
    assert (both["pretrained"] == both["last"]).all()
    assert table[table["value"].isna()]["reason"].eq(RANDOM).all()
    record = json.loads((ran / "run" / "forecast" / "forecast.json").read_text())
    assert record["images"] == 2000
    assert record["sha256"]
    assert "command" in record


def test_fewer_seeds_images_and_scores(ran, forecast):
    status, said = forecast("--seeds", "1", "--images", "50", "--scores", "nce,logme")
    assert status == 0
    assert "on 50 training and validation images, mean of 1 seed " in said
    assert "one seed: no interval" in said
    table = pd.read_parquet(ran / "run" / "forecast" / "forecast.parquet")
    assert list(table["score"].unique()) == ["nce", "logme"]
    assert set(table["n_images"]) == {50}


def test_what_is_seen_is_the_networks_own_and_no_test_image(ran, tmp_path):
    """Features and answers are those of the stage's network before and after its head."""
    catalogue = DataCatalogue()
    plan = make_plan(load_sweep(ran / "sweep.yaml"), catalogue)
    from harness.training.context import TrialContext

    context = TrialContext(catalogue, features=FeatureStore(tmp_path / "features", 1.0))
    spec = next(t for t in plan.trials if t.arm == "last")
    seen = extract(spec, ran / "run" / "trials", context, 2000)
    stage = plan.by_id[spec.parent]
    own = replace(spec, condition=stage.condition.model_copy(
        update={"start": spec.condition.start, "head": "keep"}
    ))  # fmt: skip
    prepared = prepare_network(own, ran / "run" / "trials", torch.device("cpu"))
    dataset = catalogue.open(spec.data)
    from datasets.split import split_dataset

    split = split_dataset(dataset, spec.data.choice.split,
                          np.random.default_rng(spec.streams["split"]))  # fmt: skip
    places = np.sort(np.concatenate([split.train, split.validation]))
    assert not np.isin(places, split.test).any()
    assert (dataset.labels[places] == seen.labels).all()
    with torch.inference_mode():
        images = prepared.normalise.images(torch.from_numpy(dataset.images[places]))
        logits = prepared.network.eval()(images)
    np.testing.assert_allclose(seen.probabilities, logits.softmax(dim=1).numpy(), atol=1e-5)
    assert seen.features.shape == (len(places), 84)  # of LeNet-5 before its head


def test_a_stage_that_has_not_run_is_said_in_one_line(ran, tmp_path):
    out = tmp_path / "new"
    with pytest.raises(InputError, match=r"arms start from drawn, whose .* --only pretrain") as err:
        main([str(ran / "sweep.yaml"), "--out", str(out)])
    assert "\n" not in str(err.value)
    assert not out.exists()


def test_a_forecast_before_the_run_leaves_a_folder_that_the_sweep_takes(
    write_sweep, tmp_path, capsys
):
    file = write_sweep(
        ("pretrained: {initialize: drawn}", "other: {fine_tune: last_layer}"),
        ("treatment: pretrained", "treatment: other"),
    )
    out = tmp_path / "run"
    assert main([str(file), "--out", str(out), "--seeds", "1", "--scores", "logme"]) == 0
    assert "No trial has run yet" in capsys.readouterr().out
    check_run_folder(out, must_exist=False)
    (out / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds other things \(mine.txt\)"):
        check_run_folder(out, must_exist=False)


def test_starts_of_a_grid_are_named_apart(write_sweep):
    file = write_sweep(
        ("seeds: 2", "seeds: 1\ngrid: {model.name: [lenet5, midas_cnn], data.train: [100, 300]}")
    )
    starts = starts_of(make_plan(load_sweep(file), DataCatalogue()))
    named = {(start.data_set, start.name) for start in starts}
    assert len(starts) == len(named) == 8
    assert ("glyphs, 100 to train", "lenet5, random") in named
    assert ("glyphs, 300 to train", "midas_cnn, drawn") in named


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seeds", "3"], "--seeds 3: the sweep has 2"),
        (["--scores", "logm"], "did you mean 'logme'"),
        (["--images", "5"], "at least 20"),
        (["--data", "none"], "--data none: no such folder"),
        (
            ["--set", "name=another"],
            "it is the run of the sweep 'small', and .* is of 'another'; give",
        ),
    ],
)
def test_wrong_options_are_one_line(ran, options, words):
    with pytest.raises(InputError, match=words) as err:
        main([str(ran / "sweep.yaml"), "--out", str(ran / "run"), *options])
    assert "\n" not in str(err.value)


def test_maps_are_averaged_and_a_head_is_found_by_its_names():
    maps = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert pooled(maps).tolist() == [[5.5, 17.5]]
    head = LayerGroup("fc", ("fc",), ("fc.weight", "fc.bias"), ())
    tensors = {"module.fc.weight": torch.zeros(7, 3), "module.fc.bias": torch.zeros(7)}
    assert outputs_of(tensors, head) == 7
    assert outputs_of({"conv.weight": torch.zeros(7, 3)}, head) == 0
    assert OTHER_HEAD
