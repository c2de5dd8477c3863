"""Test sets of every kind: the right images, in the order of the network's classes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from datasets.given import Given, read_settings
from harness.evaluate.test_sets import IN_A_FILE, Preparation, preparation, read_set, read_test_set
from harness.sweepfile.settings import DataChoice
from headstart.errors import DataError, InputError

DIGITS = [str(digit) for digit in range(10)]
AS_IT_IS = Preparation((4, 4), 1, "resize", "never", True)
LABELS = [7, 3, 7, 9]  # and none of the other classes
PIXELS = np.random.default_rng(0).integers(1, 255, (4, 4, 4)).astype(np.uint8)


@pytest.fixture(autouse=True)
def _away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def write_csv(path, pixels=PIXELS):
    rows = [",".join(map(str, [k, *p.ravel()])) for k, p in zip(LABELS, pixels, strict=True)]
    path.write_text("\n".join([",".join(["label", *(f"p{k}" for k in range(16))]), *rows]))


def write_npz(path):
    np.savez(path, x=PIXELS, y=np.array(LABELS))


def write_parquet(path, pixels=PIXELS, labels=LABELS):
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": png(each), "path": None} for each in pixels]
    pq.write_table(pa.table({"image": images, "label": labels}), path)


def write_table_of_files(path):
    for k, pixels in enumerate(PIXELS):
        (path.parent / f"{k}.png").write_bytes(png(pixels))
    lines = [f"{k}.png,{label}" for k, label in enumerate(LABELS)]
    path.write_text("\n".join(["filename,label", *lines]))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.csv", write_csv),
        ("x.npz", write_npz),
        ("x.parquet", write_parquet),
        ("x.csv", write_table_of_files),
    ],
)
def test_a_file_of_any_kind_is_read_and_lacks_classes(tmp_path, name, write):
    write(tmp_path / name)
    read = read_test_set(name, DIGITS, AS_IT_IS)
    order = np.argsort(read.labels, kind="stable")
    expected = np.argsort(LABELS, kind="stable")
    assert read.labels[order].tolist() == sorted(LABELS)
    assert (read.images[order, 0] == PIXELS[expected]).all()
    assert read.name == "x"
    turned = read_test_set(name, DIGITS[::-1], AS_IT_IS)
    assert sorted(turned.labels.tolist()) == sorted(9 - label for label in LABELS)


def test_a_container_of_one_class_and_a_test_part_alone_is_read(tmp_path):
    write_parquet(tmp_path / "test-00000-of-00001.parquet", PIXELS[:2], [7, 7])
    assert read_test_set("test-00000-of-00001.parquet", DIGITS, AS_IT_IS).labels.tolist() == [7, 7]


def test_labels_that_no_network_knows_are_named_by_a_setting(tmp_path):
    write_csv(tmp_path / "x.csv")
    with pytest.raises(
        DataError, match=r"know: '3', '7', '9'; it knows a, b, c; --set class_names="
    ):
        read_test_set("x.csv", ["a", "b", "c"], AS_IT_IS)
    pairs = ["class_names={3: c, 7: a, 9: b}"]
    assert read_test_set("x.csv", ["a", "b", "c"], AS_IT_IS, pairs=pairs).labels.tolist() == [
        0, 2, 0, 1,
    ]  # fmt: skip


def test_arrays_are_prepared_as_pages_are(tmp_path):
    """Ink on paper is turned over, whatever size it has."""
    page = np.full((4, 8, 8), 250, np.uint8)
    page[:, 2:6, 3:5] = 10
    np.savez(tmp_path / "x.npz", x=page, y=np.array(LABELS))
    paper = Preparation((8, 8), 1, "resize", "paper", True)
    assert (read_test_set("x.npz", DIGITS, paper).images[:, 0] == 255 - page).all()


def test_the_range_of_the_training_datas_pixels_holds_for_the_test_set(tmp_path):
    prepare = preparation(DataChoice(name="csv", path="y", value_range=[0, 1023]), (4, 4), 1)
    write_csv(tmp_path / "x.csv")
    dark = read_test_set("x.csv", DIGITS, prepare)
    assert (dark.images[:, 0] == np.round(PIXELS * (255 / 1023))).all()
    own = read_test_set("x.csv", DIGITS, prepare, pairs=["value_range=[0,255]"])
    assert (own.images[:, 0] == PIXELS).all()


def test_the_range_of_image_files_holds_for_a_table_that_names_them(tmp_path):
    for k in range(4):
        Image.fromarray(np.full((4, 4), 1000 + k, np.uint16)).save(tmp_path / f"{k}.png")
    rows = [f"{k}.png,{label}" for k, label in enumerate(LABELS)]
    (tmp_path / "x.csv").write_text("\n".join(["filename,label", *rows]))
    prepare = preparation(DataChoice(name="folder", path="y", value_range=[0, 2000]), (4, 4), 1)
    pixels = read_test_set("x.csv", DIGITS, prepare).images
    assert set(np.unique(pixels).tolist()) <= {127, 128}


def _deep_files(folder, dtype, value):
    for k, label in enumerate(LABELS):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), value, dtype)).save(folder / str(label) / f"{k}.png")
    return str(folder)


@pytest.mark.parametrize("on", ["folder", "data entry"])
def test_a_range_of_deep_arrays_holds_for_deep_files_and_not_for_those_of_8_bits(tmp_path, on):
    """12 bits: 2000 of 4095 is 125 of 255, in an array as in a file."""
    arrays = preparation(DataChoice(name="npz", path="y", value_range=[0, 4095]), (4, 4), 1)

    def read(name, dtype, value):
        path = _deep_files(tmp_path / name, dtype, value)
        entry = path if on == "folder" else f"{{name: folder, path: {path}, on_damaged: refuse}}"
        return np.unique(read_test_set(entry, DIGITS, arrays).images).tolist()

    assert read("deep", np.uint16, 2000) == [125]
    assert read("shallow", np.uint8, 200) == [200]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.full((4, 4, 4), 2000, np.uint16), 125),
        (np.full((4, 4, 4), 2000.0, np.float32), 125),
        (np.full((4, 4, 4), 200, np.uint8), 200),
        (np.stack([np.zeros((4, 4)), *[np.ones((4, 4))] * 3]), 255),
    ],
)
def test_a_range_of_deep_files_holds_for_deep_arrays_alone(tmp_path, values, expected):
    np.savez(tmp_path / "x.npz", x=values, y=np.array(LABELS))
    files = preparation(DataChoice(name="folder", path="y", value_range=[0, 4095]), (4, 4), 1)
    assert read_test_set("x.npz", DIGITS, files).images.max() == expected
    scale = preparation(DataChoice(name="folder", path="y", value_range=[0, 100]), (4, 4), 1)
    if values.dtype == np.uint8:
        assert read_test_set("x.npz", DIGITS, scale).images.max() == 200


@pytest.fixture
def parts(tmp_path):
    for part, grey in (("train", 10), ("val", 90)):
        for label in ("3", "7"):
            (tmp_path / "set" / part / label).mkdir(parents=True)
            Image.new("L", (4, 4), grey).save(tmp_path / "set" / part / label / "a.png")


def test_a_part_is_named_where_there_is_no_test_part(parts):
    with pytest.raises(DataError, match="has the parts train and validation and none for test"):
        read_test_set("set", DIGITS, AS_IT_IS)
    validation = read_test_set("set", DIGITS, AS_IT_IS, part="validation")
    assert (validation.images == 90).all()
    assert validation.files == ("val/3/a.png", "val/7/a.png")
    assert "2 images of other parts than validation were not read" in validation.notes
    with pytest.raises(DataError, match="none for test"):
        read_test_set("set", DIGITS, AS_IT_IS, part="test")
    every = read_test_set("set", DIGITS, AS_IT_IS, part="all")
    assert len(every.labels) == 4
    as_test = read_test_set("set", DIGITS, AS_IT_IS, pairs=["parts={test: val}"])
    assert (as_test.images == 90).all()
    entry = "{name: folder, path: set, parts: {test: val}}"
    assert read_test_set(entry, DIGITS, AS_IT_IS).fingerprint == as_test.fingerprint
    with pytest.raises(InputError, match="give it as --preprocess"):
        read_test_set("set", DIGITS, AS_IT_IS, pairs=["preprocess=centred"])


def test_a_folder_with_settings_is_prepared_as_one_without(tmp_path):
    """Full-size images are shaped once, as the networks' own way is."""
    for label in ("3", "7"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for k, size in enumerate(((9, 13), (30, 8))):
            noise = np.random.default_rng(k).integers(0, 255, (*size, 3)).astype(np.uint8)
            Image.fromarray(noise).save(tmp_path / "set" / label / f"{k}.png")
    for prepare in (
        Preparation((8, 8), 3, "resize", "never", False),
        Preparation((28, 28), 1, "mnist_style", "paper", True, True),
    ):
        plain = read_test_set("set", DIGITS, prepare)
        said = read_test_set("set", DIGITS, prepare, pairs=["classes_at=1"])
        assert plain.fingerprint == said.fingerprint
        assert plain.files == said.files


def test_a_table_of_labels_is_named_with_its_columns(tmp_path):
    (tmp_path / "set").mkdir()
    for k, pixels in enumerate(PIXELS):
        (tmp_path / "set" / f"{k}.png").write_bytes(png(pixels))
    rows = [f"{k},{label},{k % 2}" for k, label in enumerate(LABELS)]
    (tmp_path / "t.csv").write_text("\n".join(["id,digit,odd", *rows]))
    pairs = ["labels=t.csv", "label_column=digit"]
    read = read_test_set("set", DIGITS, AS_IT_IS, pairs=pairs)
    assert sorted(zip(read.files, read.labels.tolist(), strict=True)) == [
        ("0.png", 7), ("1.png", 3), ("2.png", 7), ("3.png", 9),
    ]  # fmt: skip


def test_of_a_table_of_several_columns_it_is_said_what_was_taken(tmp_path):
    (tmp_path / "set").mkdir()
    for k, pixels in enumerate(PIXELS[:2]):
        (tmp_path / "set" / f"{k}.png").write_bytes(png(pixels))
    (tmp_path / "t.csv").write_text("file,label,split\n0.png,7,train\n1.png,3,test\n")
    read = read_test_set("set", DIGITS, AS_IT_IS, csv="t.csv")
    assert read.labels.tolist() == [7, 3]
    assert read.notes == (
        "labels are those of t.csv: the column 'label'",
        "all rows of t.csv are read, of whatever part; --set labels=FILE knows parts",
    )
    by_setting = read_test_set("set", DIGITS, AS_IT_IS, pairs=["labels=t.csv"])
    assert by_setting.labels.tolist() == [3]


@pytest.mark.parametrize(
    ("on", "arguments", "says"),
    [
        ("csv", {}, "option 'path' is needed"),
        ("x.txt", {}, "x.txt: "),
        ("mnist", {"csv": "x.csv"}, "--csv belongs to a folder or an archive"),
        (".", {"csv": "x.csv", "part": "test"}, "give the table as --set labels=FILE"),
        ("{path: x}", {}, "a data entry has a name"),
        ("set", {"pairs": ["classes_at"]}, "--set classes_at: give KEY=VALUE"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, on, arguments, says):
    (tmp_path / "x.txt").write_text("nothing")
    with pytest.raises(InputError, match=says) as caught:
        read_test_set(on, DIGITS, AS_IT_IS, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [[], ["classes_at=1"]])
def test_a_damaged_file_names_the_flag_of_the_command(tmp_path, options):
    for label in "01":
        (tmp_path / "set" / label).mkdir(parents=True)
        Image.new("L", (4, 4), 90).save(tmp_path / "set" / label / "a.png")
    whole = (tmp_path / "set" / "1" / "a.png").read_bytes()
    (tmp_path / "set" / "1" / "b.png").write_bytes(whole[: len(whole) // 2])
    prepare = preparation(DataChoice(name="folder", path="y"), (4, 4), 1)
    with pytest.raises(DataError, match=r"b\.png.*give --skip-damaged") as err:
        read_test_set(str(tmp_path / "set"), DIGITS, prepare, pairs=options)
    assert "on_damaged" not in str(err.value)
    in_a_sweep = Given("folder", {"path": tmp_path / "set", **read_settings(options)})
    with pytest.raises(DataError, match=r"b\.png.*set on_damaged: skip") as err:
        read_set(in_a_sweep, DIGITS, prepare, "set", ways=IN_A_FILE)
    assert "--" not in str(err.value)
