"""The checks that every set passes, copies, and what the fingerprint depends on."""

import numpy as np
import pytest
from data_files import dataset_of

from datasets.base import build_dataset
from datasets.target import TargetSettings
from headstart.errors import DataError

IMAGES = np.arange(4 * 4, dtype=np.uint8).reshape(4, 1, 2, 2)


def build(images=IMAGES, labels=(0, 1, 0, 1), names=("a", "b"), **options):
    return build_dataset("tiny", images, np.array(labels), names, source="here", **options)


def test_the_fingerprint_depends_on_content_alone():
    reference = build()
    assert len(reference.fingerprint) == 32
    same = build_dataset(
        "other name", IMAGES.copy(), np.array([0, 1, 0, 1]), ["a", "b"], source="there",
        notes=["x"], warnings=["y"],
    )  # fmt: skip
    assert same.fingerprint == reference.fingerprint
    assert (same.notes, same.warnings) == (("x",), ("y",))


@pytest.mark.parametrize(
    "changed",
    [
        {"images": IMAGES[::-1]},
        {"images": np.repeat(IMAGES, 3, axis=1)},
        {"labels": (1, 1, 0, 1)},
        {"names": ("a", "c")},
        {"parts": {"train": np.array([0, 1])}},
    ],
)
def test_every_kind_of_content_changes_the_fingerprint(changed):
    assert build(**changed).fingerprint != build().fingerprint


def test_a_repeated_channel_and_three_copies_of_it_have_one_fingerprint():
    view = np.broadcast_to(IMAGES, (4, 3, 2, 2))
    assert build(images=view).fingerprint == build(images=view.copy()).fingerprint


def test_copies_are_counted_and_point_to_the_first():
    images = IMAGES.copy()
    images[3] = images[1]
    dataset = build(images=images)
    np.testing.assert_array_equal(dataset.first_copy, [0, 1, 2, 1])
    assert dataset.notes == ("1 of 4 images are exact copies of another one",)


def test_a_picture_with_two_labels_is_named():
    images = IMAGES.copy()
    images[2] = images[1]
    assert build(images=images).notes == (
        "1 of 4 images are exact copies of another one, 1 of them with another label than its "
        "(b and a)",
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": (0, 1, 0)}, "here: 4 images but 3 labels"),
        ({"labels": (0, 1, 0, 2)}, "here: label 2 is outside 0 … 1 (2 classes)"),
        ({"labels": (0, 1, 0, -1)}, "here: label -1 is outside 0 … 1 (2 classes)"),
        ({"labels": (0, 0, 0, 0)}, "here: no image of class b; add images or take the class away"),
        ({"labels": (0,) * 4, "names": ("a",)}, "here: only one class (a)"),
        ({"images": IMAGES[:0], "labels": ()}, "here: no images"),
        ({"parts": {"train": np.array([0, 2])}}, "here: no image of class b in the train part"),
    ],
)
def test_a_set_that_cannot_be_trained_on_is_refused(changed, message):
    with pytest.raises(DataError) as caught:
        build(**changed)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_what_is_no_class_may_be_in_the_test_part_alone():
    parts = {"train": np.array([0, 2]), "test": np.array([1, 3])}
    for kind in ("number", "labels"):
        assert build(parts=parts, target=TargetSettings(kind=kind)).class_names == ("a", "b")
    with pytest.raises(DataError, match="no image of class b in the train part"):
        build(parts=parts, target=TargetSettings(kind="ordered"))


def test_the_tiny_set_of_the_tests_has_no_copies():
    np.testing.assert_array_equal(dataset_of(range(300)).first_copy, np.arange(300))
