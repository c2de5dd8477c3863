"""What NVIDIA's driver says: asked of a library that answers as its own does, and of the kernel."""

from __future__ import annotations

import ctypes
import json

import pytest

from harness.runfolder import nvidia, provenance
from harness.runfolder.nvidia import Driver, cuda_text

OF_KERNEL = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (root@host)
GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)
"""


class Library:
    """NVML's functions as NVIDIA documents them: 0 is success, texts go into the given place."""

    def __init__(self, version="535.104.05", cuda=12020, names=("H100", "A100"), starts=True):
        self.version, self.cuda, self.names, self.starts = version, cuda, names, starts
        self.is_open = False

    def nvmlInit_v2(self):
        self.is_open = self.starts
        return 0 if self.starts else 9  # NVML_ERROR_DRIVER_NOT_LOADED

    def nvmlShutdown(self):
        self.is_open = False

    def nvmlSystemGetDriverVersion(self, text, length):
        text.value = self.version.encode()
        return 0

    def nvmlSystemGetCudaDriverVersion_v2(self, number):
        number._obj.value = self.cuda or 0
        return 0 if self.cuda else 13  # NVML_ERROR_FUNCTION_NOT_FOUND

    def nvmlDeviceGetCount_v2(self, number):
        number._obj.value = len(self.names)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, k, handle):
        handle._obj.value = k + 1
        return 0

    def nvmlDeviceGetName(self, handle, text, length):
        text.value = self.names[handle.value - 1].encode()
        return 0


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A function that gives this machine a library and a file of the kernel, or neither."""

    def have(library=None, of_kernel=""):
        def load(name):
            if library is None:
                raise OSError(name)
            return library

        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(nvidia, "KERNEL_FILE", tmp_path / "version")
        if of_kernel:
            (tmp_path / "version").write_text(of_kernel, "utf-8")
        nvidia.driver.cache_clear()
        return nvidia.driver()

    yield have
    nvidia.driver.cache_clear()


def test_the_library_says_versions_and_names_and_is_closed_again(machine):
    library = Library()
    assert machine(library) == Driver("535.104.05", "12.2", ("H100", "A100"))
    assert not library.is_open
    assert machine(Library(cuda=None)) == Driver("535.104.05", "", ("H100", "A100"))


def test_without_a_library_that_starts_the_kernels_file_says_the_version(machine):
    assert machine(None, OF_KERNEL) == Driver("570.86.15")
    assert machine(Library(starts=False), OF_KERNEL) == Driver("570.86.15")
    assert machine(None, "something else") is None


def test_a_machine_without_a_driver_has_none(machine):
    assert machine() is None
    assert provenance.collect({})["gpus"] is None


def test_a_service_for_shared_gpus_is_looked_for_where_processes_do(monkeypatch, tmp_path):
    monkeypatch.setattr(nvidia, "MPS_FOLDER", str(tmp_path / "usual"))
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    assert not nvidia.mps_runs()
    for name in ("usual", "own"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "control").touch()
        assert nvidia.mps_runs()
        (tmp_path / name / "control").unlink()
        assert not nvidia.mps_runs()
        monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path / "own"))


def test_versions_of_cuda_are_written_as_people_write_them():
    assert [cuda_text(number) for number in (11040, 12000, 13020)] == ["11.4", "12.0", "13.2"]


def test_provenance_has_the_gpus_and_all_versions_that_seconds_depend_on(machine):
    import torch

    machine(Library(names=("H100",)))
    gpus = json.loads(json.dumps(provenance.collect({})))["gpus"]
    assert gpus["names"] == ["H100"]
    assert (gpus["driver"], gpus["driver_cuda"]) == ("535.104.05", "12.2")
    assert gpus["cuda"] == torch.version.cuda
    assert set(gpus) == {"names", "driver", "driver_cuda", "cuda", "cudnn"}
