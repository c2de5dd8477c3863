"""Image files of every kind, and what damaged and monstrous ones get."""

import io
import re
import struct
import sys
import zlib

import cv2
import imagecodecs
import numpy as np
import pytest
from data_files import image_bytes, noise, write_tree
from PIL import Image, ImageOps

from datasets.files.trees import open_tree
from datasets.images import decode as decode_module
from datasets.images import openers
from datasets.images.bit_depth import check_reach
from datasets.images.blocks import decode_files
from datasets.images.decode import decode_image, decode_pages, read_image_size
from headstart.errors import DataError, MissingPackageError

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
    return png((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))


def png(*chunks):
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


def deep_bytes(samples, kind="PNG"):
    """Samples of 16 bits in colour, which Pillow does not write."""
    order = {2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[samples.shape[2]]
    if samples.shape[2] == 2:  # nor does OpenCV write gray with alpha
        return imagecodecs.png_encode(samples)
    return cv2.imencode(f".{kind}", samples[..., order])[1].tobytes()


DEEP = RNG.integers(0, 1 << 16, (9, 7, 3), dtype=np.uint16)
OPAQUE = np.full((9, 7, 1), 0xFFFF, np.uint16)


@pytest.mark.parametrize("as_gray", [False, True])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (deep_bytes(DEEP), DEEP >> 8),
        (deep_bytes(DEEP, "tif"), DEEP >> 8),
        (deep_bytes(np.concatenate([DEEP, OPAQUE], 2)), DEEP >> 8),
        (deep_bytes(np.concatenate([DEEP[..., :1], OPAQUE], 2)), DEEP[..., [0, 0, 0]] >> 8),
    ],
    ids=["png", "tif", "alpha", "gray and alpha"],
)
def test_sixteen_bits_of_colour_keep_their_high_ones(data, expected, as_gray):
    expected = expected.astype(np.uint8)
    if as_gray:
        expected = cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(decode_image(data, "x", as_gray=as_gray), expected)


TWELVE = RNG.integers(0, 1 << 12, (9, 7, 3), dtype=np.uint16)
SCALED = np.round(TWELVE.astype(np.float32) * (255 / 4095)).astype(np.uint8)


def netpbm(samples, most):
    magic, size = ("P6" if samples.ndim == 3 else "P5"), samples.shape[1::-1]
    return f"{magic}\n{size[0]} {size[1]}\n{most}\n".encode() + samples.astype(">u2").tobytes()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (deep_bytes(TWELVE), SCALED),
        (deep_bytes(TWELVE, "tif"), SCALED),
        (deep_bytes(np.concatenate([TWELVE, OPAQUE], 2)), SCALED),
        (netpbm(TWELVE, 4095), SCALED),
        (netpbm(TWELVE, 65535), SCALED),
        (netpbm(TWELVE[..., 0], 4095), SCALED[..., 0]),
        (image_bytes(TWELVE[..., 0]), SCALED[..., 0]),
        (image_bytes(TWELVE[..., 0], "TIFF"), SCALED[..., 0]),
        (image_bytes(TWELVE[..., 0].astype(np.float32), "TIFF"), SCALED[..., 0]),
        (image_bytes(TWELVE[..., 0].astype(np.int32), "TIFF"), SCALED[..., 0]),
    ],
)
def test_a_range_that_is_said_is_scaled_to_8_bits(data, expected):
    result = decode_image(data, "x", value_range=(0, 4095))
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("orientation", [2, 5, 6, 8])
def test_samples_in_a_range_are_turned_as_exif_says(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    chunk = b"eXIf" + exif.tobytes()[6:]
    plain = deep_bytes(TWELVE)
    turned = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    upright = Image.fromarray(SCALED)
    upright.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(
        decode_image(plain[:33] + turned + plain[33:], "x", value_range=(0, 4095)),
        np.asarray(ImageOps.exif_transpose(upright)),
    )


@pytest.mark.parametrize(
    ("data", "value_range", "message"),
    [
        (image_bytes(GRAY), (0, 4095), "x: has 8 bits a sample, which do not fit value_range: "),
        (deep_bytes(DEEP), (0, 4095), r"x: pixels 0?.* are outside 0 … 4095"),
        (image_bytes(np.full((4, 4), np.nan, np.float32), "TIFF"), (0, 1), "x: .*not finite"),
        (image_bytes(np.ones((4, 4), np.float32), "TIFF"), None, "x: floating-point samples; say "),
        (image_bytes(np.full((4, 4), 70000, np.int32), "TIFF"), None, "x: samples of 32 bits"),
        (image_bytes(np.full((4, 4), -1, np.int32), "TIFF"), None, "x: samples below 0"),
    ],
)
def test_samples_outside_a_range_are_refused(data, value_range, message):
    with pytest.raises(DataError, match=message):
        decode_image(data, "x", value_range=value_range)


def test_what_a_tiff_says_of_its_samples_is_heeded():
    gray = (np.arange(64, dtype=np.uint16) * 65).reshape(8, 8)  # 0 … 4,095
    packed = np.zeros((8, 12), np.uint8)  # two samples of 12 bits in three bytes
    packed[:, 0::3] = gray[:, 0::2] >> 4
    packed[:, 1::3] = (gray[:, 0::2] & 15) << 4 | gray[:, 1::2] >> 8
    packed[:, 2::3] = gray[:, 1::2] & 255
    twelve = tiff(packed.tobytes(), bits=12, photometric=1)
    np.testing.assert_array_equal(decode_image(twelve, "x"), gray >> 4)
    white_is_zero = tiff((gray * 16).tobytes(), bits=16, photometric=0)
    np.testing.assert_array_equal(decode_image(white_is_zero, "x"), 255 - (gray >> 4))


def tiff(strip, *, bits, photometric):
    """A TIFF file of 8 × 8 samples in one strip."""
    tags = {256: 8, 257: 8, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 8}
    tags[279] = len(strip)
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, tags[tag], 0) for tag in sorted(tags))
    ifd = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + ifd


@pytest.mark.parametrize(
    ("highest", "ending"),
    [
        ([3297, 60], "say value_range: [0, 4095], or value_range: [0, 65535] where"),
        ([1023], "1 file of 16 bits a sample reach 1,023 of 65,535 only, so they may hold 10 bits"),
        ([255], "say value_range: [0, 255]"),
    ],
)
def test_sixteen_bits_that_are_nearly_black_are_refused(highest, ending):
    with pytest.raises(DataError) as caught:
        check_reach(highest, "mine")
    assert ending in str(caught.value)


def test_sixteen_bits_that_fill_their_range_are_read_without_a_word():
    assert check_reach([60, 40_000], "mine") == ()
    assert check_reach([], "mine") == ()
    (note,) = check_reach([60, 16_383], "mine")
    assert note.endswith("where they hold 14 bits, say value_range: [0, 16383]")


def test_a_folder_of_12_bits_in_16_is_refused_as_a_whole(tmp_path):
    files = {f"{i}.png": image_bytes(TWELVE[..., i].copy()) for i in range(2)}
    with open_tree(write_tree(tmp_path, files)) as tree:
        with pytest.raises(DataError, match=f"^{tmp_path}: 2 files of 16 bits .*4095"):
            decode_files(tree, tree.names, lambda image: image)
        stack, _, notes = decode_files(tree, tree.names, lambda image: image, value_range=(0, 4095))
    np.testing.assert_array_equal(stack, SCALED.transpose(2, 0, 1)[:2])
    assert notes == ()
    bright = write_tree(tmp_path, {"2.tif": deep_bytes(DEEP, "tif")})  # one suffices for all
    with open_tree(bright) as tree:
        decode_files(tree, tree.names, lambda image: image[:2, :2].ravel()[:4])


@pytest.mark.parametrize("name", ["P1", "P2", "P3", "P4", "P5", "P6"])
def test_netpbm_comes_back_exactly(name):
    bits = (GRAY > 99).astype(np.uint8)
    plain = {"P1": bits, "P2": GRAY, "P3": COLOUR}
    most = "" if name in ("P1", "P4") else "255\n"
    if name in plain:
        body = " ".join(map(str, plain[name].ravel())).encode()
    else:
        body = {"P4": np.packbits(bits, axis=1), "P5": GRAY, "P6": COLOUR}[name].tobytes()
    expected = {"P1": 255 - 255 * bits, "P4": 255 - 255 * bits, "P2": GRAY, "P5": GRAY}
    data = f"{name}\n# a comment\n7 9\n{most}".encode() + body
    np.testing.assert_array_equal(decode_image(data, "x"), expected.get(name, COLOUR))
    with pytest.raises(DataError, match=r"damaged image|not an image"):
        decode_image(data[:-9], "x")


@pytest.mark.parametrize("pixels", [GRAY, COLOUR, DEEP], ids=["gray", "colour", "16 bits"])
def test_an_interlaced_png_comes_back_exactly_without_a_word(pixels, capfd):
    rows = b""
    for y, x, dy, dx in (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):  # fmt: skip
        for row in pixels[y::dy, x::dx].astype(pixels.dtype.newbyteorder(">")):
            rows += b"\0" + row.tobytes()
    kind = (8 * pixels.itemsize, 0 if pixels.ndim == 2 else 2)
    header = struct.pack(">IIBBBBB", 7, 9, *kind, 0, 0, 1)
    data = png((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    np.testing.assert_array_equal(decode_image(data, "x"), pixels >> (kind[0] - 8))
    assert capfd.readouterr().err == ""


def test_cmyk_is_as_its_rgb():
    smooth = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8)
    colour = np.stack([smooth * 3, 255 - smooth, smooth], 2)
    data = [save(Image.fromarray(colour).convert("CMYK"), kind) for kind in ("JPEG", "TIFF")]
    for each in data:
        np.testing.assert_allclose(decode_image(each, "x").astype(int), colour, atol=12)


def save(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_the_first_of_several_pictures_is_read_and_said(tmp_path, kind):
    first, second = (Image.fromarray(np.full((6, 6), level, np.uint8)) for level in (40, 200))
    options = {"lossless": True} if kind == "WEBP" else {}
    film = save(first, kind, save_all=True, append_images=[second], **options)
    write_tree(tmp_path, {"film.img": film, "still.img": save(first, kind, **options)})
    with open_tree(tmp_path) as tree:
        stack, _, notes = decode_files(
            tree, tree.names, lambda image: image.reshape(6, 6, -1)[..., 0]
        )
    assert (np.abs(stack.astype(int) - 40) <= 1).all()
    assert notes == ("1 file holds several pictures (pages, frames); the first was read: film.img",)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\n<!DOCTYPE html><html>404", "it is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1", "run `git lfs pull`"),
        (b"", "it is empty (0 bytes)"),
        (bytes(99), "it holds zeros only"),
        (b"%PDF-1.7", "name it .pdf, and say also: [pdf]"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "it begins as a HEIC or AVIF picture and is damaged"),
        (b"\0\0\0\x18ftypisom" + bytes(99), "it is a film"),
        (bytes(128) + b"DICM", "it is a DICOM file"),
    ],
)
def test_what_is_no_image_is_called_by_its_name(content, what):
    with pytest.raises(DataError) as caught:
        decode_image(content, "a/x.jpg")
    assert str(caught.value).startswith("a/x.jpg: not an image in a format that is known: ")
    assert what in str(caught.value)


def test_avif_and_heic_are_read_and_turned():
    pytest.importorskip("pillow_heif").register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    flat = np.zeros((32, 64), np.uint8)
    flat[:, :16] = 255
    for kind in ("AVIF", "HEIF"):
        image = Image.fromarray(flat).convert("RGB")
        result = decode_image(save(image, kind, exif=exif.tobytes(), quality=95), "x", as_gray=True)
        assert result.shape == (64, 32), kind
        assert result[:12].min() > 200, kind
        assert result[20:].max() < 50, kind


@pytest.mark.parametrize(("package", "extra"), [("pillow_heif", "heic"), ("pypdfium2", "pdf")])
def test_a_missing_reader_is_named_with_its_command_and_never_skipped(
    tmp_path, monkeypatch, package, extra
):
    content = {"heic": b"\0\0\0\x18ftypheic" + bytes(99), "pdf": b"%PDF-1.7"}[extra]
    monkeypatch.setattr(openers, "find_spec", lambda name: None)
    write_tree(tmp_path, {"a.png": image_bytes(GRAY), f"b.{extra}": content})
    with (
        open_tree(tmp_path) as tree,
        pytest.raises(MissingPackageError, match=f"b.{extra}: a .*--extra {extra}"),
    ):
        decode_files(tree, tree.names, lambda image: image, "skip")


def test_a_pdf_of_one_page_is_an_image_and_of_two_is_refused():
    pytest.importorskip("pypdfium2")
    page = Image.fromarray(np.repeat(np.repeat(COLOUR, 50, 0)[:300], 50, 1)[:, :300])
    scan = save(page, "PDF", resolution=150, quality=95)
    result = decode_image(scan, "x.pdf")
    assert result.shape == (300, 300, 3)
    assert np.abs(result.astype(int) - np.asarray(page)).mean() < 12
    assert read_image_size(scan, "x.pdf") == (300, 300)
    several = save(page, "PDF", save_all=True, append_images=[page.rotate(90)], resolution=150)
    first, second = decode_pages(several, "x.pdf")
    assert np.abs(np.rot90(first).astype(int) - second).mean() < 6
    for content, message in (
        (several, r"x\.pdf: has 2 pages; only a PDF file of one page is read"),
        (scan[:300], r"x\.pdf: cannot be opened as a PDF file"),
    ):
        with pytest.raises(DataError, match=message):
            decode_image(content, "x.pdf")
    huge = re.sub(rb"MediaBox \[ 0 0 [0-9. ]+\]", b"MediaBox [ 0 0 90000 90000 ]", scan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openers, "_PDF_MOST_PIXELS", 10_000)
        height, width = read_image_size(huge, "x.pdf")
    assert 9_000 < height * width < 11_000


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
    monkeypatch.setattr(openers, "MAX_PIXELS", 9 * 7)
    decode_image(image_bytes(GRAY), "x")
    monkeypatch.setattr(openers, "MAX_PIXELS", 9 * 7 - 1)
    with pytest.raises(DataError, match="7 × 9 pixels"):
        decode_image(image_bytes(GRAY), "x")


@pytest.mark.parametrize("as_gray", [False, True])
@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
def test_pngs_are_the_same_with_and_without_imagecodecs(monkeypatch, pixels, as_gray):
    data = image_bytes(pixels)
    fast = decode_image(data, "x", as_gray=as_gray)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    np.testing.assert_array_equal(decode_image(data, "x", as_gray=as_gray), fast)


def test_plain_jpegs_are_the_same_without_the_header_s_long_way(monkeypatch):
    """Whatever is not plain, or damaged, goes the long way and is said as ever."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    gray, colour = noise(rng, 9, 7), noise(rng, 9, 7, 3)
    files = [
        image_bytes(gray, "JPEG"),
        image_bytes(colour, "JPEG"),
        image_bytes(colour, "JPEG", progressive=True),
        image_bytes(colour, "JPEG", comment=b"a comment"),
        image_bytes(colour, "JPEG", exif=exif),
        image_bytes(colour),
    ]
    files += [files[1][:-2], files[1][:200] + b"\xff\xd9", files[1][:60], b"\xff\xd8\xff\xd9"]

    def said(content, as_gray):
        try:
            return decode_image(content, "x.jpg", as_gray=as_gray)
        except DataError as err:
            return str(err)

    fast = [said(content, as_gray) for content in files for as_gray in (False, True)]
    monkeypatch.setattr(decode_module, "_plain_jpeg", lambda data: 0)
    slow = [said(content, as_gray) for content in files for as_gray in (False, True)]
    assert all(np.array_equal(a, b) for a, b in zip(fast, slow, strict=True))
    assert sum(isinstance(each, str) for each in fast) >= 4
