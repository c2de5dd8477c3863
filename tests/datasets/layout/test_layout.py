"""Folders as people and tools lay them out, by their names alone: what is read, what is refused.

A tree is written as `folder*n` (n images in it), `folder/` (an empty one) or a file's name.
"""

import random
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from datasets.files.trees import Tree
from datasets.layout.folder_names import part_name, parts_among
from datasets.layout.layout import check_classes, read_layout
from datasets.layout.types import Asked
from headstart.errors import DataError


def tree_of(text):
    names, folders = [], set()
    for item in text.split("|"):
        folder, star, n = item.strip().partition("*")
        folders |= {folder.rstrip("/")} if folder.endswith("/") else set()
        names += [f"{folder}/{i}.jpg" for i in range(int(n))] if star else []
        names += [] if star or folder.endswith("/") else [folder]
    for name in names:
        ways = name.split("/")[:-1]
        folders |= {"/".join(ways[: depth + 1]) for depth in range(len(ways))}
    return Tree(Path("D"), tuple(sorted(names)), frozenset(folders), lambda name: b"")


def read(text, **asked):
    """Part → class → number of images, with notes and warnings in one text."""
    tree = tree_of(text)
    layout = read_layout(tree, (), Asked(**asked))
    notes = (*layout.notes, *check_classes(layout, asked.get("class_names"), tree))
    counts: dict[str, dict[str, int]] = {}
    for (part, name), n in Counter(zip(layout.parts, layout.classes, strict=True)).items():
        counts.setdefault(part, {})[name] = n
    return counts, "\n".join((*notes, *layout.warnings))


def both(first, second="test", n=(3, 2)):
    """Two parts, each with classes a and b."""
    return f"{first}/a*{n[0]} | {first}/b*{n[0]} | {second}/a*{n[1]} | {second}/b*{n[1]}"


TRAIN_TEST = {"train": {"a": 3, "b": 3}, "test": {"a": 2, "b": 2}}
TRAIN_VALIDATION = {"train": {"a": 3, "b": 3}, "validation": {"a": 2, "b": 2}}
PLAIN = {"": {"a": 4, "b": 4}}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("train", "test"),
        ("Training", "Testing"),
        ("trn", "tst"),
        ("Training Set", "Test Set"),
        ("train-set", "test-set"),
        ("training_set/training_set", "test_set/test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train_images", "test_images"),
        ("TrainImages", "TestImages"),
        ("imagesTr", "imagesTs"),
        ("chest xray train", "chest xray test"),
        ("train2017", "test2017"),
        ("images/train", "images/test"),
        ("train/images", "test/images"),
        ("archive/archive/train", "archive/archive/test"),
        ("train/stuff", "test/things"),
    ],
)
def test_parts_in_all_their_spellings(first, second):
    assert read(both(first, second))[0] == TRAIN_TEST


@pytest.mark.parametrize("name", ["val", "Valid", "validation set", "dev", "val2017", "val_data"])
def test_validation_in_all_its_spellings(name):
    assert read(both("train", name))[0] == TRAIN_VALIDATION


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ("plots*1", "1 images outside the class folders were not read: plots"),
        ("test-extra*3", "test-extra (3 images) holds images in no class folders"),
        ("a*4 | b*4", "a (4), b (4)"),
        ("train_more/a*9", "train_more (9)"),
        ("D/train/a*4 | D/train/b*4 | D/test/a*4 | D/test/b*4", "D (16)"),
        ("@eaDir/a*2", "2 images in folders of a network drive"),
        ("labels/train/a.txt", "1 file that is no image"),
    ],
)
def test_what_lies_beside_parts_is_left_out_and_said(beside, said):
    counts, notes = read(f"{both('train')} | {beside}")
    assert counts == TRAIN_TEST
    assert said in notes


@pytest.mark.parametrize(
    "flat", ["test*7", "test/test*7", "test/unknown*7", "test/images*7", "asl_test/asl_test*7"]
)
def test_a_part_without_classes_is_left_out_and_said(flat):
    counts, notes = read(f"train/a*3 | train/b*3 | {flat}")
    assert counts == {"train": {"a": 3, "b": 3}}
    assert "(7 images) holds images in no class folders; without labels they were not" in notes
    assert "7 of 13 files were not read: 7 images outside the folders that are read" in notes


@pytest.mark.parametrize(
    "text",
    [
        "a*4 | b*4",
        "photos/a*4 | photos/b*4",
        "a/@eaDir/0.jpg*2 | a*4 | b*4",
        "a*4 | b*4 | plots*1",
        "a*4 | b*4 | docs/readme.md | labels/",
        "a/images*4 | a/masks*4 | b/images*4 | b/masks*4",
        "a/thumbs*4 | a*4 | b*4",
        "images/a*4 | images/b*4 | annotations/trimaps/a*4",
        "a/x*2 | a/y*2 | b/z*2 | b*2",
        "a*4 | b*4 | copy/a*4 | copy/b*4",
        "w/contact.png | w/a*4 | w/b*4",
    ],
)
def test_classes_without_parts(text):
    assert read(text)[0] == PLAIN


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("train*2 | bus*2 | car*2", {"train", "bus", "car"}),
        ("train station*2 | test tube*2 | car*2", {"train station", "test tube", "car"}),
        ("valid*2 | invalid*2", {"valid", "invalid"}),
        ("blood_test*2 | urine*2", {"blood_test", "urine"}),
        ("0*1 | 1*1 | 10*1", {"0", "1", "10"}),
        ("rock*2 | paper*2 | scissors*2", {"rock", "paper", "scissors"}),
        ("mask*2 | no_mask*2", {"mask", "no_mask"}),
        ("train*2 | dev_board*2 | car*2", {"train", "dev_board", "car"}),
        ("class1*2 | class2*2", {"class1", "class2"}),
        ("n01*2 | n02*2", {"n01", "n02"}),
        ("walk*2 | run*2", {"walk", "run"}),
        ("images*2 | tables*2 | text*2", {"images", "tables", "text"}),
    ],
)
def test_classes_that_are_called_as_parts_are(text, classes):
    counts, _ = read(text)
    assert {part: set(names) for part, names in counts.items()} == {"": classes}


def test_a_class_may_be_called_train_within_parts():
    counts, _ = read("train/train*3 | train/bus*3 | test/train*2 | test/bus*2")
    assert counts == {"train": {"train": 3, "bus": 3}, "test": {"train": 2, "bus": 2}}


def test_parts_inside_the_class_folders():
    text = "a/train*3 | a/val*2 | b/train*3 | b/val*2"
    assert read(text)[0] == TRAIN_VALIDATION
    assert read(text, parts={"test": "val"})[0] == TRAIN_TEST


def test_the_level_that_the_parts_share_has_the_classes():
    counts, notes = read("train/w1/a*2 | train/w1/b*3 | train/w2/a*1 | test/w3/a*2 | test/w3/b*2")
    assert counts == TRAIN_TEST
    assert "the classes are the folders at level 3" in notes
    text = "train/a/1*2 | train/a/2*1 | train/b/1*2 | train/b/2*1 | test/a/3*2 | test/b/3*2"
    assert read(text)[0] == TRAIN_TEST


def test_what_is_left_out_for_a_reason_is_said_once():
    note = "plots (1 image) beside the class folders: taken for pictures of no class and not read"
    warning = "1 of 9 files were not read: 1 image outside the folders that are read"
    assert read("a*4 | b*4 | plots*1")[1] == f"{note}\n{warning}"
    note = "test (1 image) holds images in no class folders; without labels they were not read"
    assert read("train/a*4 | train/b*4 | test*1")[1] == f"{note}\n{warning}"


def test_folders_inside_classes_are_named_in_a_note():
    _, notes = read("fruit/apple*2 | fruit/pear*2 | vegetable/leek*2 | vegetable/kale*2")
    assert "(apple, kale, leek … (4)) make no classes; classes_at: 2 would read them" in notes


@pytest.mark.parametrize(
    ("text", "asked", "counts"),
    [
        ("w1/a*2 | w1/b*2 | w2/a*2 | w2/b*2", {"classes_at": 2}, PLAIN),
        ("w1/a*2 | w1/b*2 | w2/a*2 | w2/b*2", {"classes_at": 1}, {"": {"w1": 4, "w2": 4}}),
        ("w1/a*2 | w1/b*2 | w2/a*2 | w2/b*2", {"class_names": ("b", "a")}, PLAIN),
        ("w1/a*2 | w1/b*2 | w2/a*2 | w2/b*2", {"knows": {"a", "b", "c"}.__contains__}, PLAIN),
        (both("train/x", "test/x"), {"classes_at": 3}, TRAIN_TEST),
        (both("train", "val"), {"parts": {"test": "val"}}, TRAIN_TEST),
        (both("train", "val"), {"parts": {"test": "validation"}}, TRAIN_TEST),
        (both("w/train", "w/val"), {"parts": {"test": "val"}}, TRAIN_TEST),
        (both("w/train", "w/val"), {"parts": {"test": "w/val/"}}, TRAIN_TEST),
        (both("train", "eval"), {"parts": {"validation": "eval"}}, TRAIN_VALIDATION),
        (both("x/x", "y"), {"parts": {"train": "x", "test": "y"}}, TRAIN_TEST),
        (
            "f1/a*1 | f1/b*2 | f2/a*2 | f2/b*1 | f9/a*2 | f9/b*2",
            {"parts": {"train": "f[1-8]", "test": "f9"}},
            TRAIN_TEST,
        ),
        ("a*3 | b*3 | test/a*2 | test/b*2", {"parts": {"train": ".", "test": "test"}}, TRAIN_TEST),
        ("a*3 | b*3 | test/a*2 | test/b*2", {"parts": {"test": "test", "train": "."}}, TRAIN_TEST),
        (
            "a/old*3 | a/new*2 | b/old*3 | b/new*2",
            {"classes_at": 1, "parts": {"train": "*/old", "test": "*/new"}},
            TRAIN_TEST,
        ),
        (
            "pets/a*4 | pets/b*4 | documents/x*4",
            {"classes_at": 1},
            {"": {"pets": 8, "documents": 4}},
        ),
        ("pets/a*4 | pets/b*4 | documents/x.txt", {}, PLAIN),
        ("a*4 | b*4 | figures*4", {"classes_at": 1}, {"": {"a": 4, "b": 4, "figures": 4}}),
    ],
)
def test_a_setting_chooses(text, asked, counts):
    assert read(text, **asked)[0] == counts


@pytest.mark.parametrize(
    ("text", "asked", "said"),
    [
        (
            "w1/0*2 | w1/1*1 | w2/0*2 | w2/1*1",
            {},
            "2 readings are possible, since the same folder names repeat: classes w1 (3), w2 (3) "
            "at level 1; or 0 (4), 1 (2) at level 2; choose with classes_at: 1 or classes_at: 2"
            "; where the first are parts, not classes: parts: {train: DIR, test: DIR}; where the "
            "first are writers, patients or scenes: classes_at: 2 with group_at: 1, so that none",
        ),
        ("x/i/a*1 | x/i/b*1 | y/i/a*1 | y/i/b*1", {}, "a (2), b (2) at level 3"),
        ("d/s/a*2 | d/s/b*2 | s/a*2 | s/b*2", {}, "a, b lie in each of d/s, s: give one of"),
        (
            "train/a/1*2 | train/a/2*2 | train/b/1*1 | train/b/2*1 | test/a/1*1 | test/b/2*1",
            {},
            "choose with classes_at: 2 or classes_at: 3",
        ),
        ("train*4 | test*2 | train.csv", {}, "hold images in no class folders, so nothing says"),
        ("train*4 | test*2 | t/x.csv", {}, "labels: FILE; if they are classes, classes_at: 1"),
        ("images/train*4 | images/val*2 | labels/train/0.txt", {}, "no class folders"),
        ("train_a*2 | train_b*2 | test_a*2 | test_b*2", {}, "a folder of its own (train/CLASS)"),
        ("a*4 | b*4 | test*4", {}, "class_names: [a, b]"),
        ("photos_a*4 | masks*4", {}, "masks (4 images) beside photos_a may be a class"),
        ("pets/a*4 | pets/b*4 | documents/x*4", {}, "classes are a, b in 'pets' (8 images), or"),
        ("pets/a*4 | pets/b*4 | documents/x*4", {}, "classes_at: 2 or classes_at: 1"),
        ("w/train/a*3 | w/train/b*3 | masks*3", {}, "(3 images in masks); choose with"),
        ("s/train/test*2 | s/train/val*2 | s/test/val*1", {}, "which are names of parts"),
        ("images_001/images*4 | images_002/images*4 | x.csv", {}, "look like pieces of one set"),
        ("patient001/study1*1 | patient002/study1*1 | x.csv", {}, "groups, it seems, and no class"),
        ("slide 1*4 | slide 2*4 | slide 3*4", {}, "if they are classes, classes_at: 1"),
        ("HAM_images_part_1*4 | HAM_images_part_2*4", {}, "if they are classes, classes_at: 1"),
        ("images*4 | test*4", {}, "test (4 images) may be a class, or a part"),
        ("a*4 | b*4 | masks*4", {}, "masks (4 images) beside a, b may be a class"),
        ("a*4 | b*4 | test/a*1 | test/b*1", {}, 'choose with parts: {train: ".", test: test}'),
        ("rps/a*4 | rps/b*4 | test/a*1 | test/b*1", {}, "parts: {train: rps, test: test}, or with"),
        (both("train", "eval"), {}, "parts: {test: eval} or parts: {validation: eval}"),
        ("train/a*1 | PublicTest/a*1 | PrivateTest/a*1", {}, 'test: "P*Test"}'),
        ("train1/a*1 | train2/a*1 | test/a*1", {}, 'parts: {train: "train*"}'),
        ("a/train*3 | a/test*2 | b/train*3 | b/test*2 | c*3", {}, "and c (3 images) none; give"),
        (both("s1/train", "s1/test") + " | " + both("s2/train", "s2/test"), {}, "parts of its own"),
        ("train/a*2 | train/b*2 | test/c*1", {}, "no image of class c in the train part, and test"),
        ("train/Cat*2 | train/b*2 | test/cat*1", {}, "did you mean 'Cat'?"),
        ("test/a*2 | test/b*2", {}, "has test but no train part; name its folder: parts: {train"),
        ("jpg*4 | labels.mat", {}, "only one class (jpg): all 4 images are in it; a classifier"),
        (
            "train/x/a*1 | train/x/b*1 | train/y/c*2 | test/x/a*1 | test/x/b*1 | test/y/c*1",
            {},
            "choose with classes_at: 2 or classes_at: 3; where the first are writers",
        ),
        ("jpg*4 | labels.mat", {}, "labels: FILE"),
        ("a*2 | b*2 | c/", {}, "D/c: no image in this class; add images"),
        ("a*2 | b*2 | c/x.xyz", {}, "D/c: no image in this class: it holds .xyz (1 file); they"),
        (
            "a*2 | b*2 | c/x.gif",
            {},
            "it holds .gif (1 file); 1 .gif file in it was not read (c/x.gif); also: [",
        ),
        ("0.jpg | 1.jpg", {}, "no images in class folders"),
        ("@eaDir/a*3", {}, "no images in class folders"),
        (both("train/x", "eval/x"), {"classes_at": 3}, "'eval', which is a test part or a valid"),
        ("a*2 | b*2", {"classes_at": 3}, "no image lies so deep; folders that hold images are at"),
        (both("train", "val"), {"parts": {"test": "vla"}}, "'vla' with images (did you mean 'val'"),
        (both("train", "val"), {"parts": {"train": "../x"}}, "there is no folder '../x' with"),
        (both("x", "y"), {"parts": {"train": "x", "test": "x"}}, "'x' is named for two parts"),
        ("a*2 | b*2", {"parts": {"test": "x"}}, "name the folder of the train part too"),
        (
            "train/a*1 | x*2",
            {"parts": {"train": "train", "test": "x"}},
            "parts: test: x (2 images)",
        ),
        ("a/train*3 | b/train*2", {"parts": {"test": "val"}}, "no part is called 'val'"),
    ],
)
def test_two_readings_or_none_are_one_line(text, asked, said):
    with pytest.raises(DataError) as caught:
        read(text, **asked)
    assert said in str(caught.value)
    assert str(caught.value).startswith("D")
    assert "\n" not in str(caught.value)


def test_a_name_in_two_spellings_of_unicode_is_one_class():
    counts, notes = read("train/caf\u00e9*3 | train/b*3 | test/cafe\u0301*2 | test/b*2")
    assert counts == {"train": {"caf\u00e9": 3, "b": 3}, "test": {"caf\u00e9": 2, "b": 2}}
    assert "two spellings of Unicode: caf\u00e9" in notes


def test_a_class_that_is_not_wanted_may_be_empty():
    assert read("a*4 | b*4 | c/", class_names=("a", "b"))[0] == PLAIN


def test_names_are_shown_printable_and_short():
    with pytest.raises(DataError) as caught:
        read(f"\x1b[31mred/a*2 | \x1b[31mred/b*2 | {'x' * 300}/a*2 | {'x' * 300}/b*2")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_a_long_way_to_what_was_left_out_is_shown_by_its_end():
    _, notes = read(f"{both('d/e/train', 'd/e/test')} | f/{'x' * 60}/deep/demo*2")
    assert f"not read: f/{'x' * 38}" not in notes
    assert "not read: f (2)" in notes
    _, notes = read(f"{both('d/e/train', 'd/e/test')} | d/{'x' * 60}/deep/demo*2")
    assert f"…{'x' * 40} (2)" in notes


def test_over_a_tenth_unread_is_a_warning():
    few = tree_of("a*9 | b*9 | x.txt | y.txt")
    many = tree_of("a*9 | b*8 | x.txt | y.txt | Thumbs.db")
    assert read_layout(few).warnings == ()
    assert read_layout(many).warnings == ("2 of 19 files were not read: .txt (2 files)",)


def n_calls(text):
    """Calls of functions that reading the tree takes; a count repeats, and a stopwatch does not."""
    tree, calls = tree_of(text), 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        read_layout(tree)
    finally:
        sys.setprofile(None)
    return calls


def test_twice_as_many_classes_take_twice_the_work():
    small, large = (" | ".join(f"c{i}/s{i}*1" for i in range(n)) for n in (300, 600))
    assert n_calls(large) < 2.1 * n_calls(small)


@pytest.mark.parametrize(
    ("name", "part", "rest"),
    [
        ("train", "train", ()),
        ("t_e_s_t", "test", ()),
        ("my_training_images", "train", ("my",)),
        ("PublicTest", "test", ("public",)),
        ("test_01", "test", ()),
        ("trainval", "train", ()),
        ("evaluation", "evaluation", ()),
    ],
)
def test_what_a_name_says(name, part, rest):
    named = part_name(name)
    assert named is not None
    assert (named.part, named.rest) == (part, rest)


@pytest.mark.parametrize("name", ["a train ride", "train_test", "latest", "valley", "2", ""])
def test_names_that_say_nothing_of_parts(name):
    assert part_name(name) is None


def test_eval_is_what_the_other_parts_leave():
    assert parts_among(["train", "val", "eval"])["eval"].part == "test"
    assert parts_among(["train", "test", "eval"])["eval"].part == "validation"
    assert parts_among(["train", "eval"])["eval"].part == "evaluation"


def drawn_tree(rng):
    """Folders of all names that mean something here, up to four deep."""
    names = ["train", "val", "eval", "Test Set", "seg_train", "train_1", "cat", "1", "images"]
    names += ["plots", "masks", "@eaDir", "thumbs", "images_001", "imagesTr", "e\u0301", "[a"]
    folders = [""]
    for _ in range(rng.randint(1, 12)):
        above = rng.choice(folders)
        if above.count("/") < 4:
            folders.append(f"{above}{rng.choice(names)}/")
    files = [f"{rng.choice(folders)}{i}.{rng.choice(['jpg', 'jpg', 'txt'])}" for i in range(20)]
    return tree_of(" | ".join({*folders[1:], *files}))


@pytest.mark.parametrize("seed", range(8))
def test_any_tree_gives_a_layout_of_its_own_files_or_one_line(seed):
    rng = random.Random(seed)
    n_read = 0
    for _ in range(40):
        tree = drawn_tree(rng)
        parts = {part: rng.choice(["train", "*", "*/*", ".", "val"]) for part in ("train", "test")}
        for asked in ({}, {"classes_at": rng.randint(1, 4)}, {"parts": parts}):
            with suppress(DataError):
                layout = read_layout(tree, (), Asked(**asked))
                assert set(layout.files) <= set(tree.names)
                assert len({*layout.files}) == len(layout.files) == len(layout.classes)
                assert {*layout.parts} == {""} or {*layout.parts} <= {"train", "validation", "test"}
                n_read += 1
    assert n_read > 20


def test_initials_above_the_classes_are_asked_about():
    tree = "a/abbey*3 | a/alley*3 | b/barn*3 | b/bar/indoor*3"
    with pytest.raises(DataError, match=r"initials.*a \(6\).* or abbey \(3\).*classes_at: 2"):
        read(tree)
    assert read(tree, classes_at=2)[0] == {"": {"abbey": 3, "alley": 3, "bar": 3, "barn": 3}}
    assert read("a/1*3 | a/2*3 | b/3*3 | b/4*3")[0] == {"": {"a": 6, "b": 6}}


def test_a_flat_train_folder_beside_classes_of_another_part_is_named():
    with pytest.raises(DataError, match="test has folders of classes, and train"):
        read("train*8 | test/a*2 | test/b*2")


def test_an_evaluation_part_beside_another_folder_has_a_setting_that_works():
    tree = "images_background/a*9 | images_background/b*9 | images_evaluation/a*3"
    with pytest.raises(DataError, match=r"parts: \{train: images_background, test: images_eval"):
        read(tree)
    assert read(tree, parts={"train": "images_background", "test": "images_evaluation"})[0] == {
        "train": {"a": 9, "b": 9},
        "test": {"a": 3},
    }


def test_classes_that_differ_by_case_alone_are_warned_of():
    assert "upper and lower case alone: Cat and cat;" in read("Cat*3 | cat*3 | dog*3")[1]
    assert read("A*3 | a*3")[1] == ""


def test_files_that_a_setting_reads_are_named():
    assert (
        "3 .gif files in it were not read (a/x.gif, b/y.gif, b/z.gif);"
        in (read("a*30 | b*30 | a/x.gif | b/y.gif | b/z.gif")[1])
    )


def test_names_of_several_levels_together_are_classes():
    tree = "bg/Greek/c1*2 | bg/Greek/c2*2 | eval/Latin/c1*2 | eval/Latin/c2*2"
    assert read(tree, classes_at=3, joined=(2, 3))[0] == {
        "": {"Greek/c1": 2, "Greek/c2": 2, "Latin/c1": 2, "Latin/c2": 2}
    }
