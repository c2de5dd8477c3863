"""From a run folder to an answer: tables, statistics, figures, report.

`from analysis import load` is what a notebook needs (docs/notebook.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.notebook import Run, load

__all__ = ["Run", "load"]


def __getattr__(name: str) -> Any:
    """Read `load` and `Run` when they are asked for: the command line's --help needs neither."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from analysis import notebook

    return getattr(notebook, name)
