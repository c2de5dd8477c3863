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
