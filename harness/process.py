"""What a process must be set to before a trial runs in it: threads, determinism, Accelerate.

These are settings of the whole process, so they are made here, by the worker that owns the
process, and for every trial anew: a worker runs many trials, and they may ask for different ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from harness.settings import Train
from headstart.errors import InputError


def set_up_process(settings: Train) -> None:
    """Threads, deterministic kernels and matrix precision as the trial's settings ask."""
    torch.set_num_threads(settings.threads)
    # On a GPU deterministic matrix products need a workspace for each stream, set before the first.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # As use_deterministic_algorithms(True), which also imports the compiler: three seconds.
    torch.set_deterministic_debug_mode("error")
    torch.backends.cudnn.benchmark = False
    allow_tf32 = settings.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allow_tf32
    torch.backends.cudnn.allow_tf32 = allow_tf32


@cache
def check_bf16() -> None:
    """Try bf16 on this CPU, in a process of its own.

    Some virtual machines announce matrix units (AMX) that do not work. Trying one leaves the
    process in which it fails unable to compute even in float32, so none of ours tries it.

    Raises:
        InputError: it does not work here; the message says what helps.
    """
    probe = (
        "import torch; x = torch.ones(64, 64, dtype=torch.bfloat16); "
        "torch.nn.functional.linear(x, x); torch.nn.functional.conv2d(x.view(4, 16, 8, 8), "
        "torch.ones(16, 16, 3, 3, dtype=torch.bfloat16))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        reason = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise InputError(
            f"train.precision: bf16 does not work on this CPU ({reason}); use float32, or try "
            "again with ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 set in the environment"
        )


def make_accelerator(precision: str, device: str) -> Accelerator:
    """An Accelerator of this process; its predecessor's state is dropped first.

    Accelerate keeps one state a process and refuses another precision, but a worker that is used
    again may well run a bf16 trial after a float32 one. Networks are put on its device by whoever
    builds them: to do it, Accelerate would import PyTorch's distributed tensors first.

    Raises:
        InputError: a GPU is asked for and there is none, or bf16 and it does not work here.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("resources.gpus: a GPU is asked for, and PyTorch sees none here")
    if precision == "bf16" and device == "cpu":
        check_bf16()
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()
    GradientState._reset_state()
    mixed = "bf16" if precision == "bf16" else "no"
    return Accelerator(cpu=device == "cpu", mixed_precision=mixed, device_placement=False)
