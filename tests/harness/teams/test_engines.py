"""Several workers to a trial as a user runs them: by both engines, on two nodes, nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_sweep import SMALL

from harness.sweep import main
from headstart.errors import InputError
from runs import (
    AFTER_A_STATE,
    ROOT,
    command,
    environment,
    fingerprints,
    held,
    run,
    title_of,
    wait_until_gone,
    wait_until_held,
)

TWO = ("--set", "resources.workers=2", "--set", "seeds=1")
ALL_STATES = ("--state-every", "0")  # the first after the first step
RANK = {"local": "multiprocessing.forkserver", "ray": "ray::RankActor"}


def rows_of(out: Path) -> dict[str, dict]:
    return {row["arm"]: row for row in pq.read_table(out / "trials.parquet").to_pylist()}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The small sweep with one worker to a trial, and with two by each engine."""
    folder = tmp_path_factory.mktemp("workers")
    (folder / "sweep.yaml").write_text(SMALL)
    for name, options in {
        "solo": ("--engine", "local", "--set", "seeds=1"),
        "local": ("--engine", "local", *TWO),
        "ray": ("--engine", "ray", *TWO),
    }.items():
        done = run(folder / "sweep.yaml", folder / name, *options)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_engines_give_rows_and_the_same_bits(both):
    """Slow: three commands, each of which starts processes that import torch; one starts Ray."""
    solo, local, ray = (rows_of(both / name) for name in ("solo", "local", "ray"))
    for arm, row in solo.items():
        for result in (local[arm], ray[arm]):
            assert (result["status"], result["ran_as"], result["n_workers"]) == (
                "done",
                "workers-2",
                2,
            )
            assert result["trial_id"] == row["trial_id"]
            assert result["steps"] == row["steps"]
            for name in ("test_accuracy", "final_val_accuracy"):  # one of 100 may be near a tie
                assert result[name] == pytest.approx(row[name], abs=0.0101)
    assert fingerprints(both / "local") == fingerprints(both / "ray")
    assert len(fingerprints(both / "ray")) == 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_shared_trials_are_finished_for_a_command_of_one_worker(both):
    """Slow only where it is the first to need the runs."""
    before = {p: p.stat().st_mtime_ns for p in both.glob("local/trials/*/trial.json")}
    assert len(before) == 3
    done = run(both / "sweep.yaml", both / "local", "--engine", "local", "--set", "seeds=1")
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_when_one_process_is_killed_its_trial_goes_on_and_nothing_is_left(
    write_sweep, tmp_path, engine
):
    """Slow: starts an engine and its processes, twice over where one is killed."""
    sweep = write_sweep(("epochs: 3", "epochs: 20"), ("{epochs: 2,", "{epochs: 60,"))
    out = tmp_path / "run"
    process = start(sweep, out, "--engine", engine, *TWO, **held(AFTER_A_STATE, tmp_path))
    wait_until_held(process, tmp_path)  # the first of them, amid the trial
    victims = ranks_of(process.pid, engine)
    assert victims
    os.kill(victims[-1], signal.SIGKILL)
    (tmp_path / "go").touch()
    started = set(victims)
    while process.poll() is None:
        started.update(descendants(process.pid))
        time.sleep(0.2)
    _, message = process.communicate()
    assert process.returncode == 0, message
    rows = rows_of(out).values()
    assert sorted(row["attempts"] for row in rows) == [1, 1, 2]
    assert {row["ran_as"] for row in rows} == {"workers-2"}
    wait_until_gone(started, within_s=60)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_ends_leaves_no_process(write_sweep, tmp_path, number):
    """Slow: starts processes that import torch."""
    sweep = write_sweep(("epochs: 3", "epochs: 4000"), ("{epochs: 2,", "{epochs: 4000,"))
    process = start(sweep, tmp_path / "run", "--engine", "local", *TWO)
    wait_for_a_state(process, tmp_path / "run")
    started = descendants(process.pid)
    assert len(started) >= 4  # the worker, what it forks from, and two processes
    process.send_signal(number)
    _, message = process.communicate(timeout=200)
    assert process.returncode == (75 if number == signal.SIGTERM else -number), message
    wait_until_gone(started, within_s=60)
    assert list((tmp_path / "run").glob("trials/*/state/*/state-*.pt"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_workers_of_a_trial_may_be_on_two_nodes(write_sweep, tmp_path):
    """Slow: starts a Ray of two nodes, with one processor each, so that no node takes both."""
    code = (
        "import sys, ray\n"
        "from ray.cluster_utils import Cluster\n"
        "cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 1})\n"
        "cluster.add_node(num_cpus=1)\n"
        "print(cluster.address, flush=True)\n"
        "sys.stdin.read()\n"
        "cluster.shutdown()\n"
    )
    settings = {**environment(), "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=settings,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as nodes:  # fmt: skip
        address = nodes.stdout.readline().strip()
        sweep = write_sweep()
        join = (*TWO, "--address", address)
        done = subprocess.run(
            command(sweep, tmp_path / "run", *join), cwd=ROOT, env=settings,
            capture_output=True, text=True, timeout=400,
        )  # fmt: skip
        nodes.stdin.close()
    assert done.returncode == 0, done.stderr
    assert {row["ran_as"] for row in rows_of(tmp_path / "run").values()} == {"workers-2"}


ON_CARDS = """\
name: cards
question: Do the workers of a trial have a card each?
model: {name: lenet5}
data: {name: glyphs, count: 300, seed: 1, train: 200, validation: 50, test: 50}
train: {epochs: 2, batch_size: 32}
arms: {slow: {}, fast: {train: {learning_rate: 3.0e-3}}}
seeds: 1
"""
BY_GLOO = {"HEADSTART_GPU_MESSAGES": "gloo"}  # the stand-in has no NCCL


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("engine", "workers", "gpus"), [("local", 4, 8), ("ray", 2, 4)])
def test_each_worker_of_two_teams_has_a_card_of_its_own(tmp_path, card, engine, workers, gpus):
    """Slow: a process for each stand-in card imports torch. `gpus` is not given: it is `auto`."""
    sweep, out = tmp_path / "sweep.yaml", tmp_path / "run"
    sweep.write_text(ON_CARDS)
    options = ("--engine", engine, "--set", f"resources.workers={workers}")
    done = card.run(
        command(sweep, out, *options), gpus=gpus, memory_gb=6, status=None, timeout=300, **BY_GLOO
    )
    assert f"cards: trains on {gpus} GPUs: " in done.stderr
    assert sorted(process.cards for process in done.processes) == [[k] for k in range(gpus)]
    rows = rows_of(out).values()
    assert len(rows) == 2, done.stderr
    assert {row["status"] for row in rows} <= {"done", "diverged"}, "numbers are any"
    for row in rows:
        assert (row["ran_as"], row["n_workers"], row["attempts"]) == (
            f"workers-{workers}",
            workers,
            1,
        )
        assert row["device"] != "cpu"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_trial_for_which_the_cards_are_too_small_fails_once_and_spares_the_next(tmp_path, card):
    """Slow: two processes that import torch, for each of two trials."""
    sweep, out = tmp_path / "sweep.yaml", tmp_path / "run"
    sweep.write_text(ON_CARDS)
    done = card.run(
        command(sweep, out, "--engine", "local", "--set", "resources.workers=2"),
        gpus=2, memory_gb=0.005, status=1, timeout=200, **BY_GLOO,
    )  # fmt: skip
    assert done.stderr.count("failed: the GPU's memory is too small: ") == 2
    assert "tried again" not in done.stderr
    assert [row["attempts"] for row in rows_of(out).values()] == [1, 1]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_with_a_card_that_dies_is_replaced(tmp_path, card):
    """Slow: two processes that import torch, twice."""
    sweep, out = tmp_path / "sweep.yaml", tmp_path / "run"
    sweep.write_text(ON_CARDS.replace("epochs: 2", "epochs: 60"))
    process = subprocess.Popen(
        [*command(sweep, out, "--engine", "local", "--set", "resources.workers=2"), *ALL_STATES],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env=card.environment(gpus=2, memory_gb=6, **BY_GLOO, **held(AFTER_A_STATE, tmp_path)),
    )  # fmt: skip
    wait_until_held(process, tmp_path)
    os.kill(ranks_of(process.pid, "local")[-1], signal.SIGKILL)
    (tmp_path / "go").touch()
    _, message = process.communicate(timeout=240)
    assert "died (exit status -9); it is tried again" in message
    assert sorted(row["attempts"] for row in rows_of(out).values()) == [1, 2], message
    assert process.returncode == 0, message


def test_what_cannot_be_is_one_line_and_status_2(write_sweep, tmp_path):
    options = (*TWO, "--set", "train.batch_norm_parts=4")
    with pytest.raises(InputError, match="batch_norm_parts: 4 with") as caught:
        main([*command(write_sweep(), tmp_path / "run", *options)[3:]])
    assert caught.value.exit_status == 2
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def start(sweep: Path, out: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command(sweep, out, *options), *ALL_STATES],
        cwd=ROOT,
        env={**environment(), **variables},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_a_state(process: subprocess.Popen[str], out: Path) -> None:
    deadline = time.monotonic() + 200
    while not list(out.glob("trials/*/state/*/state-*.pt")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ranks_of(command_pid: int, engine: str) -> list[int]:
    """The processes that share trials; not the one from which the local engine forks them."""
    matches = [p for p in descendants(command_pid) if RANK[engine] in title_of(p)]
    if engine == "local":
        parents = {parent_of(pid) for pid in matches}
        matches = [pid for pid in matches if pid not in parents]
    return matches


def descendants(command_pid: int) -> set[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    parents = {pid: parent_of(pid) for pid in pids}

    def descends(pid: int) -> bool:
        while pid in parents and pid != command_pid:
            pid = parents[pid]
        return pid == command_pid

    return {pid for pid in pids if pid != command_pid and descends(pid)}


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0
