"""Where the code lies that a sweep file names: `my_nets.py:Net` becomes an absolute reference.

In: the nodes of a stage or an arm, and the folder of the sweep file. Out: the same nodes with each
reference made absolute, so that it holds wherever a plan is read. It stands alone because this
decides whose code is run: that of a sweep file which the user names, and never that of a run
folder. There the folders are taken off, and a name without a folder is never run; what the user
gives with `--code` stands in for it where its digest is the run's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.sweepfile.mistakes import Mistakes
from harness.sweepfile.settings import Condition, Sweep
from headstart.errors import InputError
from headstart.own_code import absolute, given_code, is_reference, shown
from headstart.yaml12 import Node

OF_A_RUN = ("plan.json", "provenance.json")  # a folder that has one of these is a run folder
BY_NAME = (  # section, key of the reference, key of its digest
    ("model", "name", "code"),
    ("data", "name", "code"),
    ("train", "optimizer", "optimizer_code"),
    ("train", "loss", "loss_code"),
)


@dataclass(frozen=True)
class CodePlaces:
    """Where references are looked up.

    Attributes:
        folder: the sweep file's, to which they are relative; None: they are a run folder's.
        given: what the user gives with `--code`, files or folders.
    """

    folder: Path | None = None
    given: tuple[Path, ...] = ()

    def resolved(self, reference: str, digest: object) -> str:
        """The reference as a plan has it.

        Raises:
            InputError: it cannot be, or the user's code has another digest than the run's.
        """
        if self.folder is None:
            return self._of_a_run(reference, digest)
        places = [place if place.is_dir() else place.parent for place in self.given]
        whole = [absolute(reference, place) for place in (*places, self.folder)]
        there = [each for each in whole if _file_of(each).is_file()]
        chosen = (there or whole[-1:])[0]
        _refuse_run_folder(_file_of(chosen))
        return chosen

    def _of_a_run(self, reference: str, digest: object) -> str:
        """What a run folder names: only the file's name counts, and it is the user who gives it."""
        if not self.given:
            return shown(reference) if digest else given_code(reference, "", ())
        if isinstance(digest, str):
            chosen = given_code(reference, digest, self.given)
            _refuse_run_folder(_file_of(chosen))
            return chosen
        # A sweep file that was copied into a run folder, as a job's.
        name = _file_of(reference).name
        files = [place / name if place.is_dir() else place for place in self.given]
        for file in (file.absolute() for file in files if file.is_file() and file.name == name):
            _refuse_run_folder(file)
            return absolute(shown(reference), file.parent)
        tried = ", ".join(map(str, files))
        raise InputError(f"{shown(reference)}: there is none at {tried}, which --code names")


NO_CODE = CodePlaces()


def check_given(condition: Condition) -> None:
    """Refuse what a command could not train: code of the user's own by its name alone.

    Raises:
        InputError: the run folder names it, and the user has not given it.
    """
    for name, digest in own_references(condition):
        if not Path(name).is_absolute():
            given_code(name, digest, ())


def folders_of_code(sweep: Sweep) -> tuple[Path, ...]:
    """The folders in which a sweep's own code lies, each once, in order."""
    conditions = (*sweep.stages.values(), *sweep.arms.values())
    names = [name for condition in conditions for name, _ in own_references(condition)]
    return tuple(dict.fromkeys(_file_of(name).parent for name in names))


def own_references(condition: Condition) -> list[tuple[str, str]]:
    """Each reference of a condition to code of the user's own, and its digest."""
    train = condition.train
    parts = [
        (condition.model.name, condition.model.code),
        (train.optimizer, train.optimizer_code),
        (train.loss, train.loss_code),
        *((choice.name, choice.code) for choice in condition.data),
    ]
    return [(name, digest) for name, digest in parts if is_reference(name)]


def in_run_folder(path: Path) -> bool:
    """Whether a file lies in a run folder, at any depth, as it is named or behind links."""
    parents = {*path.absolute().parents, *Path(os.path.realpath(path)).parents}
    return any((parent / name).is_file() for parent in parents for name in OF_A_RUN)


def resolve(node: Node, places: CodePlaces, mistakes: Mistakes) -> Node | None:
    """An arm or a stage with what it inherits: its references resolved.

    None, with a mistake for each, where one of them cannot be.
    """
    changed = dict(node.value)
    refused: list[tuple[Node, str]] = []
    for section, name, code in BY_NAME:
        if section in changed:
            changed[section] = _in_each(changed[section], name, code, places, refused)
    for at, text in refused:
        mistakes.add(at, text)
    return None if refused else Node(changed, node.where, node.path)


def _in_each(
    node: Node, name: str, code: str, places: CodePlaces, refused: list[tuple[Node, str]]
) -> Node:
    """A mapping, or each of a list of them, with the reference under `name` resolved."""
    if isinstance(node.value, list):
        each = [_in_each(item, name, code, places, refused) for item in node.value]
        return Node(each, node.where, node.path)
    at = node.get(name)
    if at is None or not is_reference(at.value):
        return node
    digest = node.get(code)
    try:
        value = places.resolved(at.value, None if digest is None else digest.value)
    except InputError as err:
        refused.append((at, str(err)))
        return node
    return Node({**node.value, name: Node(value, at.where, at.path)}, node.where, node.path)


def _file_of(reference: str) -> Path:
    return Path(reference.rpartition(":")[0])


def _refuse_run_folder(path: Path) -> None:
    if in_run_folder(path):
        raise InputError(
            f"{path} lies in a run folder, and code is never taken from there; copy the file to a "
            "folder of your own once you have read it"
        )
