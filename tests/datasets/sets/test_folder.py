"""Anybody's folder of class folders: layouts, kinds of image, what is left out, what is refused."""

import cv2
import numpy as np
import pytest
from data_files import class_folders, image_bytes, noise, request, write_tree, write_zip
from pydantic import ValidationError

from datasets import load_dataset
from datasets.as_target import as_target
from datasets.common_size import few_of_a_size
from datasets.natural_order import natural_key
from datasets.preprocess import mnist_style
from datasets.sets.folder import Options, load, locate
from datasets.target import TargetSettings
from headstart.errors import DataError, DataNotFoundError


def read(tmp_path, files, request_options=None, **options):
    write_tree(tmp_path / "mine", files)
    return load(Options(path="mine", **options), request(tmp_path, **(request_options or {})))


def in_part(part, files):
    return {f"{part}/{name}": content for name, content in files.items()}


def test_one_folder_a_class(tmp_path):
    files = class_folders(3, "ab")
    dataset = read(tmp_path, files)
    assert dataset.class_names == ("a", "b")
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.images.shape == (6, 1, 6, 5)
    assert dataset.parts == {}
    assert dataset.notes == ()


def test_classes_that_are_numbers_are_sorted_by_value(tmp_path):
    files = {f"{n}/x.png": image_bytes(np.full((3, 3), n, np.uint8)) for n in (10, 9, 2)}
    assert read(tmp_path, files).class_names == ("2", "9", "10")
    assert sorted(["b10", "b9", "a", "10"], key=natural_key) == ["10", "a", "b9", "b10"]


@pytest.mark.parametrize("name", ["²", "x²", "٣", "Ⅷ", "1²3"])
def test_digits_of_other_scripts_are_letters_of_a_name(name):
    assert sorted([name, "10", "9"], key=natural_key)[:1] == (["1²3"] if name == "1²3" else ["9"])


@pytest.mark.parametrize(
    "names",
    [
        ("train", "validation", "test"),
        ("Training Set", "Validation Set", "Test Set"),
        ("training", "val", "testing"),
    ],
)
def test_parts_in_their_usual_spellings(tmp_path, names):
    files = {}
    for count, name in zip((3, 2, 1), names, strict=True):
        files |= in_part(name, class_folders(count))
    dataset = read(tmp_path, files)
    assert {part: index.tolist() for part, index in dataset.parts.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "validation": [6, 7, 8, 9],
        "test": [10, 11],
    }
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1]


def test_folders_around_everything_are_looked_through(tmp_path):
    dataset = read(tmp_path, in_part("download/mydata", in_part("train", class_folders(2))))
    assert dataset.class_names == ("a", "b")
    assert list(dataset.parts) == ["train"]


def test_a_zip_gives_what_the_folder_gives(tmp_path):
    files = in_part("wrapped", class_folders(2))
    write_zip(tmp_path / "mine.zip", files)
    zipped = load(Options(path="mine.zip"), request(tmp_path))
    assert zipped.fingerprint == read(tmp_path, files).fingerprint


def test_the_network_decides_size_and_channels(tmp_path):
    dataset = read(tmp_path, class_folders(2), {"image_size": (12, 10), "channels": 3})
    assert dataset.images.shape == (4, 3, 12, 10)
    assert dataset.notes == ("images of 5×6 pixels (width × height) were brought to 10×12",)


def test_without_a_wish_the_commonest_size_is_taken(tmp_path):
    files = class_folders(3) | {"a/large.png": image_bytes(np.full((60, 50), 9, np.uint8))}
    dataset = read(tmp_path, files)
    assert dataset.images.shape[2:] == (6, 5)
    assert "2 sizes (from 5×6 to 50×60 pixels" in dataset.notes[0]
    assert dataset.warnings == ()


def test_where_few_images_have_the_size_of_all_it_is_said_with_what_to_set(tmp_path):
    pages = [np.full((n, 9), n, np.uint8) for n in range(3, 9)]
    files = {f"{'ab'[n % 2]}/{n}.png": image_bytes(page) for n, page in enumerate(pages)}
    files |= {"b/dot.png": image_bytes(np.zeros((1, 1), np.uint8))}
    dataset = read(tmp_path, files)
    assert dataset.images.shape[2:] == (1, 1)
    assert dataset.warnings == (
        "no two of 7 images have the same size, so the smallest decided: all were brought to 1×1 "
        "pixels (width × height), those of b/dot.png; say another size: model: {image_size: "
        "[HEIGHT, WIDTH]}",
    )
    assert read(tmp_path, files, {"image_size": (4, 4)}).warnings == ()
    twenty = [((9, n), f"{n}") for n in range(20, 38)] + [((3, 4), "x"), ((3, 4), "y")]
    (warning,) = few_of_a_size(twenty, (3, 4))
    assert warning.startswith(
        "only 2 of 20 images have the commonest size, which decided: all were brought to 4×3 "
        "pixels (width × height), those of x;"
    )


def test_colour_is_kept_where_there_is_any(tmp_path):
    colour = noise(np.random.default_rng(0), 6, 5, 3)
    files = class_folders(2) | {"a/colour.png": image_bytes(colour)}
    dataset = read(tmp_path, files)
    assert dataset.images.shape == (5, 3, 6, 5)
    np.testing.assert_array_equal(dataset.images[2].transpose(1, 2, 0), colour)


def test_gray_that_was_stored_as_rgb_is_gray(tmp_path):
    gray = noise(np.random.default_rng(0), 4, 6, 5)
    files = {
        f"{'ab'[i % 2]}/{i}.png": image_bytes(np.repeat(image[..., None], 3, axis=2))
        for i, image in enumerate(gray)
    }
    assert read(tmp_path, files).images.shape == (4, 1, 6, 5)


def test_mnist_style_turns_dark_ink_on_paper(tmp_path):
    page = np.full((60, 60), 255, np.uint8)
    page[10:50, 20:30] = 0
    on_black = {f"{name}/ink.png": image_bytes(np.invert(np.roll(page, 3))) for name in "ab"}
    files = class_folders(0) | on_black | {"a/page.png": image_bytes(page)}
    options = {"preprocess": "mnist_style", "class_names": ["b", "a"]}
    wanted = {"image_size": (28, 28)}
    dataset = read(tmp_path, files, wanted, **options)
    np.testing.assert_array_equal(dataset.images[2, 0], mnist_style(np.invert(page)))
    assert dataset.notes[-2].startswith("1 of 3 images were inverted, since their border is bright")
    as_it_is = read(tmp_path, files, wanted, invert=False, **options)
    np.testing.assert_array_equal(as_it_is.images[2, 0], mnist_style(page))
    assert not any("inverted" in note for note in as_it_is.notes)


def test_invert_swaps_black_and_white(tmp_path):
    files = class_folders(2)
    plain, inverted = read(tmp_path, files), read(tmp_path, files, invert=True)
    np.testing.assert_array_equal(inverted.images, 255 - plain.images)


def test_class_names_choose_and_order(tmp_path):
    dataset = read(tmp_path, class_folders(1, "abc"), class_names=["c", "a"])
    assert dataset.class_names == ("c", "a")
    assert dataset.labels.tolist() == [0, 1]
    assert dataset.notes == ("1 class folders are not in class_names and were not read",)


def test_what_is_no_image_of_a_class_is_left_out_and_said(tmp_path):
    other = {"contact.png": image_bytes(np.zeros((9, 9), np.uint8)), "a/readme.txt": b"x"}
    dataset = read(tmp_path, class_folders(2) | other)
    assert len(dataset.labels) == 4
    assert dataset.notes == (
        "1 images outside the class folders were not read: contact.png",
        "1 file that is no image was not read (.txt (1 file))",
    )


def test_a_damaged_image_is_refused_or_skipped(tmp_path):
    files = class_folders(2) | {"b/0.png": image_bytes(np.zeros((6, 5), np.uint8))[:40]}
    with pytest.raises(DataError, match=r"mine/b/0\.png: .*set on_damaged: skip"):
        read(tmp_path, files)
    dataset = read(tmp_path, files, on_damaged="skip")
    assert dataset.labels.tolist() == [0, 0, 1]
    assert dataset.notes[0].startswith("1 of 4 image files were damaged and skipped: ")
    assert dataset.warnings == ("1 of 4 image files, over a tenth, were damaged and skipped",)
    few = read(tmp_path, class_folders(5) | files, on_damaged="skip")
    assert "1 of 10 image files were damaged and skipped: " in few.notes[0]
    assert few.warnings == ()


def test_a_changed_image_changes_the_set(tmp_path):
    first = read(tmp_path, class_folders(2))
    again = read(tmp_path, {"a/0.png": image_bytes(np.zeros((6, 5), np.uint8))})
    assert first.fingerprint != again.fingerprint


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (
            {"a/x.txt": b"x"},
            {},
            "mine: no file in it is of a kind that is read as an image: it "
            "holds .txt (1 file); read are .png, ",
        ),
        ({"x.png": b"x"}, {}, "mine: no images in class folders"),
        (class_folders(2, "a"), {}, "mine: only one class (a)"),
        (class_folders(2) | {"c/x.txt": b"x"}, {}, "mine/c: no image in this class"),
        (in_part("test", class_folders(2)), {}, "mine: has test but no train part"),
        (
            in_part("train", class_folders(2)) | in_part("test", class_folders(1, "abc")),
            {},
            "mine: no image of class c in the train part",
        ),
        (
            class_folders(2, ["cat", "dog"]),
            {"class_names": ["dog", "cta"]},
            "mine: class_names: there is no class folder 'cta' (did you mean 'cat'?); there are",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_folder_that_is_no_data_set_is_one_line(tmp_path, files, options, message):
    with pytest.raises(DataError) as caught:
        read(tmp_path, files, **options)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(caught.value)


def test_a_test_part_may_have_numbers_that_the_train_part_has_not(tmp_path):
    """Of ordered classes it may not: a network cannot answer what it has not seen."""
    files = in_part("train", class_folders(2, ["20", "31"])) | in_part(
        "test", class_folders(1, ["44", "20"])
    )
    dataset = read(tmp_path, files, target="number")
    values = as_target(dataset, TargetSettings(kind="number")).target.table[dataset.labels, 0]
    assert sorted(values[dataset.parts["test"]].tolist()) == [20.0, 44.0]
    assert not any("has no image of" in note for note in dataset.notes)
    with pytest.raises(DataError, match="no image of class 44 in the train part"):
        read(tmp_path, files, target="ordered")


def test_an_empty_class_folder_is_refused(tmp_path):
    write_tree(tmp_path / "mine", class_folders(2))
    (tmp_path / "mine" / "c").mkdir()
    with pytest.raises(DataError, match="mine/c: no image in this class"):
        load(Options(path="mine"), request(tmp_path))


def test_a_path_that_is_nowhere_or_no_folder(tmp_path):
    with pytest.raises(DataNotFoundError, match="no such file or folder"):
        load_dataset("folder", path="nowhere", data_dir=tmp_path)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(DataError, match=r"x\.txt: not a folder, and no \.zip"):
        load_dataset("folder", path="x.txt", data_dir=tmp_path, cache_dir=tmp_path)


def test_a_hostile_zip_leaves_nothing_behind(tmp_path):
    write_zip(tmp_path / "mine.zip", {"../../evil.png": b"x", **class_folders(2)})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=r"mine\.zip: '../../evil\.png' would unpack outside"):
        load(Options(path="mine.zip"), request(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


def test_originals_beside_the_parts_are_not_read(tmp_path):
    for i, folder in enumerate(("Training Set", "Validation Set", "Test Set", "Originals")):
        for label in (0, 1):
            path = tmp_path / folder / str(label)
            path.mkdir(parents=True)
            image = np.full((28, 28), 20 * i + label, np.uint8)
            assert cv2.imwrite(str(path / f"{label}.png"), image)
    dataset = load_dataset("folder", path=str(tmp_path), image_size=(28, 28), channels=1)
    assert len(dataset.labels) == 6
    assert {part: len(rows) for part, rows in dataset.parts.items()} == {
        "train": 2, "validation": 2, "test": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "fingerprint"),
    [
        (class_folders(2, ["cat", "dog", "10", "9"]), "a4d5e6ba2fad10e00b0bb45fa5d0a33a"),
        (
            in_part("Training Set", class_folders(2))
            | in_part("val", class_folders(1))
            | in_part("testing", class_folders(1)),
            "d4d9468553a95f3e6d52a7e31ba98bf2",
        ),
        (
            in_part("download/my data/train", class_folders(2))
            | in_part("download/my data/dev", class_folders(1)),
            "a84d2c4c7513c7e9ccf95e253d7fe5d6",
        ),
        (
            in_part("a", class_folders(2, ["x", "y"]))
            | in_part("b", class_folders(2, ["z", "w"]))
            | {"a/a.png": image_bytes(noise(np.random.default_rng(0), 6, 5))},
            "997259256acb8e690a9aa26ab09d1cff",
        ),
        (class_folders(2, ["train", "bus", "car"]), "4edd188be068b593526774c476bc7134"),
    ],
)
def test_fingerprints_stay_what_they_were(tmp_path, files, fingerprint):
    """Those of the version that looked at the top of a folder only; a trial's id has them."""
    assert read(tmp_path, files).fingerprint == fingerprint


def test_classes_at_and_parts_choose_what_is_read(tmp_path):
    files = in_part("w1", class_folders(1)) | in_part("w2", class_folders(2))
    with pytest.raises(DataError, match=r"choose with classes_at: 1 or classes_at: 2"):
        read(tmp_path, files)
    assert read(tmp_path, files, classes_at=2).class_names == ("a", "b")
    assert read(tmp_path, files, classes_at=1).class_names == ("w1", "w2")
    assert Options(path="x", parts={"Train": "a", "val": "b"}).parts == {
        "train": "a",
        "validation": "b",
    }
    with pytest.raises(ValidationError, match="'train', 'validation' or 'test'"):
        Options(path="x", parts={"trian": "a"})
    dataset = read(tmp_path, files, parts={"train": "w2", "test": "w1"})
    assert {part: len(index) for part, index in dataset.parts.items()} == {"train": 4, "test": 2}


def test_over_a_tenth_of_unread_files_is_a_warning_of_the_set(tmp_path):
    dataset = read(tmp_path, class_folders(2) | {"a/x.cr2": b"x"})
    assert dataset.warnings == ("1 of 5 files were not read: .cr2 (1 file)",)
    again = load(Options(path="mine"), request(tmp_path))
    assert again.warnings == dataset.warnings


@pytest.mark.parametrize("suffix", [".JPG", ".jfif", ".jpe", ".JPEG", ".ppm", ".PGM", ".avif"])
def test_every_usual_ending_of_an_image_is_read(tmp_path, suffix):
    renamed = {name.replace(".png", suffix): data for name, data in class_folders(2).items()}
    dataset = read(tmp_path, renamed)  # by content, whatever the ending says
    assert dataset.images.shape == (4, 1, 6, 5)
    assert dataset.notes == ()


def test_a_gif_is_left_out_with_a_word_and_read_by_the_setting(tmp_path):
    placeholder = image_bytes(np.zeros((6, 5), np.uint8), "GIF")
    files = class_folders(2) | {"a/imageNotFound.gif": placeholder}
    dataset = read(tmp_path, files)
    assert len(dataset.labels) == 4
    assert dataset.notes == (
        "1 .gif file in it was not read (a/imageNotFound.gif); also: [gif] reads it",
    )
    dataset = read(tmp_path, files, also=["gif"])
    assert read(tmp_path, files, also="gif").fingerprint == dataset.fingerprint
    assert len(dataset.labels) == 5
    assert dataset.notes == ()


def test_a_folder_of_another_kind_names_what_is_there_and_what_is_read(tmp_path):
    files = {f"{name}/{i}.xyz": b"x" for name in "ab" for i in range(15)} | {"readme": b"x"}
    with pytest.raises(DataError) as caught:
        read(tmp_path, files)
    assert "it holds .xyz (30 files), no ending (1 file); read are .png, .jpg (" in str(
        caught.value
    )


def test_twelve_bits_in_sixteen_are_refused_or_scaled(tmp_path):
    deep = np.arange(30, dtype=np.uint16).reshape(6, 5) * 141  # 0 … 4,089
    files = {f"{c}/{i}.tif": image_bytes(deep + i, "TIFF") for c in "ab" for i in range(2)}
    with pytest.raises(DataError, match=r"value_range: \[0, 4095\], or value_range: \[0, 65535"):
        read(tmp_path, files)
    dataset = read(tmp_path, files, value_range=[0, 4095])
    np.testing.assert_array_equal(dataset.images[0, 0], np.round(deep * (255 / 4095)))


def of_zip(real_data, tmp_path, name):
    path = real_data / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return load(Options(path=path), request(tmp_path, image_size=(32, 32)))


def test_the_ants_and_bees_of_the_tutorial(real_data, tmp_path):
    dataset = of_zip(real_data, tmp_path, "ants_bees/ants_bees.zip")
    assert dataset.class_names == ("ants", "bees")
    assert {part: len(rows) for part, rows in dataset.parts.items()} == {
        "train": 244, "validation": 153,
    }  # fmt: skip
    assert ".gif" in dataset.notes[0]
    assert dataset.warnings == ()


@pytest.mark.slow
def test_cifar_10_in_class_folders(real_data, tmp_path):
    """60,000 JPEGs take 20 seconds."""
    dataset = of_zip(real_data, tmp_path, "cifar10/cifar10.zip")
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    assert dataset.class_names == tuple(names.split())
    assert {part: len(rows) for part, rows in dataset.parts.items()} == {
        "train": 50_000, "test": 10_000,
    }  # fmt: skip
    assert (np.bincount(dataset.labels) == 6000).all()
    assert dataset.fingerprint == "5667eab1accb889a2bc195e15badb0b8"


def test_a_table_may_lie_beside_the_folder_and_is_one_of_the_files_that_are_read(tmp_path):
    files = {
        f"set/images/{k}.png": image_bytes(noise(np.random.default_rng(k), 4, 4)) for k in range(4)
    }
    write_tree(tmp_path, {**files, "labels.csv": b"id,label\n0,a\n1,b\n2,a\n3,b\n"})
    for table in ("../../labels.csv", "labels.csv", str(tmp_path / "labels.csv")):
        options = Options(path=tmp_path / "set/images", labels=table)
        assert [p.resolve() for p in locate(options, request(tmp_path))][1:] == [
            tmp_path / "labels.csv"
        ]
        assert load(options, request(tmp_path)).class_names == ("a", "b")
    (tmp_path / "labels.csv").write_bytes(b"id,label\n0,a\n1,b\n2,c\n3,b\n")
    assert load(options, request(tmp_path)).class_names == ("a", "b", "c"), "it is read again"


@pytest.mark.parametrize("given", [0, [], [2, 1], [1, 1], True, "x", [0, 1]])
def test_levels_of_classes_are_numbers_from_the_upper_to_the_lower(given):
    with pytest.raises(ValidationError, match=r"a level from 1, or several from the upper"):
        Options(path="mine", classes_at=given)


def test_two_levels_may_name_the_classes(tmp_path):
    images = class_folders(2, "ab")
    files = in_part("x", in_part("Greek", images)) | in_part("y", in_part("Latin", images))
    dataset = read(tmp_path, files, classes_at=[2, 3])
    assert dataset.class_names == ("Greek/a", "Greek/b", "Latin/a", "Latin/b")
