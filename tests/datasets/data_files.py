"""Small data files of every kind, made for one test each."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import struct
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.base import Dataset, Request, build_dataset
from datasets.sets.handwritten62 import listed_classes


def request(folder: Path, **wanted) -> Request:
    """A request that looks in `folder` and caches below it, downloads forbidden."""
    return Request(
        data_dir=folder, cache_dir=folder / "cache", **{"allow_download": False, **wanted}
    )


def image_bytes(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    """`pixels` as an image file of the kind that Pillow calls `kind`."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind, **options)
    return buffer.getvalue()


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random uint8 pixels; any two draws differ in practice."""
    return rng.integers(0, 256, shape, dtype=np.uint8)


def write_tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write `files` by relative name; returns `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    """`files` as a zip archive; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def class_folders(n_per_class: int, classes: str = "ab", size: tuple[int, int] = (6, 5)) -> dict:
    """Files of a small set: one folder a class, grey noise, all images different."""
    rng = np.random.default_rng(0)
    return {
        f"{name}/{index}.png": image_bytes(noise(rng, *size))
        for name in classes
        for index in range(n_per_class)
    }


def idx_bytes(array: np.ndarray) -> bytes:
    """A uint8 array in idx format."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def write_mnist(folder: Path, n_train: int = 30, n_test: int = 10, *, zipped: bool = False) -> Path:
    """Four idx files named as MNIST's are, all images different, labels in turn."""
    rng = np.random.default_rng(1)
    files = {}
    for part, n in (("train", n_train), ("t10k", n_test)):
        files[f"{part}-images-idx3-ubyte"] = idx_bytes(noise(rng, n, 28, 28))
        files[f"{part}-labels-idx1-ubyte"] = idx_bytes((np.arange(n) % 10).astype(np.uint8))
    if zipped:
        files = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
    return write_tree(folder, files)


def dataset_of(labels, images=None, parts=None, n_classes=None, groups=None) -> Dataset:
    """A data set with these labels; images all different unless given."""
    labels = np.asarray(labels)
    if images is None:
        images = np.zeros((len(labels), 1, 2, 2), np.uint8)
        images.reshape(len(labels), 4)[:] = np.arange(len(labels))[:, None] >> (0, 8, 16, 24)
    names = [str(label) for label in range(n_classes or int(labels.max()) + 1)]
    return build_dataset("tiny", images, labels, names, source="test", parts=parts, groups=groups)


def page(seed: int) -> np.ndarray:
    """A black bar on white, of a place and size that depend on `seed`."""
    rng = np.random.default_rng(seed)
    pixels = np.full((90, 120), 255, np.uint8)
    top, left = rng.integers(5, 40, 2)
    pixels[top : top + rng.integers(10, 45), left : left + rng.integers(5, 60)] = 0
    return pixels


def small_set(n_per_class: int = 2, folder: str = "trainPart1") -> dict[str, bytes]:
    """The first listed files of each class of handwritten62, drawn small."""
    return {
        f"{folder}/Sample{index + 1:03d}/img{index + 1:03d}-{number:03d}.png": image_bytes(
            page(100 * index + number)
        )
        for index, listed in enumerate(listed_classes())
        for number in listed.numbers[:n_per_class]
    }


def write_handwritten62(path: Path) -> None:
    """A small EnglishHnd.tgz."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in small_set(folder="English/Hnd/Img").items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server on loopback that gives the files of `folder`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
