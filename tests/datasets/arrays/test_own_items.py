"""What code of the user's own returns: every way in which people give images, or one line."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from data_files import noise
from PIL import Image

from datasets.arrays.own_items import own_images
from headstart.errors import DataError

GRAY = noise(np.random.default_rng(0), 6, 4, 5)
COLOUR = noise(np.random.default_rng(1), 6, 4, 5, 3)
LABELS = [0, 1, 0, 1, 0, 1]


class Items:
    """A data set in PyTorch's manner."""

    def __init__(self, images, labels, **more):
        self.images, self.labels = images, labels
        vars(self).update(more)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, k):
        return self.images[k], self.labels[k]


class Random(Items):
    def __getitem__(self, k):
        return torch.rand(1, 4, 5), 0


class Keyed(Items):
    def __getitem__(self, k):
        return {"image": self.images[k], "label": self.labels[k], "id": k}


def read(given, size=None):
    return own_images(given, "my.py:Set", size)


@pytest.mark.parametrize(
    "given",
    [
        (COLOUR, LABELS),
        {"images": COLOUR, "labels": np.array(LABELS)},
        [torch.from_numpy(COLOUR), torch.tensor(LABELS)],
        (COLOUR.transpose(0, 3, 1, 2), LABELS),
        ([Image.fromarray(each) for each in COLOUR], [np.int64(label) for label in LABELS]),
        Items([Image.fromarray(each) for each in COLOUR], LABELS),
        Items(torch.from_numpy(COLOUR).permute(0, 3, 1, 2) / 255, torch.tensor(LABELS)),
        Items(COLOUR / 255, LABELS),
        Items(COLOUR.astype(int), LABELS),
        Keyed(COLOUR, LABELS),
        list(zip(COLOUR, LABELS, strict=True)),
    ],
)
def test_the_same_images_however_they_are_given(given):
    own = read(given)
    assert own.images.dtype == np.uint8
    np.testing.assert_array_equal(own.images, COLOUR)
    assert own.labels.tolist() == LABELS
    assert own.parts is None


@pytest.mark.parametrize(
    "given",
    [
        (GRAY, LABELS),
        ([Image.fromarray(each) for each in GRAY], LABELS),
        Items(GRAY[:, None], LABELS),
        Items(GRAY[..., None] / 255, LABELS),
    ],
)
def test_gray_images_have_one_channel(given):
    np.testing.assert_array_equal(read(given).images[..., 0], GRAY)


def test_images_of_other_modes_and_sizes_are_brought_together():
    images = [
        Image.fromarray(GRAY[0]),
        Image.fromarray(COLOUR[0]).convert("P"),
        Image.new("RGBA", (5, 4), (9, 9, 9, 0)),
        Image.new("L", (10, 8), 7),
    ]
    own = read((images, [0, 1, 0, 1]))
    assert own.images.shape == (4, 4, 5, 3)
    np.testing.assert_array_equal(own.images[0], np.repeat(GRAY[0, ..., None], 3, axis=2))
    assert (own.images[2] == 255).all()  # what is transparent lies on white
    assert (own.images[3] == 7).all()
    assert own.notes == ("images of 2 sizes were brought to 5×4 pixels",)
    assert read((images, [0, 1, 0, 1]), (2, 2)).images.shape == (4, 2, 2, 3)
    warned = read((images[2:], [0, 1])).notes[1]
    assert warned.startswith("no two of 2 images have the same size, so the smallest decided: all")


def test_names_parts_and_groups_are_taken():
    given = {
        "images": GRAY, "labels": LABELS, "class_names": ["a", "b"], "groups": [1, 1, 2, 2, 3, 3],
        "parts": {"train": [0, 1, 2], "test": range(3, 6)}, "notes": ["drawn"],
    }  # fmt: skip
    own = read(given)
    assert own.class_names == ("a", "b")
    assert {part: index.tolist() for part, index in own.parts.items()} == {
        "train": [0, 1, 2],
        "test": [3, 4, 5],
    }
    assert own.groups == ("1", "1", "2", "2", "3", "3")
    assert own.notes == ("drawn",)
    assert read((GRAY, LABELS, ["a", "b"])).class_names == ("a", "b")
    assert read(Items(GRAY, LABELS, classes=["a", "b"])).class_names == ("a", "b")
    assert read(Items(GRAY, list("xyxyxy"), classes=["a", "b"])).class_names is None


def test_one_for_each_part():
    own = read({"test": (GRAY[:2], [1, 0]), "train": Items(GRAY, LABELS, classes=["a", "b"])})
    assert {part: index.tolist() for part, index in own.parts.items()} == {
        "train": list(range(6)),
        "test": [6, 7],
    }
    np.testing.assert_array_equal(own.images[6:, ..., 0], GRAY[:2])
    assert own.labels.tolist() == [*LABELS, 1, 0]
    assert own.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "returned int; return images and labels: "),
        (None, "returned NoneType; return"),
        ((each for each in GRAY), "returned generator, which cannot be asked for its length; ret"),
        ((GRAY,), "returned a tuple of 1; return"),
        ({"x": GRAY, "y": LABELS}, "returned a dict with the keys x, y; return"),
        ((Items(GRAY, LABELS), Items(GRAY, LABELS)), "returned a tuple of 2; return"),
        ({"images": GRAY, "labels": LABELS, "size": 3}, "the key 'size'; keys are images, labels"),
        ((GRAY, LABELS[:5]), "returned 6 images and 5 labels"),
        (([], []), "has no images"),
        (Items([], []), "has no images"),
        (Items(GRAY, [None] * 6), "labels are object; numbers or texts are read"),
        ((GRAY, [[0], [1, 2], 0, 0, 0, 0]), "labels cannot be read"),
        (Items([GRAY[0], GRAY], LABELS), r"image 1 has the shape \(6, 4, 5\); H×W"),
        (Items([GRAY[0] / 255, GRAY[0] * 0 - 300.0], LABELS), "1 has pixels -300 … .*ToTensor"),
        (Items(GRAY[:1] + np.nan, LABELS), "image 0 holds float64 that are no numbers"),
        (Items([Image.new("F", (4, 4))], [0]), "image 0 is of Pillow's mode F; convert it to L"),
        (SimpleNamespace(a=1), "returned SimpleNamespace; return"),
        (Random(GRAY, LABELS), "image 0 is another one each time it is asked for; leave random"),
        ({"test": (GRAY, LABELS)}, "has test but no train part"),
        ({"train": (GRAY, LABELS), "test": (COLOUR, LABELS)}, "images of different shapes: train"),
        ({"images": GRAY, "labels": LABELS, "class_names": "ab"}, "class_names are texts, as"),
        ({"images": GRAY, "labels": LABELS, "groups": [1]}, "returned 1 groups for 6 images"),
        ({"images": GRAY, "labels": LABELS, "parts": {"test": [1]}}, "parts are {'train': indices"),
        ({"images": GRAY, "labels": LABELS, "parts": {"train": [9]}}, "numbered 0 … 5"),
        ({"images": GRAY, "labels": LABELS, "parts": {"train": [0.5]}}, "a list of the numbers"),
        ({"images": GRAY, "labels": LABELS, "parts": {"train": [1, 2], "test": [2]}},
         "image 2 is in two parts, or twice in one"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(given, message):
    with pytest.raises(DataError, match=f"^my.py:Set.*{message}") as caught:
        read(given)
    assert "\n" not in str(caught.value)
