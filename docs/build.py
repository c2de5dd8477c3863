"""The pages of docs/reference/ that are made from the code: `make docs`.

In: the models of what a page describes. Out: one text a page. A page is one function without
arguments, listed in `PAGES` under the path that it is written to; a test in `tests/docs/` holds
every page against its function, so that none can fall behind the code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def run_folder() -> str:
    """What each file of a run folder is, and each column of its tables."""
    from docs.run_folder import page

    return page()


def sweep_file() -> str:
    """Every key of a sweep file: what it means, what it may be, what holds where it is missing."""
    from docs.sweep_file import page

    return page()


def sweep_file_schema() -> str:
    """The JSON schema of a sweep file, for editors."""
    from harness.sweepfile.schema import schema_text

    return schema_text()


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/reference/sweep-file.md": sweep_file,
    "docs/reference/sweep-file.schema.json": sweep_file_schema,
    "docs/reference/run-folder.md": run_folder,
}
"""Path below the project → what makes the page's text."""


def main() -> None:
    for path, page in PAGES.items():
        text = page()
        file = ROOT / path
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            print(f"written: {path}")


if __name__ == "__main__":
    main()
