"""Where a run's numbers came from: versions, hardware, commit, command line.

In: the fingerprints of its data. Out: the content of `provenance.json`. It asks Python, the kernel
and git; nothing else of the run folder does. It holds no variable of the environment and no address
of a repository, and passwords and tokens of the command line are left out, since run folders are
handed on.
"""

from __future__ import annotations

import os
import platform
import shlex
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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


def collect(fingerprints: dict[str, str]) -> dict[str, object]:
    """What `provenance.json` holds; `fingerprints` maps data set names to content hashes."""
    return {
        "command": without_secrets(shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]])),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": available_cpus(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
        "datasets": fingerprints,
    }


def available_cpus() -> int:
    """CPUs that this process may use (affinity), which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
