"""What the made-up runs give, composed once a session for the tests of all forms of a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.document import Content
from analysis.report.report import compose


def _content_of(folder: Path) -> Content:
    """Without drawn figures, which are slow."""
    findings = find(load_runs([folder]))
    return compose(findings, arm_styles(findings.arm_names))


@pytest.fixture(scope="session")
def made_content(made_run: Path) -> Content:
    return _content_of(made_run)


@pytest.fixture(scope="session")
def hostile_content(hostile_run: Path) -> Content:
    return _content_of(hostile_run)
