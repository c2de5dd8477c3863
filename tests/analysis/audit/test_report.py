"""Files of answers: what `harness.reference` writes is read, what does not fit is one line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from analysis.audit.answers import is_answers
from analysis.audit.report import read_answers
from headstart.errors import RunFolderError

N, CLASSES = 6, 3
GOOD = {
    "indices": np.arange(N),
    "given": np.arange(N) % CLASSES,
    "probabilities": np.full((N, CLASSES), 1 / CLASSES, np.float32),
    "trusted_given": np.zeros(0, np.int64),
    "trusted_probabilities": np.zeros((0, CLASSES), np.float32),
    "class_names": np.array(["a", "b", "c"]),
    "image_indices": np.arange(2),
    "images": np.zeros((2, 1, 4, 4), np.uint8),
    "about": np.array(json.dumps({"name": "n", "data": "d", "by": "b"})),
}


def written(folder: Path, **changed: np.ndarray) -> Path:
    np.savez(folder / "a.npz", **{**GOOD, **changed})
    return folder / "a.npz"


def test_a_file_of_answers_is_read(tmp_path: Path) -> None:
    file = read_answers(written(tmp_path))
    assert file.class_names == ("a", "b", "c")
    assert file.trusted is None
    assert file.about == {"name": "n", "data": "d", "by": "b"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"given": np.full(N, CLASSES)}, "given hold a class that is none of 3"),
        ({"given": np.full(N, -1)}, "given hold a class"),
        ({"given": np.arange(N - 1) % 3}, "indices are int64"),
        ({"probabilities": np.full((N, 2), 0.5)}, "probabilities are float64"),
        ({"probabilities": np.full((N, CLASSES), np.nan)}, "not finite"),
        ({"trusted_given": np.zeros(2, int)}, "trusted_probabilities are"),
        ({"images": np.zeros((1, 1, 4, 4), np.uint8)}, "images are"),
        ({"images": np.zeros((2, 4, 4), np.uint8)}, "images are"),
        ({"images": np.zeros((2, 1, 4, 4), np.uint16)}, "images are uint16"),
        ({"class_names": np.array("abc")}, "unsized"),
        ({"about": np.array("[" * 100_000)}, "recursion"),
        ({"about": np.array("3")}, "not a file of answers"),
        ({"class_names": np.array([["a"], ["b"], ["c"]])}, "class_names are"),
    ],
)
def test_arrays_that_do_not_fit_are_one_line(
    tmp_path: Path, changed: dict[str, np.ndarray], said: str
) -> None:
    path = written(tmp_path, **changed)
    with pytest.raises(RunFolderError, match=said) as caught:
        read_answers(path)
    assert str(caught.value).startswith(f"{path}: not a file of answers, or damaged (")
    assert len(str(caught.value).splitlines()) == 1


def test_a_directory_of_a_zip_that_lies_makes_no_file_of_answers(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert is_answers(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 6] = 255  # needs a program of version 25.5
    path.write_bytes(content)
    assert not is_answers(path)
    with pytest.raises(RunFolderError, match=r"version 25\.5"):
        read_answers(path)
    with zipfile.ZipFile(path, "w"):
        pass
    assert not is_answers(path)
