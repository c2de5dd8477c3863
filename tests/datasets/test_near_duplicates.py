"""Which pairs of images are called the same picture, and which are not."""

import io

import cv2
import numpy as np
import pytest
import scipy.fft
from PIL import Image

from datasets import load_dataset, near_duplicates
from datasets.near_duplicates import _blurring, _spectra, looks_at, looks_at_pictures, near_pairs

RNG = np.random.default_rng(0)


def scenes(n, side=48):
    """Made-up photographs, uint8 (n, 3, side, side): soft colours with detail of several sizes."""
    rng, images = np.random.default_rng(0), []
    for _ in range(n):
        image = sum(
            cv2.GaussianBlur(rng.normal(size=(side, side, 3)), (0, 0), s) * s for s in (3, 5, 9)
        )
        images.append(cv2.normalize(image, None, 20, 220, cv2.NORM_MINMAX).astype(np.uint8))
    return np.stack(images).transpose(0, 3, 1, 2)


def as_jpeg(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


def smaller(image):
    small = cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1])


CHANGES = {
    "saved again": as_jpeg,
    "resized": smaller,
    "brighter": lambda image: np.clip(image * 1.1, 0, 255).astype(np.uint8),
    "cropped": lambda image: cv2.resize(image[1:-1, 1:-1], image.shape[1::-1]),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
}


def pairs_of(images, tested=None):
    indices = np.arange(len(images))
    tested = indices if tested is None else np.asarray(tested)
    return near_pairs(images, indices, tested).tolist()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("gray", [False, True])
def test_a_changed_copy_is_found_and_nothing_else(change, gray):
    images = scenes(80)[:, :1] if gray else scenes(80)
    again = CHANGES[change](images[17].transpose(1, 2, 0).squeeze())
    again = again[None] if gray else again.transpose(2, 0, 1)
    images = np.concatenate([images, again[None]])
    assert pairs_of(images) == [[17, 80]]
    assert pairs_of(images, [80]) == [[80, 17]]
    assert pairs_of(images, range(17)) == []


def test_digits_that_look_alike_are_no_duplicates():
    """A perceptual hash calls most of them equal; here a pair must be nearer than all others."""
    digits = load_dataset("optdigits", image_size=(24, 24)).images[:900]
    assert len(pairs_of(digits)) <= 25  # of 404,550, and each of them looks alike to a person
    again = digits[:10].astype(np.float32) * 0.9
    found = pairs_of(np.concatenate([digits, again.astype(np.uint8)]), range(900, 910))
    assert [pair for pair in found if pair[1] == pair[0] - 900] == [[900 + i, i] for i in range(10)]


def test_all_frames_of_a_film_are_near_and_at_most_ten_pairs_of_each_are_kept():
    images = scenes(40)
    noise = RNG.integers(-2, 3, (30, *images.shape[1:]))
    film = np.clip(images[:1].astype(int) + noise, 0, 255).astype(np.uint8)
    pairs = pairs_of(np.concatenate([images, film]), range(40, 70))
    assert {first for first, _ in pairs} == set(range(40, 70))
    assert {index for pair in pairs for index in pair} <= {0, *range(40, 70)}
    assert len(pairs) <= 300


def test_the_blur_is_a_gaussian():
    picture = RNG.integers(0, 256, (32, 32)).astype(np.float32)
    blur = _blurring()
    np.testing.assert_allclose(
        blur @ picture @ blur.T, cv2.GaussianBlur(picture, (13, 13), 1.5), atol=0.01
    )


def test_exact_copies_blank_and_tiny_images_are_left_out():
    images = scenes(30)
    copied = np.concatenate([images, images[:3]])
    first = np.r_[np.arange(30), :3]
    assert near_pairs(copied, first, np.arange(33)).tolist() == []
    blank = np.full_like(images, 255) - RNG.integers(0, 2, images.shape, dtype=np.uint8)
    assert pairs_of(blank) == []
    assert pairs_of(images[:, :, :12, :12]) == []
    assert pairs_of(images, []) == []


def test_three_channels_that_repeat_one_are_read_as_gray():
    gray = scenes(20)[:, :1]
    images = np.concatenate([gray, gray[:1, :, :, ::-1]])
    assert pairs_of(np.broadcast_to(images, (21, 3, 48, 48))) == pairs_of(images) == [[0, 20]]


def test_too_many_images_are_compared_in_part(monkeypatch):
    monkeypatch.setattr("datasets.near_duplicates._MOST_PAIRS", 21 * 7)
    gray = scenes(20)
    images = np.concatenate([gray, gray[:1, :, :, ::-1]])  # each third is looked at, so 0 is
    assert pairs_of(images) == [[0, 20]]
    assert pairs_of(images, [1, 20, 2, 3, 4, 5, 6, 7, 8, 9]) == []


def test_spectra_are_those_of_the_discrete_cosine_transform():
    small = RNG.integers(0, 256, (5, 32, 32), dtype=np.uint8)
    expected = scipy.fft.dctn(small.astype(float), axes=(1, 2), norm="ortho")[:, :8, :8]
    expected = expected.reshape(5, 64)[:, 1:]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(_spectra(small)[0], expected, atol=1e-5)


@pytest.mark.parametrize("n_known", [1, 7, 21])
def test_what_was_looked_at_before_gives_the_same_pairs(n_known):
    images = scenes(20)
    images = np.concatenate([images, images[:1, :, :, ::-1]])
    indices = np.arange(21)
    known = looks_at(images[21 - n_known :])
    expected = near_pairs(images, indices, indices)
    assert len(expected) == 1
    np.testing.assert_array_equal(near_pairs(images, indices, indices, known), expected)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_pictures_as_decoders_give_them_look_as_images_do(n_channels):
    images = scenes(5)[:, :n_channels]
    for some, others in zip(
        looks_at(images), looks_at_pictures(images.transpose(0, 2, 3, 1)), strict=True
    ):
        np.testing.assert_array_equal(some, others)


def test_pairs_and_memory_do_not_depend_on_how_many_are_compared_at_once(monkeypatch):
    """The largest array has one number for each of a block and of the others at once."""
    images = np.concatenate([scenes(60), scenes(60)[::3, :, :, ::-1]])
    expected, sizes, near = pairs_of(images), [], near_duplicates._near
    assert len(expected) == 20

    def counted(own, other, first):
        sizes.append(len(own) * len(other))
        return near(own, other, first)

    monkeypatch.setattr(near_duplicates, "_near", counted)
    for block, others in ((512, 7), (3, 1024), (4, 5)):
        monkeypatch.setattr(near_duplicates, "_BLOCK", block)
        monkeypatch.setattr(near_duplicates, "_OTHERS", others)
        sizes.clear()
        assert pairs_of(images) == expected
        assert max(sizes) == min(block, 80) * min(others, 80)
