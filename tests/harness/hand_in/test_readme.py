"""The page beside the code: what stood in for the data is said first."""

from __future__ import annotations

from harness.hand_in.evaluated import evaluations_of
from harness.hand_in.readme import readme
from harness.hand_in.settings import stand_ins_of

DIGITS = (
    "{name: glyphs, count: 200, per_class: true, train: 8, validation: 2, test: 2, as_jpeg: true}"
)
PHOTOS = (
    "{name: sheets, optional: true, photos: {nowhere.jpg: name}, per_class: true, train: 8, "
    "validation: 2, test: 2, as_jpeg: true}"
)
SETTINGS = {"evaluations": [], "pretraining_test": "MNIST", "seed": 0}


def test_a_stand_in_is_called_one_before_the_commands(plan_of):
    plan = plan_of((f"data: {DIGITS}\ntrain", f"data: {{first_of: [{PHOTOS}, {DIGITS}]}}\ntrain"))
    said = stand_ins_of(evaluations_of(plan, 0))
    assert said == ["glyphs in place of sheets"]
    text = readme({**SETTINGS, "stand_ins": said}, [])
    assert text.index("stand-in data: glyphs in place of sheets") < text.index("pip install")


def test_nothing_is_said_where_nothing_stood_in(plan_of):
    assert stand_ins_of(evaluations_of(plan_of(), 0)) == []
    assert "stand-in" not in readme({**SETTINGS, "stand_ins": []}, [])


def test_weights_are_called_chosen_where_something_chose_them():
    given = {**SETTINGS, "stand_ins": []}
    assert "the weights that validation images chose" in readme(given, [])
    last = [{"title": "Last layer, own", "fine_tuning": {"select": "last"}}]
    assert "the weights after the last step" in readme({**given, "evaluations": last}, [])
