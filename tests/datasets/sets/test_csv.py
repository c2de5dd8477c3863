"""Tables of labels and pixels; a ragged row is refused with its line."""

import gzip
import json
import re

import numpy as np
import pytest
from data_files import image_bytes, noise, request, write_tree, write_zip
from sklearn.datasets import load_digits

from datasets import dataset_for_path, load_dataset
from datasets.sets import folder
from datasets.sets.csv import Options, load
from datasets.tables.pixel_table import read_table
from datasets.tables.text import read_bytes
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


# -- which column is the label ------------------------------------------------------------------

DIGITS = load_digits()
X = DIGITS.images.astype(int).reshape(-1, 64)[:120]
Y = DIGITS.target[:120]
GAPPED = np.where(Y == 4, 20, Y)
PIXELS = [f"pixel{k}" for k in range(64)]
ROWS_IN_TURN = np.arange(120)
ONE_HOT = np.eye(10, dtype=int)[Y]
LISTS = [[label, " ".join(map(str, row))] for label, row in zip(Y, X, strict=True)]


def beside(*columns) -> list[list]:
    """Columns and blocks of columns as rows."""
    blocks = [np.asarray(block).reshape(len(block), -1).tolist() for block in columns]
    return [[value for block in row for value in block] for row in zip(*blocks, strict=True)]


@pytest.mark.parametrize(
    ("header", "table", "took"),
    [
        (None, beside(Y, X), "the label is column 1"),
        (None, beside(X, Y), "the label is column 65 .the last."),
        (None, beside(np.round(X / 16, 3), Y), "the label is column 65 .the last."),
        (None, beside((X > 8).astype(int), Y), "the label is column 65 .the last."),
        (None, beside(ROWS_IN_TURN, Y, X), "the label is column 2; left out .* column 1"),
        (None, beside(Y, X, [""] * 120), "the label is column 1"),
        (None, beside(X, ONE_HOT), "10 columns are the labels, one for each class, from column 65"),
        (None, beside(ONE_HOT, X), "10 columns are the labels, one for each class, from column 1 "),
        (["cyfra", *PIXELS], beside(Y, X), "the label is column 'cyfra'"),
        ([*PIXELS, "cyfra"], beside(X, Y), "the label is column 'cyfra'"),
        ([*PIXELS, "class"], beside(X, Y), "the label is column 'class'"),
        (["id", "label", *PIXELS], beside(ROWS_IN_TURN, Y, X), "'label'; left out .* column 'id'"),
        (["", "label", *PIXELS], beside(ROWS_IN_TURN, Y, X), "'label'; left out .* column 1"),
        (["label", *PIXELS], beside(ROWS_IN_TURN, Y, X), "'label'; left out .* column 1"),  # of R
        (["label", "pen", *PIXELS], beside(Y, ROWS_IN_TURN // 4, X), "left out .* column 'pen'"),
        (["label", "pen", *PIXELS], beside(Y, ["x"] * 120, X), "left out .* column 'pen'"),
        ([f"V{k}" for k in range(65)], beside(Y, X), "the label is column 'V0'"),
        (
            range(65),
            beside(Y, X),
            "the label is column 1; the first line names the columns, in numbers",
        ),
        (
            range(65),
            beside(X, Y),
            "the label is column 65 .*; the first line names the columns, in numbers",
        ),
        (["", *range(65)], beside(ROWS_IN_TURN, Y, X), "column 2; the first line names"),
        (["0", "0", *(f"0.{k}" for k in range(1, 64))], beside(Y, X), "column 1; the first line n"),
        (["0", *(f"0.{k}" for k in range(1, 65))], beside(Y, X), "column 1; the first line names"),
        (["emotion", "pixels"], LISTS, "the label is column 'emotion'"),
    ],
)
def test_the_column_of_labels_is_found_and_said(tmp_path, header, table, took):
    lines = [",".join(map(str, row)) for row in ([] if header is None else [header]) + table]
    dataset = read(tmp_path, lines)
    np.testing.assert_array_equal(dataset.labels, Y)
    assert dataset.images.shape == (120, 1, 8, 8)
    strong = dataset.images.reshape(120, 64) > 0.52 * dataset.images.max()
    np.testing.assert_array_equal(strong, X > 8)
    assert re.match(f".*{took}", "; ".join(dataset.notes))


def test_a_gap_in_the_labels_is_closed_wherever_they_stand(tmp_path):
    """As in Sign-MNIST, whose 24 letters have the numbers 0 … 24 without 9."""
    for table in (beside(GAPPED, X), beside(X, GAPPED)):
        dataset = read(tmp_path, [",".join(map(str, row)) for row in table])
        assert dataset.class_names == ("0", "1", "2", "3", "5", "6", "7", "8", "9", "20")
        assert any("(4, 10 … 19 never occur)" in note for note in dataset.notes)
        np.testing.assert_array_equal(dataset.labels == 9, Y == 4)


def test_blanks_may_separate_numbers(tmp_path):
    lines = [" ".join(f"{value:.4f}" for value in row) + " " for row in beside(Y, X / 8 - 1)]
    dataset = read(tmp_path, lines)  # as the digits of USPS have them
    np.testing.assert_array_equal(dataset.labels, Y)


def test_texts_beside_numbered_labels_name_the_classes(tmp_path):
    rows = [",".join(map(str, [k, "abcdefghij"[k], *row])) for k, row in zip(Y, X, strict=True)]
    dataset = read(tmp_path, [",".join(["label", "class_name", *PIXELS]), *rows])
    assert dataset.class_names == tuple("abcdefghij")
    np.testing.assert_array_equal(dataset.labels, Y)
    rows[5] = rows[5].replace("f", "g")
    with pytest.raises(DataError, match=r"label 5 is called '[fg]' and '[fg]'; say which column"):
        read(tmp_path, [",".join(["label", "class_name", *PIXELS]), *rows])


def test_a_column_of_parts_and_one_of_groups(tmp_path):
    """As FER-2013 has its column `Usage`."""
    uses = ["Training", "PublicTest", "PrivateTest"]
    rows = [f"{k},{text},{uses[n % 3]},{n // 10}" for n, (k, text) in enumerate(LISTS)]
    header = "emotion,pixels,Usage,writer"
    dataset = read(tmp_path, [header, *rows], group="writer")
    assert {part: index[:2].tolist() for part, index in dataset.parts.items()} == {
        "train": [0, 3], "validation": [1, 4], "test": [2, 5],
    }  # fmt: skip
    assert dataset.groups.tolist() == [n // 10 for n in range(120)]
    rows[7] = rows[7].replace("PublicTest", "Public")
    with pytest.raises(DataError, match=r"set.csv:9: field 3 is 'Public'; parts are train, valid"):
        read(tmp_path, [header, *rows], part_column="Usage")


@pytest.mark.parametrize(
    "options",
    [
        {"label_column": "digit"},
        {"label_column": 2, "ignore_columns": [1, "also"]},
        {"label_column": -1, "ignore_columns": ["digit", "label"]},
        {"ignore_columns": ["label", "also"]},
        {"header": False, "label_column": 2, "ignore_columns": [1, -1]},
    ],
)
def test_columns_may_be_named(tmp_path, options):
    header = ["label", "digit", *PIXELS, "also"]
    table = beside(ROWS_IN_TURN // 2, Y, X, Y)
    if options.get("header") is False:
        header = table[0]
    elif options["label_column" if "label_column" in options else "ignore_columns"] == "digit":
        options = {**options, "ignore_columns": ["label", "also"]}
    lines = [",".join(map(str, row)) for row in [header, *table]]
    dataset = read(tmp_path, lines, **options)
    np.testing.assert_array_equal(dataset.labels[-120:], Y)
    assert len(dataset.labels) == len(table) + (options.get("header") is False)


@pytest.mark.parametrize(
    ("header", "table", "options", "message"),
    [
        (["label", "target", *PIXELS], beside(Y, Y[::-1], X), {},
         r"the label may be column 'label' \(10 values\) or column 'target' \(10 values\); say "
         r"which, as in label_column: 'label', and name those .* ignore_columns: \[COLUMN, …\]"),
        (["age", "sex", *PIXELS], beside(Y, Y[::-1], X), {}, "may be column 'age' .* or column 's"),
        (["cyfra", "place", *PIXELS], beside(Y, list("ab") * 60, X), {}, "'place' .* or .* 'cyfr"),
        (None, beside(list("ab") * 60, X, Y), {}, "column 1 .* or column 2 .* or column 66"),
        (None, beside(Y, X[:, :-1], Y[::-1]), {}, "may be column 1 .* or column 65 .the last."),
        (PIXELS, X.tolist(), {}, "64 columns of pixels, and none that could be the label"),
        (None, X.tolist(), {}, "64 columns of pixels, and none that could be the label"),
        (["label", *PIXELS], beside(Y, X), {"label_column": "lable"},
         r"label_column: 'lable' is no column \(did you mean 'label'\?\); there are column"),
        (None, beside(Y, X), {"label_column": "label"}, "the table has no names of columns; give"),
        (None, beside(Y, X), {"label_column": 0}, "0: columns are counted from 1 to 65"),
        (None, beside(Y, X), {"label_column": 66}, "66: columns are counted from 1 to 65"),
        (["a", "a", *PIXELS], beside(Y, Y, X), {"label_column": "a"}, "is the name of several col"),
        (None, beside(Y, X), {"label_column": 1, "group": 1}, "group: column 1 is empty or taken"),
        (None, beside(Y, X, X, X), {}, r"192 pixels .* \[8, 8, 3\] .*; the label is column 1"),
        (["label", *PIXELS], beside(Y, X[:, 2:]), {}, "65 names of columns, the line after it has"),
        (["file", "label"], [[f"{k}.png", k % 2] for k in range(9)], {},
         r"column 'file' names images, such as 0.png, .*\{name: folder, path: FOLDER, labels: "),
        (["id", "label"], [[k, k % 2] for k in range(9)], {}, "a label and no pixels; a table th"),
        (["label", *PIXELS], [[[3, ""][k == 7], *X[k]] for k in range(9)], {},
         r"set.csv:9: the label \(field 1\) is empty; leave out images without a label"),
        (["emotion", "pixels"], [*LISTS[:5], [1, "1 2 3"]], {}, "set.csv:7: 3 pixels, lines be"),
        (["emotion", "pixels"], [*LISTS[:5], [1, "1 x 3"]], {}, "set.csv:7: pixel 2 is 'x', not a"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused_with_the_setting(tmp_path, header, table, options, message):
    lines = [",".join(map(str, row)) for row in ([] if header is None else [header]) + table]
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, lines, **options)
    assert "\n" not in str(caught.value)


def test_a_table_of_images_beside_it_says_the_whole_entry(tmp_path):
    (tmp_path / "0.png").touch()
    with pytest.raises(DataError) as caught:
        read(tmp_path, ["file,label", "0.png,a", "1.png,b"])
    assert f"data: {{name: folder, path: {tmp_path}, labels: set.csv}}" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        ([str(label) for label in Y], {}),
        (["digit", *map(str, Y)], {}),
        (["n,label", *(f"{k},{label}" for k, label in enumerate(Y))], {}),
        ([f"{k},{label}" for k, label in enumerate(Y)], {"label_column": 2}),
        (["a,b", *(f"{label},x" for label in Y)], {"label_column": "a"}),
    ],
)
def test_labels_in_a_table_of_their_own(tmp_path, labels, options):
    """As the Arabic letters have them."""
    write(tmp_path, labels, "labels.csv")
    lines = [",".join(map(str, row)) for row in X]
    dataset = read(tmp_path, lines, labels_path="labels.csv", **options)
    np.testing.assert_array_equal(dataset.labels, Y)
    np.testing.assert_array_equal(dataset.images.reshape(120, 64), X)
    write(tmp_path, lines[::-1], "test.csv")
    write(tmp_path, [*labels[:-120], *labels[-120:][::-1]], "more.csv")
    parts = {"test_path": "test.csv", "test_labels_path": "more.csv"}
    dataset = read(tmp_path, lines, labels_path="labels.csv", **parts, **options)
    np.testing.assert_array_equal(dataset.labels[120:], Y[::-1])


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["1"] * 5, {}, "labels.csv: 5 labels for the 120 images of set.csv"),
        (["1,2"] * 120, {}, "labels.csv: holds the columns 1, 2; say which one is the label with"),
        (["1,a", "2,a", " ,a"], {"label_column": 1}, "labels.csv:3: no label; each line needs one"),
        (["1"] * 120, {"test_path": "set.csv"}, "labels_path and test_labels_path: give one for"),
    ],
)
def test_labels_that_do_not_fit_the_images_are_refused(tmp_path, labels, options, message):
    write(tmp_path, labels, "labels.csv")
    with pytest.raises(DataError, match=message):
        read(tmp_path, [",".join(map(str, row)) for row in X], labels_path="labels.csv", **options)


@pytest.mark.parametrize("pattern", ["[{}]", '"[{}]"', '"({})"'])
def test_pixels_may_stand_in_brackets(tmp_path, pattern):
    between = "," if '"' in pattern else " "
    rows = [pattern.format(between.join(map(str, row))) for row in X]
    lines = [f"{row},{label}" for row, label in zip(rows, Y, strict=True)]
    dataset = read(tmp_path, ["image,label", *lines])
    np.testing.assert_array_equal(dataset.images.reshape(120, 64), X)
    np.testing.assert_array_equal(dataset.labels, Y)


@pytest.mark.parametrize(
    ("header", "table", "message"),
    [
        (["label", *PIXELS], beside(Y, X), ""),
        ([*PIXELS, "label"], beside(X, Y), ""),
        (["label", *PIXELS[::-1]], beside(Y, X), "its columns are in another order than those of"),
        (PIXELS, X.tolist(), "'label' is no column.*; the images of a test part need labels"),
        (["label", *PIXELS[:49]], beside(Y, X[:, :49]), "49 pixels an image, set.csv has 64"),
    ],
)
def test_the_test_part_is_read_by_the_same_columns(tmp_path, header, table, message):
    write(tmp_path, [",".join(map(str, row)) for row in [header, *table]], "test.csv")
    lines = [",".join(map(str, row)) for row in [["label", *PIXELS], *beside(Y, X)]]
    if message:
        with pytest.raises(DataError, match=rf"test\.csv: .*{message}"):
            read(tmp_path, lines, test_path="test.csv")
        return
    dataset = read(tmp_path, lines, test_path="test.csv")
    np.testing.assert_array_equal(dataset.images[:120], dataset.images[120:])
    np.testing.assert_array_equal(dataset.labels[:120], dataset.labels[120:])


def test_a_table_packed_alone_in_a_zip_file(tmp_path):
    lines = "\n".join(ROWS).encode()
    write_zip(tmp_path / "set.csv.zip", {"set.csv": lines, "__MACOSX/._set.csv": b"x"})
    assert dataset_for_path(tmp_path / "set.csv.zip") == "csv"
    dataset = load(Options(path="set.csv.zip"), request(tmp_path))
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    write_zip(tmp_path / "two.csv.zip", {"a.csv": lines, "b.csv": lines})
    with pytest.raises(DataError, match=r"two\.csv\.zip: holds 2 files; a table is packed alone"):
        load(Options(path="two.csv.zip"), request(tmp_path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "id,label\n0,cat\n1,dog\n2,cat\n"),
        ("labels.csv", "w;h;ClassId;Path\n5;6;0;in/0.png\n6;6;1;in/1.png\n5;5;0;in/2.png\n"),
        ("labels.csv", "id,cat,dog,emu,owl\n0,1,0,0,0\n1,0,1,0,0\n2,0,0,1,0\n"),
    ],
)
def test_a_table_that_names_images_beside_it_is_read_as_a_folder_with_it(tmp_path, name, text):
    write_tree(
        tmp_path, {name: text.encode(), **{f"in/{k}.png": image_bytes(IMAGES[k]) for k in range(3)}}
    )
    dataset = load(Options(path=tmp_path / name), request(tmp_path))
    entry = f"data: {{name: folder, path: {tmp_path}, labels: labels.csv}}"
    assert dataset.notes[0].startswith(f"{tmp_path / name}: its column '")
    assert dataset.notes[0].endswith(f"' names images in {tmp_path}; read as {entry}")
    folder_options = folder.Options(path=tmp_path, labels=name)
    assert dataset.fingerprint == folder.load(folder_options, request(tmp_path)).fingerprint
    with pytest.raises(DataError) as caught:
        load(Options(path=tmp_path / name, shape=(2, 2)), request(tmp_path))
    assert f"names images in {tmp_path}, and it holds no pixels; say {entry}" in str(caught.value)


IRIS = [f"5.{k},3.{k},1.4,0.{k},{('setosa', 'virginica')[k % 2]}" for k in range(9)]
LETTERS = [",".join([chr(65 + k % 5), *(str((k * n) % 16) for n in range(16))]) for k in range(25)]


@pytest.mark.parametrize(
    ("lines", "sign"),
    [
        (["SepalLength,SepalWidth,PetalLength,PetalWidth,Species", *IRIS], "called SepalLength"),
        (IRIS, "it has 4 columns of values up to 5.8"),
        (LETTERS, "it has 16 columns of values up to 15"),
    ],
)
def test_measurements_are_no_pixels_unless_a_shape_is_said(tmp_path, lines, sign):
    with pytest.raises(DataError, match=sign) as caught:
        read(tmp_path, lines)
    shape = json.loads(re.search(r"as (\[\d+, \d+\])", str(caught.value))[1])
    assert list(read(tmp_path, lines, shape=shape).images.shape[2:]) == shape
