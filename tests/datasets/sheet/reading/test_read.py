"""Whole sheets: made-up ones with known truth, worse than careful people's, and the real ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sheet_scenes import (
    DigitSource,
    Hardness,
    Scene,
    drawn_digit,
    handwritten_digits,
    make_scene,
    mnist_digits,
    one_class_scene,
)

from datasets.preprocess import mnist_style
from datasets.sheet.labels import Labels, by_column, by_row, one_class
from datasets.sheet.reading.read import Reading, read_sheet
from datasets.sheet.strokes.cut import cut_out, thickened

EASY = Hardness(
    slant=2, lines=0, squares=0, table=0, strip=0, shadow=0, overwritten=0, near=0, turned=0
)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1, 3), (10, 30000, 3), (3000, 1, 3)])
def test_a_picture_too_narrow_for_a_row_has_no_digits(shape: tuple[int, int, int]) -> None:
    """Slow: it reads whole sheets."""
    photo = np.full(shape, 240, np.uint8)
    photo[:, ::50] = 0
    reading = read_sheet(photo, one_class("1", ""))
    assert (reading.rows, reading.labels) == ((), None)


def found_digits(reading: Reading) -> list[tuple[float, float, str]]:
    """(x, y, label) of every digit of a reading, in pixels of the photograph as it lies."""
    digits = []
    for row, labels in zip(reading.rows, reading.labels or (), strict=True):
        for mark, label in zip(row, labels, strict=True):
            x, y, height = mark.x, mark.y, reading.ink.mask.shape[0]
            width = reading.ink.mask.shape[1]
            for _ in range(reading.quarters):
                x, y = height - y, x
                height, width = width, height
            digits.append((x / reading.ink.scale, y / reading.ink.scale, label))
    return digits


def n_right(scene: Scene, reading: Reading) -> int:
    """Digits that one found mark lies on, and that have the right label."""
    if reading.labels is None:
        return 0
    left = found_digits(reading)
    right = 0
    for digit in scene.digits:
        near = [f for f in left if np.hypot(f[0] - digit.x, f[1] - digit.y) < 0.4 * digit.size]
        if near:
            left.remove(near[0])
            right += near[0][2] == digit.label
    return right


def share_right(scenes: Iterable[tuple[Scene, Labels]]) -> float:
    """Digits right, over digits written or found, whichever is more."""
    right = total = 0
    for scene, labels in scenes:
        reading = read_sheet(scene.photo, labels)
        right += n_right(scene, reading)
        total += max(len(scene.digits), sum(reading.counts))
    return right / total


def scenes(
    seeds: Iterable[int], sources: list[DigitSource], hardness: Hardness
) -> Iterable[tuple[Scene, Labels]]:
    for seed in seeds:
        source = sources[seed % len(sources)]
        scene = make_scene(np.random.default_rng(seed), source, hardness=hardness)
        yield scene, by_row(scene.row_labels, "")


@pytest.mark.slow
def test_easy_sheets_are_read_without_a_mistake() -> None:
    """Slow: two whole sheets are read."""
    assert share_right(scenes(range(2), [drawn_digit], EASY)) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_sheet_is_read_as_if_upright(quarters: int) -> None:
    scene = make_scene(np.random.default_rng(5), drawn_digit, "1234567890", EASY)
    photo = np.ascontiguousarray(np.rot90(scene.photo, quarters))
    reading = read_sheet(photo, by_row("1234567890", ""))
    assert reading.quarters == (4 - quarters) % 4
    assert reading.labels is not None
    assert sum(reading.counts) == len(scene.digits)


@pytest.mark.slow
def test_labels_spelled_out() -> None:
    """Slow: it reads several whole sheets."""
    rng = np.random.default_rng(11)
    scene = make_scene(rng, drawn_digit, "35", replace(EASY, slant=0))
    by_rows = read_sheet(scene.photo, by_row("35", ""))
    text = ("3" * by_rows.counts[0], "5" * by_rows.counts[1])
    spelled = read_sheet(scene.photo, Labels("text", text))
    assert spelled.labels == by_rows.labels == text
    wrong = read_sheet(scene.photo, Labels("text", (text[0] + "3", text[1])))
    assert wrong.labels is None
    assert wrong.counts == by_rows.counts


def test_labels_by_column() -> None:
    canvas = np.full((700, 900, 3), 235, np.uint8)
    rng = np.random.default_rng(3)
    for column, label in enumerate("4725"):
        for row in range(3):
            glyph = cv2.resize(drawn_digit(rng, label), (70, 110))[..., None]
            top, left = 80 + 200 * row, 100 + 200 * column
            part = canvas[top : top + 110, left : left + 70]
            part[:] = (part * (1 - 0.8 * glyph)).astype(np.uint8)
    reading = read_sheet(canvas, by_column("4725", ""))
    assert reading.labels == ("444", "777", "222", "555")


@pytest.mark.slow
def test_rows_that_do_not_fit_are_told_and_not_guessed() -> None:
    """Slow: it reads whole sheets."""
    scene = make_scene(np.random.default_rng(5), drawn_digit, "1234567890", EASY)
    reading = read_sheet(scene.photo, by_row("123456789", ""))
    assert reading.labels is None
    assert len(reading.counts) == 10


@pytest.mark.slow
def test_labels_in_another_order_than_the_sheet_are_refused() -> None:
    """Slow: it reads several whole sheets."""
    scene = make_scene(np.random.default_rng(5), drawn_digit, "1234567890", EASY)
    assert read_sheet(scene.photo, by_row("4567890123", "")).labels is None


@pytest.mark.slow
def test_a_blank_sheet_has_no_rows() -> None:
    """Slow: a page is drawn and read."""
    reading = read_sheet(np.full((400, 300, 3), 230, np.uint8), by_row("123", ""))
    assert reading.labels is None
    assert reading.rows == ()


def test_thin_strokes_become_as_thick_as_mnists_and_thick_ones_stay() -> None:
    thin, thick = (np.zeros((120, 60), np.uint8) for _ in range(2))
    cv2.line(thin, (30, 5), (30, 115), 255, 3)
    cv2.line(thick, (30, 5), (30, 115), 255, 20)
    assert 10 <= (thickened(thin).max(axis=0) > 0).sum() <= 14
    assert thickened(thick) is thick


@pytest.mark.slow
def test_hard_sheets_of_drawn_digits() -> None:
    """Four sheets of the hard kind; the large set is in the slow test below.

    Slow: it reads several whole sheets.
    """
    hard = scenes(range(300, 304), [drawn_digit], Hardness())
    assert share_right(hard) >= 0.98


@pytest.mark.slow
def test_hard_sheets_of_real_digits(real_data: Path) -> None:
    """98 % of the digits on 18 hard sheets; slow because each is a photograph of megapixels."""
    sources = [drawn_digit, mnist_digits(real_data), handwritten_digits(real_data)]
    assert share_right(scenes(range(1000, 1018), sources, Hardness())) >= 0.98


@pytest.mark.slow
def test_hard_sheets_of_one_class(real_data: Path) -> None:
    """The same where the number of rows is not known; slow for the same reason."""
    source = handwritten_digits(real_data)
    made = [
        (one_class_scene(np.random.default_rng(seed), source, label, Hardness()), label)
        for seed, label in enumerate("0123456789")
    ]
    assert share_right((scene, one_class(label, "")) for scene, label in made) >= 0.95


def real_readings(data: Path) -> list[Reading]:
    photos = [data / "sheets" / "aiano" / f"source_imgs_{i}.jpg" for i in range(10)]
    readings = [read_sheet(cv2.imread(str(p)), one_class(str(i), "")) for i, p in enumerate(photos)]
    sheet = cv2.imread(str(data / "sheets" / "aloksp" / "sheet.jpg"))
    return [*readings, read_sheet(sheet, by_row("1234567890", ""))]


@pytest.mark.slow
def test_real_sheets_and_a_network_of_mnist_alone(real_data: Path) -> None:
    """All 159 digits of the real photographs are found, and a network that saw nothing but MNIST
    reads at least 90 % of them; slow because it reads eleven photographs and trains a network."""
    readings = real_readings(real_data)
    assert [reading.counts for reading in readings[:10]] == [
        (5, 4) if i == 3 else (5, 5) for i in range(10)
    ]
    assert readings[10].counts == (6,) * 10
    cuts, labels = [], []
    for reading in readings:
        assert reading.labels is not None
        for row, row_labels in zip(reading.rows, reading.labels, strict=True):
            cuts += [mnist_style(thickened(cut_out(reading.ink, mark))) for mark in row]
            labels += [int(label) for label in row_labels]
    predicted = network_of_mnist(real_data)(as_input(np.stack(cuts))).argmax(1).numpy()
    assert np.mean(predicted == np.array(labels)) >= 0.9


def as_input(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images)[:, None].float() / 255


def network_of_mnist(data: Path) -> torch.nn.Module:
    """A small convolutional network after two epochs of 30,000 MNIST digits."""
    raw = data / "mnist" / "MNIST" / "raw"
    images = np.fromfile(raw / "train-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 28, 28)
    labels = np.fromfile(raw / "train-labels-idx1-ubyte", np.uint8)[8:]
    x, y = as_input(images[:30000].copy()), torch.from_numpy(labels[:30000].astype(np.int64))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 12, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(12, 24, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Flatten(), torch.nn.Linear(384, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10),
        )  # fmt: skip
        optimizer = torch.optim.Adam(net.parameters(), 2e-3)
        for _ in range(2):
            for batch in torch.randperm(len(x)).split(64):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
                optimizer.step()
    return net.requires_grad_(False)
