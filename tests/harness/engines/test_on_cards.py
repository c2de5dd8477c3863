"""Whole commands on stand-ins for GPUs: workers, shares of a card, kills, too little memory.

In: the local engine, as a user runs it. Out: no device error, each process on its card and within
its share of it. Numbers mean nothing there, so a trial may end as diverged.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from card_counters import read_ledger
from packed_sets import IN_FILES, KINDS, NAMES, N
from small_sweep import ON_CARDS

from runs import AFTER_A_STATE, ROOT, command, held, wait_until_held

GIGA = 10**9

NETWORKS = """\
name: networks
question: Do the networks that people bring train on a card?
model: {name: alexnet, image_size: 64}
data: {name: glyphs, count: 150, seed: 1, train: 64, validation: 30, test: 30}
train: {epochs: 1, batch_size: 32}
arms:
  alexnet: {}
  vgg: {model: {name: vgg11}, train: {precision: bf16}}
  convnext: {model: {name: convnext_tiny}, train: {precision: bf16}}
  vit: {model: {name: vit_b_16, image_size: 224}}
seeds: 1
"""

pytestmark = pytest.mark.slow  # each command starts workers that import torch


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(ON_CARDS)
    return path


def rows_of(out: Path) -> list[dict]:
    return pq.read_table(out / "trials.parquet").to_pylist()


def check_ended(rows: list[dict], n: int) -> None:
    assert len(rows) == n
    assert {row["status"] for row in rows} <= {"done", "diverged"}, [row["error"] for row in rows]
    assert not [row for row in rows if row["device"] == "cpu"]


def given(*assignments: str) -> list[str]:
    return ["--engine", "local", *(w for text in assignments for w in ("--set", text))]


def test_halves_of_a_card_keep_to_their_share(card, sweep, tmp_path):
    """Slow: two workers on one card of 6 GB."""
    done = card.run(
        command(sweep, tmp_path / "run", *given("resources.gpus=0.5"), "--slots", "2"),
        gpus=1, memory_gb=6, status=None,
    )  # fmt: skip
    rows = rows_of(tmp_path / "run")
    check_ended(rows, 4)
    workers = [process for process in done.processes if process.launches]
    peaks = [process.bytes_peak[0] for process in workers]
    assert all(0 < row["memory_bytes"] <= max(peaks) for row in rows)
    assert len(workers) == 2
    assert all(process.cards == [0] for process in workers)
    assert max(peaks) <= 3 * GIGA


def test_a_killed_command_goes_on_from_its_states(card, sweep, tmp_path):
    """Slow: the command runs twice."""
    out = tmp_path / "run"
    argv = command(
        sweep, out, *given("train.epochs=200", "train.evaluate_every={epochs: 20}", "seeds=1"),
        "--state-every", "0",
    )  # fmt: skip
    ledger = tmp_path / "ledger"
    running = subprocess.Popen(
        argv, cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env=card.environment(memory_gb=6, ledger=ledger, **held(AFTER_A_STATE, tmp_path)),
    )  # fmt: skip
    wait_until_held(running, tmp_path)
    assert list(out.glob("trials/*/state/*/state-*.pt"))
    running.kill()
    running.wait()
    assert read_ledger(ledger), "the killed command used a card"
    done = card.run(argv, memory_gb=6, status=None)
    rows = rows_of(out)
    check_ended(rows, 2)
    assert max(row["attempts"] for row in rows) == 2, done.stderr
    assert {row["steps"] for row in rows if row["status"] == "done"} <= {200 * 7}


def test_a_set_in_its_files_goes_to_a_card_batch_by_batch(card, sweep, tmp_path):
    """Slow: a whole command. Each epoch's images are copied to the card; of a set that lay there
    one copy of each would have been made."""
    out, kind = tmp_path / "run", "shards"
    path = KINDS[kind](tmp_path / "set")
    text = IN_FILES.format(name=NAMES[kind], path=path, epochs=20)
    sweep.write_text(text.replace("gpus: 0", "gpus: 1"))
    done = card.run(
        command(sweep, out, *given()), memory_gb=6, status=None,
        HEADSTART_DECODED_GB="0.00001", HEADSTART_CACHE=str(tmp_path / "cache"),
    )  # fmt: skip
    assert "they stay in their files" in done.stderr
    (row,) = rows_of(out)
    check_ended([row], 1)
    assert row["attempts"] == 1
    (worker,) = [process for process in done.processes if process.launches]
    assert worker.cards == [0]
    trained = 20 * (N * 6 // 10) * 3 * 24 * 24  # bytes of the images of its epochs
    assert worker.bytes_in > trained, (worker, trained)


def test_a_trial_that_does_not_fit_fails_in_one_line_and_spares_the_rest(card, sweep, tmp_path):
    """Slow: 0.2 GB are too little for a batch of large images, and enough for LeNet-5."""
    large = "large: {model: {name: resnet18, image_size: 64}}"
    sweep.write_text(
        ON_CARDS.replace("fast: {train: {learning_rate: 3.0e-3}}", large)
        .replace("batch_size: 32", "batch_size: 200")
    )  # fmt: skip
    done = card.run(
        command(sweep, tmp_path / "run", *given()), gpus=1, memory_gb=0.3, status=1
    )  # fmt: skip
    rows = rows_of(tmp_path / "run")
    by_arm = {arm: [row for row in rows if row["arm"] == arm] for arm in ("slow", "large")}
    check_ended(by_arm["slow"], 2)
    assert {row["status"] for row in by_arm["large"]} == {"failed"}
    for row in by_arm["large"]:
        assert row["error"].startswith("the GPU's memory is too small: "), row["error"]
        assert "resources.gpus" in row["error"]
        assert "\n" not in row["error"].strip()
    assert "Traceback" not in done.stderr


def test_a_pack_that_does_not_fit_goes_on_by_halves(card, sweep, tmp_path):
    """Slow: eight seeds of a wide network as one program, on a card that holds a part of them."""
    out = tmp_path / "run"
    options = given("resources.pack=8", "seeds=8", "model={name: midas_cnn, dense: 4000}")
    done = card.run(command(sweep, out, *options), gpus=1, memory_gb=1.2, status=None)
    rows = rows_of(out)
    check_ended(rows, 16)
    assert {row["ran_as"] for row in rows} == {"fused"}
    assert sum(process.refusals for process in done.processes), "the card is large enough"
    assert "out of memory" not in done.stderr


def test_large_networks_train_in_6_gb(card, tmp_path):
    """Slow: four networks of 29 to 133 million weights, made on the CPU. No setting says gpus."""
    sweep, out = tmp_path / "networks.yaml", tmp_path / "run"
    sweep.write_text(NETWORKS)
    done = card.run(command(sweep, out, "--engine", "here"), memory_gb=6, status=None)
    rows = rows_of(out)
    check_ended(rows, 4)
    assert {row["attempts"] for row in rows} == {1}, done.stderr
    assert not sum(process.refusals for process in done.processes)
