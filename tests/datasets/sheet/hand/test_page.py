"""The page in a real browser: what a person does on it, and the text that comes out of it.

The sheet is that of `sheet_of_bars`, drawn twice as large: a row of three sevens, one of two ones.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from sheet_of_bars import PHOTO, READING, ROWS, B, C, bar, sheet
from sheet_scenes import Hardness, drawn_digit, make_scene

from datasets import load_dataset
from datasets.sheet.__main__ import main
from datasets.sheet.hand.by_hand import corrected
from datasets.sheet.hand.corrections import Correction, read_corrections
from datasets.sheet.hand.page import correction_page
from datasets.sheet.paper.ink import Ink
from datasets.sheet.photos import Photo
from datasets.sheet.reading.read import Reading
from datasets.sheet.strokes.noted import Noted
from headstart.errors import DataError

PAGE = np.kron(255 - 255 * READING.ink.mask.astype(np.uint8), np.ones((2, 2), np.uint8))
DRAWN = replace(PHOTO, image=np.repeat(PAGE[..., None], 3, axis=2))
EASY = Hardness(
    slant=2, lines=0, squares=0, table=0, strip=0, shadow=0, overwritten=0, near=0, turned=0
)
HEAD = (
    "# Corrections for: python -m datasets.sheet … --corrections FILE\n"
    "# A box is [left, top, width, height] in pixels of the photograph.\n"
)
ENTRY = f'{HEAD}"s.jpg":\n  sha256: "{PHOTO.digest}"\n'
Open = Callable[..., Page]


@pytest.fixture
def opened(page: Page, tmp_path: Path) -> Open:
    def open_page(
        reading: Reading = READING,
        photo: Photo = DRAWN,
        corrections: Mapping[str, Correction] | None = None,
        problem: str = "",
    ) -> Page:
        problems = {photo.digest: problem} if problem else {}
        text = correction_page([photo], [reading], corrections or {}, problems)
        file = tmp_path / "correct.html"
        file.write_text(text, encoding="utf-8")
        page.goto(file.as_uri())
        return page

    return open_page


def box(page: Page, number: int) -> None:
    """Choose a box with the mouse."""
    page.locator(".box").nth(number).click()


def text_of(page: Page) -> str:
    return page.get_by_label("corrections.yaml", exact=True).input_value()


def saved(page: Page, tmp_path: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save corrections.yaml").click()
    assert download.value.suggested_filename == "corrections.yaml"
    download.value.save_as(tmp_path / "corrections.yaml")
    return tmp_path / "corrections.yaml"


def applied(path: Path, reading: Reading = READING, photo: Photo = DRAWN) -> Reading:
    return corrected(reading, photo, read_corrections(path, [photo])[photo.digest])


@pytest.mark.slow
def test_dropped_merged_and_relabelled_boxes_are_what_the_next_call_cuts(
    opened: Open, tmp_path: Path
) -> None:
    """Slow: a browser, and sheets that are read twice."""
    page = opened()
    assert text_of(page) == HEAD + "{}\n"
    box(page, 4)
    page.get_by_role("button", name="No digit").click()
    box(page, 1)
    page.locator(".box").nth(2).click(modifiers=["Shift"])
    page.get_by_role("button", name="Merge").click()
    box(page, 0)
    page.get_by_role("group", name="Label").get_by_role("button", name="1").click()
    file = saved(page, tmp_path)
    assert (
        file.read_text()
        == text_of(page)
        == ENTRY
        + (
            "  drop:\n"
            "    - [120, 240, 40, 80]\n"
            "  digits:\n"
            '    - {box: [40, 40, 40, 80], label: "1"}\n'
            '    - {box: [120, 40, 120, 80], label: "7"}\n'
        )
    )
    result = applied(file)
    assert result.labels == ("17", "1")
    assert [[mark.left for mark in row] for row in result.rows] == [[20, 60], [20]]
    assert [mark.area for mark in result.rows[0]] == [800, 1600]


def test_all_of_it_with_keys_alone(opened: Open) -> None:
    page = opened()
    page.locator(".box").first.focus()
    keys = page.keyboard
    keys.press("ArrowDown")  # to the ones
    keys.press("ArrowRight")
    keys.press("Delete")
    keys.press("ArrowUp")
    keys.press("Shift+ArrowRight")
    keys.press("Enter")  # merges
    keys.press("ArrowLeft")
    keys.press("9")
    expect(page.get_by_role("status")).to_have_text("“9” is none of the labels 1 7")
    keys.press("1")
    wanted = text_of(page)
    assert '    - {box: [40, 40, 40, 80], label: "1"}\n' in wanted
    assert '    - {box: [120, 40, 120, 80], label: "7"}\n' in wanted
    assert "  drop:\n    - [120, 240, 40, 80]\n" in wanted
    keys.press("Alt+ArrowDown")  # the box moves by a pixel or two, the label stays
    assert '    - {box: [40, 42, 40, 80], label: "1"}\n' in text_of(page)
    keys.press("Alt+Shift+ArrowRight")
    assert '    - {box: [40, 42, 42, 80], label: "1"}\n' in text_of(page)
    keys.press("Insert")
    keys.press("7")
    assert '    - {box: [90, 42, 42, 80], label: "7"}\n' in text_of(page)
    for _ in range(7):
        keys.press("Control+z")
    assert text_of(page) == HEAD + "{}\n"
    keys.press("Tab")
    expect(page.locator(".box[aria-pressed=true]")).to_have_count(1)


def test_a_new_box_is_drawn_and_a_digit_split_where_its_ink_is_least(
    opened: Open, tmp_path: Path
) -> None:
    left, right, thin = (20, 20, 12, 40), (36, 20, 12, 40), (32, 38, 4, 3)
    ink = sheet(left, right, thin, C)
    joined = bar(20, 20, 28, 40)
    joined.mask[:] = ink.mask[20:60, 20:48]
    reading = Reading(0, ink, ((joined,),), ("7",))
    image = np.ascontiguousarray(
        np.where(ink.mask, 20, 250).astype(np.uint8)[..., None].repeat(3, 2)
    )
    photo = replace(PHOTO, image=cv2.resize(image, (600, 400), interpolation=cv2.INTER_NEAREST))
    photo = replace(photo, labels=replace(photo.labels, text=("7",)))
    page = opened(reading, photo)
    box(page, 0)
    page.keyboard.press("Shift+Enter")
    page.get_by_role("button", name="New box").click()
    at = page.locator("#picture").bounding_box()
    assert at is not None
    scale = at["width"] / 600
    page.mouse.move(at["x"] + 190 * scale, at["y"] + 30 * scale)
    page.mouse.down()
    page.mouse.move(at["x"] + 250 * scale, at["y"] + 130 * scale)
    page.mouse.up()
    expect(page.get_by_role("status")).to_contain_text("3 digits, 1 without a label")
    result = applied(saved(page, tmp_path), reading, photo)
    assert result.labels == ("777",)
    places = [(mark.left, mark.right) for mark in result.rows[0]]
    assert places[0][0] == 20
    assert 32 <= places[0][1] == places[1][0] <= 36
    assert places[1][1] == 48
    assert places[2] == (100, 120), "the ink in the box, not the box"


@pytest.mark.slow
def test_a_refused_sheet_is_labelled_row_by_row(opened: Open, tmp_path: Path) -> None:
    """Slow: a browser, in which a person works."""
    left_out = Noted(bar(200, 120, 20, 40), "taken for dirt")
    refused = replace(READING, labels=None, left_out=(left_out,))
    page = opened(refused, problem="s.jpg: 2 rows found <b>where</b> there should be 1")
    expect(page.get_by_role("note")).to_have_text("2 rows found <b>where</b> there should be 1")
    expect(page.get_by_role("status")).to_contain_text("5 digits, 5 without a label")
    for first, label in ((0, "7"), (3, "1")):
        box(page, first)
        page.get_by_role("button", name="Whole row").click()
        page.keyboard.press(label)
    page.get_by_role("button", name=re.compile("taken for dirt")).click()
    page.keyboard.press("7")
    result = applied(saved(page, tmp_path), refused)
    assert result.labels == ("777", "117")
    assert result.left_out == ()


def test_a_digit_to_look_at_says_why_until_a_person_has_spoken(
    opened: Open, tmp_path: Path
) -> None:
    doubts = tuple(Noted(mark, "fainter than the rest") for mark in ROWS[1])
    reading = replace(READING, doubts=doubts)
    page = opened(reading)
    expect(page.locator(".doubt")).to_have_count(2)
    page.get_by_role("button", name=re.compile("label 1: fainter than the rest")).first.click()
    page.keyboard.press("7")
    expect(page.locator(".doubt")).to_have_count(1)
    result = applied(saved(page, tmp_path), reading)
    assert [item.mark for item in result.doubts] == [ROWS[1][1]]


@pytest.mark.slow
def test_one_label_after_the_other(opened: Open) -> None:
    """Slow: a browser, in which a person works."""
    page = opened(replace(READING, labels=None))
    page.locator(".box").first.focus()
    for character in "71717":  # each goes on to the next box without a label
        page.keyboard.press(character)
    assert re.findall(r'label: "(.)"', text_of(page)) == list("71717")


@pytest.mark.slow
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_sheet_that_was_turned_gives_boxes_of_the_photograph_as_it_lies(
    quarters: int, opened: Open
) -> None:
    """The photograph lies turned back by so many quarters; the sheet is read upright.

    Slow: a browser, and sheets that are read.
    """
    photo = replace(PHOTO, image=np.ascontiguousarray(np.rot90(DRAWN.image, -quarters)))
    page = opened(replace(READING, quarters=quarters), photo)
    box(page, 2)
    page.keyboard.press("Delete")
    wanted = {1: "[280, 200, 80, 40]", 2: "[360, 280, 40, 80]", 3: "[40, 360, 80, 40]"}
    [found] = re.findall(r"    - (\[.*\])", text_of(page))
    upright = np.zeros((400, 600), bool)
    upright[40:120, 200:240] = True
    down, across = np.nonzero(np.rot90(upright, -quarters))
    by_hand = [across.min(), down.min(), np.ptp(across) + 1, np.ptp(down) + 1]
    assert found == str([int(x) for x in by_hand]) == wanted[quarters]


def test_the_page_goes_on_from_the_corrections_of_the_call(opened: Open, tmp_path: Path) -> None:
    page = opened()
    box(page, 0)
    page.keyboard.press("1")
    box(page, 3)
    page.keyboard.press("Delete")
    box(page, 1)
    page.locator(".box").nth(2).click(modifiers=["Control"])
    page.keyboard.press("Enter")
    before = text_of(page)
    corrections = read_corrections(saved(page, tmp_path), [DRAWN])
    page = opened(corrections=corrections)
    assert text_of(page) == before
    page.locator(".box.gone").click()
    page.keyboard.press("Delete")  # once more: a digit after all
    assert text_of(page) == before.replace("  drop:\n    - [40, 240, 40, 80]\n", "")


def test_a_digit_that_a_box_of_the_persons_would_swallow_is_written_too(opened: Open) -> None:
    inner = (66, 30, 8, 20)
    ring = bar(*B)
    ring.mask[5:35, 3:17] = False
    rows = ((ROWS[0][0], replace(ROWS[0][1], mask=ring.mask), bar(*inner)), ROWS[1])
    page = opened(replace(READING, rows=rows))
    page.locator(".box").nth(1).click(position={"x": 3, "y": 3})
    page.keyboard.press("1")
    assert re.findall(r"box: (\[.*?\]), label: .(.)", text_of(page)) == [
        ("[120, 40, 40, 80]", "1"),
        ("[132, 60, 16, 40]", "7"),
    ]


def test_names_are_text_and_the_page_may_load_nothing(opened: Open, tmp_path: Path) -> None:
    name = (
        '</script><img src="https://example.invalid/x.png" onerror="alert(1)">&amp;\x1b\u2028.jpg'
    )
    photo = replace(DRAWN, path=Path("my") / name)
    page = opened(photo=photo, problem=f"{photo.path}: <script>alert(2)</script>")
    box(page, 0)
    page.keyboard.press("1")
    corrections = read_corrections(saved(page, tmp_path), [photo])
    assert corrections[photo.digest].digits[0].label == "1", "the name in the file is a key of YAML"
    assert "\ufffd" in text_of(page), "no character that ends a line, and none of a terminal"
    expect(page.get_by_role("note")).to_have_text("<script>alert(2)</script>")
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy


def test_a_photograph_of_twelve_megapixels_makes_a_page_under_two_megabytes() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 60, (3000, 4000, 1), np.uint8)
    photo = replace(PHOTO, image=np.repeat(150 + noise, 3, 2))
    ink = replace(READING.ink, scale=0.4)
    text = correction_page([photo], [replace(READING, ink=ink)], {}, {})
    assert len(text) < 2_000_000
    assert f'"box": [{50}, {50}, {50}, {100}]' in text, "in pixels of the photograph"


def test_photographs_of_one_name_have_entries_of_their_own() -> None:
    paths = ("a/s.jpg", "b/s.jpg", "t\x01.jpg", "t\x02.jpg")
    photos = [
        replace(DRAWN, path=Path(path), digest=digit * 64)
        for digit, path in zip("abcd", paths, strict=True)
    ]
    text = correction_page(photos, [READING] * 4, {}, {})
    names = re.findall(r'"name": "(.*?)"', text)
    assert len(set(names)) == 4
    assert names[:2] == ["a/s.jpg", "b/s.jpg"]


@pytest.mark.slow
def test_a_finger_chooses_and_draws(browser: Browser, opened: Open, tmp_path: Path) -> None:
    """Slow: a browser, and sheets that are read."""
    opened()
    context = browser.new_context(
        has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    page.goto((tmp_path / "correct.html").as_uri())
    page.get_by_role("button", name="Several").tap()
    page.locator(".box").nth(1).tap()
    page.locator(".box").nth(2).tap()
    page.get_by_role("button", name="Merge").tap()
    assert '    - {box: [120, 40, 120, 80], label: "7"}\n' in text_of(page)
    page.get_by_role("button", name="New box").tap()
    at = page.locator("#picture").bounding_box()
    assert at is not None
    finger = context.new_cdp_session(page)
    for kind, x in (("touchStart", 0.5), ("touchMove", 0.55), ("touchMove", 0.6), ("touchEnd", 0)):
        points = [{"x": at["x"] + x * at["width"], "y": at["y"] + (x - 0.4) * at["height"]}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if x else []})
    expect(page.get_by_role("status")).to_contain_text("1 without a label")
    drawn = re.findall(r"- \{box: \[(\d+), (\d+), (\d+), (\d+)\]\}", text_of(page))
    assert np.allclose(np.array(drawn[0], int), (300, 40, 60, 40), atol=3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing is cut off"
    context.close()


def test_a_photograph_on_which_nothing_was_seen_is_boxed_by_hand(opened: Open) -> None:
    nothing = Reading(0, Ink.none(), (), None)
    page = opened(nothing, problem="s.jpg: no digits found")
    expect(page.get_by_role("status")).to_have_text("0 digits; no box chosen")
    page.get_by_role("button", name="New box").press("Enter")  # nobody draws with a keyboard
    for key in ("7", "Insert", "1"):
        page.keyboard.press(key)
    written = re.findall(r"- \{box: (\[.*\]), label: .(.).\}", text_of(page))
    assert written == [("[300, 200, 30, 30]", "7"), ("[336, 200, 30, 30]", "1")]


@pytest.mark.slow
def test_the_command_cuts_what_was_said_on_its_page(page: Page, tmp_path: Path) -> None:
    """Slow: reads a photograph three times. The call's labels are of a row more than there is."""
    scene = make_scene(np.random.default_rng(21), drawn_digit, "358", EASY)
    photo, out = tmp_path / "sheet.jpg", tmp_path / "out"
    cv2.imwrite(str(photo), scene.photo)
    command = [str(photo), "--counts", "1/1/1", "--out", str(out)]
    with pytest.raises(DataError, match="3 rows found where there should be 4 rows"):
        main([*command, "--labels", "3583"])
    page.goto((out / "correct-refused.html").as_uri())
    n_digits = page.locator(".box:not(.ignored)").count()
    for label in "358":  # the first box without a label, then its row
        page.locator(".box", has_text="?").first.click()
        page.get_by_role("button", name="Whole row").click()
        page.keyboard.press(label)
    box(page, 0)
    page.keyboard.press("Delete")
    box(page, 1)
    page.keyboard.press("8")
    file = saved(page, tmp_path)
    main([*command, "--labels", "3583", "--corrections", str(file)])
    [record] = json.loads((out / "sheet.json").read_text())["photos"]
    first, second, third = record["labels"]
    assert first == "8" + "3" * (len(first) - 1)
    assert (set(second), set(third)) == ({"5"}, {"8"})
    assert len(first + second + third) == n_digits - 1
    page.goto((out / "correct.html").as_uri())
    assert text_of(page) == file.read_text(), "the page goes on from there"
    digits = load_dataset(
        "sheets", data_dir=tmp_path, cache_dir=tmp_path / "cache",
        photos={"sheet.jpg": "3583"}, corrections=str(file),
    )  # fmt: skip
    counts = Counter(first + second + third)
    assert np.bincount(digits.labels).tolist() == [counts[name] for name in digits.class_names]
