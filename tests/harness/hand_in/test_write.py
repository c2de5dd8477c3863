"""The folder and the zip: the same bytes each time, whole or not there."""

from __future__ import annotations

import ast
import os
import sys
import zipfile

from harness.hand_in.write import CODE, _pack, class_folders, requirement_lines


def test_a_zip_has_the_same_bytes_whenever_it_is_made(tmp_path):
    for folder, names in (("first", "ab"), ("second", "ba")):
        for name in names:
            path = tmp_path / folder / name / "image.jpg"
            path.parent.mkdir(parents=True)
            path.write_text(name)
            os.utime(path, (len(folder) * 10**8, len(folder) * 10**8))
        _pack(tmp_path / folder, tmp_path / f"{folder}.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "first.zip").namelist() == ["a/image.jpg", "b/image.jpg"]


def test_requirements_name_published_versions_and_nothing_of_ours():
    lines = requirement_lines({"torch", "sklearn", "nothing_of_the_kind"})
    names = [line.split("==")[0] for line in lines]
    assert {"numpy", "torch", "torchvision", "safetensors", "scikit-learn"} <= set(names)
    assert not [line for line in lines if "+" in line]  # a build's own part is on no registry
    assert "headstart" not in " ".join(lines)


def test_folders_of_classes_are_told_apart_on_every_disk():
    assert class_folders(("0", "1")) == ["0", "1"]
    assert class_folders(("a", "A")) == ["000-a", "001-A"]
    assert class_folders(("../x", "<b>\n")) == ["x", "b"]


def test_the_code_imports_what_the_requirements_have_and_has_no_absolute_path():
    ours = {path.stem for path in CODE.glob("*.py")} | {"network"}
    for path in CODE.glob("*.py"):
        text = path.read_text()
        assert ast.get_docstring(ast.parse(text)), path.name
        imported = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
        known = {"cv2", "numpy", "safetensors", "torch", "torchvision"}
        assert imported - ours - known <= sys.stdlib_module_names, path.name
        assert '"/' not in text
