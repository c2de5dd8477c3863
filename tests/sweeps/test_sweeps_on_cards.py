"""Every file of `sweeps/` at its smallest, on the stand-in for GPUs: no device error.

In: drawn characters in place of each data set, one epoch, one or two seeds. One process runs all of
them on one card; a command of two slots runs part 2 on two cards. Numbers mean nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from runs import ROOT, command

DRAWN = "{name: glyphs, count: 400, seed: 1, train: 300, validation: 40, test: 40}"
FEW = "{{name: glyphs, count: 100, seed: {}, train: 40, validation: 10}}"
WRONG = DRAWN.replace("}", ", corrupt_labels: {kind: complementary, fraction: 0.999}}")
PER_CLASS = (
    "{{name: glyphs, count: 1240, classes: all, seed: {}, per_class: true, train: 14,"
    " validation: 3, test: 3}}"
)
OWN = (
    "{name: glyphs, count: 200, seed: 3, per_class: true, train: 8, validation: 2, test: 2,"
    " as_jpeg: true}"
)


def pretrained(*stages: str) -> list[str]:
    """Each stage on data of its own, since two equal stages would be one trial."""
    data = [f"pretrain.{stage}.data={FEW.format(n)}" for n, stage in enumerate(stages)]
    return [*data, *(f"pretrain.{stage}.train.epochs=1" for stage in stages)]


SMALLEST = {
    "ants_bees": [f"data={DRAWN}", "model.image_size=32", "train.batch_size=64"],
    "assignment4": [
        f"data={OWN}", "pretrain.mnist_midas=none", f"pretrain.mnist.data={DRAWN}",
        "pretrain.mnist.train.epochs=1",
        "train.epochs=2", "search.samples=2", "search.rungs=[1, 2]", "search.keep=0.5",
    ],
    "cifar10": [
        "data={name: glyphs, count: 500, test_part: 40}", "grid={data.train: [40]}",
        "model.image_size=32", "train.at_least_steps=2",
        *(f"arms.{arm}.train={{epochs: 2, at_least_steps: 3}}"
          for arm in ("scratch_long", "imagenet_long")),
    ],
    "depth": [f"data={DRAWN}", *pretrained("characters")],
    "frozen_backbone": [
        f"data={DRAWN}", "seeds=2", "search.samples=2", "search.rungs=[1]",
    ],
    "how_many_images": [
        "data={name: glyphs, count: 500, test_part: 40}", "grid={data.train: [20, 200]}",
        "train.at_least_steps=3", *pretrained("digits"),
    ],
    "methods": [
        f"data={DRAWN}", *pretrained("characters"), "also_test=[{corrupted: {blur: 3}}]",
        "train.epochs=2", "search.samples=2",
        "arms.probe_first.fine_tune={probe_then: all, probe_epochs: 1}",
    ],
    "part1": [f"data={PER_CLASS.format(1)}"],
    "part1_input": [
        f"data={PER_CLASS.format(1)}", "train.epochs=2",
        *(f"arms.{arm}.data={PER_CLASS.format(n)}" for n, arm in ((2, "whole"), (3, "centred"))),
    ],
    "part2": [f"data={DRAWN}", *pretrained("digits", "digits_resized", "characters")],
    "part3": [f"data={WRONG}", "model.width=4", *pretrained("digits_1000", "digits_500")],
}  # fmt: skip
ON_A_CARD = ["resources.gpus=1", "seeds=1", "train.epochs=1"]

RUN_ALL = """
    import json, sys
    from pathlib import Path
    import pyarrow.parquet as pq
    from card_counters import counters
    from runs import ROOT, run_here

    out, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    for name, options in given.items():
        run = out / "runs" / name
        done = run_here(ROOT / "sweeps" / f"{name}.yaml", run, "--data", str(out), *options)
        rows = pq.read_table(run / "trials.parquet").to_pylist()
        keys = ("status", "error", "device", "attempts", "arm", "ran_as", "stage")
        print(json.dumps([name, done.returncode, [{k: row[k] for k in keys} for row in rows]]))
        assert counters().unknown == 0, f"{name}: a function that the stand-in does not have"
"""


def options_of(name: str) -> list[str]:
    """Of the profile for GPUs, where the file has one."""
    profiles = yaml.safe_load((ROOT / "sweeps" / f"{name}.yaml").read_text("utf-8"))["profiles"]
    settings = [word for text in [*ON_A_CARD, *SMALLEST[name]] for word in ("--set", text)]
    return ["--profile", "cluster", *settings] if "cluster" in profiles else settings


@pytest.fixture
def no_data(tmp_path: Path) -> Path:
    """A folder of data in which only weights lie, random ones in place of ImageNet's."""
    from safetensors.torch import save_file
    from timm import create_model
    from torchvision.models import squeezenet1_0

    (tmp_path / "weights").mkdir()
    weights = squeezenet1_0(weights=None).state_dict()
    save_file(weights, tmp_path / "weights" / "squeezenet1_0_imagenet.safetensors")
    weights = create_model("tf_efficientnet_lite0").state_dict()
    save_file(weights, tmp_path / "weights" / "tf_efficientnet_lite0.in1k.safetensors")
    return tmp_path


def test_every_sweep_is_listed():
    assert sorted(SMALLEST) == sorted(path.stem for path in (ROOT / "sweeps").glob("*.yaml"))


Row = dict[str, Any]


def is_of_numbers(row: Row, rows: list[Row]) -> bool:
    """Weights are whatever lay in memory: a trial may refuse those of the stage it starts from.

    An arm is not run where its search found nothing; why its trials ended so, their rows say.
    """
    error = row["error"] or ""
    if row["stage"] == "arm" and error.startswith("no trial of the search for its settings"):
        own = [r["status"] for r in rows if (r["stage"], r["arm"]) == ("search", row["arm"])]
        return bool(own) and "done" not in own
    return "that are not finite" in error or error.startswith("the trial it starts from")


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_sweep_runs_on_a_card_without_a_device_error(card, no_data):
    """Slow: some fifty trials; part 2 alone runs in the test below."""
    options = json.dumps({name: options_of(name) for name in SMALLEST})
    done = card.run(RUN_ALL, str(no_data), options, memory_gb=16, timeout=1200)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, _, _ in results] == list(SMALLEST)
    ways = set()
    for name, status, rows in results:
        for row in rows:
            if row["status"] == "failed" and is_of_numbers(row, rows):
                continue
            assert row["status"] in ("done", "diverged"), f"{name}: {row['error']}"
            assert row["attempts"] == 1, f"{name}: {row}"
            assert row["device"].startswith("Stand-in"), f"{name}: {row}"
            ways.add(row["ran_as"])
        assert status == 0 or {row["status"] for row in rows} != {"done"}, name
    assert {"solo", "heads", "fused"} <= ways


@pytest.mark.slow
def test_two_slots_on_two_cards_take_one_each(card, tmp_path):
    sweep, run = ROOT / "sweeps" / "part2.yaml", tmp_path / "run"
    options = [*options_of("part2"), "--engine", "local", "--slots", "2", "--data", str(tmp_path)]
    done = card.run(command(sweep, run, *options), gpus=2, memory_gb=16)
    workers = [process.cards for process in done.processes]
    assert all(len(cards) == 1 for cards in workers)  # of seven trials, wherever they ran
    assert {cards[0] for cards in workers} == {0, 1}
