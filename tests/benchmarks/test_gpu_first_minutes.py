"""The first minutes on a card: what one part breaks spares the rest; a bare machine is enough."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu_first_minutes, gpu_parts
from benchmarks.gpu_parts import PARTS, Card
from benchmarks.gpu_tables import GOALS, tables

COMMAND = Path(gpu_first_minutes.__file__)

# In the place of the process that measures: one part crashes, one hangs, one loses the card.
PLAYED = """\
import json, os, sys, time
names = [sys.argv[k + 1] for k, word in enumerate(sys.argv) if word == "--only"]
tell = lambda *words: print("#" + json.dumps(words), flush=True)
for name in names:
    tell("begin", name, 0.2 if name == "repeats" else 60)
    tell("result", name, "first", {"ms": 1.5})
    if name == "smoke":
        os._exit(9)
    if name == "repeats":
        time.sleep(600)
    tell("end", name, "CUDA error: gone" if name == "solo" else "ok")
    if name == "solo":
        os._exit(3)
"""


def test_a_part_that_crashes_hangs_or_loses_the_card_costs_itself(monkeypatch, tmp_path, capsys):
    played = tmp_path / "played.py"
    played.write_text(PLAYED)
    monkeypatch.setattr(gpu_first_minutes, "__file__", str(played))
    monkeypatch.setattr(gpu_first_minutes, "GRACE_S", 1.0)
    out = tmp_path / "out"
    parts = ["environment", "smoke", "repeats", "solo", "packs"]
    options = [word for part in parts for word in ("--only", part)]
    assert gpu_first_minutes.main(["--device", "cpu", "--out", str(out), *options]) == 1
    saved = json.loads((out / "minutes.json").read_text())
    assert saved["ended"]["environment"] == saved["ended"]["packs"] == "ok"
    assert saved["ended"]["smoke"] == "its process ended with status 9"
    assert saved["ended"]["repeats"].startswith("did not end: killed after 1 s")
    assert saved["ended"]["solo"] == "CUDA error: gone"
    assert [saved["results"][part] for part in parts] == [{"first": {"ms": 1.5}}] * 5
    assert "not reached: none" in capsys.readouterr().out
    assert "- smoke: its process ended with status 9" in (out / "minutes.md").read_text()


def test_a_process_that_cannot_begin_costs_each_part_one_try(monkeypatch, tmp_path):
    played = tmp_path / "played.py"
    played.write_text("raise SystemExit(4)")
    monkeypatch.setattr(gpu_first_minutes, "__file__", str(played))
    only = ["--only", "smoke", "--only", "solo"]
    assert gpu_first_minutes.main(["--device", "cpu", "--out", str(tmp_path / "o"), *only]) == 1
    ended = json.loads((tmp_path / "o/minutes.json").read_text())["ended"]
    assert ended == dict.fromkeys(("smoke", "solo"), "its process ended with status 4")


def test_a_card_that_is_not_there_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(gpu_first_minutes, "_has_card", lambda: False)
    assert gpu_first_minutes.main([]) == 2
    assert capsys.readouterr().out.startswith("gpu_first_minutes: no GPU here")


def test_a_part_stops_when_its_time_is_over(monkeypatch):
    part = PARTS["solo"]._replace(run=lambda card: iter([("a", 1), ("b", 2)]))
    monkeypatch.setitem(gpu_parts.PARTS, "solo", part)
    late = list(gpu_parts.run_part("solo", Card("cpu", True, ends_at=0.0)))
    assert late == [("a", 1), ("left out", "the rest: the time of this part is over")]


def test_a_measurement_that_fails_is_a_line():
    card = Card("cpu", True, ends_at=0.0)
    assert gpu_parts.attempt(card, lambda: 1 / 0) == ("failed: ZeroDivisionError: division by zero")


def test_tables_have_a_row_a_measurement_and_the_goals():
    part, name, column = next(iter(GOALS))
    text = tables({part: {name: {column: 612.34}, "fused 8": "failed: a | b"}}, {part: "ok"})
    assert f"| {name} | 612 |  |" in text
    assert "| fused 8 |  | failed: a / b |" in text
    assert f"| {name}, trials an hour | 600 | 612 |" in text
    assert text.count("not measured") == len(GOALS) - 1


def test_the_parts_fit_into_ten_minutes_in_the_order_of_their_worth():
    assert sum(part.seconds for part in PARTS.values()) <= 660
    assert list(PARTS)[:3] == ["environment", "smoke", "repeats"]
    assert len({net.name for net in gpu_parts.FAMILIES}) >= 20


BARE = """\
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"ray", "typst", "xlsxwriter", "imagecodecs", "requests"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_bare_machine_is_enough(tmp_path):
    """Slow: trains a sweep three times. No Ray, no typst, no xlsxwriter, no data."""
    (tmp_path / "sitecustomize.py").write_text(BARE)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    environment.pop("HEADSTART_DATA", None)
    done = subprocess.run(
        [sys.executable, COMMAND, "--device", "cpu", "--quick", "--limit", "1400",
         "--out", tmp_path / "out"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    saved = json.loads((tmp_path / "out/minutes.json").read_text())
    assert list(saved["ended"].values()) == ["ok"] * len(PARTS)
    assert saved["results"]["sweeps"]["same bits alone and in company"] is True
    assert saved["results"]["repeats"]["lenet5 float32"] == {
        "again": True, "through a state": True
    }  # fmt: skip
    assert "failed" not in json.dumps(saved["results"])


@pytest.mark.slow
def test_on_a_card_the_parts_run(card, tmp_path):
    """Slow: two processes that import PyTorch. The numbers of a stand-in mean nothing."""
    only = [word for part in ("smoke", "repeats", "packs") for word in ("--only", part)]
    command = [sys.executable, str(COMMAND), "--quick", "--out", str(tmp_path / "out"), *only]
    card.run(command, memory_gb=40)
    results = json.loads((tmp_path / "out/minutes.json").read_text())["results"]
    assert results["smoke"] == dict.fromkeys(("lenet5", "midas_cnn", "resnet18"), "ok")
    assert results["repeats"]["lenet5 as a graph"] == {"bits of solo": True}
    assert {"lenet5 graph 1 float32", "lenet5 fused 8 float32"} <= results["packs"].keys()
    assert "failed" not in json.dumps(results)
