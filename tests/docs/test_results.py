"""Published results: each page says which tables it keeps, and the tables say what the page says.

A page's section "The tables" names folders beside it, one a row, with the mean test accuracy of one
arm; or says that its run folder was not kept.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from analysis import load

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
PAGES = sorted(p for p in RESULTS.glob("*.md") if p.name not in ("README.md", "documents.md"))
FOLDERS = sorted(p.parent for p in RESULTS.glob("*/trials.parquet"))
ROW = re.compile(r"^\| \[(\w+)\]\(\1/?\) \| .* \| `([^`]+)` (\d+\.\d\d) % \|$", re.MULTILINE)
A_PATH = re.compile(r"(?:^|[\s'\"=:,({\[])(?:~|[A-Za-z]:)?[/\\]\w[\w.-]*[/\\]")


def tables_of(page: Path) -> str:
    """The text of the page's section on its tables; empty where it has none."""
    _, _, section = page.read_text("utf-8").partition("\n## The tables\n")
    return section.partition("\n## ")[0]


def rows_of(page: Path) -> list[tuple[str, str, float]]:
    """Folder, arm and mean test accuracy in percent, as the page has them."""
    return [(name, arm, float(mean)) for name, arm, mean in ROW.findall(tables_of(page))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_its_tables_or_says_why_not(page):
    assert rows_of(page) or "not kept" in tables_of(page)


def test_each_folder_is_of_one_page():
    named = [name for page in PAGES for name, *_ in rows_of(page)]
    assert sorted(named) == [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tables_give_the_number_of_the_page(page):
    for name, arm, mean in rows_of(page):
        trials = load(RESULTS / name).trials
        own = trials[(trials["stage"] == "arm") & (trials["arm"] == arm)]
        assert round(100 * own["test_accuracy"].mean(), 2) == pytest.approx(mean), (name, arm)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_tables_are_small_and_name_no_machine_or_path(folder):
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 300_000
    assert (folder / "curves.parquet").exists()
    files = [p for p in folder.rglob("*") if p.suffix in (".json", ".yaml")]
    texts = [p.read_text("utf-8").replace(r"\u2026/", "") for p in files]  # what stands for paths
    for table in map(pd.read_parquet, folder.glob("*.parquet")):
        columns = table.select_dtypes(include=["object", "string"])
        texts += [str(text) for name in columns for text in columns[name].dropna().unique()]
        if "host" in table:
            assert table["host"].str.fullmatch(r"machine-\d+|").all()
    assert [found[0] for text in texts if (found := A_PATH.search(text))] == []


def test_a_path_is_seen():
    assert A_PATH.search('"command": "x --out /home/me/run"')
    assert not A_PATH.search("3 images/s, sweeps/part2.yaml")
