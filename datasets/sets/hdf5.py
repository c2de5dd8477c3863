"""HDF5 files (.h5) with arrays of images and labels; needs h5py.

`{name: hdf5, path: FILE}` finds the arrays by their names (`train/data` and `train/target`, `x` and
`y`, …) or shapes, in one file or in all of a folder, as PatchCamelyon's; `images` and `labels` name
them where that is not clear. Links to other files are not followed.
"""

from __future__ import annotations

from pathlib import Path

from datasets.arrays.files import ArrayFileOptions, Kind, knows_files, load_files, locate_files
from datasets.arrays.hdf5 import SIGNATURE, open_hdf5
from datasets.base import Dataset, DatasetInfo, Request
from headstart.settings import key

SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")
_KIND = Kind("hdf5", 1, SUFFIXES, open_hdf5)


INFO = DatasetInfo(suffixes=SUFFIXES, starts=(SIGNATURE,), knows=knows_files(SUFFIXES))


class Options(ArrayFileOptions):
    """Where the arrays are, and what they cannot say themselves."""

    path: Path = key("An HDF5 file, or a folder of them.", example="my/images.h5")


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The HDF5 files."""
    return locate_files(options, request, _KIND)


def load(options: Options, request: Request) -> Dataset:
    """All images, part by part where names say parts."""
    return load_files(options, request, _KIND)
