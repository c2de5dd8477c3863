"""What the page of photographed digits tells to type, for a sweep that hands its images in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.sweepfile.reader import load_sweep

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "sweeps" / "assignment4.yaml"
IN_PLACE = re.findall(
    r"sweeps/assignment4\.yaml.*?--set '(data=.*?)'",
    (ROOT / "docs" / "sheets.md").read_text("utf-8"),
    re.DOTALL,
)


def uncommented(path: Path) -> Path:
    """The shipped file, with the line for one's own photographs taken in."""
    text, n = re.subn(r"# (- \{name: sheets, photos)", r"\1", SHIPPED.read_text("utf-8"))
    assert n == 1
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("way", ["typed", "uncommented"])
def test_ones_own_photographs_train_on_what_is_handed_in(way, tmp_path):
    if way == "typed":
        sweeps = [load_sweep(SHIPPED, assignments=[given]) for given in IN_PLACE]
    else:
        sweeps = [load_sweep(uncommented(tmp_path / "mine.yaml"))]
    assert sweeps
    for sweep in sweeps:
        first = sweep.arms["last_layer"].data[0]
        assert first.name == "sheets"
        assert "my/*.jpg" in str(first.options)
        assert first.options.as_jpeg
