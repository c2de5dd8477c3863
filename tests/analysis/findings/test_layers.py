"""Which arms differ in how many layers train alone: of any sweep, whatever the arms are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import Arm, Made, write_run

from analysis.findings.asked import Asked
from analysis.findings.findings import Findings, find
from analysis.findings.layers import find_layers
from analysis.findings.load import load_runs
from analysis.report.glance import at_a_glance
from analysis.report.glance.layers import at_one_point
from analysis.statistics.samples.pairing import Pair

START = {"initialize": "digits", "head": "auto"}


def found(arms: dict[str, dict[str, Any]], **changes: object) -> tuple[Pair, ...]:
    """The pairs of every arm with the first that belong together."""
    names = list(arms)
    pairs = tuple(Pair(name, names[0]) for name in names[1:])
    sweep = {"arms": arms}
    asked = Asked("s", "", ("s",), tuple(names), pairs, True, (), None, 1, "", sweep, "accuracy")
    evidence = pd.DataFrame(
        {
            "task": "s", "arm": names, "status": "done", "steps": 10, "model": "lenet5",
            "initialize": "digits", "fine_tune": [str(a.get("fine_tune")) for a in arms.values()],
            "n_trainable": np.arange(len(names)) + 1, "n_parameters": 9, **changes,
        }
    )  # fmt: skip
    empty = pd.DataFrame({"task": [], "arm": []})
    return find_layers([asked], evidence, empty, empty, empty).pairs


def test_arms_that_differ_in_their_layers_alone_belong_together() -> None:
    arms = {
        "head only": {**START, "fine_tune": "last_layer"},
        "b": {**START, "fine_tune": "last_2", "label": "Two"},
        "from conv2": {**START, "fine_tune": {"from": "conv2"}},
        "other rate": {**START, "fine_tune": "all", "train": {"learning_rate": 0.1}},
        "not tuned": {**START, "fine_tune": "none"},
        "again": {**START, "fine_tune": "last_layer"},
        "other start": {**START, "initialize": "letters", "fine_tune": "all"},
    }
    assert [pair.treatment for pair in found(arms)] == ["b", "from conv2"]


def test_points_of_a_grid_over_layers_belong_together() -> None:
    arms = {f"a [fine_tune={depth}]": {**START, "fine_tune": depth} for depth in ("last_2", "all")}
    assert len(found(arms)) == 1


def test_arms_that_never_trained_or_started_otherwise_do_not() -> None:
    arms = {"a": {**START, "fine_tune": "last_layer"}, "b": {**START, "fine_tune": "all"}}
    assert len(found(arms)) == 1
    assert not found(arms, steps=[10, 0])
    assert not found(arms, initialize=["digits", "random"]), "an old sweep.yaml may not say it"
    assert not found({"a": {}, "b": {}}), "nothing is said of their layers"


def run(folder: Path, **made: Any) -> Findings:
    arms = (
        Arm("scratch", 0.95, 300),
        Arm("head", 0.96, 300, 0.4, "last_layer", "digits", **made.pop("head", {})),
        Arm("whole", made.pop("ceiling", 0.98), 300, 0.4, "all", "digits"),
    )
    compare = (("head", "scratch"), ("whole", "scratch"), ("whole", "head"))
    given = {"seeds": 8, "predictions": False, "compare": compare} | made
    return find(load_runs([write_run(folder / "run", Made(arms=arms, **given))]))


def test_the_first_paragraph_has_verdicts_and_what_lies_behind_them(tmp_path: Path) -> None:
    findings = run(tmp_path)
    assert findings.layers.pairs == (Pair("whole", "head"),)
    glance = at_a_glance(findings)
    first, _, direct = glance.sentence.partition("On how many layers to tune: ")
    assert "than “scratch”" in first
    assert direct.startswith("“whole” learns faster than “head” and ends more accurate")
    assert glance.reasons.startswith("“head” trains 850 of 61,706 weights and “whole” 61,706.")
    assert "“whole” ends more accurate than “head”" in glance.reasons
    table = findings.layers.table.set_index("arm")
    arms = findings.arms.set_index("arm")
    assert table.index.tolist() == ["head", "whole"], "the fewest weights first"
    for arm in table.index:
        assert f"{100 * arms.loc[arm, 'score']:.2f} %" in glance.reasons
        assert table.loc[arm, "score"] == arms.loc[arm, "score"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "text"),
    [
        ({"seeds": 1}, "each ran once"),
        ({"head": {"diverged": tuple(range(8))}}, "is more stable in how many of its runs break"),
        ({"targets": (0.999,), "ceiling": 0.9605}, "it is not known which of"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_said_so(tmp_path: Path, made: dict[str, Any], text: str) -> None:
    """Slow: whole runs are written and compared."""
    glance = at_a_glance(run(tmp_path, **made))
    assert text in glance.sentence.partition("On how many layers to tune: ")[2]
    assert "nan" not in glance.reasons.lower()


def test_what_all_arms_of_a_point_of_a_grid_share_is_said_once() -> None:
    text = "“a [dense=500]” ends more accurate than “b [dense=500]”"
    assert at_one_point(["a [dense=500]", "b [dense=500]"], text) == (
        "dense=500",
        "“a” ends more accurate than “b”",
    )
    assert at_one_point(["a [dense=500]", "b [dense=9]"], text) == ("", text)
    assert at_one_point(["a", "b"], text) == ("", text)
