"""What a file is that holds no weights of PyTorch, and what its owner can do about it.

In: the first bytes of a file. Out: the end of a sentence that begins with its path.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from headstart.cli import few

SAVE = "torch.save(model.state_dict(), 'weights.pth')"
_MOST_JSON = 1 << 24
_BEGINS = (
    (b"\x89HDF", "is an HDF5 file, as Keras and TensorFlow write; weights of PyTorch are read"),
    (b"\x93NUMPY", "is one array of numpy, without names; a state dict of PyTorch is expected"),
    (b"GGUF", "is a GGUF file of a language model; a state dict of PyTorch is expected"),
    (b"\x1f\x8b", "is packed with gzip; unpack it first"),
    (b"BZh", "is packed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "is packed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstandard; unpack it first"),
    (b"7z\xbc\xaf", "is a 7z archive; unpack it first"),
    (b"Rar!", "is a RAR archive; unpack it first"),
)


def what_it_is(head: bytes, path: Path) -> str:
    """What a file is that holds no weights of PyTorch, by its first bytes."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        size = re.search(rb"^size (\d{1,15})", head, re.M)
        of = f" ({int(size[1]):,} bytes)" if size else ""
        return (f"is a pointer of Git LFS to the weights{of}, not the weights themselves; fetch "
                "them with git lfs pull")  # fmt: skip
    for begin, what in _BEGINS:
        if head.startswith(begin):
            return what
    if text[:1] == b"<":
        title = re.search(rb"<title[^>]*>([^<]{1,80})", head, re.I)
        shown = f" ({title[1].decode('utf-8', 'replace').strip()})" if title else ""
        return f"is a web page{shown}, not weights; the address must give the file itself"
    if text[:1] in (b"{", b"["):
        return _of_json(path)
    if head[257:262] == b"ustar":
        return ("is a tar archive; if it holds weights, unpack them; torch's own files of 2016 "
                "must be saved anew by torch.save")  # fmt: skip
    if b"onnx" in head or (head[:1] == b"\x08" and b"pytorch" in head) or path.suffix == ".onnx":
        return f"is an ONNX file, a program with its weights; where it was made, {SAVE}"
    if head[4:8] == b"TFL3" or path.suffix in (".pb", ".tflite", ".index", ".msgpack", ".mlmodel"):
        return "is a file of TensorFlow, Flax or Core ML; weights of PyTorch are read"
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return f"is a text that begins {head[:40].decode('ascii')!r}, not weights"
    return ("holds no weights that can be read, by its first bytes; safetensors and what "
            f"torch.save writes are read: {SAVE}")  # fmt: skip


def _of_json(path: Path) -> str:
    """Of an index of shards, or of what a server answered."""
    content = None
    if path.stat().st_size <= _MOST_JSON:
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            content = None
    if isinstance(content, dict) and isinstance(content.get("weight_map"), dict):
        shards = sorted({str(name) for name in content["weight_map"].values()})
        return (f"is the index of weights in {len(shards)} files ({few(shards)}); one file is "
                "read: write them into one with safetensors or torch.save")  # fmt: skip
    if isinstance(content, dict):
        for key in ("error", "message", "detail", "msg"):
            if isinstance(content.get(key), str):
                return f"is the answer of a server, not weights: {content[key][:120]}"
    return "is JSON, not weights"
