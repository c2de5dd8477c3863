"""Where a run's numbers came from: versions, hardware, commit, command line.

In: the data sets of its plan. Out: the content of `provenance.json`. It asks Python, the kernel
and git; nothing else of the run folder does. It holds no variable of the environment and no address
of a repository, and passwords and tokens of the command line are left out, since run folders are
handed on.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distributions, version
from importlib.util import find_spec
from pathlib import Path

from harness.runfolder.nvidia import driver
from harness.trials.spec import RESULT_FORMAT, DataUse
from headstart.data_records import DataRecord, NotUsed
from headstart.private import without_secrets

PACKAGES = (
    "torch",
    "torchvision",
    "accelerate",
    "ray",
    "numpy",
    "scipy",
    "pandas",
    "opencv-python-headless",
)


def collect(data: Sequence[DataUse]) -> dict[str, object]:
    """What `provenance.json` holds; `data`: the data sets of the plan."""
    return {
        "command": without_secrets(shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]])),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": available_cpus(),
        "gpus": _gpus(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
        "result_format": RESULT_FORMAT,
        "datasets": {use.choice.shown: use.fingerprint for use in data},
        "data": [_record(use).model_dump(mode="json") for use in data],
    }


def _record(use: DataUse) -> DataRecord:
    return DataRecord(
        name=use.choice.label,
        dataset=use.choice.shown,
        fingerprint=use.fingerprint,
        source=without_secrets(use.source),
        image_size=use.image_size,
        channels=use.channels,
        class_names=use.class_names,
        counts=dict(use.counts),
        n_groups=use.n_groups,
        not_used=tuple(
            NotUsed(name=other.name, reason=without_secrets(other.reason))
            for other in use.passed_over
        ),
        notes=(*use.split_notes, *use.notes),
        warnings=use.warnings,
    )


def available_cpus() -> int:
    """CPUs that this process may use (affinity), which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus() -> dict[str, object] | None:
    """NVIDIA's GPUs here, their driver, and the CUDA and cuDNN that PyTorch has; None without."""
    its = driver()
    if its is None:
        return None
    return {
        "names": list(its.gpus),
        "driver": its.version,
        "driver_cuda": its.cuda,
        "cuda": cuda_of_torch(),
        "cudnn": next(
            (d.version for d in distributions() if (d.name or "").startswith("nvidia-cudnn-cu")),
            None,
        ),
    }


def cuda_of_torch() -> str | None:
    """The version of CUDA that PyTorch was built for; None for CPUs. PyTorch is not imported."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    text = Path(spec.origin).with_name("version.py").read_text("utf-8")
    words = re.search(r"^cuda\b[^=]*= '([0-9.]+)'", text, re.MULTILINE)
    return words[1] if words else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the code that runs, with `+` where files differ; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
