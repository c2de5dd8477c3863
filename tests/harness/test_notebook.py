"""`run_sweep`: what reaches the command, what comes back, and that the caller stays as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_sweep import SMALL

from harness import notebook, run_sweep
from headstart import errors
from headstart.errors import EngineError, InputError, SpecError
from headstart.lock import holders
from headstart.records import read_plan, trial_rows

ROOT = Path(__file__).resolve().parents[2]
PIPE = (
    "import sys; from multiprocessing.connection import Connection\n"
    "pipe = Connection(int(sys.argv.pop(1)))\n"
)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch):
    """Plays the command's part with this code, in which `pipe` leads to the caller."""

    def play(code: str) -> None:
        monkeypatch.setattr(notebook, "_CHILD", PIPE + code)

    return play


def test_settings_reach_the_command_as_it_takes_them(played, capsys, tmp_path):
    played("print(*sys.argv[1:], sep='\\n'); pipe.send({'error': ('InputError', 'enough')})")
    settings = {"train.epochs": np.int64(2), "data": {"name": "glyphs", "path": Path("a b")}}
    with pytest.raises(InputError, match="enough"):
        run_sweep(
            tmp_path / "é.yaml", "quick", out="runs/x", engine="local", slots=2, reuse=["a", "b"],
            report=False, settings=settings, seeds=[0, 3], question="Är 'it' so?",
        )  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/é.yaml", "--profile=quick", "--out=runs/x", "--engine=local", "--slots=2",
        "--reuse=a", "--reuse=b", "--set=train.epochs=2",
        '--set=data={"name": "glyphs", "path": "a b"}', "--set=seeds=[0, 3]",
        "--set=question=\"Är 'it' so?\"", "--no-report",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"settings": 3}, "settings: 3 is no mapping"),
        ({"reuse": 3.5}, "reuse: 3.5 is no path"),
        ({"engine": "cloud"}, "engine: 'cloud' is not one of ray, local, here"),
        ({"seeds": {1, 2}}, r"seeds: \{1, 2\} is no value"),
        ({"settings": {"train.epochs": float("nan")}}, "train.epochs: Out of range"),
        ({"out": ""}, "out: '' is no path"),
        ({"profile": 3.5}, "profile: 3.5 is no path or name"),
    ],
)
def test_what_no_command_line_could_say_is_refused(given, said, played):
    played("raise SystemExit('nothing may start')")
    with pytest.raises(InputError, match=said):
        run_sweep("x.yaml", **given)


@pytest.mark.parametrize("kind", ["InputError", "LockedError", "StorageError", "EngineError"])
def test_an_error_of_the_command_is_raised_as_it_is(kind, played):
    played(f"print('a note'); pipe.send({{'error': ({kind!r}, 'what is wrong')}}); sys.exit(2)")
    with pytest.raises(getattr(errors, kind)) as raised:
        run_sweep("x.yaml")
    assert type(raised.value).__name__ == kind
    assert str(raised.value) == "what is wrong"


@pytest.mark.timeout(120)
def test_an_error_that_fills_the_pipe_comes_back(played):
    lines = "'\\n'.join(['s.yaml:1: no key here' + ' ' * 80] * 20_000)"
    played(f"pipe.send({{'error': ('SpecError', {lines})}}); sys.exit(2)")
    with pytest.raises(SpecError) as raised:
        run_sweep("x.yaml")
    assert len(raised.value.mistakes) == 20_000


def test_all_mistakes_of_a_sweep_file_come_back():
    with pytest.raises(SpecError) as raised:
        run_sweep("sweeps/part2.yaml", settings={"train.epochz": 1, "measure.metrik": 2})
    assert len(raised.value.mistakes) == 2
    assert "did you mean 'epochs'" in str(raised.value)


def test_a_command_that_broke_is_an_error(played, capsys):
    played("pipe.send({'folder': 'x'}); raise RuntimeError('a bug')")
    with pytest.raises(EngineError, match="a bug"):
        run_sweep("x.yaml")
    played("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(EngineError, match="status -9"):
        run_sweep("x.yaml")


def test_an_interrupt_reaches_the_command_and_comes_back(played, capsys):
    played(
        "import signal, time\n"
        "def stop(*_): print('states are saved', flush=True); sys.exit(75)\n"
        "signal.signal(signal.SIGINT, stop); print('runs', flush=True); time.sleep(60)\n"
    )
    as_it_was = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored after `make &`
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    shown: list[str] = []

    def show(text: str, **_: object) -> None:
        shown.append(text)
        if text == "runs\n":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", show)
        with pytest.raises(KeyboardInterrupt):
            run_sweep("x.yaml")
    assert shown == ["runs\n", "states are saved\n"]
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGINT, as_it_was)
    assert after == before


@pytest.mark.slow
def test_a_sweep_runs_from_standard_input_and_in_a_thread(tmp_path: Path):
    """Slow: whole sweeps in processes, once from a `__main__` that no process could import."""
    sweep = tmp_path / "small.yaml"
    sweep.write_text(SMALL)
    code = f"""
import threading
from harness import run_sweep
def go():
    runs.append(run_sweep({str(sweep)!r}, out="out", engine="local", report=False, seeds=1))
runs = []
thread = threading.Thread(target=go)
thread.start()
thread.join()
again = run_sweep({str(sweep)!r}, out="out", engine="local", report=False, seeds=1)
print(runs[0], again.trials["status"].tolist())
"""
    ended = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, timeout=240,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.stderr == ""
    last = ended.stdout.splitlines()[-1]
    assert last == "<Run out; 2 arms, 1 seed, 3 of 3 trials done> ['done', 'done', 'done']"
    record = (tmp_path / "out/provenance.json").read_text()
    assert f"-m harness.sweep {sweep} --out=out --engine=local" in record


@pytest.mark.slow
def test_a_sweep_ends_with_its_caller(tmp_path: Path):
    """Slow: a sweep in processes, whose caller is killed while it runs."""
    sweep = tmp_path / "small.yaml"
    sweep.write_text(SMALL)
    code = f"""
from harness import run_sweep
run_sweep({str(sweep)!r}, out="out", engine="local", report=False, settings={{"train.epochs": 500}})
"""
    out, until = tmp_path / "out", time.monotonic() + 120
    caller = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL,
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    while not list(out.glob("trials/*/state/*")):
        assert caller.poll() is None, "it ended before a trial began"
        assert time.monotonic() < until, "no trial began"
        time.sleep(0.1)
    assert holders(out)
    caller.kill()
    until = time.monotonic() + 60
    while holders(out) and time.monotonic() < until:
        time.sleep(0.1)
    assert not holders(out)
    plan = read_plan(out)
    assert plan is not None
    assert any(row is None for _, row in trial_rows(out, [trial.id for trial in plan.trials]))
