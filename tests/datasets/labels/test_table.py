"""Labels in tables as public data sets and tools write them: the right class, or one message."""

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from data_files import request

from datasets.files.trees import Tree
from datasets.labels.settings import LabelOptions, labelled_layout
from datasets.layout.layout import read_layout
from datasets.layout.types import Asked
from datasets.target import TargetSettings
from headstart.errors import DataError


def tree_of(files, where="/data/pets") -> Tree:
    """A tree in memory: names of images with nothing in them, or name → text of a table."""
    contents = dict(files) if isinstance(files, dict) else dict.fromkeys(files, "")
    folders = {"/".join(n.split("/")[:k]) for n in contents for k in range(1, n.count("/") + 1)}
    return Tree(
        Path(where),
        tuple(sorted(contents)),
        frozenset(folders),
        lambda name: v if isinstance(v := contents[name], bytes) else v.encode(),
    )


def images(*names):
    return dict.fromkeys(names, "")


def read(tree, by_folders=None, in_parts=None, **keys):
    options = LabelOptions(path=tree.where, **keys)
    by_folders = by_folders or (lambda: read_layout(tree))
    return labelled_layout(
        tree, options, request(Path("/nowhere")), by_folders, parts=in_parts or {}
    )


def labels(tree, **keys):
    layout, _, _ = read(tree, **keys)
    return dict(zip(layout.files, layout.classes, strict=True))


def parts(tree, **keys):
    layout, _, _ = read(tree, **keys)
    return dict(zip(layout.files, layout.parts, strict=True))


def refused(tree, **keys) -> str:
    with pytest.raises(DataError) as caught:
        read(tree, **keys)
    text = str(caught.value)
    assert "\n" not in text
    return text


THREE = images("train/a1.jpg", "train/b2.jpg", "train/c3.jpg")
CAT_DOG_CAT = {"train/a1.jpg": "cat", "train/b2.jpg": "dog", "train/c3.jpg": "cat"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "id,breed\na1,cat\nb2,dog\nc3,cat\n"),  # ids without an ending
        ("train.csv", "id_code,diagnosis\na1,cat\nb2,dog\nc3,cat\n"),
        ("labels.csv", "breed;file\ncat;a1.jpg\ndog;b2.jpg\ncat;c3.jpg\n"),
        ("labels.tsv", "path\tlabel\ntrain/a1.jpg\tcat\ntrain/b2.jpg\tdog\ntrain/c3.jpg\tcat\n"),
        ("labels.csv", "a1.jpg,cat\nb2.jpg,dog\nc3.jpg,cat\n"),  # no header
        ("labels.csv", '"file","label"\r\n"a1.jpg","cat"\r\n"b2.jpg","dog"\r\n"c3.jpg","cat"\r\n'),
        ("labels.csv", "\ufefffile,label\na1.jpg,cat\nb2.jpg,dog\nc3.jpg,cat\n"),  # Excel's mark
        ("labels.csv", "file,label\n.\\train\\a1.jpg,cat\ntrain\\b2.jpg,dog\ntrain\\c3.jpg,cat\n"),
        ("l.csv", "p,label\nC:\\x\\train\\a1.jpg,cat\n/y/train/b2.jpg,dog\n~/train/c3.jpg,cat\n"),
        ("l.csv", "p,label\n../input/pets/train/a1.jpg,cat\npets/train/b2.jpg,dog\nc3.jpg,cat\n"),
        (",index.csv", ",file,label\n0,a1.jpg,cat\n1,b2.jpg,dog\n2,c3.jpg,cat\n"),  # pandas' index
        ("train.txt", "train/a1.jpg cat\ntrain/b2.jpg dog\ntrain/c3.jpg cat\n"),
        ("train.txt", "cat a1\ndog b2\ncat c3\n"),  # label first
        ("t.txt", "# by hand\n\ntrain/a1.jpg\tcat\ntrain/b2.jpg\tdog\ntrain/c3.jpg\tcat\n"),
        ("t.csv", "#file,label\na1.jpg,cat\nb2.jpg,dog\nc3.jpg,cat\n"),  # VIA's header
        ("l.json", '{"a1.jpg": "cat", "b2.jpg": "dog", "c3.jpg": "cat"}'),
        ("l.json", '{"cat": ["a1.jpg", "c3.jpg"], "dog": ["b2.jpg"]}'),
        ("l.json", '{"a1": {"label": "cat"}, "b2": {"label": "dog"}, "c3": {"label": "cat"}}'),
        ("l.json", '{"labels": [["train/a1.jpg", "cat"], ["b2.jpg", "dog"], ["c3.jpg", "cat"]]}'),
        ("l.json", '[{"f": "a1", "label": "cat"}, {"f": "b2", "label": "dog"}, {"f": "c3", '
                   '"label": "cat", "box": [1, 2]}]'),
        ("metadata.jsonl", '{"file_name": "train/a1.jpg", "label": "cat"}\n{"file_name": "b2.jpg", '
                           '"label": "dog"}\n\n{"file_name": "c3.jpg", "label": "cat"}\n'),
        ("l.csv", "image,cat,dog\na1,1,0\nb2,0,1\nc3,1,0\n"),  # one-hot
        ("l.csv", "image,cat,dog\na1,1.0,0.0\nb2,0.0,1.0\nc3,1.0,0.0\n"),
        ("l.csv", "class id,filepaths,labels\n0,train/a1.jpg,cat\n1,b2.jpg,dog\n0,c3.jpg,cat\n"),
    ],
)  # fmt: skip
def test_tables_as_people_and_tools_write_them(name, text):
    assert labels(tree_of({**THREE, name: text}), labels=name) == CAT_DOG_CAT


def test_paths_are_looked_for_from_the_tables_own_folder_first():
    tree = tree_of({**images("a/1.png", "a/2.png", "b/1.png", "b/2.png"),
        "b/l.csv": "file,label\n1.png,x\n2.png,y\n"})  # fmt: skip
    assert labels(tree, labels="b/l.csv") == {"b/1.png": "x", "b/2.png": "y"}


def test_a_path_into_another_part_is_no_image_of_the_same_name():
    tree = tree_of({**images("train/1.png", "train/2.png"),
        "l.csv": "file,label\ntrain/1.png,x\ntest/2.png,y\n"})  # fmt: skip
    text = refused(tree, labels="l.csv")
    assert text.startswith("/data/pets/l.csv:3: 'test/2.png' names no image of /data/pets;")


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "..", "~root/.ssh/id.png"])
def test_what_a_table_names_outside_the_tree_is_never_opened(path):
    tree = tree_of({**THREE, "l.csv": f"file,label\na1,x\nb2,y\n{path},x\n"})
    assert f"'{path}' names no image" in refused(tree, labels="l.csv")


def test_kaggles_flat_folders_and_a_test_set_without_labels():
    tree = tree_of(
        {
            **images(*(f"train/{k}.jpg" for k in range(6)), *(f"test/{k}.jpg" for k in range(3))),
            "train.csv": "id,label\n"
            + "".join(f"{k},{'cat' if k % 2 else 'dog'}\n" for k in range(6)),
            "sample_submission.csv": "id,label\n0,cat\n1,cat\n",
        }
    )
    layout, _, classes = read(tree, labels="train.csv")
    assert layout.files == tuple(f"train/{k}.jpg" for k in range(6))
    assert (classes, set(layout.parts)) == (("cat", "dog"), {""})
    assert layout.notes == (
        "train.csv: its images are those of train",
        "labels are those of train.csv: the column 'label' (2 values: cat, dog)",
    )
    assert layout.warnings == (
        "3 of 9 images have no label in the table and were left out (3 in test)",
    )


def test_a_table_for_each_part():
    tree = tree_of({**images("train/0.jpg", "train/1.jpg", "test/0.jpg", "test/1.jpg"),
        "train.csv": "id,label\n0,a\n1,b\n", "test.csv": "id,label\n0,b\n1,a\n"})  # fmt: skip
    both = {"train": "train.csv", "testing": "test.csv"}
    assert labels(tree, labels=both)["test/0.jpg"] == "b"
    assert parts(tree, labels=both) == {
        "test/0.jpg": "test", "test/1.jpg": "test", "train/0.jpg": "train", "train/1.jpg": "train",
    }  # fmt: skip


def test_ids_in_two_folders_are_refused_where_nothing_decides():
    tree = tree_of({**images("left/1.jpg", "left/2.jpg", "right/1.png", "right/2.png"),
        "l.csv": "id,label\n1,a\n2,b\n"})  # fmt: skip
    assert refused(tree, labels="l.csv") == (
        "/data/pets/l.csv:2: '1' is 'left/1.jpg' and 'right/1.png'; give the folder of the images, "
        "as in path: DIR/right, labels: /data/pets/l.csv"
    )
    masks = tree_of({**images("images/1.jpg", "images/2.jpg", "a/trimaps/1.png", "a/trimaps/2.png"),
        "a/list.txt": "1 3\n2 4\n"})  # fmt: skip
    assert labels(masks, labels="a/list.txt", label_column=2) == {
        "images/1.jpg": "3", "images/2.jpg": "4",
    }  # fmt: skip
    endings = tree_of({**images("images/1.jpg", "images/2.jpg", "masks/1.png", "masks/2.png"),
        "l.csv": "id,label\n1.jpg,a\n2.jpg,b\n"})  # fmt: skip
    assert labels(endings, labels="l.csv") == {"images/1.jpg": "a", "images/2.jpg": "b"}


def test_images_in_several_folders_are_found_by_ids_as_in_ham10000():
    rows = "lesion_id,image_id,result,by,age,sex\n" + "".join(
        f"L{k // 2},i{k},{'nv' if k // 2 % 2 else 'mel'},{'histo' if k % 3 else 'consensus'},"
        f"{30 + k % 4}.0,{'m' if k % 5 else 'f'}\n"
        for k in range(12)
    )
    tree = tree_of({**images(*(f"set_{1 + k // 6}/i{k}.jpg" for k in range(12))), "m.csv": rows})
    text = refused(tree, labels="m.csv")
    assert text.startswith("/data/pets/m.csv: ")
    assert "columns could be the label: 'result' (2 values: mel, nv); 'by' (2" in text
    known = tree_of(
        {**{n: "" for n in tree.names if n != "m.csv"}, "m.csv": rows.replace("result", "dx")}
    )
    assert labels(known, labels="m.csv")["set_1/i0.jpg"] == "mel"  # HAM10000 calls it dx
    layout, _, classes = read(tree, labels="m.csv", label_column="result", group="lesion_id")
    assert classes == ("mel", "nv")
    assert layout.groups[:4] == ("L0", "L0", "L1", "L1")  # in the order of the names
    hinted, _, _ = read(tree, labels="m.csv", label_column=3)
    assert hinted.groups == ()
    assert hinted.notes[1] == (
        "its column 'lesion_id' has 6 values for 12 images; group: lesion_id keeps the images of "
        "each in one part"
    )
    # Folders of shards are no classes where a table labels their images.
    assert "two readings: the classes are the folders set_1, set_2, or the" in refused(tree)
    assert set(labels(tree, labels="folders").values()) == {"set_1", "set_2"}


def test_measures_beside_the_label_do_not_hide_it_as_in_gtsrb():
    text = "Width;Height;Roi.X1;ClassId;Path\n" + "".join(
        f"{30 + k % 2};{31 + k % 2};5;{k % 3};Train/{k % 3}/{k}.png\n" for k in range(9)
    )
    tree = tree_of({**images(*(f"Train/{k % 3}/{k}.png" for k in range(9))), "Train.csv": text})
    assert labels(tree, labels="Train.csv")["Train/2/5.png"] == "2"


def test_a_column_of_parts_is_found_by_its_words():
    text = "class id,filepaths,labels,data set\n" + "".join(
        f"{k % 2},{p}/{k}.jpg,{'OWL' if k % 2 else 'EMU'},{p}\n"
        for p in ("train", "valid", "test")
        for k in range(4)
    )
    names = [f"{p}/{k}.jpg" for p in ("train", "valid", "test") for k in range(4)]
    tree = tree_of({**images(*names), "birds.csv": text})
    assert parts(tree, labels="birds.csv")["valid/3.jpg"] == "validation"
    assert labels(tree, labels="birds.csv")["valid/3.jpg"] == "OWL"
    odd = tree_of({**THREE, "l.csv": "f,label,fold\na1,x,train\nb2,y,train\nc3,x,extra\n"})
    assert "l.csv:4: 'extra' is no part" in refused(odd, labels="l.csv", part_column="fold")


def test_parts_may_be_folders_below_one_table():
    tree = tree_of({**images("train/1.png", "train/2.png", "test/3.png"),
        "m.csv": "file_name,label\ntrain/1.png,x\ntrain/2.png,y\ntest/3.png,x\n"})  # fmt: skip
    assert parts(tree, labels="m.csv") == {
        "test/3.png": "test", "train/1.png": "train", "train/2.png": "train",
    }  # fmt: skip


def test_parts_of_a_table_may_be_named_by_folders():
    tree = tree_of({**images("f1/1.png", "f2/2.png", "f3/3.png", "x/4.png"),
        "m.csv": "file,label\n1.png,a\n2.png,b\n3.png,a\n4.png,b\n"})  # fmt: skip
    layout, _, _ = read(tree, in_parts={"train": "f[12]", "test": "f3"}, labels="m.csv")
    assert dict(zip(layout.files, layout.parts, strict=True)) == {
        "f1/1.png": "train", "f2/2.png": "train", "f3/3.png": "test",
    }  # fmt: skip
    assert "1 images in no part's folder were left out" in layout.notes
    more = tree_of({**images("f1/1.png", "f3/3.png", "x/4.png"), "m.csv": "f,label\n1,a\n3,b\n"})
    layout, _, _ = read(more, in_parts={"train": "f1", "test": "f3"}, labels="m.csv")
    assert layout.warnings[0].startswith("1 of 3 images have no label")
    assert parts(tree, in_parts={"test": "x"}, labels="m.csv")["f1/1.png"] == "train"
    assert "parts: there is no folder 'y'" in refused(tree, in_parts={"test": "y"}, labels="m.csv")
    by_column = tree_of({**THREE, "m.csv": "f,label,set\na1,x,train\nb2,y,train\nc3,x,val\n"})
    assert parts(by_column, in_parts={"test": "val"}, labels="m.csv")["train/c3.jpg"] == "test"


def test_a_list_of_paths_takes_the_class_from_the_folder_as_in_food101():
    tree = tree_of({**images("images/pie/1.jpg", "images/pie/2.jpg", "images/soup/3.jpg"),
        "meta/train.txt": "pie/1\nsoup/3\n", "meta/test.txt": "pie/2\n"})  # fmt: skip
    both = {"train": "meta/train.txt", "test": "meta/test.txt"}
    assert labels(tree, labels=both) == {
        "images/pie/1.jpg": "pie", "images/pie/2.jpg": "pie", "images/soup/3.jpg": "soup",
    }  # fmt: skip
    assert parts(tree, labels=both)["images/pie/2.jpg"] == "test"


def test_coco_with_one_category_an_image():
    coco = {
        "images": [
            {"id": k, "file_name": f"{name}.jpg"} for k, name in enumerate(["a1", "b2", "c3"])
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}],
        "annotations": [
            {"image_id": k, "category_id": c} for k, c in [(0, 7), (1, 8), (1, 8), (2, 7)]
        ],
    }
    tree = tree_of({**THREE, "a.json": json.dumps(coco)})
    assert labels(tree, labels="a.json") == CAT_DOG_CAT
    coco["annotations"].append({"image_id": 2, "category_id": 8})
    text = refused(tree_of({**THREE, "a.json": json.dumps(coco)}), labels="a.json")
    assert (
        "annotations of objects (COCO): 1 of 3 images have several categories, as 'c3.jpg' " in text
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "l.csv: empty; it needs a row for each image"),
        ("file,label\n", "l.csv: only the names of columns"),
        ("file,label\nx9,cat\ny9,dog\n", "no column names images of the set: a row of it is"),
        ("file,label\na1,cat\nb2,dog\na1,dog\n", "l.csv:4: 'train/a1.jpg' is called 'dog', and "
            "'cat' in /data/pets/l.csv:2; an image has one label"),
        ("file,label\na1,cat\nb2,dog\nz9,dog\nz8,cat\n", "l.csv:4: 'z9' names no image of "
            "/data/pets (nor do 1 more rows); take such rows out"),
        ("file,label\na1,cat\nb2,dog,2\nc3,cat\n", "l.csv:3: 3 fields, the first row has 2"),
        ('file,label\na1,cat\nb2,"dog\nc3,cat\n', "l.csv:3: a label of several lines"),
        ("file,label\na1,\nb2,\nc3,\n", "no row of it has a label"),
        ("f,label\na1,cat\nb2,dog\nc3,cat|dog\n", "l.csv:4: 'cat\\|dog' is two labels of one"),
        ("f,text\na1,a cat\nb2,a dog\nc3,no dog\n", "no column could be the label: 'text' has 3"),
        ("file,x,y2,z\na1,1,0,1\nb2,0,1,0\nc3,1,1,0\n", "3 columns could be the label"),
        (b"file,label\na1,\xff\xfe\xff\nb2,dog\n", "cannot be read as text"),
        ("f," + "x," * 3000 + "\na1," + "1," * 3000, "3,002 columns; the limit is 2,000"),
        ("x" * (1 << 21), "a line of over 1,048,576 characters"),
    ],
)  # fmt: skip
def test_tables_that_do_not_say_one_class_for_each_image(text, message):
    with pytest.raises(DataError, match=message.replace("(", r"\(").replace(")", r"\)")):
        read(tree_of({**THREE, "l.csv": text}), labels="l.csv")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.json", "[" * 100_000, "cannot be read as JSON"),
        ("l.json", '{"a1": "cat", "b2": "dog", "a1": "dog"}', "'a1' stands twice in one object"),
        ("l.json", "3", "no table"),
        ("l.json", '[{"f": "a1"}, 3]', "entry 2 is no object"),
        ("l.json", '{"images": [{"id": 1}], "annotations": [], "categories": []}', "COCO"),
        ("l.jsonl", '{"f": "a1", "label": 1}\n{"f"\n', "l.jsonl:2: cannot be read as JSON"),
        ("l.csv.gz", b"\x1f\x8b nonsense", "cannot be unpacked"),
        ("l.xlsx", "PK", "labels are read from .csv"),
    ],
)
def test_tables_of_other_kinds_that_cannot_be_read(name, text, message):
    with pytest.raises(DataError, match=message):
        read(tree_of({**THREE, name: text}), labels=name)


def test_rows_are_left_out_with_a_word():
    text = "file,label\na1,cat\na1,cat\nb2,dog\nc3,\n"
    layout, _, _ = read(tree_of({**THREE, "l.csv": text}), labels="l.csv")
    assert layout.files == ("train/a1.jpg", "train/b2.jpg")
    assert layout.notes[1:] == (
        "1 rows name an image again, with the same label",
        "1 rows without a label were left out, the first is /data/pets/l.csv:5",
    )
    assert layout.warnings[0].startswith("1 of 3 images have no label in the table")


def test_rows_without_an_image_may_be_left_out_by_a_setting():
    tree = tree_of({**THREE, "l.csv": "file,label\na1,cat\nb2,dog\nz9,dog\n"})
    options = LabelOptions(path=tree.where, labels="l.csv")
    layout, _, _ = labelled_layout(tree, options, request(Path("/x")), None, on_missing="skip")
    assert (
        "1 rows that name no image were left out, the first in /data/pets/l.csv:4: 'z9'"
        in layout.notes
    )


def test_a_row_of_two_classes_is_refused_and_one_of_none_left_out():
    rows = "filename, cat, dog, emu\na1.jpg, 1, 0, 0\nb2.jpg, 0, 1, 0\nc3.jpg, 1, 1, 0\n"
    text = refused(tree_of({**THREE, "l.csv": rows}), labels="l.csv")
    assert (
        "l.csv:4: 'c3.jpg' is of 2 classes (cat, dog); a classifier takes one class an image"
        in text
    )
    none = rows.replace("1, 1, 0", "0, 0, 0").replace("0, 1, 0", "0, 0, 1")
    with pytest.raises(DataError, match="columns could be the label"):  # sums alone do not say it
        read(tree_of({**THREE, "l.csv": none.replace("1, 0, 0", "1, 0, 1")}), labels="l.csv")
    layout, _, _ = read(tree_of({**THREE, "l.csv": none}), labels="l.csv")
    assert layout.classes == ("cat", "emu")


def test_settings_name_what_is_there():
    tree = tree_of({**THREE, "l.csv": "id,breed\na1,cat\nb2,dog\nc3,cat\n"})
    assert (
        "label_column: there is no column 'bred' (did you mean 'breed'?); there are id, breed"
        in (refused(tree, labels="l.csv", label_column="bred"))
    )
    assert "path_column: 3 is no column; they are counted from 1 to 2 (-1 is the last)" in (
        refused(tree, labels="l.csv", path_column=3)
    )
    assert labels(tree, labels="l.csv", label_column=-1) == CAT_DOG_CAT
    assert "labels: there is no file 'm.csv' (did you mean 'l.csv'?); tables in it are l.csv" in (
        refused(tree, labels="m.csv")
    )
    assert "group: there is no column 'dog'" in refused(tree, labels="l.csv", group="dog")
    with pytest.raises(ValueError, match="'extra' is no part"):
        LabelOptions(path="x", labels={"train": "a.csv", "extra": "b.csv"})
    with pytest.raises(ValueError, match="one for train among them"):
        LabelOptions(path="x", labels={"test": "b.csv"})
    with pytest.raises(ValueError, match="group and group_at: give one of them"):
        LabelOptions(path="x", group="a", group_at=1)
    with pytest.raises(ValueError, match="needs one group in parentheses"):
        LabelOptions(path="x", label_pattern="[a-z]+")


@pytest.mark.parametrize(
    ("text", "given", "classes"),
    [
        ("f,label\na1,0\nb2,1\nc3,0\n", ["cat", "dog"], ("cat", "dog")),
        ("f,label\na1,5\nb2,9\nc3,5\n", {5: "cat", 9: "dog"}, ("cat", "dog")),
        ("f,label\na1,0\nb2,1\nc3,0\n", "classes.txt", ("tench", "shark")),
        ("f,label\na1,n1\nb2,n2\nc3,n1\n", "synsets.txt", ("tench, Tinca", "great shark")),
        ("f,label\na1,1\nb2,0\nc3,1\n", "ids.csv", ("shark", "tench")),
        ("f,label\na1,0\nb2,1\nc3,0\n", "index.json", ("tench", "shark")),
        ("f,label\na1,n1\nb2,n2\nc3,n1\n", "index.json", ("tench", "shark")),
        ("f,label\na1,0\nb2,1\nc3,0\n", "class_to_idx.json", ("tench", "shark")),
    ],
)
def test_names_of_classes_from_the_sweep_or_from_a_file(text, given, classes):
    tree = tree_of(
        {
            **THREE,
            "l.csv": text,
            "classes.txt": "tench\nshark\n",
            "synsets.txt": "n1 tench, Tinca\nn2 great shark\nn3 ray\n",
            "ids.csv": "id,name\n0,shark\n1,tench\n2,ray\n",
            "index.json": '{"0": ["n1", "tench"], "1": ["n2", "shark"]}',
            "class_to_idx.json": '{"tench": 0, "shark": 1}',
        }
    )
    layout, wanted, order = read(tree, labels="l.csv", class_names=given)
    assert wanted is None
    assert order == classes
    assert layout.classes[0] == layout.classes[2] != layout.classes[1]


def test_some_classes_are_chosen_by_name():
    tree = tree_of({**THREE, "l.csv": "f,label\na1,cat\nb2,dog\nc3,emu\n"})
    _, wanted, _ = read(tree, labels="l.csv", label_column="label", class_names=["emu", "cat"])
    assert wanted == ("emu", "cat")


# -- names of files, levels of folders ------------------------------------------------------------


def test_classes_from_the_names_of_files():
    names = [f"{b}_{k}.jpg" for b in ("Abyssinian", "great_dane") for k in (1, 22)]
    tree = tree_of(images(*names))
    assert labels(tree, label_pattern=r"(.+)_\d+")["great_dane_22.jpg"] == "great_dane"
    assert "does not fit 4 of 4 names, the first is 'Abyssinian_1.jpg'" in (
        refused(tree, label_pattern=r"(\d+)")
    )
    masks = tree_of(images(*(f"{d}/{n}" for d in ("images", "a/trimaps") for n in names)))
    layout, _, _ = read(masks, label_pattern=r"(.+)_\d+")
    assert set(layout.files) == {f"images/{name}" for name in names}
    assert layout.notes[1] == "4 images in folders of masks, plots and the like were not read"
    sides = tree_of(images(*(f"{d}/{n}" for d in ("left", "right") for n in names)))
    assert "images lie in left, right; give one of them as path: DIR" in (
        refused(sides, label_pattern=r"(.+)_\d+")
    )
    in_parts = tree_of(images(*(f"{d}/{n}" for d in ("train", "val") for n in names)))
    assert set(parts(in_parts, label_pattern=r"(.+)_\d+").values()) == {"train", "validation"}


def test_groups_by_a_level_of_folders_or_by_names():
    names = [f"{c}/w{w}/{k}.png" for c in "ab" for w in (1, 2) for k in (1, 2)]
    tree = tree_of(images(*names))

    def by_letters():
        return read_layout(tree, (), Asked(classes_at=1))

    layout, _, _ = read(tree, by_letters, group_at=2)
    assert layout.groups == ("w1", "w1", "w2", "w2") * 2
    text = refused(tree, by_folders=by_letters, group_at=1)
    assert "group_at: 1: the folders of this level are the classes (a, b)" in text
    assert "'a/w1/1.png' lies 2 deep only" in (refused(tree, by_folders=by_letters, group_at=3))
    by_name = tree_of(images("a/p1_x.png", "a/p2_x.png", "b/p1_y.png", "b/p2_y.png"))
    layout, _, _ = read(by_name, group_pattern=r"(p\d)_.*")
    assert layout.groups == ("p1", "p2", "p1", "p2")
    assert "group: who is a column of a table of labels" in refused(by_name, group="who")


# -- tables that nobody named ---------------------------------------------------------------------


def flat_parts():
    raise DataError("parts hold flat files")


def test_formats_that_say_what_they_are_are_read_unasked():
    flat = images("train/1.jpg", "train/2.jpg", "test/1.jpg", "test/2.jpg")
    roboflow = "filename, cat, dog\n1.jpg, 1, 0\n2.jpg, 0, 1\n"
    tree = tree_of({**flat, "train/_classes.csv": roboflow, "test/_classes.csv": roboflow})
    assert labels(tree, by_folders=flat_parts)["test/2.jpg"] == "dog"
    assert set(parts(tree, by_folders=flat_parts).values()) == {"train", "test"}
    text = "file_name,label\n1.jpg,cat\n2.jpg,dog\n"
    tree = tree_of({**images("1.jpg", "2.jpg"), "metadata.csv": text})
    assert labels(tree) == {"1.jpg": "cat", "2.jpg": "dog"}
    captions = "file_name,text\n1.jpg,a cat\n2.jpg,a dog\n"
    assert "no images in class folders" in refused(
        tree_of({**images("1.jpg", "2.jpg"), "metadata.csv": captions})
    )


def test_tables_that_could_be_meant_are_named_with_the_setting():
    flat = images(*(f"{p}/{k}.jpg" for p in ("images",) for k in range(4)))
    one = tree_of({**flat, "l.csv": "id,label\n0,cat\n1,dog\n2,cat\n3,dog\n"}, "/d")
    assert refused(one).endswith(
        "; l.csv names 4 images and their labels (column 'label', 2 values: cat, dog): labels: "
        "l.csv reads it"
    )


def test_class_folders_that_a_table_contradicts_are_refused_and_others_read_as_before():
    folders = images(*(f"{c}/{k}.jpg" for c in "ab" for k in range(4)))
    rows = [f"{c}/{k}.jpg" for c in "ab" for k in range(4)]
    other = "file,label\n" + "".join(f"{n},{'xy'[k % 2]}\n" for k, n in enumerate(rows))
    assert refused(tree_of({**folders, "l.csv": other})) == (
        "/data/pets: two readings: the classes are the folders a, b, or the labels in l.csv (2 "
        "values: x, y); choose: labels: folders, or labels: l.csv"
    )
    same = "file,label\n" + "".join(f"{n},{n[0].upper()}\n" for n in rows)
    finer = "file,label\n" + "".join(f"{n},{n[0]}{k % 2}\n" for k, n in enumerate(rows))
    ages = "file,age\n" + "".join(f"{n},{30 + k % 3}\n" for k, n in enumerate(rows))
    for text in (same, finer, ages, "how,to\n1,2\n"):
        assert set(labels(tree_of({**folders, "l.csv": text})).values()) == {"a", "b"}


# -- MATLAB ---------------------------------------------------------------------------------------


def mat(*, packed=True, **variables) -> bytes:
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, variables, do_compression=packed)
    return file.getvalue()


FLOWERS = images(*(f"jpg/image_{k:05}.jpg" for k in range(1, 7)))


def test_oxfords_flowers_are_labelled_by_position_and_split_by_setid():
    flowers = {**FLOWERS, "imagelabels.mat": mat(labels=np.array([[77, 77, 3, 3, 9, 9]]))}
    assert labels(tree_of(flowers), labels="imagelabels.mat")["jpg/image_00003.jpg"] == "3"
    setid = mat(trnid=[[1, 3, 5]], valid=[[2]], tstid=[[4, 6]])
    assert parts(tree_of({**flowers, "setid.mat": setid}), labels="imagelabels.mat") == {
        "jpg/image_00001.jpg": "train", "jpg/image_00002.jpg": "validation",
        "jpg/image_00003.jpg": "train", "jpg/image_00004.jpg": "test",
        "jpg/image_00005.jpg": "train", "jpg/image_00006.jpg": "test",
    }  # fmt: skip
    short = tree_of({**FLOWERS, "l.mat": mat(labels=np.array([[7, 7, 3, 3, 9, 9, 9]]))})
    assert "l.mat: entry 7: '7' names no image" in refused(short, labels="l.mat")


def test_stanfords_lists_and_structures():
    names = np.array([[f"n{k % 2}-dog/{k}.jpg"] for k in range(4)], dtype=object)
    lists = mat(file_list=names, labels=np.array([[1], [2], [1], [2]]))
    dogs = tree_of({**images(*(f"Images/n{k % 2}-dog/{k}.jpg" for k in range(4))), "l.mat": lists})
    assert labels(dogs, labels="l.mat")["Images/n1-dog/3.jpg"] == "2"
    kind = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]
    cars = np.array([[(30 + k, k % 2 + 1, f"{k:05}.jpg") for k in range(4)]], dtype=kind)
    tree = tree_of(
        {**images(*(f"cars/{k:05}.jpg" for k in range(4))), "a.mat": mat(annotations=cars)}
    )
    assert labels(tree, labels="a.mat") == {f"cars/{k:05}.jpg": str(k % 2 + 1) for k in range(4)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MATLAB 5.0", "no whole .mat file"),
        (b"MATLAB 7.3 MAT-file".ljust(126) + b"\0\x02IM", "version 7.3; save it with version 7"),
        (mat(labels=np.zeros((6, 6)))[:-9], "damaged"),
        (mat(x=np.zeros((6, 6))), r"no list of labels in it; it holds x \(6, 6\)"),
    ],
)
def test_mat_files_that_hold_no_labels(content, message):
    with pytest.raises(DataError, match=message):
        read(tree_of({**FLOWERS, "l.mat": content}), labels="l.mat")


def test_what_a_mat_file_says_of_its_sizes_is_not_believed():
    bomb = mat(x=np.zeros((1, 70 << 20), np.uint8))
    with pytest.raises(DataError, match="unpacks to more than a file of its size may"):
        read(tree_of({**FLOWERS, "l.mat": bomb}), labels="l.mat")
    plain = bytearray(mat(packed=False, labels=np.arange(6.0)[None]))
    at = plain.index(struct.pack("<iiii", 5, 8, 1, 6)) + 8
    plain[at : at + 8] = struct.pack("<ii", 1 << 15, 1 << 15)
    with pytest.raises(DataError, match="more elements than bytes"):
        read(tree_of({**FLOWERS, "l.mat": bytes(plain)}), labels="l.mat")
    deep: object = np.array([1.0])
    for _ in range(20):
        deep = np.array([deep, None], dtype=object)[:1]
    with pytest.raises(DataError, match="cells lie over 12 deep"):
        read(tree_of({**FLOWERS, "l.mat": mat(labels=deep)}), labels="l.mat")


# -- names as other systems write them ------------------------------------------------------------


def test_endings_in_another_case_and_paths_of_a_server():
    tree = tree_of({**images("images/Bild 1.JPG", "images/Bild 2.JPG"),
        "l.csv": "image,choice\n/data/up/3/Bild 1.jpg,x\n/data/up/3/Bild 2.jpg,y\n"})  # fmt: skip
    assert labels(tree, labels="l.csv") == {"images/Bild 1.JPG": "x", "images/Bild 2.JPG": "y"}
    other = tree_of({**images("train/1.jpg", "train/2.jpg"),
        "l.csv": "f,label\n/x/test/1.jpg,a\n/x/train/2.jpg,b\n"})  # fmt: skip
    assert "'/x/test/1.jpg' names no image" in refused(other, labels="l.csv")


def test_a_table_in_another_encoding_is_read_by_a_setting():
    tree = tree_of({**THREE, "l.csv": "f,label\na1,Kürbis\nb2,Möhre\nc3,Kürbis\n".encode("cp1252")})
    assert "say encoding: cp1252" in refused(tree, labels="l.csv")
    assert labels(tree, labels="l.csv", encoding="cp1252")["train/b2.jpg"] == "Möhre"
    assert "say encoding: cp1252" in refused(tree, by_folders=flat_parts)


def test_several_labels_in_a_named_column_are_warned_of():
    tree = tree_of({**THREE, "l.csv": "f,label\na1,cat\nb2,dog\nc3,cat|dog\n"})
    layout, _, _ = read(tree, labels="l.csv", label_column="label")
    assert layout.warnings == (
        "/data/pets/l.csv:4: 'cat|dog' is two labels of one image; it is a class of its own here",
    )


def test_a_list_of_test_images_without_labels_is_not_offered():
    flat = images(*(f"train/{k}.jpg" for k in range(4)), *(f"test/{k}.jpg" for k in range(4, 6)))
    tree = tree_of(
        {**flat, "train.csv": "id,target\n0,1\n1,0\n2,1\n3,0\n", "test.csv": "id\n4\n5\n"}
    )
    assert refused(tree, by_folders=flat_parts).endswith(": labels: train.csv reads it")
    both = tree_of({**flat, "train.csv": "id,target\n0,1\n1,0\n2,1\n3,0\n",
        "test.csv": "id,target\n4,0\n5,1\n"})  # fmt: skip
    assert "labels: {train: train.csv, test: test.csv} reads it" in (
        refused(both, by_folders=flat_parts)
    )


# -- class folders beside tables ------------------------------------------------------------------


def tiny_imagenet():
    names = [f"train/n{c}/images/n{c}_{k}.JPEG" for c in (1, 2) for k in range(4)]
    val = "".join(f"val_{k}.JPEG\tn{k % 2 + 1}\t0\t{k % 2}\t44\n" for k in range(4))
    return tree_of({**images(*names, *(f"val/images/val_{k}.JPEG" for k in range(4))),
        "val/val_annotations.txt": val, "wnids.txt": "n1\nn2\n"})  # fmt: skip


def test_one_part_has_class_folders_and_another_a_table_as_tiny_imagenet():
    tree = tiny_imagenet()
    layout, _, _ = read(tree)
    assert layout.notes[-1] == (
        "val/val_annotations.txt says the classes of 4 images that were not read: labels: {train: "
        "folders, validation: val/val_annotations.txt} reads them"
    )
    both = {"train": "folders", "validation": "val/val_annotations.txt"}
    assert labels(tree, labels=both)["val/images/val_3.JPEG"] == "n2"
    assert labels(tree, labels=both)["train/n1/images/n1_0.JPEG"] == "n1"
    assert set(parts(tree, labels=both).values()) == {"train", "validation"}
    other = tree_of({**images("train/a/1.png", "train/b/2.png", "test/3.png", "test/4.png"),
        "test/t.csv": "f,label\n3,a\n4,c\n"})  # fmt: skip
    text = refused(other, labels={"train": "folders", "test": "test/t.csv"})
    assert "'c' of a table is no class folder; there are a, b" in text


def test_lists_of_the_images_of_each_part_are_named():
    tree = tree_of(
        {
            **images(*(f"images/{c}/{k}.jpg" for c in ("pie", "soup") for k in range(4))),
            "meta/train.txt": "pie/0\npie/1\nsoup/0\nsoup/1\n",
            "meta/test.txt": "pie/2\nsoup/2\n",
        }
    )
    layout, _, _ = read(tree)
    assert layout.notes[-1] == (
        "lists of the images of each part lie there: labels: {train: meta/train.txt, test: "
        "meta/test.txt} takes its parts"
    )


def test_numbers_mean_images_only_where_no_column_names_them():
    numbered = images(*(f"img_{k:04}.jpg" for k in range(1, 13)))
    rows = "".join(f"img_{k:04},{k},{'ab'[k % 2]}\n" for k in range(1, 13))
    named = tree_of({**numbered, "l.csv": f"x,patient,label\n{rows}"})
    layout, _, _ = read(named, labels="l.csv", group="patient")
    assert layout.classes[:2] == ("b", "a")
    ids = "".join(f"{k},{'ab'[k % 2]}\n" for k in range(1, 13))
    assert labels(tree_of({**numbered, "l.csv": f"id,label\n{ids}"}), labels="l.csv") == dict(
        zip(layout.files, layout.classes, strict=True)
    )


def test_the_full_export_of_label_studio_is_a_table():
    def task(image, *chosen, **more):
        results = [{"value": {"choices": list(chosen)}, "from_name": "choice", "type": "choices"}]
        return {"annotations": [{"result": results, **more}], "data": {"image": image}}

    tasks = [task("train/a1.jpg", "cat"), task("train/b2.jpg", "dog"), task("train/c3.jpg", "cat")]
    tasks[1]["annotations"] += task("", "cat", was_cancelled=True)["annotations"]
    tree = tree_of({**THREE, "project.json": json.dumps(tasks)})
    assert labels(tree, labels="project.json") == CAT_DOG_CAT
    assert "labels: project.json reads it" in refused(tree)


def test_a_table_with_labels_is_offered_before_one_without():
    files = images(
        "images/Test_0.jpg", "images/Test_1.jpg", "images/Train_0.jpg", "images/Train_1.jpg"
    )
    tables = {
        "test.csv": "image_id\nTest_0\nTest_1\n",
        "train.csv": "image_id,healthy,rust\nTrain_0,1,0\nTrain_1,0,1\n",
    }
    assert "labels: train.csv reads it" in refused(tree_of({**files, **tables}))


def test_numbers_of_a_table_are_those_of_class_folders_with_zeros():
    files = {f"train/{k:05d}/{n}.png": "" for k in range(3) for n in "ab"}
    files |= {"test/x.png": "", "test/y.png": "", "test.csv": "file,label\nx.png,0\ny.png,2\n"}
    setting = {"train": "folders", "test": "test.csv"}
    joined, _, _ = read(tree_of(files), labels=setting)
    assert not joined.warnings
    found = dict(zip(joined.files, joined.classes, strict=True))
    assert (found["test/x.png"], found["test/y.png"]) == ("00000", "00002")
    layout, _, _ = read(tree_of(files))
    assert any("test: test.csv} reads them" in note for note in layout.notes)


def test_a_table_may_begin_paths_with_the_former_name_of_the_whole_folder():
    rows = [("p1/study1/a.jpg", "x"), ("p2/study1/a.jpg", "y"), ("p3/study1/a.jpg", "x")]
    table = "Path,label\n" + "".join(f"CheXpert-v1.0/train/{way},{label}\n" for way, label in rows)
    tree = tree_of({**images(*(f"train/{way}" for way, _ in rows)), "train.csv": table})
    assert list(labels(tree, labels="train.csv").values()) == ["x", "y", "x"]
    other = tree_of(
        {
            **images(*(f"train/{way}" for way, _ in rows)),
            "t.csv": table.replace("CheXpert-v1.0", "test"),
        }
    )
    assert "no column names images" in refused(other, labels="t.csv")


NUMBERED = images("1.png", "2.png", "3.png")
TAGGED_ROWS = "file,tags\n1.png,cat|dog\n2.png,\n3.png,dog\n"
HOT_ROWS = "file,cat,dog\n1.png,1,1\n2.png,0,0\n3.png,0,1\n"


def test_tables_name_several_labels_in_a_cell_or_in_columns():
    expected = {"1.png": "cat|dog", "2.png": "(none)", "3.png": "dog"}
    cells = {"labels": "t.csv", "label_column": "tags", "target": "labels"}
    assert labels(tree_of({**NUMBERED, "t.csv": TAGGED_ROWS}), **cells) == expected
    assert (
        labels(tree_of({**NUMBERED, "t.csv": HOT_ROWS}), labels="t.csv", target="labels")
        == expected
    )
    chosen = {"kind": "labels", "columns": ["dog", "cat"]}
    assert labels(tree_of({**NUMBERED, "t.csv": HOT_ROWS}), labels="t.csv", target=chosen) == {
        "1.png": "dog|cat", "2.png": "(none)", "3.png": "dog",
    }  # fmt: skip


def test_the_only_column_of_numbers_is_the_number():
    table = "file,age,who\n1.png,23.5,x\n2.png,7,y\n3.png,1e1,z\n"
    tree = tree_of({**NUMBERED, "t.csv": table})
    assert labels(tree, labels="t.csv", target="number") == {
        "1.png": "23.5", "2.png": "7", "3.png": "1e1",
    }  # fmt: skip
    two = tree_of({**NUMBERED, "t.csv": table.replace("who", "height").replace("x\n", "1\n")
        .replace("y\n", "2\n").replace("z\n", "3\n")})  # fmt: skip
    with pytest.raises(
        DataError, match=r"2 of its columns could be the number \('age', 'height'\)"
    ):
        labels(two, labels="t.csv", target="number")


def test_the_options_of_a_folder_know_the_target():
    assert LabelOptions(path="x", target="labels").wanted.target == TargetSettings(kind="labels")


@pytest.mark.parametrize("cell", ["tall", "NaN", "inf", "1,5"])
def test_a_cell_that_is_no_number_is_named(cell):
    table = f'file,age,who\n1.png,23.5,x\n2.png,"{cell}",y\n3.png,1e1,z\n'
    said = refused(tree_of({**NUMBERED, "t.csv": table}), labels="t.csv", target="number")
    assert f"t.csv:3: target: number: '{cell}' is no number" in said


def test_a_column_of_a_label_is_not_left_out_for_one_odd_cell():
    rows = [f"{k}.png,{k % 2},{k % 3 % 2},{k}" for k in range(1, 13)]
    table = "\n".join(["file,cat,dog,size", *rows])
    many = images(*(f"{k}.png" for k in range(1, 13)))
    odd = tree_of({**many, "t.csv": table.replace("3.png,1,", "3.png,2,")})
    said = refused(odd, labels="t.csv", target="labels")
    assert "t.csv:4: '2' in the column 'cat', whose other cells are 0 and 1" in said
    empty = tree_of({**many, "t.csv": table.replace("3.png,1,", "3.png,,")})
    assert "3.png" not in labels(empty, labels="t.csv", target="labels")
    assert labels(empty, labels="t.csv", target="labels")["1.png"] == "cat|dog"


@pytest.mark.parametrize(
    ("kind", "cell", "message"),
    [("number", "5", "all images have the same number, 5"),
     ("labels", "", "all images have none of the labels"),
     ("labels", "a|b", "all images have the same labels, 'a|b'")],
)  # fmt: skip
def test_images_that_are_all_alike_are_no_target(kind, cell, message):
    table = "file,label\n" + "".join(f"{k}.png,{cell}\n" for k in (1, 2, 3))
    said = refused(tree_of({**NUMBERED, "t.csv": table}), labels="t.csv", target=kind)
    assert f"target: {kind}: {message}" in said
