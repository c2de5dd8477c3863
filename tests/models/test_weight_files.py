"""Files of weights as people have them: read by content, or one line that says what they are."""

from __future__ import annotations

import argparse
import io
import json
import pickle
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.errors import ModelError
from headstart.yaml12 import parse_yaml
from models.weight_files import open_weights


def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(6, 4, generator=generator)
    return {
        "conv.weight": torch.randn(4, 1, 3, 3, generator=generator),
        "fc.weight": whole.t(),  # a view of other strides
        "fc.bias": whole[1],  # a part of the same values
        "norm.num_batches_tracked": torch.tensor(7),
    }


def refused(path: Path, entry: str = "") -> str:
    with pytest.raises(ModelError) as caught:
        open_weights(path, entry)
    text = str(caught.value)
    assert "\n" not in text
    assert "weights_only" not in text
    return text


def saved(path: Path, content: object, *, is_old: bool = False) -> Path:
    buffer = io.BytesIO()  # torch may choose another format by the name of a file
    torch.save(content, buffer, _use_new_zipfile_serialization=not is_old)
    path.write_bytes(buffer.getvalue())
    return path


NAMES = ["w.pth", "w.pt", "w.th", "w.bin", "w.ckpt", "w.pth.tar", "w.pkl", "w", "w.safetensors"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_old", [False, True], ids=["zip", "legacy"])
def test_tensors_equal_those_of_torch_load(tmp_path: Path, name: str, is_old: bool) -> None:
    path = saved(tmp_path / name, {"state_dict": state(), "epoch": 3}, is_old=is_old)
    expected = torch.load(io.BytesIO(path.read_bytes()), weights_only=True)["state_dict"]
    read = open_weights(path)
    assert list(read.tensors) == list(expected)
    for key, tensor in expected.items():
        assert torch.equal(read.tensors[key], tensor)
        assert read.tensors[key].stride() == tensor.stride()
    assert read.notes == ("its entry state_dict was taken; left out: epoch",)


DTYPES = ["float64", "float16", "bfloat16", "int8", "uint8", "int16", "int32", "bool",
          "float8_e4m3fn", "uint16"]  # fmt: skip


def test_every_type_of_values_is_read(tmp_path: Path) -> None:
    values = torch.tensor([0.0, 1.0, 2.0])
    content = {name: values.to(getattr(torch, name)) for name in DTYPES} | {"w": values}
    content["complex"] = values.to(torch.complex64)
    content["parameter"] = nn.Parameter(values)
    content["none"] = torch.zeros(0, 3)
    for is_old in (False, True):
        read = open_weights(saved(tmp_path / "w.pth", content, is_old=is_old)).tensors
        assert {k: (t.dtype, t.shape) for k, t in read.items()} == {
            k: (t.dtype, t.shape) for k, t in content.items()
        }
        assert all(torch.equal(read[k].float(), content[k].float()) for k in DTYPES)


@pytest.mark.parametrize(
    "entry",
    [
        "state_dict",
        "model_state_dict",
        "model",
        "net",
        "ema",
        "weights",
        "module",
        "params",
        "mine",
    ],
)
def test_a_state_dict_under_any_entry_is_taken(tmp_path: Path, entry: str) -> None:
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"params": [0]}]}
    content = {entry: state(), "optimizer": optimizer, "best": torch.tensor(0.5),
               "rng_state": torch.get_rng_state()}  # fmt: skip
    read = open_weights(saved(tmp_path / "w.pth", content))
    assert set(read.tensors) == set(state())
    assert f"its entry {entry} was taken" in read.notes[0]
    nested = {"checkpoint": content}
    assert set(open_weights(saved(tmp_path / "n.pth", nested)).tensors) == set(state())


class Loud:
    """Writes a file where it is unpickled carelessly."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_what_lies_beside_the_tensors_is_not_made(tmp_path: Path) -> None:
    mark = tmp_path / "made"
    content = {
        "state_dict": {"_extra": Loud(mark), **state()},
        "args": argparse.Namespace(lr=0.1),
        "best_acc": np.float64(0.5),
        "path": Path("runs"),
        "loud": Loud(mark),
        "history": {np.float32(1): (Loud(mark), {1, 2}, frozenset({3}))},
    }
    for is_old in (False, True):
        read = open_weights(saved(tmp_path / "w.pth", content, is_old=is_old))
        assert set(read.tensors) == set(state())
        assert read.notes[1] == "left out, since they are no plain tensors: _extra"
    assert not mark.exists()


def test_arrays_of_numpy_are_weights_too(tmp_path: Path) -> None:
    arrays = {"a.weight": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": np.ones(2, ">f8")}
    arrays["c"] = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    for protocol in (0, 2, 4, 5):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps({"model": arrays, "author": "us"}, protocol))
        read = open_weights(path).tensors
        assert {k: t.tolist() for k, t in read.items()} == {
            k: a.tolist() for k, a in arrays.items()
        }


def test_several_state_dicts_are_a_question(tmp_path: Path) -> None:
    other = {f"module.{key}": tensor + 1 for key, tensor in state().items()}
    path = saved(tmp_path / "w.pth", {"model": state(), "ema": other, "epoch": 1})
    assert "it has model (4 tensors), ema (4 tensors)" in refused(path)
    assert "entry: model}" in refused(path)
    assert "has no state dict under 'emma'; it has model" in refused(path, "emma")
    assert set(open_weights(path, "ema").tensors) == set(other)


def test_the_line_that_chooses_can_be_copied_whatever_the_files_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "a, b [1]: c#.pth", {"model": state(), "ema": state()})
    _, _, line = refused(path).partition("say initialize: ")
    chosen = parse_yaml(line, "line").plain()
    assert chosen == {"file": str(path), "entry": "model"}
    assert set(open_weights(path, chosen["entry"]).tensors) == set(state())


def test_a_usual_entry_beside_other_layers_is_taken(tmp_path: Path) -> None:
    content = {"state_dict": state(), "center": {"sum": torch.zeros(3)}, "mean": torch.zeros(3)}
    assert set(open_weights(saved(tmp_path / "w.pth", content)).tensors) == set(state())


class Configuration(dict[str, Any]):
    """A mapping of a class that only its maker has."""


def test_a_mapping_of_the_files_own_class_is_a_mapping(tmp_path: Path) -> None:
    for is_old in (False, True):
        content = Configuration(state_dict=Configuration(state()), meta=Configuration(a=1))
        read = open_weights(saved(tmp_path / "w.pth", content, is_old=is_old))
        assert set(read.tensors) == set(state())
        assert read.notes == ("its entry state_dict was taken; left out: meta",)


class Net(nn.Linear):
    pass


def html(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><head><title>404 Not Found</title>")


def script(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name in ("net/data.pkl", "net/code/__torch__.py", "net/constants.pkl"):
            file.writestr(name, b"x")


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights/best.pth", b"x")


def npz(path: Path) -> None:
    np.savez(path.open("wb"), a=np.zeros(2))


def torn(path: Path) -> None:
    saved(path, state())
    path.write_bytes(path.read_bytes()[:-200])


def torn_old(path: Path) -> None:
    saved(path, state(), is_old=True)
    path.write_bytes(path.read_bytes()[:-20])


def flipped(path: Path) -> None:
    saved(path, state())
    content = bytearray(path.read_bytes())
    content[content.index(state()["conv.weight"].numpy().tobytes())] ^= 1
    path.write_bytes(bytes(content))


def packed(path: Path) -> None:
    whole = io.BytesIO()
    torch.save({"w": torch.zeros(100_000)}, whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content) and None


def raw(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def held(content: object) -> Callable[[Path], None]:
    return lambda path: saved(path, content) and None


STRANGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "whole_network": (held(Net(2, 2)), r"is a whole pickled network \(of the class .*Net\)"),
    "network_in_entry": (held({"model": Net(2, 2), "epoch": 1}), "whole pickled network under 'mo"),
    "list": (held([1, 2]), "holds a list, not a state dict"),
    "one_tensor": (held(torch.zeros(2)), "holds a single tensor"),
    "namespace": (held({"args": argparse.Namespace()}), "it has args .it wants to make argparse"),
    "integers": (held({"w": torch.ones(2, dtype=torch.int8)}), "tensors of int8 alone"),
    "optimizer": (held({"state": {}, "param_groups": [{}]}), "the state of an optimizer, without"),
    "plain_pickle": (raw(pickle.dumps(state())), "tensors that pickle.dump has written; .*torch"),
    "quantised": (held({"0._packed_params.dtype": 1}), "holds quantised weights"),
    "empty_dict": (held({}), "holds no state dict"),
    "torchscript": (script, "TorchScript"),
    "zip": (archive, "zip file that torch has not written; it holds weights/best.pth"),
    "npz": (npz, r"arrays of numpy \(.npz\).*numpy.load\('w.pth'\)"),
    "npy": (raw(b"\x93NUMPY\x01\x00"), "one array of numpy"),
    "torn": (torn, "cut off"),
    "torn_old": (torn_old, "damaged or cut off"),
    "flipped": (flipped, "damaged"),
    "packed": (packed, "stored, not packed"),
    "empty": (raw(b""), "is empty"),
    "html": (html, r"is a web page \(404 Not Found\)"),
    "xml": (text("\n<?xml version='1.0'?><Error><Code>NoSuchKey"), "is a web page"),
    "lfs": (text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1234\n"),
            r"Git LFS to the weights \(1,234 bytes\)"),
    "json_error": (text('{"error": "quota exceeded"}'), "answer of a server.*quota exceeded"),
    "index": (text(json.dumps({"weight_map": {"a": "model-1.bin", "b": "model-2.bin"}})),
              r"index of weights in 2 files \(model-1.bin, model-2.bin\)"),
    "keras": (raw(b"\x89HDF\r\n\x1a\n" + b"\0" * 30), "HDF5"),
    "onnx": (raw(b"\x08\x07\x12\x07pytorch" + b"\0" * 30), "ONNX"),
    "gzip": (raw(b"\x1f\x8b\x08\0"), "gzip; unpack it"),
    "text": (text("Access denied"), "text that begins 'Access denied'"),
    "bytes": (raw(bytes(range(128, 200))), "no weights that can be read"),
    "tar": (raw(b"a" * 257 + b"ustar" + b"\0" * 300), "tar archive"),
    "safetensors": (raw((50).to_bytes(8, "little") + b'{"a": 1}'), "damaged one"),
}  # fmt: skip


@pytest.mark.parametrize("kind", STRANGE)
def test_what_holds_no_weights_is_named(tmp_path: Path, kind: str) -> None:
    make, expected = STRANGE[kind]
    path = tmp_path / "w.pth"
    make(path)
    with pytest.raises(ModelError, match=expected):
        open_weights(path)
    assert str(path) in refused(path)


def test_a_part_of_several_files_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "pytorch_model-00001-of-00003.bin", state())
    assert "is part 1 of 3 of weights" in refused(path)


TWOFOLD = b"\x80\x04)q\x000" + b"h\x00h\x00\x86q\x000" * 60  # a tuple of 2 ** 60 tuples
LONG = b"\x80\x04X\x00\x00\x10\x00" + b"a" * (1 << 20) + b"q\x010"
MANY = b"\x80\x04(" + b"N" * 200_000 + b"tq\x010"
BOMBS = {
    "copies": b"\x80\x02c_codecs\nencode\nq\x00X\x00\x00\x10\x00" + b"a" * (1 << 20) + b"q\x01"
    + b"h\x00h\x01X\x06\x00\x00\x00latin1\x86R" * 4 + b".",
    "announced": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"ab.",
    "memo": b"\x80\x02Nr\xff\xff\xff\xffN.",
    "deep": b"\x80\x02" + b"]" * 20_000 + b"a" * 19_999 + b".",
    "whole_number": TWOFOLD + b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuh\x00tQ.",
    "encoding": TWOFOLD + b"c_codecs\nencode\nU\x01ah\x00\x86R.",
    "class": TWOFOLD + b"h\x00U\x01x\x93.",
    "storages": b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, {}))
    + TWOFOLD + b"](h\x00e.",
    "long_class": LONG + b"](" + b"h\x01h\x01\x93" * 20_000 + b"e.",
    "long_key": b"\x80\x02}q\x00\x8b\x00\x00\x10\x00" + b"\x01" * (1 << 20) + b"q\x010"
    + b"h\x00h\x01Ns0" * 20_000 + b"h\x00.",
    "keys_of_one_hash": b"\x80\x02}(" + b"".join(
        b"\x8a\x0b" + (n * ((1 << 61) - 1)).to_bytes(11, "little") + b"N"
        for n in range(1, 40_000)) + b"u.",
    "copies_behind_a_type": LONG + b"c_codecs\nencode\nq\x020ctorch._tensor\n"
    b"_rebuild_from_type_v2\nq\x030](" + b"h\x03(h\x02Nh\x01U\x06latin1\x86NtR" * 30_000 + b"e.",
    "long_arguments": MANY + b"ccollections\nOrderedDict\nq\x020" + b"h\x02h\x01R0" * 9_000 + b"N.",
    "long_reference": MANY + b"h\x01Q0" * 20_000 + b"N.",
    "long_pairs": MANY + b"ccollections\nOrderedDict\nq\x020](" + b"h\x01" * 3000 + b"eq\x030"
    + b"h\x02h\x03\x85R0" * 20 + b"N.",
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_a_pickle_that_asks_for_memory_gets_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.pkl"
    path.write_bytes(BOMBS[kind])
    before, most = process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path)
    assert process_time() - before < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 1 << 19  # KiB


def test_names_without_end_take_no_time(tmp_path: Path) -> None:
    long = "." * (1 << 20)
    inner = {f"k{n}": {"w": n} for n in range(2000)}
    read = open_weights(saved(tmp_path / "w.pth", {"model": state(), long: inner}))
    assert set(read.tensors) == set(state())


def test_a_tensor_beyond_its_values_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", {"w": torch.zeros(4)}, is_old=True)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"K\x04\x85", b"K\x08\x85"))
    assert path.read_bytes() != content
    assert "damaged" in refused(path)


def test_names_that_are_no_text_are_left_out_and_shown(tmp_path: Path) -> None:
    content = {**{name: tensor.numpy() for name, tensor in state().items()},
               "half \udc80": np.zeros((2, 2)), "line\n": 1}  # fmt: skip
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(content))
    read = open_weights(path)
    assert set(read.tensors) == set(state())
    assert read.notes == ("left out, since they are no plain tensors: half \\udc80, line\\n",)
