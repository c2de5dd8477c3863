"""A report is published: it has no password, no token, no path and no name of a machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from synthetic_runs import Arm, Made, data_record, write_run

from analysis.diff import diff_runs
from analysis.report.report import write_report

TOKEN, USER, HOST = "s3cr3tValue0123456789", "annabella", "lab-machine-77"
HOME = f"/{'home'}/{USER}"
PLACES = ("/scratch/", "/opt/conda", HOME)


@pytest.fixture(scope="module")
def private_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = {
        "name": "folder", "path": f"{HOME}/project/data",
        "source": f"https://{USER}:{TOKEN}@example.org/a.tgz?token={TOKEN}",
    }  # fmt: skip
    run = write_run(tmp_path_factory.mktemp("runs") / "private", Made(extra={"data": data}))
    command = f"python -m harness.sweep {HOME}/s.yaml --out /scratch/{USER}/run --hf-token {TOKEN}"
    entry = {"command": command, "started_at": "2026-01-02T03:04:05+00:00", "host": HOST}
    said = f"{HOME}/photos/a.png: damaged"
    of_data = data_record(
        source=f"{HOME}/photos", notes=[said], warnings=[said],
        not_used=[{"name": "mnist", "reason": f"put it into {HOME}/data/mnist"}],
    )  # fmt: skip
    record = {**entry, "python": "3.11.7", "packages": {"torch": "2.15"}, "commands": [entry]}
    record["data"] = [of_data | {"name": f"{HOME}/photos"}]
    (run / "provenance.json").write_text(json.dumps(record))
    trials = pd.read_parquet(run / "trials.parquet")
    trace = f'File "{HOME}/headstart/x.py", line 3\nOSError: /opt/conda/{USER}/y: api_key={TOKEN}'
    trials.loc[0, ["status", "error"]] = ["failed", trace]
    trials["initialize"] = f"{HOME}/weights/start.safetensors"
    trials["host"] = HOST
    trials["notes"] = trials["warnings"] = f"{said}\n{said} again"
    trials.to_parquet(run / "trials.parquet")
    return run


def texts_of(folder: Path) -> dict[str, str]:
    """Every file of a report as text."""
    texts = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".xlsx":
            with zipfile.ZipFile(path) as book:
                texts[name] = "".join(book.read(each).decode() for each in book.namelist())
        elif path.suffix == ".pdf" and shutil.which("pdftotext"):
            command = ["pdftotext", str(path), "-"]
            texts[name] = subprocess.run(command, capture_output=True, text=True).stdout
        elif path.is_file():
            texts[name] = path.read_bytes().decode("utf-8", "replace")
    return texts


@pytest.mark.slow
def test_no_file_of_a_report_has_what_is_private(private_run: Path, tmp_path: Path) -> None:
    write_report([private_run], tmp_path / "report", "Results.xlsx", "brief.pdf")
    texts = texts_of(tmp_path / "report")
    assert "…/s.yaml --out …/run --hf-token ***" in texts["index.html"]
    assert "…/data" in texts["index.html"]
    assert "…/a.png: damaged" in texts["index.html"]
    for name, text in texts.items():
        for private in (TOKEN, TOKEN[4:], USER, *PLACES, str(private_run.parent)):
            assert private not in text, f"{name} has {private}"
        if not name.endswith(("by_trial.csv", ".json")):  # the columns of trials.parquet
            assert HOST not in text, name


def test_a_comparison_of_two_runs_has_neither(private_run: Path, made_run: Path) -> None:
    text = diff_runs(made_run, private_run).text
    assert "…/data" in text
    for private in (TOKEN, USER, *PLACES):
        assert private not in text


@pytest.mark.slow
def test_arms_of_a_grid_over_files_are_told_apart_without_where_these_lie(tmp_path: Path) -> None:
    """Slow: it writes reports of several grids."""
    starts = [f"{HOME}/{which}/w.safetensors" for which in ("first", "second")]
    arms = [Arm(f"tuned [initialize={start}]", initialize=start) for start in starts]
    run = write_run(tmp_path / "run", Made(arms=(Arm("scratch"), *arms), seeds=3))
    trials = pd.read_parquet(run / "trials.parquet")
    trials["grid"] = [
        json.dumps({"initialize": start}) if start != "random" else ""
        for start in trials["initialize"]
    ]
    trials.to_parquet(run / "trials.parquet")
    write_report([run], tmp_path / "report", "Results.xlsx", "brief.pdf")
    texts = texts_of(tmp_path / "report")
    for which in ("first", "second"):
        assert f"tuned [initialize=…/{which}/w.safetensors]" in texts["index.html"]
    for name, text in texts.items():
        for private in (USER, *PLACES, str(tmp_path)):
            assert private not in text, f"{name} has {private}"
