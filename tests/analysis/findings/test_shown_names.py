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


def labelled(
    *labels: dict[str, str | None], names: tuple[str, ...] = ("a", "b")
) -> list[list[str]]:
    """What a run folder for each of `labels` shows; `a` is a stage too, which no label renames."""
    stages = ["pretrain", *["arm"] * len(names)]
    table = pd.DataFrame({"trial_id": ["s", *names], "stage": stages, "arm": ["a", *names]})
    sweeps = [
        {"arms": {name: {"label": text, "fine_tune": "a"} for name, text in each.items()},
         "compare": [{"treatment": "b", "control": "a"}]}
        for each in labels
    ]  # fmt: skip
    curves = table.drop(columns="stage")
    trials, curves, contents = with_shown_names(
        [table] * len(labels), [curves] * len(labels), sweeps
    )
    shown = []
    for own, curve, content in zip(trials, curves, contents, strict=True):
        assert own["arm"].iloc[0] == "a"
        assert list(curve["arm"]) == list(own["arm"])
        assert list(content["arms"]) == list(own["arm"][1:])
        pair = {"treatment": own["arm"].iloc[2], "control": own["arm"].iloc[1]}
        assert content["compare"] == [pair]
        assert all(arm["fine_tune"] == "a" for arm in content["arms"].values())
        shown.append(list(own["arm"][1:]))
    return shown


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (({"a": "A", "b": None},), [["A", "b"]]),
        (({"a": "A", "b": None}, {"a": None, "b": "B"}), [["A", "B"], ["A", "B"]]),
        (({"a": "A", "b": "B"}, {"a": "other", "b": "B"}), [["a", "B"], ["a", "B"]]),
        (({"a": "b", "b": "B"},), [["b", "B"]]),
        (({"a": "b", "b": None},), [["a", "b"]]),
        (({"a": "A", "b": None}, {"a": None, "b": "A"}), [["a", "b"], ["a", "b"]]),
    ],
)
def test_an_arm_is_one_arm_whichever_folder_has_its_label(labels, expected):
    assert labelled(*labels) == expected
    assert labelled(*reversed(labels)) == expected[::-1]


def test_a_label_loses_the_path_that_the_name_loses():
    name = "a [x=/p/q/w]"
    table = pd.DataFrame({"trial_id": ["1"], "stage": ["arm"], "arm": [name]})
    sweep = {"arms": {name: {"label": "A [x=/p/q/w]"}}}
    (trials,), _, (content,) = with_shown_names([table], [table], [sweep])
    assert list(trials["arm"]) == list(content["arms"]) == ["A [x=…/w]"]
