"""Tables of labels and pixels; a ragged row is refused with its line."""

import gzip

import numpy as np
import pytest
from data_files import noise, request

from datasets import load_dataset
from datasets.files.pixel_table import read_table
from datasets.files.tables import read_bytes
from datasets.sets.csv import Options, load
from headstart.errors import DataError

IMAGES = noise(np.random.default_rng(0), 6, 2, 2)
LABELS = np.arange(6) % 3
ROWS = [
    ",".join(map(str, [label, *image.ravel()])) for label, image in zip(LABELS, IMAGES, strict=True)
]


def write(tmp_path, lines, name="set.csv"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(tmp_path, lines, **options):
    write(tmp_path, lines)
    return load(Options(path="set.csv", **options), request(tmp_path))


@pytest.mark.parametrize(
    "lines",
    [
        ROWS,
        ["label,p0,p1,p2,p3", *ROWS],
        ["7,1x1,1x2,2x1,2x2", *ROWS],
        ['"label","p0","p1","p2","p3"', *ROWS, ""],
        ["\ufefflabel,p0,p1,p2,p3", *ROWS],
    ],
    ids=["plain", "header", "odd header", "quotes", "byte order mark"],
)
def test_a_table_gives_its_images(tmp_path, lines):
    dataset = read(tmp_path, lines)
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    np.testing.assert_array_equal(dataset.labels, LABELS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("between", [",", ";", "\t", " , "])
@pytest.mark.parametrize("name", ["set.csv", "set.csv.gz"])
def test_the_same_table_however_it_was_written(tmp_path, encoding, between, name):
    rows = [f'"é{row[0]}"{row[1:]}' for row in ROWS]
    text = "\r\n".join(row.replace(",", between) for row in ["label,p0,p1,p2,p3", *rows])
    content = text.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    given = {"encoding": encoding} if encoding == "cp1252" else {}
    dataset = load(Options(path=name, **given), request(tmp_path))
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    assert dataset.class_names == ("é0", "é1", "é2")


def test_a_quoted_field_may_hold_what_separates_fields(tmp_path):
    rows = [f'"{"abc"[int(row[0])]}, or so"{row[1:]}' for row in ROWS]
    assert read(tmp_path, rows).class_names == ("a, or so", "b, or so", "c, or so")


def test_numbers_are_those_that_python_reads(tmp_path):
    given = ["0.1", "+2.5e1", " 77 ", "1e-3", "016777217", ".5"]
    path = write(tmp_path, [f"{n},{text},0" for n, text in enumerate(given)])
    table = read_table(path)
    assert table.labels.tolist() == list("012345")
    assert table.pixels[:, 0].tolist() == [float(np.float32(float(text))) for text in given]


def test_the_label_may_stand_in_any_column_and_be_text(tmp_path):
    rows = [",".join([*row.split(",")[1:], "abc"[int(row[0])]]) for row in ROWS]
    dataset = read(tmp_path, ["p0,p1,p2,p3,Class", *rows])
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    assert dataset.class_names == ("a", "b", "c")


def test_a_second_table_is_the_test_part(tmp_path):
    write(tmp_path, ROWS[:3], "test.csv")
    dataset = read(tmp_path, ROWS, test_path="test.csv")
    assert {part: len(index) for part, index in dataset.parts.items()} == {"train": 6, "test": 3}
    np.testing.assert_array_equal(dataset.images[6:, 0], IMAGES[:3])


def test_a_shape_may_be_given(tmp_path):
    dataset = read(tmp_path, ROWS, shape=[1, 4])
    assert dataset.images.shape == (6, 1, 1, 4)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*ROWS[:4], "1,2,3,4", *ROWS[4:]], "set.csv:5: 4 fields, the first image has 5"),
        (["label,a,b,c,d", "", *ROWS, "1,2,3,4,5,6"], "set.csv:9: 6 fields, the first image has 5"),
        ([*ROWS, "1,2,,4,5"], "set.csv:7: field 3 is '', not a number"),
        ([*ROWS, "1,2,x,4,5"], "set.csv:7: field 3 is 'x', not a number"),
        (["label,a,b,c,d"], "set.csv: no images, only a header"),
        ([""], "set.csv: empty"),
        (["1 2 3 4"], "set.csv:1: one field; a label and pixels, separated by commas, semicolons"),
        ([*ROWS, '1,2,"3,4",4,5'], "set.csv:7: field 3 is '3,4', not a number"),
        ([*ROWS, "1,2,1_0,4,5"], "set.csv:7: field 3 is '1_0', not a number"),
        (["p0,p1,label,p2,p3", "1,2,0,4,x"], "set.csv:2: field 5 is 'x', not a number"),
        (["p0,p1,label,p2,p3", "1,x,0,4,5"], "set.csv:2: field 2 is 'x', not a number"),
        ([*ROWS, "", '"1,2,3,4,5', ROWS[0]], "set.csv:8: 1 fields, the first image has 5"),
        ([*ROWS, "1," + "2" * 200_000], "set.csv:7: cannot be read as a row of fields"),
        ([*ROWS, "1" + ",2" * 200_000], "set.csv:7: 200001 fields, the first image has 5"),
        ([row + ",9" for row in ROWS], "set.csv: 5 pixels an image are no square; say shape"),
        ([*ROWS, "0,1,2,3,400"], "set.csv: pixels are float32"),
    ],
)
def test_a_table_that_is_not_whole_is_refused_with_its_line(tmp_path, lines, message):
    with pytest.raises(DataError) as caught:
        read(tmp_path, lines)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_damaged_archive_and_an_unknown_encoding_are_one_line(tmp_path):
    (tmp_path / "set.csv.gz").write_bytes(gzip.compress("\n".join(ROWS).encode())[:-12])
    with pytest.raises(DataError, match=r"set\.csv\.gz: cannot be read: "):
        read_table(tmp_path / "set.csv.gz")
    with pytest.raises(DataError, match=r"'encoding': 'utf-9': .*no encoding that Python knows"):
        load_dataset("csv", path="set.csv", encoding="utf-9")


def test_more_than_the_limit_is_refused_before_it_is_unpacked(tmp_path):
    (tmp_path / "set.csv.gz").write_bytes(gzip.compress(b"0" * 5000))
    with pytest.raises(DataError, match=r"set\.csv\.gz: holds over 4,999 bytes"):
        read_bytes(tmp_path / "set.csv.gz", limit=4999)
    assert len(read_bytes(tmp_path / "set.csv.gz", limit=5000)) == 5000


def test_a_picture_is_no_table(tmp_path):
    (tmp_path / "set.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DataError, match=r"set\.csv: cannot be read as text"):
        read_table(tmp_path / "set.csv")
