"""The report's page in a real browser: it loads without an error, tables sort, arms switch.

Everything is looked for by role and text, as a reader (or a screen reader) would.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from synthetic_runs import Arm, Made, write_run

from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.document import Content
from analysis.report.report import compose, page_text

ARMS = (Arm("middle", 0.95, 300), Arm("best", 0.98, 200), Arm("worst", 0.92, 400))


def content_of(run: Path) -> Content:
    """Without drawn figures, which are slow."""
    findings = find(load_runs([run]))
    return compose(findings, arm_styles(findings.arm_names))


def page_of(content: Content, target: Path) -> Path:
    """The page alone: files beside it are not needed to read it."""
    target.write_text(page_text(content))
    return target


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    run = write_run(folder / "run", Made(arms=ARMS, seeds=4, images=False))
    return page_of(content_of(run), folder / "index.html")


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


NO_COURSE = re.compile(
    r"\bp [<=0]|Holm|interval|signific|Student|bootstrap|Kaplan|by itself|comparisons of its|95 %",
    re.I,
)


def bottom(locator: Locator) -> float:
    box = locator.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


@pytest.mark.parametrize(
    ("width", "height"), [(1280, 900), pytest.param(390, 2 * 844, marks=pytest.mark.slow)]
)
def test_the_first_screen_answers(page: Page, report: Path, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(report.as_uri())
    head = page.get_by_role("heading", level=1)
    expect(head).to_have_text("Does the treatment help?")
    answer = page.get_by_role("region", name="Answer")
    expect(answer).to_contain_text("“best” learns faster than “middle”")
    cards = page.get_by_role("list", name="Arms", exact=True)
    assert cards.get_by_role("heading").all_inner_texts()[0].startswith("middle")
    first = page.locator("figure .stage svg").first
    for part in (head, answer, cards, first):
        assert bottom(part) <= height
    if width == 1280:  # the curves stand beside the cards, not below them
        left, right = cards.bounding_box(), first.bounding_box()
        assert left is not None
        assert right is not None
        assert left["x"] + left["width"] <= right["x"]
    text = page.locator("header.page").inner_text()
    assert not NO_COURSE.search(text), text
    assert {"better", "worse"} <= set(re.findall(r"better|worse", cards.inner_text()))
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.slow
def test_a_word_explains_itself_to_pointer_and_keyboard(page: Page, report: Path) -> None:
    """Slow: a browser draws and redraws whole pages."""
    page.goto(report.as_uri())
    cards = page.get_by_role("list", name="Arms", exact=True)
    word = cards.get_by_role("button", name="Head start").nth(1)
    box = page.get_by_role("note").filter(has_text="How much sooner")
    expect(box).to_be_hidden()
    word.hover()
    expect(box).to_be_visible()
    page.mouse.move(0, 0)
    expect(box).to_be_hidden()
    word.focus()
    page.keyboard.press("Enter")
    expect(box).to_be_visible()
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()


@pytest.mark.slow
def test_a_link_opens_what_is_folded(page: Page, report: Path) -> None:
    """Slow: a browser draws and redraws whole pages."""
    page.goto(report.as_uri())
    trials = page.get_by_role("heading", name="best", exact=True, level=3)
    expect(trials).to_be_hidden()
    page.get_by_role("list", name="Arms", exact=True).get_by_role("link", name="best").click()
    expect(trials).to_be_in_viewport()
    expect(trials).to_be_focused()
    page.goto("about:blank")
    page.goto(f"{report.as_uri()}#methods")
    expect(page.get_by_role("term").first).to_be_visible()


@pytest.mark.slow
def test_the_keyboard_reaches_folds_and_sees_where_it_is(page: Page, report: Path) -> None:
    """Slow: a browser draws and redraws whole pages."""
    page.goto(report.as_uri())
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the answer")
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Answer")).to_be_focused()
    fold = page.locator("summary", has_text="The answer with its numbers")
    for _ in range(60):
        page.keyboard.press("Tab")
        if fold.evaluate("node => node === document.activeElement"):
            break
    assert fold.evaluate("node => getComputedStyle(node).outlineStyle") != "none"
    page.keyboard.press("Enter")
    expect(page.get_by_text("The way there").first).to_be_visible()


@pytest.mark.slow
def test_print_opens_every_fold_and_whole_tables(page: Page, report: Path) -> None:
    """Slow: a browser draws and redraws whole pages."""
    page.goto(report.as_uri())
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    for scroll in page.locator(".scroll").all():
        assert scroll.evaluate("node => getComputedStyle(node).maxHeight") == "none"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


@pytest.mark.slow
def test_a_folded_page_is_short_and_unfolds_at_once(page: Page, report: Path) -> None:
    """Slow: a browser draws and redraws whole pages."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollHeight") < 8_000
    page.get_by_role("button", name="Unfold all").click()
    expect(page.get_by_role("button", name="Fold all")).to_be_visible()
    assert page.locator("details:not([open])").count() == 0


@pytest.mark.slow
def test_links_lead_to_files_of_the_run(
    made_run: Path, made_content: Content, tmp_path: Path
) -> None:
    """Slow: a browser draws and redraws whole pages."""
    for out in (made_run / "report", tmp_path / "elsewhere"):
        hrefs = re.findall(r'<a href="([^"#]+trials/[^"]+)"', page_text(made_content, out))
        places = [(out / unquote(href)).resolve() for href in hrefs]
        assert {place.name for place in places} == {"trial.json", "predictions.npz"}
        assert all(place.is_file() and place.is_relative_to(made_run) for place in places)


@pytest.mark.slow
def test_a_click_on_a_header_sorts_its_table(page: Page, report: Path) -> None:
    """Slow: a browser draws and redraws whole pages."""
    page.goto(f"{report.as_uri()}#good")
    page.get_by_text("Table of every arm").click()
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


@pytest.mark.slow
def test_an_arm_is_switched_off_in_every_chart_and_on_again(page: Page, report: Path) -> None:
    """Slow: a browser draws and redraws whole pages."""
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


@pytest.mark.slow
def test_menus_choose_what_a_chart_shows_and_arms_are_marked(page: Page, report: Path) -> None:
    """Slow: a browser draws and redraws whole pages."""
    page.goto(report.as_uri())
    drawn(page)
    curves = page.locator("#chart-learning_curves")
    lines = curves.locator("svg.marks .mark-line path[stroke-width='2.2']")
    assert lines.count() == len(ARMS)  # a mean of each; single runs are thinner
    faint = curves.locator("svg.marks .mark-line path[opacity='0.22']")
    expect(faint).to_have_count(4 * len(ARMS))
    curves.get_by_role("checkbox").uncheck()
    expect(faint).to_have_count(0)
    curves.get_by_role("combobox", name="Show").select_option("Loss")
    expect(curves.locator("svg.marks")).to_contain_text("Loss; dashed: training")
    expect(curves.locator("svg.marks path[stroke-dasharray='5,4']")).to_have_count(len(ARMS))
    curves.get_by_role("combobox", name="against").select_option("Epochs")
    expect(curves.locator("svg.marks")).to_contain_text("Epochs")
    assert curves.locator("svg.marks[aria-label], svg.marks [aria-label]").count() > 0


@pytest.mark.slow
def test_charts_follow_light_and_dark_without_a_new_drawing(page: Page, report: Path) -> None:
    """Slow: a browser draws and redraws whole pages."""
    page.emulate_media(color_scheme="dark")
    page.goto(report.as_uri())
    drawn(page)
    paint = "e => getComputedStyle(e).stroke"
    line = page.locator(
        "#chart-learning_curves svg.marks .mark-line path[stroke-width='2.2']"
    ).first
    dark = line.evaluate(paint)
    page.get_by_role("button", name="Switch to light colours").click()
    assert (dark, line.evaluate(paint)) == ("rgb(79, 166, 222)", "rgb(0, 114, 178)")


@pytest.mark.slow
def test_a_dark_page_prints_in_light_with_its_legends(page: Page, report: Path) -> None:
    """Slow: a browser draws and redraws whole pages."""
    page.goto(report.as_uri())
    drawn(page)
    page.get_by_role("button", name="Switch to dark colours").click()
    line = page.locator(".mark-line path[stroke-width='2.2']").first
    paint, words = "e => getComputedStyle(e).stroke", "e => getComputedStyle(e).color"
    assert line.evaluate(paint) == "rgb(79, 166, 222)"
    page.emulate_media(media="print")
    assert line.evaluate(paint) == "rgb(0, 114, 178)"
    name = page.locator("#chart-learning_curves").get_by_role("button", name="best")
    expect(name).to_be_visible()
    assert name.evaluate(words) == "rgb(28, 31, 35)"
    assert page.locator("figcaption").first.evaluate(words) == "rgb(90, 97, 105)"


def test_hostile_names_are_texts_and_a_stand_in_is_the_first_line(
    page: Page, hostile_content: Content, tmp_path: Path
) -> None:
    content = replace(hostile_content, title="Does \u202eit\u2066 help?")
    page.goto(page_of(content, tmp_path / "index.html").as_uri())
    assert page.get_by_role("heading", level=1).inner_text() == "Does it help?"
    lines = [line for line in page.locator("header.page").inner_text().splitlines() if line]
    assert lines[0].startswith("Made with stand-in data: made in place of the <b>real</b> one")
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
