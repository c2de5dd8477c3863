"""The run folders of a publication, read, and what read them.

In: a folder with `runs/1`, `runs/2`, … Out: `Runs` whose remarks name those and no folder of this
machine; the versions that decide what a report says. It stands alone because who publishes and who
checks must read the same.
"""

from __future__ import annotations

import platform
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from analysis.findings.load import Runs, load_runs
from headstart.digests import digest_of

PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "matplotlib", "altair", "vl-convert-python")
_ROOT = Path(__file__).resolve().parents[2]


def load_published(root: Path) -> Runs:
    """The run folders below `root/runs`.

    Raises:
        RunFolderError: one of them is damaged; the message names no folder above `root`.
    """
    runs = load_runs(sorted((root / "runs").iterdir()))
    return replace(runs, remarks=tuple(text.replace(f"{root}/", "") for text in runs.remarks))


def versions() -> dict[str, str]:
    """`code`: a digest of what analyses; Python, and the packages that it calculates with."""
    known = {"code": _code(), "python": platform.python_version()}
    for name in PACKAGES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            known[name] = "none"
    return known


def _code() -> str:
    """16 hexadecimal characters that differ where a file of the analysis does."""
    files = [path for room in ("analysis", "headstart") for path in (_ROOT / room).rglob("*")
             if path.suffix in (".py", ".j2", ".css", ".typ", ".js")]  # fmt: skip
    lines = [f"{p.relative_to(_ROOT).as_posix()} {digest_of(p.read_bytes())}" for p in files]
    return digest_of("\n".join(sorted(lines)).encode())[:16]
