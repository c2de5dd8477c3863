"""report.pdf: page one answers, every comparison is in it, and no text is read as markup."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic_runs import HOSTILE, Arm, Made

from analysis.figures.drawing import Drawing
from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.chapters import lay_out
from analysis.report.document import Chart, Content
from analysis.report.links import Links
from analysis.report.pdf.pages import _Pictures, _sections, pictures_of, without_arms
from analysis.report.report import compose, write_pdf_report

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="200pt" height="100pt" viewBox="0 0 200 100">'
    '<rect width="200" height="100"/></svg>'
)
pytestmark = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="needs pdftotext: apt-get install poppler-utils"
)


def content_of(folder: Path) -> Content:
    findings = find(load_runs([folder]))
    return compose(findings, arm_styles(findings.arm_names))


def pages_of(content: Content, path: Path) -> list[str]:
    """The text of each page, without spaces: a line may end anywhere."""
    write_pdf_report(content, path)
    command = ["pdftotext", "-layout", str(path), "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [squeezed(page) for page in text.split("\f")[:-1]]


def squeezed(text: str) -> str:
    return "".join(text.split()).replace("-", "").replace("\u00ad", "")


@pytest.mark.slow
def test_what_an_audit_says_of_labels_is_in_the_pdf_without_figures_too(run_of) -> None:
    """Slow: it draws a whole PDF."""
    content = content_of(run_of(Made(seeds=2)))
    said = replace(content, labels=("Labels of “digits”: none is wrong.",))
    sections = list(_sections(said, lay_out(said, Links()), pictures_of(said)))
    assert [s["paragraphs"] for s in sections if "abel" in s["title"]] == [[said.labels[0]]]
    sections = list(_sections(content, lay_out(content, Links()), pictures_of(content)))
    assert not [s for s in sections if "abel" in s["title"]]


@pytest.fixture(scope="module")
def hostile(
    hostile_content: Content, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Content, list[str]]:
    drawn = [Drawing("one", "seeds", "A figure", "What it shows.", None, svg=SVG)]
    content = replace(hostile_content, drawn=drawn)
    return content, pages_of(content, tmp_path_factory.mktemp("pdf") / "a.pdf")


def test_page_one_is_the_first_screen(hostile: tuple[Content, list[str]]) -> None:
    content, (first, *_) = hostile
    glance = content.glance
    for text in (glance.question, glance.stand_in, glance.sentence, *glance.reservations):
        assert squeezed(text) in first
    for card in glance.cards:
        assert squeezed(card.arm) in first
        for reading in card.readings:
            for text in (reading.value.split(" ")[0], reading.mark_words):
                assert squeezed(text) in first
    assert "Trainingsteps" in first


def test_every_comparison_is_in_the_tables_at_the_end(hostile: tuple[Content, list[str]]) -> None:
    content, pages = hostile
    text = "".join(pages)
    [table] = [table for table in content.each_table if table.name == "comparisons"]
    keys = [column.key for column in table.columns]
    place = keys.index("found")
    for row in table.rows():
        assert squeezed(row[place].text) in text


def test_each_figure_stands_under_its_finding(hostile: tuple[Content, list[str]]) -> None:
    _, pages = hostile
    text = "".join(pages)
    for title in ("Howsoon", "Howgood", "Howmanyseedswouldbeneeded"):
        assert title in text
    assert "Afigure.Whatitshows." in text
    assert "Pointatamark" not in text


def test_hostile_names_are_printed_as_they_are(hostile: tuple[Content, list[str]]) -> None:
    text = "".join(hostile[1])
    said = (
        "$x_1$ #now {here} 100 %?",
        f"397 images, 31 groups, source: made up, fingerprint {'f' * 32}.",
        f"half of {HOSTILE} was not read; the <b>real</b> one is not used",
        "that other values do better was not tested",
        *("Data set", "Network and why", "Tuning process", "Comparison and analysis"),
    )
    for words in said:
        assert squeezed(words) in text


def test_nothing_finished_still_gives_a_pdf(run_of, tmp_path: Path) -> None:
    content = content_of(run_of(Made(arms=(Arm("a", failed=(0,)),), seeds=1)))
    pages = pages_of(content, tmp_path / "a.pdf")
    assert squeezed(content.glance.sentence) in pages[0]


@pytest.mark.slow
def test_24_arms_have_all_their_rows(run_of, tmp_path: Path) -> None:
    arms = tuple(Arm(f"an arm with a rather long name, number {k}") for k in range(24))
    made = Made(arms=arms, seeds=2, evaluations=6, predictions=False, images=False)
    content = content_of(run_of(made))
    pages = pages_of(content, tmp_path / "a.pdf")
    table = pages[-1] + pages[-2]
    for arm in arms:
        assert any(squeezed(arm.name) in page for page in pages[1:])
    assert "morerows" not in table
    assert len([p for p in pages if "howsoon" in p.casefold()]) >= 1


def test_a_chart_of_hidden_arms_alone_is_no_picture() -> None:
    spec = {"datasets": {"rows": [{"arm": "a"}, {"arm": "b"}], "one": [{"y": 1}]}}
    chart = Chart("chart-x", "X", "", spec)
    assert not _Pictures(1, frozenset("ab"), "").has(chart)
    assert _Pictures(1, frozenset("b"), "").has(chart)


def test_of_many_arms_a_chart_on_paper_shows_those_of_the_figures() -> None:
    scale = {"domain": ["a", "b", "c"], "range": ["red", "green", "blue"]}
    spec = {
        "params": [{"name": "hidden", "value": []}, {"name": "pair", "value": 0}],
        "height": 90,
        "datasets": {"pairs": [{"arm": arm, "pair": k} for k, arm in enumerate("ba")]},
        "layer": [
            {"encoding": {"color": {"scale": scale}, "y": {"scale": {"domain": ["a", "b", "c"]}}}}
        ],
    }
    smaller = without_arms(spec, frozenset({"b", "c"}))
    encoding = smaller["layer"][0]["encoding"]
    assert encoding["color"]["scale"] == {"domain": ["a"], "range": ["red"]}
    assert encoding["y"]["scale"]["domain"] == ["a"]
    assert smaller["height"] == 30
    assert [param["value"] for param in smaller["params"]] == [["b", "c"], 1]  # a pair of "a"
    assert smaller["datasets"]["pairs"] == [{"arm": "a", "pair": 1}]
    assert without_arms(spec, frozenset()) == spec
