"""The settings of a process in which a trial runs: threads, determinism, Accelerate.

In: a trial's settings. Out: the process set up, its `Accelerator`, and networks that compute in the
trial's precision. It stands alone because these settings hold for the whole process: every trial
sets them again, since a worker runs many trials and they may ask for different ones.
"""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import Tensor, nn

from harness.sweepfile.settings import Train
from harness.training.cards import look
from harness.training.kernels import use_deterministic_kernels
from harness.training.sixteen_bits import SIXTEEN_BITS, check_on_cpu
from headstart.errors import InputError


def set_up_process(settings: Train) -> None:
    """Threads, deterministic kernels and matrix precision as the trial's settings ask."""
    torch.set_num_threads(settings.threads)
    # On a GPU deterministic matrix products need a workspace for each stream, set before the first.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # As use_deterministic_algorithms(True), which also imports the compiler: three seconds.
    torch.set_deterministic_debug_mode("error")
    use_deterministic_kernels()
    # Else every new tensor is first filled with NaN: nearly half of what a small step launches.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    allow_tf32 = settings.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allow_tf32
    torch.backends.cudnn.allow_tf32 = allow_tf32


def make_accelerator(precision: str, device: str) -> Accelerator:
    """An Accelerator of this process; its predecessor's state is dropped first.

    Accelerate keeps one state a process, but a worker that is used again may run a trial on another
    device. It is told of no precision: networks compute in theirs (`in_precision`), and a loss
    scale is part of a trial's state (`loss_scale.py`). Who builds a network puts it on the device:
    Accelerate would first import PyTorch's distributed tensors.

    Raises:
        InputError: a GPU is asked for and there is none, or 16 bits that do not work on this CPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        why = look(torch).remark
        raise InputError(f"resources.gpus: a GPU is asked for, and PyTorch sees none here: {why}")
    if precision in SIXTEEN_BITS and device == "cpu":
        check_on_cpu(precision)
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()
    GradientState._reset_state()
    return Accelerator(cpu=device == "cpu", mixed_precision="no", device_placement=False)


class Autocast(nn.Module):
    """A network whose forward pass computes in 16 bits and gives float32.

    It computes what a forward that Accelerate wraps computes. But that one refers to its network,
    which refers to it, so an ended trial's weights would stay on a GPU until Python looks for such
    circles.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, self.dtype):
            outputs: Tensor = self.network(inputs)
        return outputs.float()


def in_precision(network: nn.Module, precision: str) -> nn.Module:
    """The network, computing in `train.precision`; the weights stay float32."""
    name = SIXTEEN_BITS.get(precision)
    return network if name is None else Autocast(network, getattr(torch, name))
