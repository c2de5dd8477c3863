"""What a split says of the images that it has."""

from __future__ import annotations

import numpy as np

from datasets.base import build_dataset
from datasets.split import SplitSettings, split_dataset
from datasets.split_notes import lacking, without_images
from datasets.target import TargetSettings, target_of

NAMES = ("ant", "bee", "cat")


def test_labels_without_images_are_named_once():
    there = np.array([[1, 0, 0], [1, 0, 0]])
    assert without_images(NAMES, np.eye(3), "no image") == []
    assert without_images(NAMES, np.zeros((0, 3)), "no image") == []
    [one] = without_images(NAMES[:2], there[:, :2], "no test image")
    assert one.startswith("no test image has the label bee: there, it has no average precision")
    [two] = without_images(NAMES, there, "no image here")
    assert two == ("no image here has the labels bee, cat: there, they have no average precision "
                   "and are left out of the mean")  # fmt: skip


def test_each_part_has_its_own_note():
    target = target_of(TargetSettings(kind="labels"), ["ant", "ant|bee"], "x")
    parts = {"train": np.array([0, 1]), "test": np.array([0]), "validation": np.array([], int)}
    [note] = lacking(target, np.array([0, 1]), parts)
    assert note.startswith("no test image has the label bee")


def test_a_class_of_one_image_that_a_drawn_part_lacks_is_named():
    images = np.arange(13, dtype=np.uint8).reshape(13, 1, 1, 1)
    dataset = build_dataset("mine", images, np.array([0] * 12 + [1]), NAMES[:2], source="x")

    def notes(**settings):
        return split_dataset(dataset, SplitSettings(**settings), np.random.default_rng(0)).notes

    assert notes(split={"train": 0.7, "validation": 0.15, "test": 0.15}) == (
        "no validation image is of bee (1 in all): its scores are of the other classes",
        "no test image is of bee (1 in all): its scores are of the other classes",
    )
    assert notes(train=9, validation=2, test=2) == ()
