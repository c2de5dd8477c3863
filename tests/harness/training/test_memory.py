"""What lies on a GPU: bounded batches, shares, what ended trials leave, and a GPU that is full.

The checks on stand-in cards are in `tests/harness/memory_on_cards.py`. They run in one process,
since each imports torch. The allocator is PyTorch's own, so bytes are as on a card.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from harness.sweepfile.settings import Train
from harness.training.memory import (
    EVALUATION_BATCH,
    MOST_PIXELS,
    explained,
    halved_until_it_fits,
    images_at_once,
    is_out_of_memory,
)
from runs import ROOT

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("size", "n"),
    [((28, 28), 1000), ((64, 64), 1000), ((96, 96), 444), ((224, 224), 81), ((4096, 4096), 1)],
)
def test_a_gpu_is_shown_as_many_pixels_at_once_as_1000_images_of_64(size, n):
    assert images_at_once(size, GPU) == n
    assert n == 1 or n * size[0] * size[1] <= MOST_PIXELS
    assert images_at_once(size, CPU) == EVALUATION_BATCH  # there it decides bits


AT_THE_END = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count()))  # after all that is registered later
from harness.training.memory import clean_up
clean_up("cuda")
print(gc.get_freeze_count() > 0)
"""


@pytest.mark.slow
def test_nothing_is_frozen_when_python_ends():
    """Triton then wrote thirty lines of leaks below a user's results.

    Slow: a process of its own imports PyTorch.
    """
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_END], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "0"]


def test_a_size_is_halved_until_it_fits():
    tried = []

    def compute(size):
        tried.append(size)
        if size > 12:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return f"{size} at once"

    assert halved_until_it_fits(compute, 81) == ("10 at once", 10)
    assert tried == [81, 40, 20, 10]
    assert halved_until_it_fits(compute, 7) == ("7 at once", 7)


def test_an_error_that_is_not_of_memory_or_of_one_image_is_raised():
    def full(size):
        raise torch.OutOfMemoryError(f"{size}")

    with pytest.raises(torch.OutOfMemoryError, match=r"^1$"):
        halved_until_it_fits(full, 4)

    def wrong(size):
        raise RuntimeError(f"mat1 and mat2 of {size}")

    with pytest.raises(RuntimeError, match=r"of 4$"):
        halved_until_it_fits(wrong, 4)


@pytest.mark.parametrize(
    ("err", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("cuBLAS: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate`"),
            True,
        ),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("CUDA error: out of memory"), False),
        (MemoryError(), False),
    ],
)
def test_errors_of_a_full_gpu_are_known(err, is_memory):
    assert is_out_of_memory(err) is is_memory
    if not is_memory:
        assert explained(err, None) is err


def test_a_library_that_names_no_size_is_quoted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**9, 8 * 10**9))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda: 1.0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 5 * 10**9)
    err = RuntimeError("GET was unable to find an engine to execute this computation\nmore")
    line = str(explained(err, Train(batch_size=8)))
    assert "too small: more (GET was unable to find an engine to execute this computation)" in line
    assert "\n" not in line


ON_CARDS = (
    "what_ended_trials_leave",
    "one_copy_of_a_set",
    "peaks",
    "evaluation_by_halves",
    "features_of_large_images",
    "a_trial_that_does_not_fit",
    "a_pack_that_does_not_fit",
    "images_that_are_read_ahead",
    "shares",  # keeps to it
)


@pytest.mark.slow
@pytest.mark.usefixtures("pinned_torch")
def test_on_cards(card):
    """Slow: one process runs all checks, large networks too; it prints those that passed."""
    code = f"""
        import memory_on_cards
        for name in {ON_CARDS}:
            getattr(memory_on_cards, name)()
            print(name, flush=True)
    """
    assert tuple(card.run(code, memory_gb=8).stdout.split()) == ON_CARDS
