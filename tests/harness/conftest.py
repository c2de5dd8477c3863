"""Small sweeps on drawn characters: they need no files, no network and a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_sweep import SMALL


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[..., Path]:
    """Write a sweep file; replacements are (old, new) texts in the small one."""

    def write(*replacements: tuple[str, str], text: str = SMALL) -> Path:
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
