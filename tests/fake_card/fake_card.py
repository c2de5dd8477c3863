"""Cards without a GPU: what a test needs to run a process that sees them.

In: how many cards, how much memory, code or a command. Out: the environment of such a process, or
how it ended. It stands alone because tests of all rooms use it, through the fixture `card` of
`tests/conftest.py`.

    def test_a_step_waits_for_nothing(card):
        done = card.run('''
            from card_counters import counted
            import torch
            x = torch.ones(10, device="cuda")
            with counted() as step:
                (x + x).sum()
            assert step.waits == 0
            print(step.launches)
        ''', gpus=2, memory_gb=6)
        assert done.stdout == "2\\n"

Covered, since it is PyTorch's own and runs on the host: dispatch, the caching allocator with true
peak memory, autograd, "no deterministic implementation" errors, mixed-device errors, generators,
streams, legality of graph capture, several devices and processes, CUDA_VISIBLE_DEVICES by number
and by name, an older driver (`FAKE_DRIVER=11040`), out of memory by card over all processes.

Not covered: numbers (kernels, cuBLAS and cuDNN do nothing, so results are whatever lies in memory,
and a trial may end as diverged), kernel times, NCCL (use gloo), NVML and nvidia-smi, CUPTI, cuDNN's
choice of engines (convolutions in bf16 take a slow path), MPS.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from build_fake_card import CannotBuild, build
from card_counters import Counters, read_ledger

__all__ = ["CannotBuild", "Card", "Ran", "build", "name_of"]

ROOT = Path(__file__).resolve().parents[2]
# At times PyTorch aborts while it ends its threads of the backward pass: code that has come to its
# end leaves without that.
LEAVE = """
import atexit, os, sys
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
"""
COMPLAINT = "[fake card]"  # how the stand-in begins a line about what a card would refuse


def name_of(device: int) -> str:
    """The name of a card of the machine, as CUDA_VISIBLE_DEVICES takes it."""
    return f"GPU-00000000-0000-0000-0000-0000000000{device:02x}"


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what each of its processes that used a card counted."""

    returncode: int
    stdout: str
    stderr: str
    processes: list[Counters]


@dataclass(frozen=True)
class Card:
    """Runs processes that see cards.

    Args:
        folder: where `build` put the libraries.
    """

    folder: Path

    def environment(
        self,
        gpus: int = 1,
        memory_gb: float = 80,
        *,
        names: bool = False,
        ledger: Path | None = None,
        **more: str,
    ) -> dict[str, str]:
        """The variables of a process that sees `gpus` cards, for `subprocess`.

        Args:
            names: kernels are counted by name (`card_counters.kernels`), which costs some time.
            ledger: a file in which the processes count together, so that what one holds of a card
                another cannot have; `card_counters.read_ledger` reads it.
            more: further variables, such as CUDA_VISIBLE_DEVICES.
        """
        kept = {name: v for name, v in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        paths = (ROOT, Path(__file__).parent, ROOT / "tests" / "harness")
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "OMP_NUM_THREADS": "1",
            "LD_PRELOAD": str(self.folder / "libfakecard.so"),
            "LD_LIBRARY_PATH": str(self.folder),
            "TORCH_CUDNN_V8_API_DISABLED": "1",
            "FAKE_GPUS": str(gpus),
            "FAKE_MEM_GB": str(memory_gb),
            **({"FAKE_NAMES": "1"} if names else {}),
            **({"FAKE_LEDGER": str(ledger)} if ledger else {}),
            **more,
        }

    def run(
        self,
        code_or_command: str | Sequence[str],
        *arguments: str,
        gpus: int = 1,
        memory_gb: float = 80,
        names: bool = False,
        status: int | None = 0,
        timeout: float = 240,
        **more: str,
    ) -> Ran:
        """Python code (its indentation does not matter), or a command, with the cards.

        Args:
            arguments: of the code, in `sys.argv[1:]`.
            status: the exit status that is asserted; None where the caller looks at it.

        Raises:
            AssertionError: another exit status, or the process did what a card would refuse.
        """
        command = list(code_or_command)
        if isinstance(code_or_command, str):
            command = [sys.executable, "-c", textwrap.dedent(code_or_command) + LEAVE, *arguments]
        with tempfile.TemporaryDirectory() as folder:
            ledger = Path(folder) / "ledger"
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False,
                env=self.environment(gpus, memory_gb, names=names, ledger=ledger, **more),
            )  # fmt: skip
            processes = read_ledger(ledger)
        assert COMPLAINT not in done.stderr, done.stderr
        assert status is None or done.returncode == status, f"{done.returncode}: {done.stderr}"
        return Ran(done.returncode, done.stdout, done.stderr, list(processes.values()))
