"""Code of the user's own by reference: `my_nets.py:Net` is the object `Net` in that file.

In: a reference as a sweep file has it, and the folder that it is relative to. Out: the object, and
a digest of the file and of all that it imports from its own folder (`own_sources.py` reads those).
It stands alone because networks, data sets, optimizers and losses are all named in this way.

The modules are run from the very bytes that were hashed, under a private name: so a file that
changes meanwhile changes nothing, the user's `models.py` never stands in for our `models`, and two
files of one name in two folders do not meet. A worker imports the file again and compares the
digest first. A run folder is never a place to take code from.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from headstart.errors import InputError, did_you_mean
from headstart.output import on_one_line
from headstart.own_sources import Source, digest_of_sources, parse_source, read_sources

PREFIX = "_own_"  # of the private names of the user's modules
_REFERENCE = re.compile(r"(?P<path>.+\.py):(?P<name>[A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)
_PRIVATE = re.compile(rf"{PREFIX}[0-9a-f]{{16}}\.")
_LIKE_ONE = re.compile(r".+\.py(:.*)?", re.DOTALL)


def is_reference(text: object) -> bool:
    """Whether a name is meant as code of the user's own: a `.py` file, with a name after it or not.

    Names of our networks, data sets and optimizers hold no such part.
    """
    return isinstance(text, str) and _LIKE_ONE.fullmatch(text) is not None


def absolute(reference: str, folder: Path) -> str:
    """The reference with an absolute path, which holds wherever it is read.

    Raises:
        InputError: the name of an object is missing.
    """
    path, name = _parts(reference)
    return f"{(folder / path.expanduser()).absolute()}:{name}"


def shown(reference: str) -> str:
    """`my_nets.py:Net`, without the folder: how people and tables name it."""
    if not is_reference(reference):
        return reference
    path, name = _parts(reference)
    return f"{path.name}:{name}"


def object_of(reference: str) -> str:
    """`:Net`: the object alone, wherever its file lies and whatever that is called."""
    return f":{_parts(reference)[1]}"


@dataclass(frozen=True)
class OwnCode:
    """A file of the user's, read and not yet run.

    Attributes:
        path: the file, absolute.
        name: of the object in it.
        sources: the file first, then what it imports from its folder, by module name.
    """

    path: Path
    name: str
    sources: Mapping[str, Source]

    @cached_property
    def digest(self) -> str:
        """Of the file and of all that it imports from its folder; 32 hexadecimal characters."""
        return digest_of_sources(self.sources)

    def load(self) -> Any:
        """The object; the file is run where this process has not run it before.

        Raises:
            InputError: the file raises an error (with its line), or it has no such object.
        """
        module = _run(self)
        if not hasattr(module, self.name):
            names = [name for name, _ in _objects_of(module)]
            raise InputError(
                f"{self.path}: has no {self.name!r}{did_you_mean(self.name, names)}; "
                f"it has {', '.join(names) or 'no class and no function'}"
            )
        return getattr(module, self.name)


def read_code(reference: str, digest: str | None = None) -> OwnCode:
    """Read the code that an absolute reference names; nothing is run.

    A reference without a folder is one of a run folder, and is refused.

    Args:
        digest: what the code must have, where that is known, as in a worker.

    Raises:
        InputError: no such file, no Python, an import that cannot be followed, another digest.
    """
    path, name = _parts(reference)
    if not path.is_absolute():  # a record's name, which says nothing of where code lies
        given_code(reference, digest or "", ())
    if digest is not None and not path.is_file():
        raise InputError(
            f"{path}: no such file on this machine; code of one's own must lie where every "
            "machine that trains sees it under the same path"
        )
    code = OwnCode(path, name, read_sources(path))
    if digest is not None and code.digest != digest:
        others = ", ".join(source.path.name for source in [*code.sources.values()][1:])
        raise InputError(
            f"{path}: the code changed since the plan was made ({digest[:8]} then, "
            f"{code.digest[:8]} now; hashed: {path.name}{', ' if others else ''}{others}); bring "
            "the former code back, or run the sweep's command again, which trains anew"
        )
    return code


def given_code(reference: str, digest: str, given: Sequence[Path]) -> str:
    """The reference to code that the user gives, which must be what a run was made with.

    Args:
        reference: what the run names; nothing is read there.
        given: files, or folders in which a file of the same name is looked for (`--code`).

    Raises:
        InputError: nothing is given, or nothing of it has this digest.
    """
    path, name = _parts(reference)
    tried = []
    for place in given:
        file = (place / path.name if place.is_dir() else place).absolute()
        if file.is_file():
            got = read_code(f"{file}:{name}").digest
            if got == digest:
                return f"{file}:{name}"
            tried.append(f"{file} has {got[:8]}")
        else:
            tried.append(f"{file} is not there")
    if not given:
        raise InputError(
            f"the run was made with code of its user's own, {shown(reference)}, and code is never "
            f"taken from a run folder: give the file, as in --code {path.name}"
        )
    raise InputError(
        f"--code: {shown(reference)} with the digest {digest[:8]} is needed, as the run was made "
        f"with it; {'; '.join(tried)}"
    )


def place_in_own_code(err: BaseException) -> str | None:
    """`FILE:LINE` of the user's own code where an error arose; None where none was running."""
    place = None
    for frame, line in traceback.walk_tb(err.__traceback__):
        if str(frame.f_globals.get("__name__", "")).startswith(PREFIX):
            place = f"{frame.f_code.co_filename}:{line}"
    return place


def said_of(err: BaseException) -> str:
    """`FILE:LINE: KIND: what` of an error in the user's own code, on one line."""
    if isinstance(err, SyntaxError) and err.filename:
        return f"{err.filename}:{err.lineno or 1}: is no Python: {err.msg}"
    text = _PRIVATE.sub("", on_one_line(" ".join(str(err).split())))
    what = f"{type(err).__name__}: {text}" if text else type(err).__name__
    place = place_in_own_code(err)
    return what if place is None else f"{place}: {what}"


def _parts(reference: str) -> tuple[Path, str]:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        file = reference.partition(".py")[0] + ".py"
        raise InputError(
            f"{reference!r} names a file and nothing in it; say which, as in {file}:NAME"
        )
    return Path(match["path"]), match["name"]


def _objects_of(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Public classes and functions that the file itself defines."""
    for name, value in vars(module).items():
        own = getattr(value, "__module__", None) == module.__name__
        if own and not name.startswith("_") and callable(value):
            yield name, value


# -- running the user's modules ----------------------------------------------------------------


_packages: dict[str, Mapping[str, Source]] = {}  # the sources of each private package


def _run(code: OwnCode) -> ModuleType:
    """The file's module, from this process's own where it was run before."""
    where = hashlib.blake2b(f"{code.path.parent}|{code.digest}".encode(), digest_size=8)
    package = f"{PREFIX}{where.hexdigest()}"
    module = f"{package}.{next(iter(code.sources))}"
    if module in sys.modules:
        return sys.modules[module]
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    _packages[package] = {"": Source(code.path.parent, b"", is_package=True), **code.sources}
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as err:
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]
        place = "" if place_in_own_code(err) or isinstance(err, SyntaxError) else f"{code.path}: "
        raise InputError(f"{place}{said_of(err)}") from err


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of private packages, and no others."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, name = fullname.partition(".")
        source = _packages.get(package, {}).get(name)
        if source is None:
            return None
        return importlib.machinery.ModuleSpec(
            fullname, _Loader(source), origin=str(source.path), is_package=source.is_package
        )


class _Loader(importlib.abc.InspectLoader):
    """Runs a module from the text that was hashed."""

    def __init__(self, source: Source):
        self.source = source

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self.source.content)

    def get_code(self, fullname: str) -> CodeType:
        tree = parse_source(self.source)
        return compile(tree, str(self.source.path), "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        return self.source.is_package

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        module.__file__ = str(self.source.path)
        own = dict(vars(builtins))
        own["__import__"] = _Import(package)
        module.__dict__["__builtins__"] = own
        exec(self.get_code(module.__name__), module.__dict__)


class _Import:
    """`import` inside the user's modules: names of their own folder come first."""

    def __init__(self, package: str):
        self.package = package

    def __call__(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or top not in _packages[self.package]:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = importlib.import_module(f"{self.package}.{name}")
        for each in fromlist or ():  # may be a module of the package
            inner = f"{name}.{each}"
            if inner in _packages[self.package]:
                importlib.import_module(f"{self.package}.{inner}")
        return module if fromlist else importlib.import_module(f"{self.package}.{top}")
