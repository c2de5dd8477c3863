"""Batch scripts: goldens, quoting, and what bash makes of them without a SLURM.

Refresh the goldens with: REFRESH_GOLDENS=1 python -m pytest tests/slurm/test_render.py
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slurm.render import ROOT, Part, Work, parts_of, render_batch_script
from slurm.settings import JobSettings, load_settings

GOLDENS = Path(__file__).parent / "goldens"
WORK = Work(
    sweep_name="part2",
    sweep_file=Path("/home/me/runs/part2/slurm/sweep.yaml"),
    run=Path("/home/me/runs/part2"),
    arguments=("--profile", "cluster"),
    folder=Path("/home/me"),
    command="python -m slurm.submit sweeps/part2.yaml --nodes 2",
    has_stages=True,
    cpus=2,
    gpus=0.125,
)
HOSTILE = 'it\'s a "run" with $(touch hacked) `id` ; & | % * \\ ümlaut'


def _settings(**flags: Any) -> JobSettings:
    given = {"nodes": 2, "gpus_per_node": 8, "cpus_per_node": 16, "partition": "gpu",
             "time": "2:00:00", "activate": "source /home/me/.venv/bin/activate"}  # fmt: skip
    return load_settings(None, {**given, **flags}, ["constraint=a100|h100", "exclusive"])


def _array(**flags: Any) -> JobSettings:
    return _settings(mode="array", shards=8, at_once=4, **flags)


@pytest.mark.parametrize("part", ["ray", "pretrain", "shards", "report"])
def test_scripts_are_the_goldens(part: Part) -> None:
    settings = _settings(interface="ib0", scratch="$SLURM_TMPDIR") if part == "ray" else _array()
    text = render_batch_script(settings, WORK, part).replace(str(ROOT), "/opt/headstart")
    golden = GOLDENS / f"{part}.sh"
    if os.environ.get("REFRESH_GOLDENS"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("mode", ["ray", "array"])
@pytest.mark.parametrize("requeue", [True, False])
def test_bash_can_read_every_script(mode: str, requeue: bool) -> None:
    settings = _settings(mode=mode, requeue=requeue, modules=("gcc", "cuda"))
    for part in parts_of(settings, WORK):
        text = render_batch_script(settings, WORK, part)
        checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr
        assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_array_without_stages_has_no_first_job() -> None:
    assert parts_of(_array(), WORK) == ("pretrain", "shards", "report")
    assert parts_of(_array(), replace(WORK, has_stages=False)) == ("shards", "report")
    assert parts_of(_settings(), WORK) == ("ray",)


@pytest.mark.slow
def test_hostile_names_stay_words(tmp_path: Path) -> None:
    """What bash hands to the sweep is what the user typed, and nothing else is run.

    Slow: each name is given to a shell.
    """
    run = tmp_path / HOSTILE.replace("\\", "")  # SLURM could not write a log there
    (run / "trials").mkdir(parents=True)
    (run / "slurm").mkdir()
    work = replace(WORK, run=run, folder=tmp_path, arguments=("--set", f"arms={HOSTILE}"))
    settings = load_settings(None, {"activate": f"PATH={_recorder(tmp_path)}:$PATH"})
    text = render_batch_script(settings, work, "report")
    environment = {**os.environ, "SLURM_JOB_ID": "7", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["bash"], input=text, text=True, env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    words = (tmp_path / "words").read_text().split("\0")
    assert f"arms={HOSTILE}" in words
    assert str(run) in words
    assert not (tmp_path / "hacked").exists()


def test_sbatch_lines_quote_paths_and_keep_percent_signs() -> None:
    work = replace(WORK, run=Path("/runs/100% it's"))
    text = render_batch_script(_settings(), work, "ray")
    output = next(line for line in text.splitlines() if "--output" in line)
    words = shlex.split(output.removeprefix("#SBATCH "))
    assert words == ["--output=/runs/100%% it's/slurm/%j.out"]


def test_as_many_trials_at_once_as_gpus_can_take() -> None:
    text = render_batch_script(_array(), replace(WORK, gpus=0.5), "shards")
    assert "((slots <= 16)) || slots=16" in text
    text = render_batch_script(_array(), replace(WORK, gpus=0.0), "shards")
    assert "slots <=" not in text


@pytest.mark.parametrize(
    ("scratch", "word"),
    [("$SLURM_TMPDIR", '"${SLURM_TMPDIR:-}"'), ("/local/x y", "'/local/x y'"),
     ("${LOCAL}/a b", "\"${LOCAL:-}\"'/a b'")],
)  # fmt: skip
def test_scratch_is_a_path_or_a_variable_of_the_node(scratch: str, word: str) -> None:
    text = render_batch_script(_settings(scratch=scratch), WORK, "ray")
    assert f"\nscratch={word}\n" in text


def _recorder(folder: Path) -> Path:
    """A folder with a `python` that writes the arguments of the sweep down."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    python = bin_folder / "python"
    python.write_text(
        f'#!/bin/bash\n[ "$2" != harness.sweep ] || printf "%s\\0" "$@" > "{folder}/words"\n'
    )
    python.chmod(0o755)
    return bin_folder


def test_mps_is_started_where_a_site_has_it_and_trials_share_a_gpu() -> None:
    def scripts(**flags: Any) -> dict[str, str]:
        gpus, has_mps = flags.pop("gpus", 0.5), flags.pop("mps", True)
        settings = _settings(**flags).model_copy(update={"mps": has_mps})
        work = replace(WORK, gpus=gpus)
        return {
            part: render_batch_script(settings, work, part) for part in parts_of(settings, work)
        }

    started = {part: "slurm.mps start" in text for part, text in scripts(mode="array").items()}
    assert started == {"pretrain": True, "shards": True, "report": False}
    assert "slurm.mps stop" in scripts(mode="array")["shards"]
    assert '--head "$head" --mps' in scripts()["ray"]
    for other in ({"gpus": 1.0}, {"gpus": 0.0, "gpus_per_node": 0}, {"mps": False}):
        for mode in ("ray", "array"):
            assert not any("mps" in text for text in scripts(mode=mode, **other).values())
