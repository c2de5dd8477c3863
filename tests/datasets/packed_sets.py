"""Small sets of photographs in files of every kind that can be read in place."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data_files import image_bytes, write_tree, write_zip

RNG = np.random.default_rng(0)
N = 24


def encoded(k, is_gray=False):
    pixels = np.kron(
        RNG.integers(0, 256, (6, 6, 1 if is_gray else 3), dtype=np.uint8), np.ones((4, 4, 1))
    )
    pixels = np.repeat(pixels, 3, axis=2) if is_gray else pixels
    return image_bytes(pixels.astype(np.uint8), "PNG" if is_gray or k % 2 else "JPEG")


def files(is_gray=False):
    return {f"c{k % 2}/{k:02d}.png": encoded(k, is_gray) for k in range(N)}


def write_shards(where: Path) -> Path:
    where.mkdir()
    for shard in range(2):
        with tarfile.open(where / f"train-{shard}.tar", "w") as archive:
            for k in range(shard, N, 2):
                for ending, content in (("jpg", encoded(k)), ("cls", f"{k % 3 % 2}".encode())):
                    member = tarfile.TarInfo(f"{k:04d}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    return where


def write_parquet(where: Path) -> Path:
    where.mkdir()
    for file, group in ((0, 5), (1, 100)):
        columns = {"image": [encoded(k) for k in range(N // 2)], "label": [0, 1, 1] * (N // 6)}
        path = where / f"train-0000{file}-of-00002.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=group)
    return where


KINDS = {
    "folder": lambda path: write_tree(path, files()),
    "zip": lambda path: write_zip(path.with_suffix(".zip"), files()),
    "gray": lambda path: write_tree(path, files(is_gray=True)),
    "shards": write_shards,
    "parquet": write_parquet,
}

NAMES = {"zip": "folder", "gray": "folder", "shards": "webdataset"}  # in a sweep, where another

# A few steps an epoch; what `name` reads, and where `path` is.
IN_FILES = """\
name: in_files
question: Has a set that stays in its files the same bits?
model: {{name: lenet5}}
data: {{name: {name}, path: {path}, split: {{train: 0.6, validation: 0.2, test: 0.2}}}}
train: {{batch_size: 4, epochs: {epochs}, augment: {{horizontal_flip: 0.5}}}}
arms: {{net: {{}}}}
seeds: 1
resources: {{gpus: 0, workers: 1, pack: 1}}
"""
