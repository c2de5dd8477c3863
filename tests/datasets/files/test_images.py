"""Image files of every kind, and what damaged and monstrous ones get."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from data_files import image_bytes, noise, write_tree
from PIL import Image

from datasets.files import images
from datasets.files.images import decode_files, decode_image, read_image_size
from datasets.files.trees import open_tree
from headstart.errors import DataError

RNG = np.random.default_rng(0)
GRAY = noise(RNG, 9, 7)
COLOUR = noise(RNG, 9, 7, 3)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
def test_lossless_kinds_come_back_exactly(kind, pixels):
    np.testing.assert_array_equal(decode_image(image_bytes(pixels, kind), "x"), pixels)


def test_lossless_webp_comes_back_exactly():
    data = image_bytes(COLOUR, "WEBP", lossless=True, exact=True)
    np.testing.assert_array_equal(decode_image(data, "x"), COLOUR)


@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
def test_jpeg_is_as_pillow_reads_it(pixels):
    data = image_bytes(pixels, "JPEG", quality=90)
    np.testing.assert_allclose(
        decode_image(data, "x").astype(int), np.asarray(Image.open(io.BytesIO(data))), atol=4
    )


def test_sixteen_bits_keep_their_high_ones():
    deep = (np.arange(63, dtype=np.uint16) * 1000).reshape(9, 7)
    np.testing.assert_array_equal(decode_image(image_bytes(deep), "x"), deep >> 8)
    np.testing.assert_array_equal(decode_image(image_bytes(deep, "TIFF"), "x"), deep >> 8)


def test_a_palette_gives_its_colours():
    image = Image.fromarray(COLOUR).quantize(16)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode_image(buffer.getvalue(), "x"), expected)


def test_what_is_transparent_lies_on_white():
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = [10, 20, 30, 255]
    result = decode_image(image_bytes(pixels), "x")
    np.testing.assert_array_equal(result[0, 0], [10, 20, 30])
    assert (result.reshape(-1, 3)[1:] == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_exif_turns_the_image(kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise
    flat = np.zeros((16, 32), np.uint8)
    flat[:, :8] = 255
    result = decode_image(image_bytes(flat, kind, exif=exif), "x")
    assert result.shape == (32, 16)
    assert result[:6].min() > 200
    assert result[10:].max() < 50


def test_black_and_white_bits_become_0_and_255():
    image = Image.fromarray(GRAY > 100)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    np.testing.assert_array_equal(decode_image(buffer.getvalue(), "x"), (GRAY > 100) * 255)


def test_asked_for_gray_every_kind_is_gray():
    luma = COLOUR @ [0.299, 0.587, 0.114]
    for kind in ("PNG", "BMP"):
        result = decode_image(image_bytes(COLOUR, kind), "x", as_gray=True)
        np.testing.assert_allclose(result, luma, atol=1.5)


def announcing(width, height):
    """A PNG of a few bytes whose header announces a picture of any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(100))
    chunks = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


@pytest.mark.parametrize("side", [11_000, 30_000, 2**31 - 1])
def test_a_monstrous_image_is_refused_by_its_header(side):
    for read in (decode_image, read_image_size):
        with pytest.raises(DataError, match=r"big\.png: .*100 million"):
            read(announcing(side, side), "big.png")


def test_the_size_is_read_from_the_header_alone():
    assert read_image_size(announcing(300, 200), "x") == (200, 300)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_image_is_refused_and_named(kind, share):
    data = image_bytes(noise(np.random.default_rng(1), 60, 60, 3), kind)
    with pytest.raises(DataError, match=r"^a/b\.img: (damaged image|not an image)"):
        decode_image(data[: int(len(data) * share)], "a/b.img")


def test_a_png_with_a_flipped_bit_is_refused():
    data = bytearray(image_bytes(noise(np.random.default_rng(1), 60, 60)))
    data[len(data) // 2] ^= 0x10
    with pytest.raises(DataError, match="x: damaged image"):
        decode_image(bytes(data), "x")


def test_text_is_no_image():
    with pytest.raises(DataError, match="x: not an image in a format that is known"):
        decode_image(b"hello", "x")


def test_floating_point_pixels_are_refused():
    data = image_bytes(np.ones((4, 4), np.float32), "TIFF")
    with pytest.raises(DataError, match="floating-point samples"):
        decode_image(data, "x")


@pytest.fixture
def one_damaged(tmp_path):
    good = image_bytes(GRAY)
    return write_tree(
        tmp_path, {"a.png": good, "b.png": good[:60], "c.png": image_bytes(GRAY.T.copy())}
    )


def test_a_damaged_file_is_refused_with_what_to_do(one_damaged):
    with open_tree(one_damaged) as tree, pytest.raises(DataError) as caught:
        decode_files(tree, tree.names, lambda image: image[:5, :5])
    assert str(caught.value).startswith(f"{one_damaged}/b.png: damaged image")
    assert str(caught.value).endswith("or set on_damaged: skip")


def test_a_damaged_file_is_skipped_and_said(one_damaged):
    with open_tree(one_damaged) as tree:
        stack, good, notes = decode_files(tree, tree.names, lambda image: image[:5, :5], "skip")
    np.testing.assert_array_equal(good, [True, False, True])
    np.testing.assert_array_equal(stack, [GRAY[:5, :5], GRAY.T[:5, :5]])
    assert len(notes) == 1
    assert notes[0].startswith(f"1 of 3 image files were damaged and skipped: {one_damaged}/b.png")


def test_when_all_are_damaged_skipping_is_no_help(tmp_path):
    write_tree(tmp_path, {"a.png": b"x", "b.png": b"y"})
    with (
        open_tree(tmp_path) as tree,
        pytest.raises(DataError, match="none of 2 images can be read"),
    ):
        decode_files(tree, tree.names, lambda image: image, "skip")


def test_the_limit_is_a_number_of_pixels(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 9 * 7)
    decode_image(image_bytes(GRAY), "x")
    monkeypatch.setattr(images, "MAX_PIXELS", 9 * 7 - 1)
    with pytest.raises(DataError, match="7 × 9 pixels"):
        decode_image(image_bytes(GRAY), "x")


@pytest.mark.parametrize("as_gray", [False, True])
@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
def test_pngs_are_the_same_with_and_without_imagecodecs(monkeypatch, pixels, as_gray):
    data = image_bytes(pixels)
    fast = decode_image(data, "x", as_gray=as_gray)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    np.testing.assert_array_equal(decode_image(data, "x", as_gray=as_gray), fast)
