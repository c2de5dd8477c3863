"""A run folder remembers its reports: what was raised after one, what was planned, damage."""

from __future__ import annotations

import pytest
from synthetic_runs import Made

from analysis.findings.asked import read_asked
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.findings.looked import (
    NAME,
    Look,
    looks_before,
    looks_now,
    lowered_after,
    raised_after,
    remember,
)
from analysis.report.caveats import find_caveats
from headstart.errors import RunFolderError


def looked_at(folder) -> None:
    runs = load_runs([folder])
    remember(looks_now(runs, read_asked(runs)))


def raised(folder) -> tuple[tuple[str, int, int], ...]:
    runs = load_runs([folder])
    return raised_after(runs, read_asked(runs))


def lowered(folder) -> tuple[tuple[str, int, int, int], ...]:
    runs = load_runs([folder])
    return lowered_after(runs, read_asked(runs))


def test_seeds_that_were_raised_after_a_report_are_said(run_of) -> None:
    folder = run_of(Made(seeds=3))
    assert looks_before(folder) == ()
    looked_at(folder)
    looked_at(folder)
    assert looks_before(folder) == (Look("made", 3, "3"),)
    assert raised(folder) == ()
    run_of(Made(seeds=5))  # the same folder with two more seeds
    assert raised(folder) == (("made", 3, 5),)
    looked_at(folder)
    assert len(looks_before(folder)) == 2
    assert raised(folder) == (("made", 3, 5),)


def test_planned_looks_and_reports_on_the_way_are_not(run_of) -> None:
    folder = run_of(Made(seeds=3))
    looked_at(folder)
    planned = {"until": "verdict", "looks": [3, 5]}
    run_of(Made(seeds=5, extra={"seeds": planned}))
    assert raised(folder) == ()
    other = {"until": "verdict", "looks": [4, 5]}
    run_of(Made(seeds=5, extra={"seeds": other}))
    assert raised(folder) == (("made", 3, 5),)


def test_a_report_of_a_sweep_that_was_stopped_is_no_look_of_its_own(run_of) -> None:
    """Three of five planned seeds, then all five: the number was chosen before."""
    asked = {"seeds": 5}
    folder = run_of(Made(seeds=3, extra=asked))
    looked_at(folder)
    run_of(Made(seeds=5, extra=asked))
    assert raised(folder) == ()
    assert lowered(folder) == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("planned", "said"), [(4, (("made", 3, 5, 4),)), (3, (("made", 3, 5, 3),))]
)
def test_a_number_that_was_lowered_after_a_look_is_said(run_of, planned, said) -> None:
    """Slow: whole reports, one after the other."""
    folder = run_of(Made(seeds=3, extra={"seeds": 5}))
    looked_at(folder)
    run_of(Made(seeds=planned, extra={"seeds": planned}))
    assert lowered(folder) == said
    (text,) = (t for t in find_caveats(find(load_runs([folder]))) if "lowered" in t)
    assert text.startswith("A report of “made” was made at 3 seeds, when 5 were planned, and")


def test_a_number_that_was_lowered_before_anybody_looked_is_no_matter(run_of) -> None:
    folder = run_of(Made(seeds=3, extra={"seeds": 3}))
    looked_at(folder)
    assert lowered(folder) == ()


def test_a_damaged_record_is_one_line(run_of) -> None:
    folder = run_of(Made(seeds=3))
    (folder / NAME).write_text('{"reports": [{"seeds": 3}]}')
    with pytest.raises(RunFolderError, match=r"looks\.json: is no record of reports") as found:
        looks_before(folder)
    assert "\n" not in str(found.value)
