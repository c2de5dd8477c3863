"""Parquet files of encoded images: Hugging Face's layout, found columns, what is refused."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_files import image_bytes, noise, request

from datasets import dataset_for_path
from datasets.images import parquet as parquet_images
from datasets.sets.parquet import Options, load
from headstart.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = noise(RNG, 12, 6, 5)
FILES = [image_bytes(pixels) for pixels in PIXELS]
LABELS = [k % 3 for k in range(12)]
NAMES = ["dog", "cat", "ant"]  # not sorted: the file's order counts


def in_struct(files=FILES):
    return pa.array(
        [{"bytes": file, "path": f"{k}.png"} for k, file in enumerate(files)],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )


def says(features):
    """What Hugging Face's `datasets` writes beside a table's schema."""
    return {"huggingface": json.dumps({"info": {"features": features}})}


HUGGING_FACE = says({"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}})


def write(path, columns, metadata=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, **options)
    return path


def read(tmp_path, path="set.parquet", **options):
    return load(Options(path=path, **options), request(tmp_path))


def test_hugging_faces_own_layout(tmp_path):
    """Two shards and a test part; classes in the order of the file's names, pixels exact."""
    part = {"image": in_struct(FILES[:4]), "label": LABELS[:4]}
    write(tmp_path / "set/data/train-00000-of-00002.parquet", part, HUGGING_FACE)
    part = {"image": in_struct(FILES[4:8]), "label": LABELS[4:8]}
    write(tmp_path / "set/data/train-00001-of-00002.parquet", part, HUGGING_FACE)
    part = {"image": in_struct(FILES[8:]), "label": LABELS[8:]}
    write(tmp_path / "set/data/test-00000-of-00001.parquet", part, HUGGING_FACE)
    (tmp_path / "set/README.md").write_text("a card")
    dataset = read(tmp_path, "set")
    assert dataset_for_path(tmp_path / "set") == "parquet"
    assert dataset.class_names == tuple(NAMES)
    assert {part: len(index) for part, index in dataset.parts.items()} == {"train": 8, "test": 4}
    order = [k for rows in (range(8), range(8, 12)) for c in range(3) for k in rows if k % 3 == c]
    np.testing.assert_array_equal(dataset.images[:, 0], PIXELS[order])
    assert dataset.labels.tolist() == [LABELS[k] for k in order]


@pytest.mark.parametrize(
    ("columns", "classes"),
    [
        ({"image": in_struct(), "label": LABELS}, ("0", "1", "2")),
        ({"img": pa.array(FILES, pa.binary()), "id": range(12), "label": LABELS}, ("0", "1", "2")),
        ({"picture": pa.array(FILES, pa.large_binary()), "kind": LABELS}, ("0", "1", "2")),
        ({"image": in_struct(), "label": [f"b{k}" for k in LABELS]}, ("b0", "b1", "b2")),
        (
            {
                "image": in_struct(),
                "label": pa.array([NAMES[k] for k in LABELS]).dictionary_encode(),
            },
            ("ant", "cat", "dog"),
        ),
        ({"image": in_struct(), "label": [float(k) for k in LABELS]}, ("0", "1", "2")),
        ({"image": in_struct(), "label": [5 * k + 1 for k in LABELS]}, ("1", "6", "11")),
    ],
)
def test_columns_are_found_by_type_and_name(tmp_path, columns, classes):
    write(tmp_path / "set.parquet", {k: pa.array(v) for k, v in columns.items()})
    dataset = read(tmp_path)
    assert dataset.class_names == classes
    assert dataset.images.shape == (12, 1, 6, 5)
    assert dataset.parts == {}


def test_class_names_choose_among_named_classes_and_name_numbers(tmp_path):
    write(tmp_path / "set.parquet", {"image": in_struct(), "label": LABELS}, HUGGING_FACE)
    dataset = read(tmp_path, class_names=("ant", "dog"))
    assert dataset.class_names == ("ant", "dog")
    assert len(dataset.labels) == 8
    write(tmp_path / "plain.parquet", {"image": in_struct(), "label": LABELS})
    assert read(tmp_path, "plain.parquet", class_names=NAMES).class_names == tuple(NAMES)


@pytest.mark.parametrize(
    ("labels", "metadata", "names"),
    [
        (LABELS, None, {0: "rex", 1: "tom", 2: "bob"}),
        (LABELS, HUGGING_FACE, {"dog": "rex", "cat": "tom", "ant": "bob"}),
        ([NAMES[k] for k in LABELS], None, {"dog": "rex", "cat": "tom", "ant": "bob"}),
    ],
)
def test_each_label_may_be_given_a_name(tmp_path, labels, metadata, names):
    write(tmp_path / "set.parquet", {"image": in_struct(), "label": labels}, metadata)
    dataset = read(tmp_path, class_names=names)
    names_of = [dataset.class_names[label] for label in dataset.labels]
    for name, image in zip(names_of, dataset.images[:, 0], strict=True):
        k = next(k for k in range(12) if np.array_equal(PIXELS[k], image))
        assert name == ("rex", "tom", "bob")[LABELS[k]]


def test_images_without_a_label_are_left_out_with_a_word(tmp_path):
    """As in test sets of competitions: -1 where classes have names, or nothing."""
    columns = {"image": in_struct(), "label": LABELS}
    write(tmp_path / "set/train.parquet", columns, HUGGING_FACE)
    write(tmp_path / "set/test.parquet", {**columns, "label": [-1] * 12}, HUGGING_FACE)
    write(tmp_path / "set/extra.parquet", columns, HUGGING_FACE)
    dataset = read(tmp_path, "set")
    assert list(dataset.parts) == ["train"]
    assert dataset.notes[:3] == (
        "left out, since its name says no part: extra.parquet",
        "labels were read from the column 'label'",
        "all 12 images of the test part have no label and were left out",
    )
    some = [None if k == 1 else label for k, label in enumerate(LABELS)]
    write(tmp_path / "set.parquet", {"image": in_struct(), "label": some})
    assert "1 images have no label and were left out" in read(tmp_path).notes


def test_groups_come_from_a_column(tmp_path):
    columns = {"image": in_struct(), "label": LABELS, "writer": [f"w{k // 6}" for k in range(12)]}
    write(tmp_path / "set.parquet", columns)
    dataset = read(tmp_path, group="writer")
    np.testing.assert_array_equal(dataset.groups, [0, 0, 1, 1] * 3)
    assert read(tmp_path).groups is None


def test_a_damaged_image_is_named_or_skipped(tmp_path):
    files = [*FILES[:-2], b"no image", None]
    write(tmp_path / "set.parquet", {"image": in_struct(files), "label": LABELS})
    with pytest.raises(DataError, match=r"set\.parquet/row 10: not an image.*on_damaged: skip"):
        read(tmp_path)
    dataset = read(tmp_path, on_damaged="skip")
    assert len(dataset.labels) == 10
    assert any("row 11 has no bytes in the column 'image'" in note for note in dataset.notes)


CIFAR_100 = says(
    {"fine_label": {"names": NAMES, "_type": "ClassLabel"},
     "coarse_label": {"names": NAMES, "_type": "ClassLabel"}}
)  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "metadata", "options", "message"),
    [
        ({"a": in_struct(), "b": in_struct(), "label": LABELS}, None, {},
         "the columns a, b may hold the images; choose one of them with image_column"),
        ({"img": in_struct(), "fine_label": LABELS, "coarse_label": LABELS}, CIFAR_100, {},
         "which of fine_label, coarse_label is the label? Say so with label_column"),
        ({"img": in_struct(), "fine_label": LABELS, "coarse_label": LABELS}, None, {},
         "which of fine_label, coarse_label is the label? Say so with label_column"),
        ({"img": in_struct(), "age": LABELS, "sex": LABELS}, None, {},
         "which of age, sex is the label?"),
        ({"img": in_struct()}, None, {}, "no column of labels; it has img (struct"),
        ({"pixels": LABELS, "label": LABELS}, None, {}, "no column of encoded images"),
        ({f"pixel{k}": LABELS for k in range(49)}, None, {}, "table of pixels is read as .csv"),
        ({"img": in_struct(), "file": [f"{k}.png" for k in range(12)]}, None, {},
         "each of 12 images has a label of its own (0.png, 1.png, …), so these are no classes"),
        ({"img": in_struct(), "id": range(12)}, None, {}, "has a label of its own (0, 1, …)"),
        ({"img": in_struct(), "label": LABELS}, None, {"image_column": "imag"},
         "image_column: no column 'imag' (did you mean 'img'?); it has img (struct"),
        ({"img": in_struct(), "label": LABELS}, None, {"image_column": "label"},
         "image_column: 'label' holds int64, no encoded images; these do: img"),
        ({"img": in_struct(), "label": LABELS}, None, {"label_column": "labl"}, "did you mean"),
        ({"img": in_struct(), "label": LABELS}, None, {"group": "who"}, "no column 'who'"),
        ({"img": in_struct(), "labels": [[0, 1]] * 12}, None, {},
         "'labels' holds several labels an image (a list)"),
        ({"img": in_struct(), "label": [k / 2 for k in LABELS]}, None, {}, "has 0.5"),
        ({"img": in_struct(), "label": [k + 1 for k in LABELS]},
         says({"label": {"names": NAMES, "_type": "ClassLabel"}}), {}, "label 3 is none of 0 … 2"),
        ({"img": in_struct(), "label": LABELS},
         says({"label": {"names": ["a", "a", "b"], "_type": "ClassLabel"}}), {}, "have one name"),
        ({"img": in_struct(), "label": pa.nulls(12, pa.int64())}, None, {}, "has a label"),
        ({"img": in_struct(), "label": LABELS}, None, {"class_names": ("a", "b")}, "class_names"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_one_line(tmp_path, columns, metadata, options, message):
    write(tmp_path / "set.parquet", {k: pa.array(v) for k, v in columns.items()}, metadata)
    with pytest.raises(DataError) as caught:
        read(tmp_path, **options)
    assert str(caught.value).startswith(str(tmp_path / "set.parquet"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train-00000-of-00002"], "1 of the 2 shards 'train-…' are here; .* the number 1"),
        (["train-00000-of-00001", "train-00000-of-00002"], "is here as 1 and 2 shards"),
        (["a/train-0", "b/train-0"], "holds several sets, in a, b; give the path of one of them"),
        (["train_test"], "says both test and train"),
        (["test", "validation"], "has validation and test but no train part"),
    ],
)
def test_files_that_make_no_set_are_refused(tmp_path, names, message):
    for name in names:
        write(tmp_path / f"set/{name}.parquet", {"image": in_struct(), "label": LABELS})
    with pytest.raises(DataError, match=message):
        read(tmp_path, "set")


def test_folders_may_be_the_parts(tmp_path):
    """As in the conversions that the hub makes by itself."""
    for part in ("train", "test"):
        columns = {"image": in_struct(), "label": LABELS}
        write(tmp_path / f"set/default/{part}/0000.parquet", columns)
    assert list(read(tmp_path, "set").parts) == ["train", "test"]


def test_a_file_of_one_part_alone_is_a_set_without_parts(tmp_path):
    write(tmp_path / "test.parquet", {"image": in_struct(), "label": LABELS})
    dataset = read(tmp_path, "test.parquet")
    assert dataset.parts == {}
    assert dataset.notes[0].startswith("its files are all of the test part")


@pytest.mark.parametrize(("n_rows", "is_read"), [(30, True), (9_000, False)])
def test_an_image_that_rows_repeat_is_kept_once_and_counted_each_time(tmp_path, n_rows, is_read):
    """One image of a megabyte, and 9,000 rows of it: 9 GB to decode, from a small file."""
    image = pa.DictionaryArray.from_arrays(pa.array([0] * n_rows), pa.array([bytes(1 << 20)]))
    path = write(tmp_path / "set.parquet", {"image": image, "label": [0, 1, 2] * (n_rows // 3)})
    columns = parquet_images.find_columns(path, None, None, None)
    images = parquet_images.Images(lambda path: columns)
    place = parquet_images.read_rows(path, columns).places[-1]
    if is_read:
        assert images.read(place, "row") == bytes(1 << 20)
        assert sum(group.n_kept for group in images._kept.values()) < 2 << 20
    else:
        with pytest.raises(DataError, match="take over 64 MB, repeated ones counted each time"):
            images.read(place, "row")


def test_texts_that_many_rows_repeat_are_kept_once(tmp_path):
    label = pa.array(["a" * (1 << 20), "b"] * 6).dictionary_encode()
    path = write(tmp_path / "set.parquet", {"image": in_struct(), "label": label})
    labels = parquet_images.read_rows(
        path, parquet_images.find_columns(path, None, None, None)
    ).labels
    assert labels[0] is labels[2]


@pytest.mark.parametrize("compression", ["zstd", "gzip", "brotli", "lz4", "none"])
def test_any_packing_is_read(tmp_path, compression):
    """As polars and others write it."""
    columns = {"image": in_struct(), "label": LABELS}
    write(tmp_path / "set.parquet", columns, compression=compression)
    assert len(read(tmp_path).labels) == 12


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_a_page_that_swells_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, use_dictionary):
    monkeypatch.setattr(parquet_images, "SMALL_BYTES", 1 << 20)
    files = [bytes(7 << 20), *FILES[1:]]
    columns = {"image": pa.array(files), "label": LABELS}
    write(tmp_path / "set.parquet", columns, compression="zstd", use_dictionary=use_dictionary)
    with pytest.raises(DataError, match=r"its images unpack to 7,34\d,\d\d\d bytes; the limit is"):
        read(tmp_path)


def test_texts_by_their_differences_are_refused(tmp_path):
    """A page of a kilobyte may hold a megabyte a thousand times."""
    write(
        tmp_path / "set.parquet",
        {"image": pa.array(FILES), "label": LABELS},
        use_dictionary=False,
        column_encoding={"image": "DELTA_BYTE_ARRAY"},
    )
    with pytest.raises(DataError, match="which bounds nothing"):
        read(tmp_path)


def test_more_rows_than_the_file_warrants_are_refused(tmp_path):
    write(tmp_path / "set.parquet", {"image": pa.array([b""] * 99_000), "label": [0] * 99_000})
    with pytest.raises(DataError, match=r"announces 99,000 rows; the limit is 1\d,\d\d\d"):
        read(tmp_path)


@pytest.mark.slow
def test_damage_at_any_place_is_one_line_or_read(tmp_path):
    """Slow: a file is damaged at many places."""
    path = write(tmp_path / "set.parquet", {"image": in_struct(), "label": LABELS}, HUGGING_FACE)
    whole = path.read_bytes()
    for n_bytes in range(0, len(whole), 211):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(DataError, match=r"set\.parquet: cannot be read as a Parquet file"):
            read(tmp_path)
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with suppress(DataError):  # whatever else escapes fails the test
            read(tmp_path)
