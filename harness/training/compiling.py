"""`train.compile: true`: the forward and backward pass of a step by PyTorch's compiler (inductor).

In: a network, and the run folder. Out: what computes the network's logits in training steps. The
network itself stays as it is, with its names, and evaluations are made by it. It stands alone
because the compiler is imported for trials that ask for it alone (three seconds), and because it
has to be told several things before it is, so that a trial has the same bits in every process:

- each size of batch is compiled by itself, as if no other had been (`dynamic=False`);
- what other trials of this process compiled is forgotten, and no code is left uncompiled because
  much was;
- nothing is chosen by measuring; random numbers come from PyTorch's generators, and masks of
  dropout are drawn outside of compiled code;
- the folder of compiled code is made by this process, so nobody else has written what is loaded
  from it. It lies in the run folder under a temporary name: what a dead process left is removed.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from harness.training.machine import compiler_lacks
from headstart.errors import InputError
from headstart.files import remove, storage_errors, temporary_beside
from models.dropout import SeededDropout

ENOUGH = 1_000_000  # of compiled forms, so that none is made another way because there are many
_folders: list[Path] = []  # of this process; at most one
_TMPDIR = "TMPDIR"
_before = {_TMPDIR: os.environ[_TMPDIR]} if _TMPDIR in os.environ else {}


def compiled(network: nn.Module, run_folder: Path, threads: int) -> Callable[[Tensor], Tensor]:
    """The network's forward pass, compiled at its first call for each size of batch.

    Raises:
        InputError: there is no compiler on this machine.
    """
    if lacks := compiler_lacks():
        raise InputError(f"train.compile: {lacks}")
    folder = _folder_of_process(run_folder) / f"threads-{threads}"
    folder.mkdir(exist_ok=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # others would outlive a worker
    os.environ[_TMPDIR] = str(folder)  # of g++, which leaves files there when it is ended
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # of CUDA's absence
    import torch
    import torch._dynamo.utils
    import torch._inductor.config

    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    chosen: list[tuple[Any, Mapping[str, object]]] = [
        (
            torch._dynamo.config,
            {
                "recompile_limit": ENOUGH,
                "accumulated_recompile_limit": ENOUGH,
                "fail_on_recompile_limit_hit": True,
                "suppress_errors": False,
            },
        ),
        (
            torch._inductor.config,
            {
                "compile_threads": 1,
                "cpp_cache_precompile_headers": False,  # they would lie in the temporary folder
                "deterministic": True,
                "fallback_random": True,
                "fx_graph_remote_cache": False,
            },
        ),
    ]
    for config, values in chosen:
        for name, value in values.items():
            setattr(config, name, value)
    if not hasattr(SeededDropout._factors, "_torchdynamo_disable"):
        SeededDropout._factors = torch._dynamo.disable(SeededDropout._factors)  # type: ignore[method-assign]
    made: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=False)
    return made


def said_of_breaks(is_compiled: bool) -> list[str]:
    """A note where the compiler left the code of a trial's network; none where it did not."""
    if not is_compiled:
        return []
    from torch._dynamo.utils import counters

    if not counters["graph_break"]:
        return []
    return ["train.compile: the compiler left the network's code in places, where it is computed "
            "as without it"]  # fmt: skip


def in_one_line(err: Exception) -> InputError | None:
    """What to say where the compiler itself failed; None for any other error."""
    kinds = [kind.__module__ for kind in type(err).__mro__]
    if not {"torch._dynamo.exc", "torch._inductor.exc"} & set(kinds):
        return None
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    first = lines[0] if lines else type(err).__name__
    return InputError(
        f"train.compile: PyTorch's compiler cannot make this network's step ({first[:300]}); "
        "leave compile out"
    )


def forget() -> None:
    """Remove this process's compiled code from the disk; what is loaded still works."""
    while _folders:
        remove(_folders.pop())
        os.environ.pop(_TMPDIR, None)
        os.environ.update(_before)


def _folder_of_process(run_folder: Path) -> Path:
    if not _folders or not _folders[0].is_dir():
        forget()
        folder = temporary_beside(run_folder / "compiled")
        with storage_errors(folder):
            folder.mkdir(mode=0o700)
        _folders.append(folder)
    return _folders[0]


atexit.register(forget)
