"""A Python file of the user's own and all that it imports from its own folder, read and not run.

In: a file. Out: the text of every module that Python would take from the file's folder, found by
reading (`ast`), and one digest of them all. It stands alone because nothing here runs the user's
code: a digest is compared before anything is run.

Python itself would look for `import blocks` in the folder of the file first, so that is the rule
here too; only the standard library comes before. What reading cannot follow (a name that is
computed, a changed `sys.path`) is refused with its line, because it would not be in the digest.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import InputError

MOST_FILES, MOST_BYTES = 1000, 8 << 20  # of the code; and of one file
OURS = ("headstart", "models", "datasets", "harness", "analysis", "slurm")
_BY_NAME = ("import_module", "__import__")  # follow a name that is written out
_BY_PATH = ("spec_from_file_location", "SourceFileLoader", "run_path", "run_module", "exec_module",
            "load_module", "load_source")  # fmt: skip
_OF_PATH = (
    "changes where Python looks for code; leave it out: files beside this one are found without it"
)
_OWN_DRAWS = ("Generator", "urandom", "Random", "SystemRandom", "default_rng", "RandomState",
              "token_bytes", "randbits", "uuid4", "perf_counter", "monotonic", "now")  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One module of the user's: its text is what is hashed and what is run."""

    path: Path
    content: bytes
    is_package: bool


def read_sources(path: Path) -> dict[str, Source]:
    """Every module of the file's folder that the file needs, by its name as seen from that folder.

    The file itself comes first.

    Raises:
        InputError: a file that cannot be read or parsed, an import that cannot be followed.
    """
    sources = {path.stem.replace(".", "_"): Source(path, _content(path), is_package=False)}
    waiting = list(sources)
    while waiting:
        name = waiting.pop()
        for needed in _imports(name, sources[name], path.parent):
            if needed in sources:
                continue
            source = _module(path.parent, needed)
            if source is None:
                continue
            sources[needed] = source
            waiting.append(needed)
            if len(sources) > MOST_FILES:
                raise InputError(f"{path}: imports more than {MOST_FILES} files of its own folder")
    return sources


def digest_of_sources(sources: Mapping[str, Source]) -> str:
    """32 hexadecimal characters: of the first file's text, and of the others' names and texts.

    Where the folder lies and what the first file is called changes nothing, nor do line ends.
    """
    (_, first), *others = sources.items()
    content = hashlib.blake2b(digest_size=16)
    for name, source in (("", first), *sorted(others)):
        text = source.content.replace(b"\r\n", b"\n")
        content.update(f"{name}|{source.is_package}|{len(text)}|".encode())
        content.update(text)
    return content.hexdigest()


def parse_source(source: Source) -> ast.Module:
    """The text as Python reads it.

    Raises:
        InputError: it is no Python; the message names the line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an odd escape: it is said when the file is run
            return ast.parse(source.content, str(source.path))
    except SyntaxError as err:
        raise InputError(f"{source.path}:{err.lineno or 1}: is no Python: {err.msg}") from err
    except (ValueError, RecursionError, MemoryError) as err:
        raise InputError(f"{source.path}: is no Python: {err}") from err


def lines_that_draw(sources: Mapping[str, Source]) -> Iterator[str]:
    """`FILE:LINE: CALL` of each call that may draw numbers that no seed of ours decides."""
    for source in sources.values():
        for node in ast.walk(parse_source(source)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called.rpartition(".")[2] in _OWN_DRAWS or called.startswith("time."):
                    yield f"{source.path.name}:{node.lineno}: {called}(…)"


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as err:
        raise InputError(f"{path}: cannot be read: {err.strerror}") from err
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: has more than {MOST_BYTES >> 20} MB, and is no file of code")
    return content


def _module(folder: Path, name: str) -> Source | None:
    """A module of the folder by its dotted name; None where the folder has none of that name."""
    place = folder.joinpath(*name.split("."))
    package, file = place / "__init__.py", place.with_name(place.name + ".py")
    with suppress(OSError, ValueError):  # a name too long, or not of this file system
        if package.is_file():
            return Source(package, _content(package), is_package=True)
        if file.is_file():
            return Source(file, _content(file), is_package=False)
        if place.is_dir():
            return Source(place, b"", is_package=True)  # a folder of modules without __init__.py
    return None


def _is_of_folder(folder: Path, name: str) -> bool:
    """Whether Python would take `name` (`blocks`, `utils.layers`) from the folder."""
    top = name.partition(".")[0]
    if not top or top in sys.stdlib_module_names:
        return False
    source = _module(folder, top)
    if source is None:
        return False
    if source.content or source.path.name == "__init__.py" or source.path.is_file():
        return True
    inside = _module(folder, name) if "." in name else None  # else a folder of images may be meant
    return inside is not None


def _imports(name: str, source: Source, folder: Path) -> Iterator[str]:
    """Names of the folder's modules that a module imports, packages before what is in them."""
    package = name if source.is_package else name.rpartition(".")[0]
    for node in ast.walk(parse_source(source)):
        where = f"{source.path}:{getattr(node, 'lineno', 1)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _own(alias.name, folder, where)
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, package, folder, where)
        elif isinstance(node, ast.Call):
            _refuse_hidden(node, folder, where)
        elif isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(ast.unparse(target) == "sys.path" for target in targets):
                raise InputError(f"{where}: sys.path = … {_OF_PATH}")


def _imported_from(node: ast.ImportFrom, package: str, folder: Path, where: str) -> Iterator[str]:
    module = node.module or ""
    if node.level:
        parts = package.split(".") if package else []
        if node.level - 1 > len(parts):
            raise InputError(
                f"{where}: imports from above the folder of the file; put what it needs into "
                f"{folder} or a folder below it"
            )
        base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [module])])
        names = [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
        for name in filter(None, names):
            yield from _with_packages(name, folder)
        return
    yield from _own(module, folder, where)
    for alias in node.names:
        yield from _own(f"{module}.{alias.name}", folder, where)


def _own(name: str, folder: Path, where: str) -> Iterator[str]:
    if _is_of_folder(folder, name):
        yield from _with_packages(name, folder)
    else:
        _refuse_working_folder(name.partition(".")[0], folder, where)


def _with_packages(name: str, folder: Path) -> Iterator[str]:
    """The packages that a module lies in, then the module, as far as they are there."""
    parts = name.split(".")
    for n in range(1, len(parts) + 1):
        whole = ".".join(parts[:n])
        if _module(folder, whole) is None:
            return
        yield whole


def _refuse_working_folder(top: str, folder: Path, where: str) -> None:
    """A module that Python would take from the folder where a command was started is refused.

    Workers of other machines start elsewhere, and nobody hashes it.
    """
    if not top or top in OURS or top in sys.stdlib_module_names or top in sys.modules:
        return
    here = Path.cwd()
    if any(place.is_file() for place in (here / f"{top}.py", here / top / "__init__.py")):
        with suppress(ImportError, ValueError, AttributeError):
            spec = importlib.util.find_spec(top)
            if spec is None or spec.origin is None:
                return
            if here in (Path(spec.origin).parent, Path(spec.origin).parent.parent):
                raise InputError(
                    f"{where}: imports {top}, which lies in the working folder and not beside the "
                    f"file; put it into {folder}"
                )


def _refuse_hidden(node: ast.Call, folder: Path, where: str) -> None:
    """Refuse code that reading cannot follow, so that its digest would not be its own."""
    called = ast.unparse(node.func)
    last = called.rpartition(".")[2]
    given = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
    if last in _BY_NAME:
        if not isinstance(given, str):
            raise InputError(f"{where}: {called}(…) imports a name that is computed, so it cannot "
                             "be found without running the file; write the import out")  # fmt: skip
        if given.startswith(".") or (last == "import_module" and _is_of_folder(folder, given)):
            raise InputError(f"{where}: {called}({given!r}) is of the file's own folder; write "
                             f"import {given.lstrip('.')} instead")  # fmt: skip
    elif last in _BY_PATH or called == "exec":
        raise InputError(f"{where}: {called}(…) runs code that cannot be found without running "
                         "the file; write an import instead")  # fmt: skip
    elif called in ("torch.hub.load", "hub.load"):
        raise InputError(f"{where}: {called}(…) fetches code and runs it; put that code beside "
                         "the file and import it")  # fmt: skip
    elif called.startswith("sys.path."):
        raise InputError(f"{where}: {called}(…) {_OF_PATH}")
