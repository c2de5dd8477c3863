"""The two sets that need nothing: `glyphs`, drawn, and `optdigits`, inside scikit-learn."""

import numpy as np
import pytest

from datasets import load_dataset
from datasets.sets.glyph_strokes import read_ways, ways_to_write
from datasets.sets.glyphs import draw_character
from headstart.errors import DataError

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def load(tmp_path):
    return lambda name, **options: load_dataset(name, cache_dir=tmp_path, **options)


def test_glyphs_are_many_balanced_and_all_different(load):
    dataset = load("glyphs", count=500)
    assert dataset.images.shape == (500, 1, 28, 28)
    assert np.bincount(dataset.labels).tolist() == [50] * 10
    assert dataset.notes == ()


def test_glyphs_depend_on_their_seed_alone(load, tmp_path):
    first = load("glyphs", count=50).fingerprint
    np.random.default_rng(1).random()  # somebody else's draw
    assert load_dataset("glyphs", count=50, cache_dir=tmp_path / "other").fingerprint == first
    assert load("glyphs", count=50, seed=1).fingerprint != first


@pytest.mark.parametrize(("image_size", "channels"), [((20, 20), 1), ((36, 48), 3), ((96, 96), 3)])
def test_glyphs_come_in_any_size(load, image_size, channels):
    dataset = load("glyphs", count=62, classes="all", image_size=image_size, channels=channels)
    assert dataset.images.shape == (62, channels, *image_size)
    assert "".join(dataset.class_names) == CHARACTERS


def test_small_letters_stay_small_on_the_whole_page(load):
    options = {"count": 620, "classes": "all", "preprocess": "resize", "noise": 0}
    dataset = load("glyphs", **options)
    heights = (dataset.images[:, 0].max(axis=2) > 127).sum(axis=1)
    capital, small = (heights[dataset.labels == CHARACTERS.index(c)].mean() for c in "Oo")
    assert small < 0.75 * capital


def test_noise_is_as_strong_as_asked_for(load):
    quiet = load("glyphs", count=100, noise=0).images.astype(int)
    noisy = load("glyphs", count=100, noise=0.1).images.astype(int)
    middle = (quiet > 100) & (quiet < 155)  # nothing is clipped there
    assert 20 < (noisy - quiet)[middle].std() < 31  # 0.1 · 255 = 25.5


def test_every_character_has_strokes_within_its_page():
    assert "".join(read_ways()) == CHARACTERS
    rng = np.random.default_rng(0)
    for character in CHARACTERS:
        for points, weights in (stroke for way in ways_to_write(character) for stroke in way):
            np.testing.assert_allclose(weights.sum(axis=1), 1)
            np.testing.assert_allclose(weights[[0, -1]] @ points, points[[0, -1]])
        pages = np.stack([draw_character(character, 112, rng) for _ in range(30)])
        assert (pages.max(axis=(1, 2)) == 255).all()
        assert not pages[:, [0, -1], :].any()
        assert not pages[:, :, [0, -1]].any()


@pytest.mark.slow
def test_a_classifier_of_glyphs_knows_real_digits(load, real_data):
    """Nearest neighbour, trained on drawn digits alone, on MNIST: chance is 0.10.

    Slow: a classifier is trained.
    """
    glyphs = load("glyphs", count=2000)
    mnist = load_dataset("mnist", data_dir=real_data)
    drawn, real = (
        images.reshape(len(images), -1).astype(np.float32) / 255
        for images in (glyphs.images, mnist.images[60_000:60_500])
    )
    distances = (drawn**2).sum(axis=1) - 2 * real @ drawn.T
    predicted = glyphs.labels[distances.argmin(axis=1)]
    assert (predicted == mnist.labels[60_000:60_500]).mean() > 0.6


def test_optdigits_are_1797_digits_white_on_black(load):
    dataset = load("optdigits")
    assert dataset.images.shape == (1797, 1, 28, 28)
    assert dataset.class_names == tuple("0123456789")
    assert np.bincount(dataset.labels).min() > 170
    assert np.median(dataset.images) == 0
    assert dataset.images.max(axis=(1, 2, 3)).min() == 255


def test_optdigits_resized_are_the_original_enlarged(load):
    from sklearn.datasets import load_digits

    dataset = load("optdigits", preprocess="resize", image_size=(8, 8))
    np.testing.assert_allclose(dataset.images[:, 0], load_digits().images * 255 / 16, atol=0.51)


def test_glyphs_may_have_a_test_part_of_their_own_whose_labels_stay_right(load):
    clean = load("glyphs", count=60)
    parted = load("glyphs", count=60, test_part=20)
    assert (parted.images == clean.images).all()
    assert parted.parts["train"].tolist() == list(range(40))
    assert parted.parts["test"].tolist() == list(range(40, 60))
    spoilt = {"kind": "complementary", "fraction": 1.0}
    wrong = load("glyphs", count=60, test_part=20, corrupt_labels=spoilt)
    assert (wrong.labels[:40] != clean.labels[:40]).all()
    assert (wrong.labels[40:] == clean.labels[40:]).all()
    with pytest.raises(DataError, match="leaves nothing of 60"):
        load("glyphs", count=60, test_part=60)
