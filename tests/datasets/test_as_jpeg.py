"""`as_jpeg`: a network is given what 28×28 gray JPEG files hold, whatever size it takes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from datasets import load_dataset
from datasets.as_jpeg import decode, encode
from harness.sweepfile.settings import DataChoice

OPTIONS = {"count": 40, "seed": 3}


@pytest.mark.parametrize("as_jpeg", [False, True])
def test_a_network_of_another_size_sees_the_same_files(tmp_path, as_jpeg):
    given = {**OPTIONS, "as_jpeg": as_jpeg}
    small = load_dataset("glyphs", given, cache_dir=tmp_path)
    large = load_dataset("glyphs", given, cache_dir=tmp_path, image_size=(56, 56), channels=3)
    grown = np.stack([cv2.resize(image[0], (56, 56)) for image in small.images])
    is_grown = np.array_equal(large.images, np.repeat(grown[:, None], 3, axis=1))
    assert is_grown == as_jpeg  # without it they are drawn at their size
    assert small.fingerprint != large.fingerprint
    asked = load_dataset("glyphs", given, cache_dir=tmp_path, image_size=(28, 28), channels=1)
    assert (asked.fingerprint == small.fingerprint) or not as_jpeg


def test_the_images_are_those_of_the_files_and_the_files_those_of_the_images_before(tmp_path):
    before = load_dataset("glyphs", OPTIONS, cache_dir=tmp_path)
    after = load_dataset("glyphs", {**OPTIONS, "as_jpeg": True}, cache_dir=tmp_path)
    assert not np.array_equal(before.images, after.images)
    for plain, lossy in zip(before.images, after.images, strict=True):
        assert np.array_equal(decode(encode(plain[0])), lossy[0])
    assert (after.labels == before.labels).all()
    assert after.fingerprint != before.fingerprint
    assert "JPEG" in after.notes[-1]


def test_where_it_is_not_written_nothing_of_a_data_set_changes(tmp_path):
    plain = DataChoice.model_validate({"name": "glyphs", **OPTIONS})
    off = DataChoice.model_validate({"name": "glyphs", **OPTIONS, "as_jpeg": False})
    assert plain.written_options() == off.written_options()
    first, second = (
        load_dataset(each.name, each.options, cache_dir=tmp_path) for each in (plain, off)
    )
    assert first.fingerprint == second.fingerprint
