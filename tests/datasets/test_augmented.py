"""The contact sheet of `--augment`: its rows, and mistakes of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets import augmented
from datasets.augment_settings import Augment
from datasets.augmented import contact_sheet, read_augment
from datasets.catalog import load_dataset
from datasets.describe import main
from headstart.errors import SpecError


def test_each_setting_has_a_row_and_all_together_have_three(tmp_path: Path) -> None:
    file = tmp_path / "augment.yaml"
    file.write_text("rotate: 15\nrandom_crop: 2\nblur: 1\nblur_sigma: [1, 2]\n")
    dataset = load_dataset("optdigits", image_size=(28, 28))
    sheet = contact_sheet(dataset, read_augment(file))
    n_rows = 1 + 3 + 3
    assert sheet.shape[0] == n_rows * (56 + 3) + 3
    tiles = [sheet[3 + k * 59 : 59 + k * 59, 240:] for k in range(n_rows)]
    assert len({tile.tobytes() for tile in tiles}) == n_rows


def test_rows_of_small_images_have_room_for_their_words() -> None:
    words = "colour_jitter: brightness 0.4, contrast 0.4, saturation 0.4, hue 0.1, and so on"
    rows = [(words, np.zeros((2, 3, 1, 1), np.uint8))] * 2
    n_lines = augmented._lines(words).count("\n") + 1
    assert n_lines > 1
    assert augmented._sheet(rows).shape[0] == 2 * (56 + 3) + 3  # enlarged to 56 pixels
    wide = [(words, np.zeros((2, 3, 1, 200), np.uint8))] * 2
    assert augmented._sheet(wide).shape[0] == 2 * (16 * n_lines + 3) + 3


def test_a_rows_words_are_what_is_written_or_what_an_empty_mapping_means() -> None:
    settings = Augment.model_validate(
        {"rand_augment": {"layers": 2}, "colour_jitter": {"hue": 0.1}, "random_crop": 4}
    )
    words = [row for row, _ in augmented._one_by_one(settings)]
    assert words == ["random_crop: 4", "colour_jitter: hue 0.1", "rand_augment: layers 2"]
    [(row, _)] = augmented._one_by_one(Augment.model_validate({"rand_augment": {}}))
    assert row == "rand_augment: layers 2, magnitude 9"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotate: 200\n", r"augment.yaml:1: rotate: 200 should be less than or equal to 180"),
        ("rotate: 5\nflip: 0.5\n", r":2: flip: is not a key here; allowed: .*horizontal_flip"),
        ("augment: {rotate: 5}\n", r":1: augment: .*the mapping of train.augment alone"),
        ("scale: x\n", r":1: scale: 'x' is not a number or a list"),
        ("rand_augment: true\n", r":1: rand_augment: true is not a mapping of keys"),
        ("- 5\n", r":1: a mapping"),
    ],
)
def test_mistakes_are_named_before_anything_is_read(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "augment.yaml"
    file.write_text(text)
    with pytest.raises(SpecError, match=message):
        main(["no such data set", "--augment", str(file), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
