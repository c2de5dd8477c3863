"""From a run folder to an answer: tables, statistics, figures, report.

`from analysis import load` is what a notebook needs (docs/notebook.md); `compare_all` compares the
arms of tables of trials and curves (docs/statistics.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.measures import compare_all
    from analysis.notebook import Run, load

__all__ = ["Run", "compare_all", "load"]


def __getattr__(name: str) -> Any:
    """Read what is offered when it is asked for: the command line's --help needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "compare_all":
        from analysis.measures import compare_all

        return compare_all
    from analysis import notebook

    return getattr(notebook, name)
