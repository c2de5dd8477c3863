"""`sweeps/assignment4.yaml` at a still smaller size, on drawn digits, as a grader would open it.

Slow are the tests of the report: eight searches, ten trials and every figure, once for all of them.
The workbook and the parts of the hand-in are tested by themselves in `tests/analysis/report` and
`tests/harness/hand_in`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest

from harness.hand_in.write import handing_in
from harness.plan.planner import make_plan
from harness.plan.search import recorded, studies_of
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from runs import ROOT, run_here

SWEEP = ROOT / "sweeps" / "assignment4.yaml"
OWN = (
    "{name: glyphs, count: 200, seed: 3, per_class: true, train: 8, validation: 2, test: 2, "
    "as_jpeg: true}"
)
SMALLER = (
    f"data={OWN}",
    "pretrain.mnist.data={name: glyphs, count: 500, train: 300, validation: 100, test: 100}",
    "pretrain.mnist.train.epochs=1",
    "pretrain.mnist_midas=none",
    "train.epochs=2",
    "search.samples=2",
    "search.rungs=[1, 2]",
    "search.keep=0.5",
    "seeds=2",
)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "assignment4"
    given = [part for text in SMALLER for part in ("--set", text)]
    done = run_here(SWEEP, out, *given, report=True)
    assert done.returncode == 0, done.stderr
    assert "Assignment 4.zip" in done.stdout
    return out / "report"


@pytest.fixture(scope="module")
def unpacked(report, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("a grader's folder")
    zipfile.ZipFile(report / "Assignment 4.zip").extractall(folder)
    return folder


@pytest.mark.slow
def test_the_hand_in_has_the_names_that_were_asked_for_and_no_others(report, unpacked):
    assert sorted(path.name for path in unpacked.iterdir()) == [
        "Assignment 4 Results.xlsx", "Assignment 4_Report.pdf", "Code", "Test Set", "Training Set",
        "Validation Set", "requirements.txt",
    ]  # fmt: skip
    folder = report / "Assignment 4"
    packed = {p.relative_to(unpacked) for p in unpacked.rglob("*") if p.is_file()}
    assert packed == {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
    assert "README.md" in {path.name for path in (unpacked / "Code").iterdir()}


@pytest.mark.slow
def test_the_code_that_is_handed_in_gives_the_numbers_of_the_run(report, unpacked):
    """With nothing of ours to import; what stood in for MNIST lies beside the code."""
    done = subprocess.run(
        [sys.executable, "-B", "-E", "-s", "main.py"],
        cwd=unpacked / "Code", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line[:1] in "1234"]
    trials = pq.read_table(report.parent / "trials.parquet").to_pandas()
    of_seed = trials[(trials["seed"] == 0) & (trials["stage"] != "search")].set_index("arm")
    for line, arm in zip(lines, ("mnist", "pretrained", "last_layer", "last_2"), strict=True):
        shares = [float(text) for text in re.findall(r"([\d.]+) %", line)]
        wanted = round(100 * of_seed.loc[arm, "test_accuracy"], 2)
        assert shares == [wanted] * (3 if arm.startswith("last") else 2), line
    again = [line for line in done.stdout.splitlines() if "fine-tuned again" in line]
    assert len(again) == 2
    for line in again:  # batches under 32: equal, but for what another CPU may round otherwise
        assert "20 of 20" in line
        assert float(line.split()[-1].rstrip(".")) < 1e-4


@pytest.mark.slow
def test_a_hand_in_that_breaks_off_leaves_no_zip_and_the_next_one_has_the_same_bytes(report):
    """Runs the command a second time, which finds all trials there."""
    archive, run = report / "Assignment 4.zip", report.parent
    before, catalogue = archive.read_bytes(), DataCatalogue(allow_download=False)
    plan = recorded(make_plan(load_sweep(SWEEP, None, SMALLER), catalogue), catalogue, run).plan
    breaks_off = handing_in(plan, catalogue, run, report)
    assert (breaks_off.__enter__() / "Code" / "main.py").is_file()
    breaks_off.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not [path.name for path in report.iterdir() if "Assignment" in path.name]
    given = [part for text in SMALLER for part in ("--set", text)]
    assert run_here(SWEEP, run, *given, report=True).returncode == 0
    assert archive.read_bytes() == before


@pytest.mark.slow
def test_the_workbook_has_the_four_evaluations_in_their_order(report):
    book = openpyxl.load_workbook(report / "Assignment 4" / "Assignment 4 Results.xlsx")
    rows = list(book["Evaluations"].iter_rows(min_row=3, values_only=True))
    heads = list(rows[0])
    found = [dict(zip(heads, row, strict=True)) for row in rows[1:5]]
    assert [str(row["No."]) for row in found] == ["1", "2", "3", "4"]
    arms = ["mnist", "Pretrained, not tuned", "Last layer tuned", "Last 2 layers tuned"]
    assert [row["Arm or stage"] for row in found] == arms
    assert [row["Test images"] for row in found] == [100, 20, 20, 20]
    for row in found:
        assert row["Seeds"] == 2
        assert 0 <= row["From"] <= row["Mean over seeds"] <= row["To"] <= 1 or row[
            "Arm or stage"
        ] == ("mnist")
    notes = [str(row["Note"]) for row in found]
    assert all("Nadeau and Bengio" in note or "equal" in note for note in notes[1:])


@pytest.mark.slow
def test_the_text_of_the_report_ends_on_the_second_page_at_the_latest(report):
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    path = report / "Assignment 4" / "Assignment 4_Report.pdf"
    done = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, text=True, check=True)
    pages = done.stdout.split("\f")
    assert any("Sources." in page for page in pages[:2])
    assert "Last layer against the last n layers" in " ".join(pages[:2])


@pytest.mark.slow
def test_the_three_folders_hold_8_2_2_images_a_class(report):
    for part, n in (("Training Set", 8), ("Validation Set", 2), ("Test Set", 2)):
        classes = sorted((report / "Assignment 4" / part).iterdir())
        assert [folder.name for folder in classes] == list("0123456789")
        assert {len(list(folder.glob("*.jpg"))) for folder in classes} == {n}


@pytest.mark.slow
def test_every_arm_that_trains_was_searched_and_no_search_was_tested(report):
    records = {p.stem: json.loads(p.read_text()) for p in (report.parent / "search").iterdir()}
    assert set(records) == {"last_layer", "last_2", "all", "scratch"}
    for record in records.values():
        assert set(record["searches"]) == {"0", "1"}
        assert "test" not in json.dumps(record["searches"])
    page = (report / "index.html").read_text()
    assert "each inside one seed" in page


@pytest.mark.parametrize("profile", [None, "quick"])
def test_every_seed_searches_inside_its_own_split(profile):
    sweep = load_sweep(
        SWEEP, profile, (f"data={OWN}", f"pretrain.mnist.data={OWN}", "pretrain.mnist_midas=none")
    )
    catalogue = DataCatalogue(allow_download=False)
    plan = make_plan(sweep, catalogue)
    studies = studies_of(plan, catalogue)
    assert all(study.seeds == (study.base.seed,) for study in studies)
    n_seeds = len(sweep.seeds.values)
    assert len(studies) == 4 * n_seeds
    splits = {t.seed: t.streams["split"] for t in plan.trials if t.stage == "arm"}
    assert len(set(splits.values())) == n_seeds
