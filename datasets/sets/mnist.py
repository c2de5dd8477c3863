"""MNIST: 70,000 handwritten digits, 28×28, with its own train and test parts.

The files are read with our own idx reader, not torchvision's: importing torchvision takes several
seconds, and a plan must answer within one. The files looked for, their folders, the mirrors and
the checksums are those of `torchvision.datasets.MNIST`, so a folder that serves one serves both.
Source: LeCun, Cortes and Burges; MD5s and mirrors as published in torchvision 0.29.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.arrays.idx import idx_sets, read_pairs
from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.cache.cached import cached
from datasets.files.downloads import Download, fetch
from datasets.locations import downloads_folder, not_found
from datasets.preprocess import shape_for
from headstart.errors import DataError, DataNotFoundError
from headstart.settings import key

VERSION = 1
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
INFO = DatasetInfo(is_ink=True, preprocess="mnist_style", download="15 MB")


class Options(DatasetOptions):
    """Where it comes from."""

    source: str | None = key("An address whose folder holds the four .gz files, instead of the "
        "known mirrors.", None, example="https://example.org/mnist")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The four files, images and labels of train and then of test, unpacked or .gz."""
    folders = _folders(request)
    for folder in folders:
        pairs = _pairs(folder)
        if {"train", "test"} <= set(pairs):
            return *pairs["train"], *pairs["test"]
    raise not_found(
        "mnist",
        request,
        f"put its four files (train-images-idx3-ubyte.gz …, or unpacked) into {folders[0]}, "
        f"or run: python -m datasets --get mnist ({INFO.download})",
    )


def load(options: Options, request: Request) -> Dataset:
    """All 70,000 images: train 0 … 59,999, test 60,000 … 69,999."""
    files = _locate_or_fetch(options, request)
    # An address does not change what the files hold (their checksums are fixed).
    return cached(
        "mnist",
        VERSION,
        Options(),
        request,
        files,
        lambda asked: _decode(files, asked),
        may_repeat=False,
    )


def _pairs(folder: Path) -> Mapping[str, tuple[Path, Path]]:
    """The files of each part in `folder`; archives of the set also call them train-images.idx3…"""
    files = idx_sets(folder).get("") if folder.is_dir() else None
    return files.pairs if files is not None else {}


def _folders(request: Request) -> list[Path]:
    data = request.data_dir
    return [
        data / "mnist" / "MNIST" / "raw",
        data / "MNIST" / "raw",
        data / "mnist" / "raw",
        data / "mnist",
        _download_folder(request),
    ]


def _download_folder(request: Request) -> Path:
    return downloads_folder(request) / "mnist"


def _locate_or_fetch(options: Options, request: Request) -> Sequence[Path]:
    try:
        return locate(options, request)
    except DataNotFoundError as missing:
        try:
            return _fetch(options, request, missing)
        except DataNotFoundError as err:
            _refuse_a_part_of_it(request, err)
            raise


def _fetch(options: Options, request: Request, missing: DataNotFoundError) -> Sequence[Path]:
    if not request.allow_download:
        raise missing
    mirrors = (options.source,) if options.source else MIRRORS
    return [
        fetch(
            Download(
                addresses=[f"{mirror.rstrip('/')}/{name}.gz" for mirror in mirrors],
                path=_download_folder(request) / f"{name}.gz",
                checksum=f"md5:{md5}",
            ),
            missing,
        )
        for name, md5 in MD5.items()
    ]


def _refuse_a_part_of_it(request: Request, missing: DataNotFoundError) -> None:
    """Raise DataError where a person has put some of the files there: nothing stands in then."""
    for folder in _folders(request)[:-1]:  # a download that stopped is no person's doing
        if pairs := _pairs(folder):
            raise DataError(
                f"{folder}: holds the {' and '.join(pairs)} part of MNIST, and not the other; "
                f"{missing.put}"
            ) from missing


def _decode(files: Sequence[Path], request: Request) -> Dataset:
    images, labels, parts, _ = read_pairs(
        {"train": (files[0], files[1]), "test": (files[2], files[3])}
    )
    return build_dataset(
        "mnist",
        shape_for(images, request),
        labels,
        tuple("0123456789"),
        source=str(files[0].parent),
        parts=parts,
    )
