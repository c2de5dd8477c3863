"""From a sweep file to records of trials on disk.

The data flows one way: `sweepfile/` (what a sweep file may say) → `plan/` (ordered trials with
ids) → `engines/` (which trial starts where) → `training/` (one of them) → `runfolder/` (records on
disk). `from harness import run_sweep` runs one from a notebook (docs/notebook.md).

This package is the first of ours that a process imports, also one that Ray or multiprocessing
starts. So here our folder comes first on the path: a package `datasets` or `models` in the user's
working folder, or an installed one, is not taken for ours.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.notebook import run_sweep

__all__ = ["run_sweep"]

_ROOT = str(Path(__file__).resolve().parents[1])
if sys.path[0] != _ROOT:
    sys.path.insert(0, _ROOT)


def __getattr__(name: str) -> Any:
    """Read `run_sweep` when it is asked for: no worker needs it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from harness import notebook

    return getattr(notebook, name)
