"""What a command says of its data before it trains."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.plan.data_lines import MOST_SETS, WIDTH, describe, fitted, stand_ins
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import DataChoice
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import DataUse, PassedOver, Plan
from headstart.errors import DataNotFoundError


@pytest.fixture
def plan(write_sweep) -> Plan:
    return make_plan(load_sweep(write_sweep()), DataCatalogue(allow_download=False))


def with_uses(plan: Plan, *uses: DataUse) -> Plan:
    """The plan with one trial for each of these data sets."""
    return Plan(plan.sweep, tuple(replace(plan.trials[0], data=use) for use in uses))


def use_of(plan: Plan, **changed: object) -> DataUse:
    return replace(plan.trials[0].data, **changed)


def content(plan: Plan, use: DataUse) -> str:
    """What is said of a data set without notes, as one line."""
    return " ".join(line.strip() for line in describe(with_uses(plan, use)))


def test_a_set_of_few_classes_is_said_with_each_class_and_its_count(plan):
    use = use_of(
        plan, class_names=("ants", "bees"), counts={"train": (123, 121), "validation": (70, 83)}
    )
    assert content(plan, use) == (
        "data: glyphs, 244 train + 153 validation images, 2 classes: ants 193, bees 204"
    )
    assert content(plan, replace(use, counts={"": (3, 4)})) == (
        "data: glyphs, 7 images, 2 classes: ants 3, bees 4"
    )


def test_a_set_of_the_users_is_said_with_the_name_of_its_file(plan):
    choice = DataChoice.model_validate({"name": "folder", "path": "some/where/photos.zip"})
    text = content(plan, use_of(plan, choice=choice, class_names=("a", "b"), counts={"": (3, 4)}))
    assert text == "data: folder photos.zip, 7 images, 2 classes: a 3, b 4"


@pytest.mark.parametrize(
    ("counts", "says"), [((5, 7) * 31, "5 to 7 images each"), ((5,) * 62, "5 images each")]
)
def test_of_many_classes_the_first_the_last_and_the_range_are_said(plan, counts, says):
    names = (*(f"class {k}" for k in range(61)), "a class of a very long name" * 20)
    text = content(plan, use_of(plan, class_names=names, counts={"": counts}))
    assert "62 classes: class 0 … a class of" in text
    assert text.endswith(says)
    assert len(text) < 2 * WIDTH


def test_where_there_are_several_sets_each_is_said_with_who_uses_it(plan):
    lines = [line for line in describe(plan) if line.startswith("data: ")]
    assert [line.split(", 10 classes")[0] for line in lines] == [
        "data: glyphs (drawn), 300 images", "data: glyphs (scratch, pretrained), 600 images",
    ]  # fmt: skip


def test_no_line_ends_between_a_class_and_its_count(plan):
    names = tuple("0123456789")
    use = use_of(plan, class_names=names, counts={"train": (5923,) * 10, "test": (980,) * 10})
    first, second = describe(with_uses(plan, use))
    assert [first[-1], second[-4:]] == [",", "6903"]


def test_warnings_come_first_and_of_many_notes_the_first(plan):
    use = use_of(
        plan, notes=("two", "three", "four"), warnings=("w " * 90, "x"), split_notes=("one",)
    )
    lines = list(describe(with_uses(plan, use, replace(use, warnings=()))))
    assert lines[1].startswith("  warning: w w")
    assert lines[2].startswith("    w w")
    assert max(map(len, lines)) <= WIDTH
    assert lines[-5:] == [
        "  warning: x", "  note: one", "  note: two", "  note: three",
        "  … 1 more, all in the report",
    ]  # fmt: skip
    whole = list(describe(with_uses(plan, use), all_notes=True))  # a dry run makes no report
    assert whole[-2:] == ["  note: three", "  note: four"]


def test_each_set_is_said_once_and_of_very_many_the_first(plan):
    uses = [use_of(plan, fingerprint=str(k)) for k in range(MOST_SETS + 2)]
    lines = list(describe(with_uses(plan, *uses, *uses)))
    assert sum(line.startswith("data: glyphs") for line in lines) == MOST_SETS
    assert lines[-1] == "data: … 2 more data sets, all in the report"


def test_a_terminal_obeys_no_name(plan):
    use = use_of(plan, class_names=("\x1b[31m", "b\nc"), counts={"": (1, 2)}, notes=("a\nb",))
    assert all(line.isprintable() for line in describe(with_uses(plan, use)))


def test_a_stand_in_is_said_with_the_reasons_and_at_the_end_without(plan):
    assert list(stand_ins(plan)) == []
    passed_over = (PassedOver("mnist", "not on this machine: put it there"),)
    use = use_of(plan, stand_in_for="mnist", passed_over=passed_over)
    both = with_uses(plan, use, use)
    assert list(stand_ins(both)) == [
        "small: glyphs stands in for mnist (not on this machine: put it there)"
    ]
    assert list(stand_ins(both, with_reasons=False)) == ["small: glyphs stands in for mnist"]
    two = replace(use, passed_over=(*passed_over, PassedOver("other", "no such file")))
    (line,) = stand_ins(with_uses(plan, two))
    assert line.endswith("put it there); nor is other used (no such file)")
    long = DataNotFoundError("mnist: long", "put it there; " * 30, why="no connection to fetch it")
    passed_over = (PassedOver("mnist", long.reason, long.brief), PassedOver("x", "y" * 500))
    (line,) = stand_ins(with_uses(plan, replace(use, passed_over=passed_over)))
    assert line.startswith(
        "small: glyphs stands in for mnist (not on this machine, no connection to fetch it); nor "
    )
    assert len(line) < 300


def test_lines_end_between_words_at_the_width_of_a_terminal(plan):
    use = use_of(plan, class_names=tuple("0123456789"), counts={"": (1234,) * 10})
    lines = list(describe(with_uses(plan, use), width=60))
    assert max(map(len, lines)) <= 60
    assert " ".join(" ".join(lines).split()) == next(describe(with_uses(plan, use), width=999))
    text = "small: glyphs stands in for mnist (not on this machine)"
    assert fitted(text, None) == [text]
    assert fitted(text, 80) == [text]
    assert fitted(text, 40) == ["small: glyphs stands in for mnist (not", "  on this machine)"]
