"""NVIDIA's driver on this machine, as it describes itself: its version, its CUDA, its GPUs.

In: the kernel's file of the driver, and the driver's own library (NVML). Out: texts, None where no
such driver is. It stands alone because it answers without PyTorch, also where PyTorch can use no
GPU: then its answer says why.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

KERNEL_FILE = Path("/proc/driver/nvidia/version")
MPS_FOLDER = "/tmp/nvidia-mps"  # where nothing else is said
NVML = "libnvidia-ml.so.1"
MOST_CHARACTERS = 96  # of a text of NVML


@dataclass(frozen=True)
class Driver:
    """What the driver says of itself; an empty text where it does not say it."""

    version: str  # 580.65.06
    cuda: str = ""  # the newest CUDA that it runs: 13.0
    gpus: tuple[str, ...] = ()  # names of all GPUs of the machine, visible to CUDA or not


@cache
def driver() -> Driver | None:
    """NVIDIA's driver here; None where there is none."""
    with _nvml() as library:
        answer = None if library is None else _ask(library)
    return answer or _from_kernel()


def mps_runs() -> bool:
    """Whether a Multi-Process Service runs where processes of this environment look for one."""
    folder = os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or MPS_FOLDER
    return Path(folder, "control").exists()


def cuda_text(number: int) -> str:
    """A version of CUDA as people write it: 13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _from_kernel() -> Driver | None:
    try:
        text = KERNEL_FILE.read_text("utf-8", "replace")
    except OSError:
        return None
    words = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text)
    return Driver(words[1]) if words else None


@contextmanager
def _nvml() -> Iterator[ctypes.CDLL | None]:
    """NVML between its start and its end; None where it is not there or does not start."""
    try:
        library = ctypes.CDLL(NVML)
    except OSError:
        library = None
    if library is None or library.nvmlInit_v2() != 0:
        yield None
        return
    try:
        yield library
    finally:
        library.nvmlShutdown()


def _ask(library: ctypes.CDLL) -> Driver | None:
    text = ctypes.create_string_buffer(MOST_CHARACTERS)
    if library.nvmlSystemGetDriverVersion(text, MOST_CHARACTERS) != 0:
        return None
    version, number, n_gpus = text.value.decode(), ctypes.c_int(), ctypes.c_uint()
    has_cuda = library.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(number)) == 0
    library.nvmlDeviceGetCount_v2(ctypes.byref(n_gpus))
    names = []
    for k in range(n_gpus.value):
        handle = ctypes.c_void_p()
        if library.nvmlDeviceGetHandleByIndex_v2(k, ctypes.byref(handle)) == 0:
            library.nvmlDeviceGetName(handle, text, MOST_CHARACTERS)
            names.append(text.value.decode())
    return Driver(version, cuda_text(number.value) if has_cuda else "", tuple(names))
