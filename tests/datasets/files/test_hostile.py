"""Archives and files of a stranger that are small and would take much: one line each, no memory.

Each reading runs in a process of its own that may have a gigabyte and half a minute of computing.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
MEGABYTE = bytes(1 << 20)
READ = """
import resource, sys
sys.argv.pop(0)
import {module}
import numpy, PIL.Image
resource.setrlimit(resource.RLIMIT_AS, (resource_limit := {base_mb} << 20, resource_limit))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from pathlib import Path
from headstart.errors import HeadstartError
def peak_mb():  # of this program alone: ru_maxrss may be that of the process that started it
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
before, before_mb = resource.getrusage(resource.RUSAGE_SELF), peak_mb()
try:
    {call}
    print("READ")
except HeadstartError as err:
    print(err)
after = resource.getrusage(resource.RUSAGE_SELF)
print(peak_mb() - before_mb, round(after.ru_utime - before.ru_utime, 1))
"""
TREE = (
    "datasets.files.trees",
    "with datasets.files.trees.open_tree(Path(sys.argv[0])) as tree:\n"
    "        [len(tree.read(name)) for name in tree.names]",
)
NPZ = (
    "datasets",
    "datasets.load_dataset('npz', options={'path': Path(sys.argv[0])}, cache_dir=sys.argv[0]+'.c')",
)
TABLE = ("datasets.tables.text", "datasets.tables.text.read_bytes(Path(sys.argv[0]))")
IDX = ("datasets.arrays.idx", "datasets.arrays.idx.read_idx(Path(sys.argv[0]))")
IMAGE = (
    "datasets.images.decode",
    "datasets.images.decode.decode_image(Path(sys.argv[0]).read_bytes(), sys.argv[0])",
)
WEIGHTS = ("models.weights", "models.weights.read_weights(Path(sys.argv[0]))")


def read(path: Path, reader: tuple[str, str]) -> tuple[str, int, float]:
    """What the reader says, megabytes and seconds that it took."""
    code = READ.format(module=reader[0], call=reader[1], base_mb=16_000)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    *message, numbers = done.stdout.strip().splitlines()
    megabytes, seconds = numbers.split()
    assert len(message) == 1, message
    return message[0], int(megabytes), float(seconds)


def lying_zip(path, method, name="a/1.png", n=300, size=100):
    """300 MB that announce to be 100 bytes."""
    with zipfile.ZipFile(path, "w", method) as archive, archive.open(name, "w") as member:
        for _ in range(n):
            member.write(MEGABYTE)
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.rfind(signature) + at
        content[start : start + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)


def zip_of(method):
    return lambda path: lying_zip(path, method)


def write_tar(path, opened, header: bytes, n: int):
    """A header and `n` megabytes of zeros after it."""
    with opened(path, "wb") as file:
        file.write(header)
        for _ in range(n):
            file.write(MEGABYTE)


def member(kind: bytes, size: int, name="a/1.png") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def tar_of(kind, opened=gzip.open, n=300, size=None):
    size = n << 20 if size is None else size
    return lambda path: write_tar(path, opened, member(kind, size), n)


def many_members(path):
    with gzip.open(path, "wb", 9) as file:
        header = member(tarfile.REGTYPE, 0)
        for _ in range(300):
            file.write(header * 2048)


def nested_headers(path):
    with gzip.open(path, "wb", 9) as file:
        file.write((member(tarfile.XHDTYPE, 512) + bytes(512)) * 100_000)


def lying_npy(path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (3000000000,), }\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("images", "labels"):
            archive.writestr(f"{name}.npy", content + bytes(64))


def blank_npz(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": (300, 1024, 1024)}
        )
        for name in ("images", "labels"):
            with archive.open(f"{name}.npy", "w") as file:
                file.write(header.getvalue())
                for _ in range(300):
                    file.write(MEGABYTE)


def gzip_bomb(path):
    with gzip.open(path, "wb", 9) as file:
        for _ in range(300):
            file.write(b"0," * (1 << 19))


def lying_idx(path):
    with gzip.open(path, "wb") as file:
        file.write(b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (60_000, 200, 300)))


def blank_idx(path):
    with gzip.open(path, "wb", 9) as file:
        file.write(b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (300, 1024, 1024)))
        for _ in range(300):
            file.write(MEGABYTE)


def huge_image(kind):
    def write(path):
        image = Image.new("1", (60_000, 60_000))
        image.save(path, kind, **({"compression": "tiff_deflate"} if kind == "TIFF" else {}))

    return write


def postscript(path):
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


def packed_weights(path):
    torch.save({"weight": torch.zeros(90 << 20)}, f"{path}.plain")
    with zipfile.ZipFile(f"{path}.plain") as plain, zipfile.ZipFile(path, "w", 8) as packed:
        for info in plain.infolist():
            packed.writestr(info.filename, plain.read(info))
    os.unlink(f"{path}.plain")


def lying_weights(path):
    header = b'{"w":{"dtype":"F32","shape":[1000000000,9],"data_offsets":[0,36000000000]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))


def long_header(path):
    path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")


HOSTILE = {
    "deflate.zip": (zip_of(zipfile.ZIP_DEFLATED), TREE, "cannot be unpacked"),
    "bzip2.zip": (zip_of(zipfile.ZIP_BZIP2), TREE, "not packed as zip files usually are"),
    "lzma.zip": (zip_of(zipfile.ZIP_LZMA), TREE, "not packed as zip files usually are"),
    "honest.tgz": (tar_of(tarfile.REGTYPE, n=250), TREE, "over 200 times its size"),
    "skipped.tgz": (tar_of(tarfile.REGTYPE, size=1 << 40), TREE, "over 200 times its size"),
    "pax.tgz": (tar_of(tarfile.XHDTYPE), TREE, "over 200 times its size"),
    "pax-global.tgz": (tar_of(tarfile.XGLTYPE), TREE, "over 200 times its size"),
    "long-name.tgz": (tar_of(tarfile.GNUTYPE_LONGNAME), TREE, "over 200 times its size"),
    "long-link.tgz": (tar_of(tarfile.GNUTYPE_LONGLINK), TREE, "over 200 times its size"),
    "sparse.tgz": (tar_of(tarfile.GNUTYPE_SPARSE), TREE, ""),
    "nested.tgz": (nested_headers, TREE, "not a whole tar file"),
    "many.tgz": (many_members, TREE, "over 200 times its size"),
    "bzip2.tgz": (tar_of(tarfile.REGTYPE, bz2.open), TREE, "gzip and plain tar"),
    "xz.tar": (tar_of(tarfile.XHDTYPE, lzma.open), TREE, "gzip and plain tar"),
    "plain.tar": (tar_of(tarfile.XHDTYPE, open, 8, 1 << 40), TREE, "over 200"),
    "header.npz": (lying_npy, NPZ, "not as long as its header says"),
    "blank.npz": (blank_npz, NPZ, "unpacks to"),
    "lzma.npz": (lambda p: lying_zip(p, zipfile.ZIP_LZMA, "x.npy", 1), NPZ, "needs images and"),
    "blank.csv.gz": (gzip_bomb, TABLE, "more than any table that is read"),
    "lying-idx3-ubyte.gz": (lying_idx, IDX, "announces 3,600,000,000 bytes"),
    "blank-idx3-ubyte.gz": (blank_idx, IDX, "announces 314,572,800 bytes"),
    "bomb.png": (huge_image("PNG"), IMAGE, "million pixels"),
    "bomb.tif": (huge_image("TIFF"), IMAGE, "million pixels"),
    "program.png": (postscript, IMAGE, "not an image in a format that is known"),
    "packed.pth": (packed_weights, WEIGHTS, "what torch writes is stored, not packed"),
    "shape.safetensors": (lying_weights, WEIGHTS, "is no safetensors file"),
    "header.safetensors": (long_header, WEIGHTS, "holds no weights that can be read"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_small_file_that_would_take_much_is_one_line(tmp_path, name):
    """Slow: 300 MB are packed for most of them, and each is read by a process of its own."""
    write, reader, expected = HOSTILE[name]
    path = tmp_path / name
    write(path)
    assert path.stat().st_size < 16 << 20
    message, megabytes, seconds = read(path, reader)
    assert str(path) in message
    assert expected in message
    assert megabytes < 300
    assert seconds < 30


@pytest.mark.slow
def test_a_tar_file_takes_no_more_memory_than_its_own_size_warrants(tmp_path):
    """400 MB that are packed to 3 MB, which is within the limit: they are kept packed.

    Slow: processes with little memory read large files.
    """
    path = tmp_path / "honest.tgz"
    packed = gzip.compress(os.urandom(12_000) + bytes((2 << 20) - 12_000))
    with open(path, "wb") as file:
        for number in range(200):
            file.write(gzip.compress(member(tarfile.REGTYPE, 2 << 20, f"a/{number}.png")) + packed)
    assert 200 * path.stat().st_size > 200 << 21
    message, megabytes, _ = read(path, TREE)
    assert message == "READ"
    assert megabytes < 100


@pytest.mark.parametrize("name", ["lying-idx3-ubyte.gz", "header.npz", "program.png", "plain.tar"])
def test_those_that_are_made_quickly_in_the_quick_tests_too(tmp_path, name):
    test_a_small_file_that_would_take_much_is_one_line(tmp_path, name)
