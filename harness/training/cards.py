"""Which GPUs PyTorch sees on this machine, and why it sees none where a person has one.

Out: `Cards`. A process of its own asks PyTorch and ends: the command that asks neither loads torch
nor opens a device, which would take memory of it, and all of it where a site lets one process at a
time compute. Where no driver is installed nothing is started, since PyTorch then sees none.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

from harness.runfolder.nvidia import cuda_text, driver
from headstart.apart import NoAnswer, ask_apart
from headstart.errors import EngineError, InputError

ANSWER_WITHIN_S = 120.0  # torch from a cold network file system, and a driver that wakes up
VISIBLE = "CUDA_VISIBLE_DEVICES"
RESERVED = "SLURM_GPUS_ON_NODE"
NO_DRIVER = "no driver of a GPU is installed"


@dataclass(frozen=True)
class Cards:
    """The GPUs that PyTorch can compute on here."""

    names: tuple[str, ...] = ()
    remark: str = ""  # why there are none
    memory: tuple[int, ...] = field(default=(), compare=False)  # bytes of each

    def __len__(self) -> int:
        return len(self.names)

    def line(self, at_most: int | None = None) -> str:
        """Where trials train whose sweep leaves it to the machine, on `at_most` GPUs at once."""
        remark = f" ({self.remark})" if self.remark else ""
        if not self.names:
            return f"trains on CPUs{remark}"
        of_a_kind = Counter(self.names)
        kinds = [name if len(of_a_kind) == 1 else f"{n} {name}" for name, n in of_a_kind.items()]
        gpus = "GPU" if len(self) == 1 else "GPUs"
        part = f"{at_most} of " if at_most is not None and at_most < len(self) else ""
        return f"trains on {part}{len(self)} {gpus}: {', '.join(kinds)}{remark}"


def cards_here() -> Cards:
    """The GPUs that processes of this command may use.

    Raises:
        InputError: SLURM reserved GPUs of this node and PyTorch cannot use them, or some of those
            that are visible are too old for it.
        EngineError: the process that asks PyTorch gave no answer.
    """
    cards = _ask() if has_driver() else Cards(remark=_why_no_driver())
    reserved = os.environ.get(RESERVED, "")
    if not cards.names and reserved.isdigit() and int(reserved) > 0:
        raise InputError(
            f"SLURM reserved {reserved} GPU(s) of this node, and PyTorch can use none: "
            f"{cards.remark}; mend that, or set resources.gpus: 0 to train on CPUs"
        )
    return cards


def _why_no_driver() -> str:
    its = driver()
    if its is None:
        return NO_DRIVER
    return (
        f"NVIDIA driver {its.version} runs on this machine, and its library libcuda.so.1 is not "
        "found here; a container needs --nv (Apptainer) or --gpus all (Docker)"
    )


def has_driver() -> bool:
    """Whether a library or a device is here without which PyTorch sees no GPU."""
    if sys.platform == "darwin":
        return False
    if Path("/dev/kfd").exists():  # of AMD
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


@cache
def _ask() -> Cards:
    """What PyTorch says, in another process."""
    try:
        return ask_apart(_look, name="cards", within_s=ANSWER_WITHIN_S)
    except NoAnswer as err:
        raise EngineError(
            "PyTorch did not say which GPUs it sees: the process that asked it ended "
            f"(exit status {err.exit_status}) or gave no answer in {ANSWER_WITHIN_S:.0f} s; look "
            "at the driver, or set resources.gpus: 0 to train on CPUs"
        ) from err


def _look() -> Cards:
    import torch

    warnings.simplefilter("ignore")  # what matters is in the answer
    return look(torch)


def look(torch: ModuleType) -> Cards:
    """The GPUs that this process's PyTorch can compute on. It starts CUDA.

    Raises:
        InputError: some of them are too old for it, and others are not.
    """
    cuda = torch.cuda
    if torch.version.cuda is None and torch.version.hip is None:
        return Cards(remark=f"PyTorch {torch.__version__} is built for CPUs alone")
    if os.environ.get(VISIBLE, "any").strip() in ("", "-1"):
        return Cards(remark=f"{VISIBLE} is {os.environ[VISIBLE]!r}, which hides every GPU")
    try:
        cuda.init()
    except (RuntimeError, AssertionError) as err:  # no device, or a driver that is too old
        return Cards(remark=why_not(str(err).strip().splitlines()[0], torch))
    numbers = range(cuda.device_count())
    names = [cuda.get_device_name(k) for k in numbers]
    old = [k for k in numbers if is_too_old(cuda.get_device_capability(k), cuda.get_arch_list())]
    if not old:
        memory = [int(cuda.get_device_properties(k).total_memory) for k in numbers]
        n = max(1, n_parts(os.environ.get(VISIBLE, "")))
        return Cards(tuple(names) * n, memory=tuple(memory) * n)
    built_for = ", ".join(cuda.get_arch_list())
    which = ", ".join(f"GPU {k} ({names[k]})" for k in old)
    text = f"{which} is too old for PyTorch {torch.__version__}, which is built for {built_for}"
    if len(old) == len(names):
        return Cards(remark=text)
    others = ",".join(str(k) for k in numbers if k not in old)
    raise InputError(f"{text}; set {VISIBLE}={others} to use the others alone")


def why_not(said: str, torch: ModuleType) -> str:
    """Why CUDA does not start, with the versions of both sides, from what PyTorch said of it."""
    its, needs = driver(), torch.version.cuda
    named = f"NVIDIA driver {its.version}" if its else "NVIDIA driver"
    too_old = re.search(r"driver on your system is too old \(found version ([0-9]+)\)", said)
    if too_old:
        return (
            f"the {named} is too old: it runs CUDA {cuda_text(int(too_old[1]))}, and PyTorch "
            f"{torch.__version__} needs CUDA {needs}; update the driver, or install a PyTorch for "
            "an older CUDA (docs/troubleshooting.md)"
        )
    versions = f" ({named}; PyTorch {torch.__version__} needs CUDA {needs})" if its else ""
    return said.rstrip(".") + versions


def is_too_old(capability: tuple[int, int], built_for: Iterable[str]) -> bool:
    """Whether PyTorch has no kernels for a GPU of this compute capability.

    Kernels run on GPUs of their major number from their minor number on; intermediate code
    (`compute_90`) on every later one. Where the list is of another kind (AMD's), nothing is known.
    """
    known = [re.fullmatch(r"(sm|compute)_([0-9]+)([0-9])", name) for name in built_for]
    for kind, major, minor in (words.groups() for words in known if words):
        kernels = (int(major), int(minor))
        if kernels <= capability and (kind == "compute" or kernels[0] == capability[0]):
            return False
    return any(known)


def n_parts(visible: str) -> int:
    """How many parts of divided GPUs (MIG) are visible; 0 where whole ones are.

    CUDA shows a process the first of them alone. But every worker is shown its own, so that each of
    them counts as a GPU.
    """
    return sum(name.strip().startswith("MIG-") for name in visible.split(","))
