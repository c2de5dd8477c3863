"""MATLAB's .mat files with arrays of images and labels, as those of SVHN, EMNIST and USPS.

`{name: mat, path: FILE}` finds the arrays by their names (`X` and `y`, `train/images` and
`train/labels`, …) or shapes, in one file or in all of a folder (`train_32x32.mat` and
`test_32x32.mat`); `images` and `labels` name them where that is not clear. Versions 4 to 7 need
nothing more; 7.3 is HDF5 and needs h5py.
"""

from __future__ import annotations

from pathlib import Path

from datasets.arrays.files import ArrayFileOptions, Kind, knows_files, load_files, locate_files
from datasets.arrays.mat import open_mat
from datasets.base import Dataset, DatasetInfo, Request
from headstart.settings import key

SUFFIXES = (".mat",)
_KIND = Kind("mat", 1, SUFFIXES, open_mat)


INFO = DatasetInfo(suffixes=SUFFIXES, starts=(b"MATLAB ",), knows=knows_files(SUFFIXES))


class Options(ArrayFileOptions):
    """Where the arrays are, and what they cannot say themselves."""

    path: Path = key("A .mat file, or a folder of them.", example="my/train_32x32.mat")


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The .mat files."""
    return locate_files(options, request, _KIND)


def load(options: Options, request: Request) -> Dataset:
    """All images, part by part where names say parts."""
    return load_files(options, request, _KIND)
