"""Pickles that hold arrays and plain values, opened without running anything that they name.

In: the bytes of a file that anybody may have made. Out: mappings, lists, texts, numbers and numpy
arrays. It stands alone because data is read strictly: where `headstart.pickles` puts a stand-in for
what it does not make, this refuses the file.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from headstart.pickles import DAMAGED, BoundedFile, Machine, Name, budget_of, run

_STEPS = {
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1",
    "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "PUT", "BINPUT",
    "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL", "REDUCE",
    "BUILD",
}  # fmt: skip
_OF_PYTHON_2 = {"STRING", "BINSTRING", "SHORT_BINSTRING"}
_KIND = re.compile(r"[uif][1248]|b1|[SU][0-9]{1,4}")
_DEEPEST = 4
_FEW = 16  # entries of a list in which arrays may lie deeper


def read_pickle(content: bytes) -> Any:
    """What a pickle of plain values and arrays holds; texts of Python 2 come as bytes.

    Raises:
        ValueError: it is damaged, names anything else, or takes steps that arrays do not need.
    """
    file = BoundedFile(io.BytesIO(content), len(content), len(content))
    try:
        return _plain(run(_Strict(budget_of(file)), file), 0)
    except ValueError:
        raise
    except DAMAGED as err:
        raise ValueError(f"it is no pickle, or a damaged one ({type(err).__name__})") from err


class _Strict(Machine):
    """Makes arrays and plain values, and refuses everything else."""

    def step(self, name: str, argument: Any) -> None:
        if name not in _STEPS:
            raise ValueError(f"it takes a step ({name}) that arrays do not need")
        super().step(name, argument.encode("latin-1") if name in _OF_PYTHON_2 else argument)

    def named(self, text: str) -> Name:
        if text not in _MAKERS:
            raise ValueError(f"it names {text}, which may run code; arrays alone are read")
        return Name(text)

    def call(self, name: object, arguments: Any) -> None:
        if not isinstance(name, Name):
            raise ValueError("it is damaged: it calls what is no function")
        self.spend(arguments)
        self.stack.append(_MAKERS[name.text](*arguments))

    def build(self, target: object, state: Any) -> None:
        if not isinstance(target, _Array | _Kind):
            raise ValueError("it is damaged: it gives a state to what has none")
        self.spend(state)
        target.set(state)


class _Array:
    """Stands for an array while it is read."""

    def __init__(self, values: np.ndarray | None = None):
        self.values = values

    def set(self, state: Any) -> None:
        *_, shape, kind, is_fortran, content = state
        if not isinstance(content, bytes):
            raise ValueError("it holds an array of Python objects, which are not read")
        self.values = _values(content, kind, shape, "F" if is_fortran else "C")


class _Kind:
    """Stands for a numpy dtype."""

    def __init__(self, code: Any):
        text = code.decode() if isinstance(code, bytes) else str(code)
        if not _KIND.fullmatch(text):
            raise ValueError(f"it holds an array of {text[:20]!r}, which are not read")
        self.code, self.order = text, "|"

    def set(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode() if isinstance(order, bytes) else str(order)
        if self.order not in ("<", ">", "|", "="):
            raise ValueError("it holds an array of an unknown order of bytes")

    def dtype(self) -> np.dtype:
        return np.dtype(self.order + self.code)


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any = "C") -> _Array:
    return _Array(_values(content, kind, shape, order))


def _scalar(kind: Any, content: Any) -> Any:
    return _values(content, kind, (1,), "C")[0].item()


def _encoded(text: Any, encoding: Any) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding not in ("latin1", "latin-1", b"latin1", b"latin-1"):
        raise ValueError("it holds bytes in an unknown form")
    return str(text).encode("latin-1")


def _never_called(*_: Any) -> Any:
    raise ValueError("it is damaged: it calls what is named and never called")


_MAKERS: Mapping[str, Callable[..., Any]] = {
    **{
        f"numpy.{core}.{name}": maker
        for core in ("core", "_core")
        for name, maker in (
            ("multiarray._reconstruct", lambda *_: _Array()),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
    "numpy.ndarray": _never_called,
    "numpy.dtype": lambda code, *_: _Kind(code),
    "_codecs.encode": _encoded,
    "__builtin__.bytes": lambda: b"",  # how Python 3 writes empty bytes for Python 2
}


def _values(content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(kind, _Kind) or not isinstance(content, bytes | bytearray):
        raise ValueError("it holds an array that is damaged")
    dtype = kind.dtype()
    sizes = [int(size) for size in shape]
    if min(sizes, default=0) < 0 or math.prod(sizes) * dtype.itemsize != len(content):
        raise ValueError("it holds an array that is not as long as it says")
    if dtype.itemsize == 0:
        raise ValueError("it holds an array of values without size")
    return np.frombuffer(bytes(content), dtype).reshape(sizes, order="F" if order == "F" else "C")


def _plain(held: Any, depth: int) -> Any:
    """`held` with arrays in place of their stand-ins."""
    if isinstance(held, _Array):
        if held.values is None:
            raise ValueError("it holds an array without values")
        return held.values
    if depth < _DEEPEST and isinstance(held, dict):
        return {key: _plain(value, depth + 1) for key, value in held.items()}
    if depth < _DEEPEST and type(held) in (list, tuple):
        is_short = len(held) <= _FEW
        if is_short or any(isinstance(value, _Array) for value in held):
            return type(held)(_plain(value, depth + 1) for value in held)
    if isinstance(held, _Kind | Name):
        raise ValueError("it holds something else than values and arrays")
    return held
