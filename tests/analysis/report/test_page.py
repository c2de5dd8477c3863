"""The report's page in a real browser: it loads without an error, tables sort, arms switch.

Everything is looked for by role and text, as a reader (or a screen reader) would.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from synthetic_runs import Arm, Made, write_run

from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.report import compose, page_text

ARMS = (Arm("middle", 0.95, 300), Arm("best", 0.98, 200), Arm("worst", 0.92, 400))


def page_of(run: Path, target: Path) -> Path:
    """The page alone: drawn figures are slow, and files beside it are not needed to read it."""
    findings = find(load_runs([run]))
    target.write_text(page_text(compose(findings, arm_styles(findings.arm_names))))
    return target


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    run = write_run(folder / "run", Made(arms=ARMS, seeds=4, images=False))
    return page_of(run, folder / "index.html")


def drawn(page: Page) -> list[Locator]:
    """The page's charts, each drawn."""
    charts = page.locator("figure[data-chart] .stage").all()
    assert len(charts) >= 3
    for chart in charts:
        chart.scroll_into_view_if_needed()
        expect(chart).to_have_attribute("data-state", "drawn")
    return charts


def column(table: Locator, label: str) -> list[str]:
    heads = table.get_by_role("columnheader").all_inner_texts()
    [place] = [k for k, head in enumerate(heads) if head.startswith(label)]
    rows = table.get_by_role("row").all()[1:]
    return [row.get_by_role("cell").nth(place).inner_text() for row in rows]


def numbers(cells: list[str]) -> list[float]:
    return [float(re.findall(r"[\d.]+", cell)[0]) for cell in cells]


def test_the_page_opens_with_its_question_and_answer(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text("Does the treatment help?")
    expect(page.get_by_role("region", name="Answer")).to_contain_text("“best” learns faster")
    for chart in drawn(page):
        assert chart.locator("svg path").count() > 0


def test_a_click_on_a_header_sorts_its_table(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    table = page.get_by_role("region", name="Every arm").get_by_role("table")
    head = table.get_by_role("columnheader", name="Test accuracy")
    assert column(table, "Arm") == ["middle", "best", "worst"]
    head.get_by_role("button").click()
    assert column(table, "Arm") == ["worst", "middle", "best"]
    assert numbers(column(table, "Test accuracy")) == sorted(
        numbers(column(table, "Test accuracy"))
    )
    expect(head).to_have_attribute("aria-sort", "ascending")
    head.get_by_role("button").click()
    assert column(table, "Arm") == ["best", "middle", "worst"]
    expect(head).to_have_attribute("aria-sort", "descending")
    table.get_by_role("columnheader", name="Arm").get_by_role("button").click()
    assert column(table, "Arm") == ["best", "middle", "worst"]  # words by the alphabet


def test_an_arm_is_switched_off_in_every_chart_and_on_again(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    drawn(page)
    chart = page.locator("#chart-learning_curves")
    curves = chart.locator("svg.marks path[stroke='var(--arm-1)']")
    expect(curves).not_to_have_count(0)
    switches = page.get_by_role("button", name="best", exact=True)
    switches.first.click()
    for switch in switches.all():
        expect(switch).to_have_attribute("aria-pressed", "false")
    expect(curves).to_have_count(0)
    expect(chart.locator("svg.marks path[stroke='var(--arm-2)']")).not_to_have_count(0)
    switches.last.click()
    expect(switches.first).to_have_attribute("aria-pressed", "true")
    expect(curves).not_to_have_count(0)


def test_hostile_names_are_texts(page: Page, hostile_run: Path, tmp_path: Path) -> None:
    page.goto(page_of(hostile_run, tmp_path / "index.html").as_uri())
    drawn(page)
    switches = page.get_by_role("button", name="<script>alert(1)</script>", exact=True)
    switches.first.click()
    expect(switches.first).to_have_attribute("aria-pressed", "false")


def test_a_script_that_is_not_the_pages_own_never_runs(browser: Browser, report: Path) -> None:
    page = browser.new_page()  # its console is not empty: the browser says what it refused
    page.goto(report.as_uri())
    page.evaluate(
        "const own = document.createElement('script'); own.textContent = 'window.ran = true';"
        "document.body.append(own)"
    )
    assert page.evaluate("window.ran") is None
    page.close()
