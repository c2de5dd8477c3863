"""Pickles that hold arrays and plain values, opened without running anything that they name.

In: the bytes of a file that anybody may have made. Out: mappings, lists, texts, numbers and numpy
arrays. It stands alone because a pickle is a program: its steps are looked at before any is taken,
and the few functions that arrays need are played by stand-ins of our own, numpy's are not called.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

_MOST_STEPS = 4_000_000  # CIFAR-100's training part takes 200,000
_STEPS = {
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1",
    "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "PUT", "BINPUT",
    "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL", "REDUCE",
    "BUILD",
}  # fmt: skip
_REMEMBERS = {"PUT", "BINPUT", "LONG_BINPUT"}
_KIND = re.compile(r"[uif][1248]|b1|[SU][0-9]{1,4}")
_DEEPEST = 4
_FEW = 16  # entries of a list in which arrays may lie deeper


def read_pickle(content: bytes) -> Any:
    """What a pickle of plain values and arrays holds; texts of Python 2 come as bytes.

    Raises:
        ValueError: it is damaged, names anything else, or takes steps that arrays do not need.
    """
    _check_steps(content)
    try:
        held = _Reader(io.BytesIO(content), encoding="bytes").load()
    except ValueError:
        raise
    except Exception as err:  # whatever a damaged program of steps brings about
        raise ValueError(f"it is damaged ({type(err).__name__})") from err
    return _plain(held, 0)


def _check_steps(content: bytes) -> None:
    """Refuse steps that run code or take memory, before any is taken."""
    last, highest = 0, 0
    try:
        for last, (step, argument, _) in enumerate(pickletools.genops(content)):
            if step.name not in _STEPS:
                raise ValueError(f"it takes a step ({step.name}) that arrays do not need")
            if step.name in _REMEMBERS:
                highest = max(
                    highest, int(str(argument))
                )  # memory is taken up to the highest place
            if last > _MOST_STEPS:
                raise ValueError(f"it takes over {_MOST_STEPS:,} steps")
    except ValueError:
        raise
    except Exception as err:
        raise ValueError(f"it is no pickle, or a damaged one ({type(err).__name__})") from err
    if highest > last:
        raise ValueError(f"it asks for {highest:,} places in {last:,} steps")


class _Array:
    """Stands for an array while it is read."""

    __slots__ = ("values",)

    def __init__(self, values: np.ndarray | None = None):
        self.values = values

    def __setstate__(self, state: Any) -> None:
        *_, shape, kind, is_fortran, content = state
        if not isinstance(content, bytes):
            raise ValueError("it holds an array of Python objects, which are not read")
        self.values = _values(content, kind, shape, "F" if is_fortran else "C")


class _Kind:
    """Stands for a numpy dtype."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any):
        text = code.decode() if isinstance(code, bytes) else str(code)
        if not _KIND.fullmatch(text):
            raise ValueError(f"it holds an array of {text[:20]!r}, which are not read")
        self.code, self.order = text, "|"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode() if isinstance(order, bytes) else str(order)
        if self.order not in "<>|=":
            raise ValueError("it holds an array of an unknown order of bytes")

    def dtype(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _Call:
    """A stand-in of a function; without attributes, so that a pickle can set none."""

    __slots__ = ()


class _EmptyArray(_Call):
    __slots__ = ()

    def __call__(self, *_: Any) -> _Array:
        return _Array()


class _MakeKind(_Call):
    __slots__ = ()

    def __call__(self, code: Any, *_: Any) -> _Kind:
        return _Kind(code)


class _FromBuffer(_Call):
    __slots__ = ()

    def __call__(self, content: Any, kind: Any, shape: Any, order: Any = "C") -> _Array:
        return _Array(_values(bytes(content), kind, shape, "F" if order == "F" else "C"))


class _Scalar(_Call):
    __slots__ = ()

    def __call__(self, kind: Any, content: Any) -> Any:
        return _values(content, kind, (1,), "C")[0].item()


class _Encode(_Call):
    """How Python 3 writes bytes for Python 2."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any) -> bytes:
        if encoding not in ("latin1", "latin-1", b"latin1", b"latin-1"):
            raise ValueError("it holds bytes in an unknown form")
        return str(text).encode("latin-1")


class _NoBytes(_Call):
    """How Python 3 writes empty bytes for Python 2."""

    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


class _Named(_Call):
    """A class that is named as an argument and never called."""

    __slots__ = ()


_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_KNOWN: dict[tuple[str, str], Callable[..., Any] | _Call] = {
    **{(module, "_reconstruct"): _EmptyArray() for module in _NUMPY},
    **{(module, "scalar"): _Scalar() for module in _NUMPY},
    ("numpy.core.numeric", "_frombuffer"): _FromBuffer(),
    ("numpy._core.numeric", "_frombuffer"): _FromBuffer(),
    ("numpy", "ndarray"): _Named(),
    ("numpy", "dtype"): _MakeKind(),
    ("_codecs", "encode"): _Encode(),
    ("__builtin__", "bytes"): _NoBytes(),
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise ValueError(f"it names {module}.{name}, which may run code; arrays alone are read")
        return _KNOWN[module, name]


def _values(content: bytes, kind: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(kind, _Kind) or not isinstance(content, bytes):
        raise ValueError("it holds an array that is damaged")
    dtype = kind.dtype()
    sizes = [int(size) for size in shape]
    if min(sizes, default=0) < 0 or math.prod(sizes) * dtype.itemsize != len(content):
        raise ValueError("it holds an array that is not as long as it says")
    if dtype.itemsize == 0:
        raise ValueError("it holds an array of values without size")
    return np.frombuffer(content, dtype).reshape(sizes, order="F" if order == "F" else "C")


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
    if isinstance(held, (_Kind, _Call)):
        raise ValueError("it holds something else than values and arrays")
    return held
