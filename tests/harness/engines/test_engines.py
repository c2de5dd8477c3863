"""All engines, as a user runs them: the same bits, and one bad trial spares the rest."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from small_sweep import ON_CARDS, SMALL

from harness import status
from harness.sweep import main
from harness.training.trial import Trial
from headstart.errors import InputError
from runs import AFTER_A_STATE, ROOT, command, environment, fingerprints, held, run, wait_until_held

BAD_ARMS = """\
arms:
  too_hot: {train: {learning_rate: 1.0e+30}}
  no_image: {fine_tune: {probe: lbfgs}, data: {train: 4}}
  on_ruin: {initialize: ruined}
"""
RUINED_STAGE = """\
pretrain:
  ruined:
    data: {name: glyphs, count: 300, seed: 2, train: 200, validation: 50}
    train: {epochs: 1, learning_rate: 1.0e+30}
"""


def rows_of(out: Path) -> dict[tuple[str, int], dict]:
    return {(r["arm"], r["seed"]): r for r in pq.read_table(out / "trials.parquet").to_pylist()}


class Finished(NamedTuple):
    """A command that has ended."""

    out: Path
    status: int
    stderr: str


@pytest.fixture(scope="module")
def bad_sweep(tmp_path_factory):
    """The small sweep with bad arms."""
    sweep = tmp_path_factory.mktemp("engines") / "sweep.yaml"
    text = SMALL.replace("arms:\n", BAD_ARMS).replace("pretrain:\n", RUINED_STAGE)
    sweep.write_text(text)
    return sweep


@pytest.fixture(scope="module")
def run_by(bad_sweep):
    """The sweep with bad arms run by an engine, once; `here` runs inside the tests' process."""

    @cache
    def run_by(engine: str) -> Finished:
        out = bad_sweep.parent / engine
        if engine == "here":
            with contextlib.redirect_stderr(io.StringIO()) as stderr:
                exit_status = run_inside(bad_sweep, out)
            return Finished(out, exit_status, stderr.getvalue())
        done = run(bad_sweep, out, "--engine", engine)
        return Finished(out, done.returncode, done.stderr)

    return run_by


def run_inside(sweep: Path, out: Path, *options: str) -> int:
    """Exit status of the command, which runs in this process."""
    return main([*command(sweep, out, *options)[3:], "--engine", "here"])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_all_engines_give_the_same_bits(run_by, engine):
    """Slow: starts Ray, or workers, that import torch."""
    assert rows_of(run_by("here").out).keys() == rows_of(run_by(engine).out).keys()
    hashes = fingerprints(run_by("here").out)
    assert len(hashes) == 6
    assert hashes == fingerprints(run_by(engine).out)


@pytest.mark.parametrize(
    "engine", ["here", *(pytest.param(name, marks=pytest.mark.slow) for name in ("local", "ray"))]
)
def test_one_bad_trial_spares_the_rest_and_is_shown(run_by, engine, capsys):
    """Slow only where it is the first to need a run by workers."""
    done = run_by(engine)
    rows = rows_of(done.out)
    assert done.status == 1, done.stderr
    good = {rows[arm, seed]["status"] for arm in ("scratch", "pretrained") for seed in (0, 1)}
    assert good == {"done"}
    assert rows["too_hot", 0]["status"] == "diverged"
    assert "not finite" in rows["too_hot", 0]["error"]
    assert rows["no_image", 1]["status"] == "failed"
    assert "has no training image" in rows["no_image", 1]["error"]
    assert rows["no_image", 1]["attempts"] == 1, "a wrong setting is not tried again"
    assert rows["on_ruin", 0]["status"] == "failed"
    assert "diverged" in rows["on_ruin", 0]["error"]
    assert "Traceback" not in done.stderr
    assert "4 of 14 trials failed" in done.stderr
    status.main([str(done.out)])
    assert "failed: no_image seed 0" in capsys.readouterr().out


@pytest.mark.slow
def test_a_signal_stops_a_run_inside_the_process_and_the_same_command_goes_on(
    write_sweep, tmp_path, capsys
):
    sweep = write_sweep(("epochs: 2,", "epochs: 90,"), ("seeds: 2", "seeds: 1"))
    straight, out = tmp_path / "straight", tmp_path / "run"
    assert run_inside(sweep, straight) == 0
    asked: list[float] = []
    save_state = Trial.save_state

    def save_and_ask(trial: Trial) -> None:
        save_state(trial)
        asked.append(time.process_time())
        if len(asked) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trial, "save_state", save_and_ask)
        assert run_inside(sweep, out, "--state-every", "0") == 75
    assert time.process_time() - asked[0] < 10
    assert "Stopped by SIGTERM" in capsys.readouterr().err
    assert run_inside(sweep, out) == 0
    assert max(row["attempts"] for row in rows_of(out).values()) == 2
    assert fingerprints(out) == fingerprints(straight)


@pytest.mark.parametrize("setting", ["resources.workers: 2", "--slots 2"])
def test_one_process_refuses_what_needs_several(write_sweep, tmp_path, setting):
    options = setting.split() if setting.startswith("--") else ["--set", setting.replace(": ", "=")]
    with pytest.raises(InputError, match=f"{setting}: --engine here runs everything in one"):
        run_inside(write_sweep(), tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_killed_worker_of_ray_is_replaced_and_its_trial_goes_on(write_sweep, tmp_path):
    """Slow: starts Ray and its workers, and again once they are killed.

    Workers of the local engine are killed in `tests/faults/test_kills.py`.
    """
    sweep = write_sweep(
        ("epochs: 3", "epochs: 60"), ("epochs: 2,", "epochs: 60,"), ("seeds: 2", "seeds: 1")
    )
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(sweep, out, "--engine", "ray", "--state-every", "0"), cwd=ROOT,
        env={**environment(), **held(AFTER_A_STATE, tmp_path)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until_held(process, tmp_path)
    victims = workers_of(process.pid)
    assert victims
    for victim in victims:  # one of them is held amid a trial
        os.kill(victim, signal.SIGKILL)
    (tmp_path / "go").touch()
    _, message = process.communicate(timeout=240)
    assert process.returncode == 0, message
    attempts = [row["attempts"] for row in rows_of(out).values()]
    assert max(attempts) == 2, attempts


def workers_of(command_pid: int) -> list[int]:
    """Ray's processes that run trials for this command, and for no other."""
    parents, titles = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            titles[int(entry.name)], parents[int(entry.name)] = title, int(parent)

    def descends(pid: int) -> bool:
        while pid in parents and pid != command_pid:
            pid = parents[pid]
        return pid == command_pid

    mark = "ray::ResourceTrainable"
    return [pid for pid, title in titles.items() if mark in title and descends(pid)]


def test_a_second_command_is_refused_with_status_2(write_sweep, tmp_path):
    sweep = write_sweep()
    out = tmp_path / "run"
    (out / "trials").mkdir(parents=True)
    holder = {"machine": "elsewhere", "host": "node7", "pid": 7, "generation": "x"}
    lock = out / ".lock-1-of-1.json"
    lock.write_text(json.dumps(holder))
    new = time.time() + 60  # it is not old when a slow machine comes to it
    os.utime(lock, (new, new))
    done = run(sweep, out, "--engine", "local")
    assert done.returncode == 2
    assert "another command works in this run folder (process 7 on node7" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(write_sweep, tmp_path):
    """Slow: two commands, each of which starts workers. Needs the right to mount a small disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=50m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        sweep = write_sweep(("seeds: 2", "seeds: 6"))
        with ThreadPoolExecutor(1) as pool:  # it fills while trials run: before, it is refused
            running = pool.submit(run, sweep, disk / "run", "--engine", "local")
            while not list((disk / "run" / "trials").glob("*/trial.json")):
                assert not running.done(), running.result().stderr
                time.sleep(0.02)
            with open(disk / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(bytes(64 * 2**10)):
                    pass
            done = running.result()
        assert done.returncode == 1
        assert done.stderr.count("No space left on device") == 1
        assert "run the same command again" in done.stderr
        assert "Traceback" not in done.stderr
        finished = list((disk / "run" / "trials").glob("*/trial.json"))
        before = {path: path.stat().st_mtime_ns for path in finished}
        assert before
        (disk / "filler").unlink()
        assert run(sweep, disk / "run", "--engine", "local").returncode == 0
        assert {path: path.stat().st_mtime_ns for path in finished} == before
    finally:
        subprocess.run(["umount", str(disk)], check=False)


PACKS_ON_CARDS = ON_CARDS.replace("seeds: 2", "seeds: 4").replace("{gpus: 1, pack: 1}", "{pack: 2}")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_every_card_gets_its_share_of_what_is_ready(tmp_path, card, engine):
    """Slow: a worker for each of four cards imports torch. The cards are stand-ins."""
    sweep, out = tmp_path / "sweep.yaml", tmp_path / "run"
    sweep.write_text(PACKS_ON_CARDS)
    done = card.run(command(sweep, out, "--engine", engine), gpus=4, memory_gb=6, status=None)
    assert "cards: trains on 4 GPUs: " in done.stderr
    rows = rows_of(out)
    assert len(rows) == 8, done.stderr
    assert {row["status"] for row in rows.values()} <= {"done", "diverged"}, "numbers are any"
    assert {(row["ran_as"], row["attempts"]) for row in rows.values()} == {("fused", 1)}
    assert not [row for row in rows.values() if row["device"] == "cpu"]
