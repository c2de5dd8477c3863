"""The page of first steps is the one that `make docs` writes, and its sweep file is read."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from harness.sweepfile.reader import load_sweep

ROOT = Path(__file__).resolve().parents[2]


def load_first_steps():
    spec = importlib.util.spec_from_file_location("first_steps", ROOT / "docs" / "first_steps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_the_written_one_around_what_the_commands_printed():
    module = load_first_steps()
    text = module.TEXT.replace("{sweep}", module.SWEEP).replace(
        "{figure}", "images/first-steps.png"
    )
    parts = re.split(r"\{(?:ls|describe|dry_run|answer|status)\}", text)
    assert len(parts) == 6
    page, position = module.PAGE.read_text(encoding="utf-8"), 0
    for part in parts:
        part = part.replace("{{", "{").replace("}}", "}")
        assert part in page[position:], "run `make docs`"
        position = page.index(part, position) + len(part)
    assert position == len(page)


def test_its_sweep_file_is_read(tmp_path):
    path = tmp_path / "photos.yaml"
    path.write_text(load_first_steps().SWEEP, encoding="utf-8")
    assert set(load_sweep(path).arms) == {"scratch", "last_layer"}
