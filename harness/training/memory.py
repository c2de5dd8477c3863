"""The memory of a GPU: what may lie there at once, what an ended trial leaves, what if it is full.

In: sizes of images, a worker's share of a card, errors. Out: how many images a network is shown at
once, and one line for a trial that does not fit. It stands alone so that everything that takes
memory beside a step (evaluation, features, packs, saved models) follows the same rules.

On a CPU the batches of evaluations decide bits, so they stay, and no memory is shared out.
"""

from __future__ import annotations

import atexit
import gc
import re
from collections.abc import Callable
from typing import TypeVar

import torch

from harness.sweepfile.settings import Train
from harness.training.machine import (
    CONTEXT_BYTES,
    EVALUATION_BATCH,
    MOST_PIXELS,
    give_freed_memory_back,
)
from headstart.errors import InputError

LEAST_BYTES = 100_000_000  # that a worker needs beside its context for the smallest networks
GB = 1e9
# How CUDA's libraries say that there is too little memory. cuBLAS and cuDNN cannot begin; of a
# convolution PyTorch tries all of cuDNN's engines, and tells of the last one just that none worked.
FULL = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "unable to find an engine to execute this computation",
)

T = TypeVar("T")

atexit.register(gc.unfreeze)  # else what `clean_up` froze outlives Python: Triton reports leaks


def images_at_once(image_size: tuple[int, int], device: torch.device) -> int:
    """How many images a network is shown at once where no gradients are taken.

    A function of the image size alone, so that equal trials compute equal batches: on a GPU as many
    pixels as 1,000 images of 64² have (81 images of 224²).
    """
    if device.type != "cuda":
        return EVALUATION_BATCH
    height, width = image_size
    return max(1, min(EVALUATION_BATCH, MOST_PIXELS // (height * width)))


def is_out_of_memory(err: BaseException) -> bool:
    """Whether a GPU had too little memory: PyTorch's own error, or one of a library below it."""
    if isinstance(err, torch.OutOfMemoryError):
        return True
    return isinstance(err, RuntimeError) and any(text in str(err) for text in FULL)


def halved_until_it_fits(compute: Callable[[int], T], size: int) -> tuple[T, int]:
    """`compute(size)`, with half the size as often as the memory is too small; and the size.

    Raises:
        RuntimeError: the memory is too small for size 1, or any other error of `compute`.
    """
    while True:
        try:
            return compute(size), size
        except RuntimeError as err:
            if size == 1 or not is_out_of_memory(err):
                raise
        give_back()  # after the block: until then the error holds what was computed
        size //= 2


def clean_up(device: str) -> None:
    """Give back what ended trials held.

    On a GPU references in a circle hold it, as those of graphs of modules. Python looks at what
    came since the last time alone: at all that PyTorch has imported it would look for half a
    second.
    """
    if device == "cuda":
        gc.collect()
        gc.freeze()
    else:
        give_freed_memory_back()


def give_back() -> None:
    """Free what nothing uses any more, and let other processes of the card have it."""
    gc.collect()
    torch.cuda.empty_cache()


def room() -> int:
    """Bytes of the current GPU that this process may still take."""
    free, total = torch.cuda.mem_get_info()
    held = torch.cuda.memory_reserved()
    allowed = int(torch.cuda.get_per_process_memory_fraction() * total)
    return max(0, min(free, allowed - held)) + held - torch.cuda.memory_allocated()


def keep_to_share(share: float) -> None:
    """Let this process take its share of the current GPU and no more: an error is its own then.

    Each process also takes `CONTEXT_BYTES` that PyTorch does not count.

    Raises:
        InputError: the share leaves nothing beside that.
    """
    if not 0 < share < 1 or not torch.cuda.is_available():  # the trial says that there is none
        return
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    allowed = share * total - CONTEXT_BYTES
    if allowed < LEAST_BYTES:
        most = int(total / (CONTEXT_BYTES + LEAST_BYTES))
        raise InputError(
            f"resources.gpus: {share:g} of this GPU's {total / GB:.1f} GB is too little: CUDA "
            f"itself takes about {CONTEXT_BYTES / GB:g} GB in each worker; at most {most} workers "
            "can share it"
        )
    torch.cuda.set_per_process_memory_fraction(allowed / total)


def explained(err: Exception, train: Train) -> Exception:
    """The error; where a trial does not fit on its GPU, one line that says what helps.

    Such a trial is not tried again: nothing would be different.
    """
    if not is_out_of_memory(err):
        return err
    free, total = torch.cuda.mem_get_info()
    asked = re.search(r"Tried to allocate ([0-9.]+ [KMGT]?i?B)", str(err))
    share = torch.cuda.get_per_process_memory_fraction()
    limit = "" if share == 1 else f", of the {share * total / GB:.1f} GB that are its share"
    said = (str(err).strip().splitlines() or [""])[0][:160]
    what = asked[1] if asked else f"more ({said})"  # which may have another cause: people decide
    return InputError(
        f"the GPU's memory is too small: {what} was asked for, {free / GB:.1f} of "
        f"{total / GB:.1f} GB were free, and this worker held "
        f"{torch.cuda.memory_allocated() / GB:.1f} GB{limit}. Let fewer workers share the GPU "
        f"(resources.gpus), or set train.batch_size under {train.batch_size} or train.precision: "
        "bf16, which make other trials"
    )
