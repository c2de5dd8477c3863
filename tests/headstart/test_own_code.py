"""Code of a user's own by reference: what is read, hashed, run and refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from headstart.errors import InputError
from headstart.own_code import absolute, given_code, is_reference, read_code, said_of, shown


def write(folder: Path, **files: str) -> Path:
    """Files by name, `__` for a folder's `/`; returns the folder."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def load(folder: Path, name: str = "Net") -> object:
    return read_code(absolute(f"my_nets.py:{name}", folder)).load()


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("my_nets.py:Net", True), ("a/b.py:f", True), ("my_nets.py", True), ("my.py:", True),
        ("lenet5", False), ("folder", False), ("x.pyc:y", False), (3, False),
    ],
)  # fmt: skip
def test_is_reference(text: object, is_one: bool) -> None:
    assert is_reference(text) is is_one


def test_reference_is_absolute_and_shown_without_its_folder(tmp_path: Path) -> None:
    reference = absolute("nets/my.py:Net", tmp_path)
    assert reference == f"{tmp_path}/nets/my.py:Net"
    assert absolute(reference, Path("/elsewhere")) == reference
    assert shown(reference) == "my.py:Net"
    assert shown("lenet5") == "lenet5"


@pytest.mark.parametrize("text", ["my_nets.py", "my_nets.py:", "my_nets.py:a b"])
def test_reference_without_an_object_says_how_to_write_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"as in my_nets\.py:NAME"):
        absolute(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("from blocks import SIZE as Net", 3),
        ("import blocks\nNet = blocks.SIZE", 3),
        ("from .blocks import SIZE as Net", 3),
        ("from . import blocks\nNet = blocks.SIZE", 3),
        ("from utils.layers import DEEP as Net", 5),
        ("import utils.layers as layers\nNet = layers.DEEP", 5),
        ("import utils.layers\nNet = utils.layers.DEEP", 5),
        ("from utils import layers\nNet = layers.DEEP", 5),
        ("def later():\n    from blocks import SIZE\n    return SIZE\nNet = later()", 3),
        ("from models import MINE as Net", "the user's"),
        ("try:\n    import no_such_package\nexcept ImportError:\n    Net = 'without'", "without"),
    ],
)
def test_imports_of_its_own_folder(text: str, value: object, tmp_path: Path) -> None:
    ours = sys.modules.get("models")
    write(
        tmp_path, my_nets=text, blocks="SIZE = 3\n", models="MINE = \"the user's\"\n",
        utils__layers="from .deep import DEEP\n", utils__deep="DEEP = 5\n",
    )  # fmt: skip
    assert load(tmp_path) == value
    assert sys.modules.get("models") is ours


def test_digest_follows_what_is_imported_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, my_nets="import blocks\n", blocks="import deep\n", deep="", other="")
    reference = absolute("my_nets.py:Net", tmp_path)
    first = read_code(reference).digest
    write(tmp_path, other="changed = 1\n")
    assert read_code(reference).digest == first
    (tmp_path / "blocks.py").write_bytes(b"import deep\r\n")
    assert read_code(reference).digest == first
    write(tmp_path, deep="changed = 1\n")
    assert read_code(reference).digest != first


def test_same_text_in_another_folder_under_another_name_has_the_same_digest(tmp_path: Path) -> None:
    one = write(tmp_path / "one", a="import blocks\n", blocks="")
    two = write(tmp_path / "two", b="import blocks\n", blocks="")
    assert read_code(f"{one}/a.py:f").digest == read_code(f"{two}/b.py:f").digest


def test_files_of_one_name_in_two_folders_do_not_meet(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, my_nets="from blocks import Net\n", blocks=f"Net = {name!r}\n")
    assert [load(tmp_path / name) for name in ("one", "two")] == ["one", "two"]


def test_what_was_hashed_is_what_runs(tmp_path: Path) -> None:
    write(tmp_path, my_nets="import blocks\nNet = blocks.SIZE\n", blocks="SIZE = 1\n")
    code = read_code(absolute("my_nets.py:Net", tmp_path))
    write(tmp_path, blocks="SIZE = 2\n")
    assert code.load() == 1
    assert load(tmp_path) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", r"my_nets\.py:1: is no Python: invalid syntax"),
        ("\nreturn 1\n", r"my_nets\.py:2: is no Python: 'return' outside function"),
        ("\n\nNet = 1 / 0\n", r"my_nets\.py:3: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", r"my_nets\.py:2: SystemExit: 3"),
        ("import no_such_package\n", r"my_nets\.py:1: ModuleNotFoundError: No module named"),
        ("from blocks import Nothing\n", r"my_nets\.py:1: ImportError: cannot import name"),
        ("import importlib\nimportlib.import_module('a' + 'b')\n", "my_nets.py:2: .*computed"),
        ("import importlib\nimportlib.import_module('blocks')\n", "my_nets.py:2: .*import blocks"),
        ("import sys\nsys.path.append('..')\n", r"my_nets\.py:2: sys\.path\.append"),
        ("import sys\nsys.path += ['..']\n", r"my_nets\.py:2: sys\.path = … changes where"),
        ("exec(open('x').read())\n", r"my_nets\.py:1: exec\("),
        ("import torch\ntorch.hub.load('a/b', 'c')\n", r"my_nets\.py:2: torch\.hub\.load"),
        ("from ..above import Net\n", r"my_nets\.py:1: imports from above"),
        ("class Nest: ...\ndef helper(): ...\n", r"has no 'Net' \(did you mean 'Nest'\?\); it has "
         "Nest, helper"),
        ("", "it has no class and no function"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, my_nets=text, blocks="")
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert "_own_" not in str(caught.value)


def test_a_mistake_in_a_file_beside_names_that_file(tmp_path: Path) -> None:
    write(tmp_path, my_nets="from blocks import Net\n", blocks="\nNet = unknown\n")
    with pytest.raises(InputError, match=r"blocks\.py:2: NameError"):
        load(tmp_path)


def test_a_file_that_failed_is_run_again(tmp_path: Path) -> None:
    write(tmp_path, my_nets="import blocks\nNet = blocks.SIZE\n", blocks="SIZE = 1 / 0\n")
    with pytest.raises(InputError):
        load(tmp_path)
    write(tmp_path, blocks="SIZE = 4\n")
    assert load(tmp_path) == 4


def test_no_file_of_the_working_folder_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, helpers_of_mine="Net = 1\n")
    write(tmp_path / "nets", my_nets="from helpers_of_mine import Net\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="lies in the working folder and not beside the file"):
        load(tmp_path / "nets")


def test_a_worker_compares_the_digest(tmp_path: Path) -> None:
    write(tmp_path, my_nets="Net = 1\n")
    reference = absolute("my_nets.py:Net", tmp_path)
    digest = read_code(reference).digest
    assert read_code(reference, digest).load() == 1
    write(tmp_path, my_nets="Net = 2\n")
    with pytest.raises(InputError, match="the code changed since the plan was made"):
        read_code(reference, digest)
    (tmp_path / "my_nets.py").unlink()
    with pytest.raises(InputError, match="no such file on this machine"):
        read_code(reference, digest)


def test_code_for_a_run_folder_is_given_by_the_user(tmp_path: Path) -> None:
    theirs = write(tmp_path / "run", my_nets="Net = 1\n")
    reference = absolute("my_nets.py:Net", theirs)
    digest = read_code(reference).digest
    with pytest.raises(InputError, match=r"never taken from a run folder.*--code my_nets\.py"):
        given_code(reference, digest, [])
    other = write(tmp_path / "other", my_nets="Net = 2\n", renamed="Net = 1\n")
    with pytest.raises(InputError, match="is needed, as the run was made with it"):
        given_code(reference, digest, [other])
    assert given_code(reference, digest, [other / "renamed.py"]) == f"{other}/renamed.py:Net"


def test_an_error_while_it_runs_names_its_line(tmp_path: Path) -> None:
    write(tmp_path, my_nets="def Net():\n    raise ValueError('odd\\nsize')\n")
    function = load(tmp_path)
    with pytest.raises(ValueError, match="odd") as caught:
        function()  # type: ignore[operator]
    assert said_of(caught.value) == f"{tmp_path}/my_nets.py:2: ValueError: odd size"
