"""No two arms become one by what is taken out of their names, and all places name them alike."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.findings.shown_names import with_shown_names


def shown(*names: str) -> list[str]:
    table = pd.DataFrame({"arm": names, "grid": [""] * len(names)})
    sweep = {"arms": {name: {} for name in names}, "compare": [{"treatment": names[0]}]}
    (trials,), (curves,), (content,) = with_shown_names([table], [table], [sweep])
    assert list(trials["arm"]) == list(curves["arm"]) == list(content["arms"])
    assert content["compare"] == [{"treatment": trials["arm"].iloc[0]}]
    return list(trials["arm"])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a", "b [dense=1/2]"), ("a", "b [dense=1/2]")),
        (("</script>", "/p/q [dense=3]"), ("</script>", "/p/q [dense=3]")),
        (("a [x=/p/q/w]", "b"), ("a [x=…/w]", "b")),
        (("a [x=/p/1/w]", "a [x=/p/2/w]"), ("a [x=…/1/w]", "a [x=…/2/w]")),
        (("a [x=…/w]", "a [x=/p/w]"), ("a [x=…/w]", "a [x=…/p/w]")),
    ],
)
def test_a_path_is_shortened_as_far_as_the_names_differ(names, expected):
    assert tuple(shown(*names)) == expected


def test_names_that_nothing_tells_apart_are_numbered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/p/q"))
    assert shown("a [x=/p/q]", "a [x=…]") == ["a [x=…] (1)", "a [x=…] (2)"]


def test_names_without_paths_stay_the_very_tables():
    table = pd.DataFrame({"arm": ["a", "b"]})
    (trials,), _, _ = with_shown_names([table], [table], [{"name": "s", "arms": None}])
    assert trials is table
