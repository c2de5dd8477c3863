"""Whether 16-bit numbers work on this CPU, and how much slower than float32 they are.

Two things go wrong. Some virtual machines announce matrix units (AMX) that do not work. And a CPU
without instructions for bf16 or fp16 computes it nevertheless, many times slower than float32.

In: a precision. Out: how much slower it is, or an error. It stands alone because the only
answer is to try, in a process of its own; PyTorch's own checks do not.
"""

from __future__ import annotations

import math
import subprocess
import sys
from functools import cache

from headstart.errors import InputError

# `train.precision` → the name of PyTorch's type in which a forward pass is then autocast.
SIXTEEN_BITS = {"bf16": "bfloat16", "fp16": "float16"}
_TIMEOUT_S = 120
_SLOWER = 2.0  # times as slow as float32 from which it is worth a line
_PROBE = """
import sys, time, torch
from torch.nn.functional import conv2d, linear
torch.set_num_threads(1)
def seconds(dtype):
    x, w = torch.ones(256, 256, dtype=dtype), torch.ones(16, 16, 3, 3, dtype=dtype)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        linear(x, x)
        conv2d(x.view(16, 16, 16, 16), w)
        times.append(time.perf_counter() - start)
    return min(times)
print(seconds(getattr(torch, sys.argv[1])) / seconds(torch.float32))
"""


@cache
def check_on_cpu(precision: str) -> float:
    """Try `bf16` or `fp16` on this CPU, in a process of its own.

    A process that tries a matrix unit that does not work can no longer compute even in float32. So
    none of our own processes tries.

    Returns:
        Seconds of a matrix product and a convolution in 16 bits, over those in float32.

    Raises:
        InputError: it does not work here; the message says what helps.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, SIXTEEN_BITS[precision]],
            capture_output=True, encoding="utf-8", errors="replace", check=False,
            timeout=_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return math.inf
    if done.returncode:
        reason = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise InputError(
            f"train.precision: {precision} does not work on this CPU ({reason}); use float32, or "
            "try again with ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 set in the environment"
        )
    return float(done.stdout)


def slow_notice(precision: str) -> str | None:
    """One line where this CPU has no instructions for `bf16` or `fp16` and computes it slowly.

    Raises:
        InputError: it does not work here at all.
    """
    slower = check_on_cpu(precision)
    if slower < _SLOWER:
        return None
    times = f"{slower:.0f} times" if math.isfinite(slower) else "over a thousand times"
    return (
        f"train.precision: this CPU has no instructions for {precision} and takes {times} as long "
        "with it as with float32; --set train.precision=float32 makes other trials, which end "
        "sooner"
    )
