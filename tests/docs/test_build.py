"""The pages that are made from the code are as the code would make them now."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = load_build().PAGES


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_current(path):
    assert (ROOT / path).read_text() == PAGES[path](), "run `make docs`"


def test_the_page_of_the_sweep_file_has_every_key_of_it():
    from harness.sweepfile.schema import sweep_schema

    whole = PAGES["docs/reference/sweep-file.md"]().split("## The whole file")[1].split("\n## ")[0]
    assert not [key for key in sweep_schema()["properties"] if f"| `{key}` |" not in whole]
