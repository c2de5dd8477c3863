"""Points of a grid: as names, as the column of the tables, and back."""

from __future__ import annotations

import pytest

from headstart.grid import GridPoint, as_column, from_column, own_name

POINT = {"train.batch_size": 16, "data.train": 1000}


def test_a_point_is_shown_by_the_shortest_endings_that_tell_keys_apart():
    assert GridPoint("scratch", {}).name == "scratch"
    assert GridPoint("scratch", POINT).name == "scratch [batch_size=16, train=1000]"
    alike = {"arms.a.train.epochs": 1, "pretrain.b.train.epochs": [2, 3]}
    assert GridPoint("a", alike).name == (
        "a [arms.a.train.epochs=1, pretrain.b.train.epochs=[2,3]]"
    )


def test_the_column_reads_to_the_same_point():
    assert as_column(POINT) == '{"data.train": 1000, "train.batch_size": 16}'
    assert from_column(as_column(POINT)) == POINT
    assert as_column({}) == ""


@pytest.mark.parametrize("text", ["", "{", "[1]", "3"])
def test_a_column_of_something_else_is_no_point(text):
    assert from_column(text) == {}


def test_an_arms_own_name_is_found_whatever_the_order_of_keys():
    name = GridPoint("a [b]", POINT).name
    assert own_name(name, POINT) == "a [b]"
    assert own_name(name, from_column(as_column(POINT))) == "a [b]"


@pytest.mark.parametrize(("name", "values"), [("scratch", {}), ("scratch", POINT), ("a [x=1]", {})])
def test_an_arm_that_is_not_named_for_its_point_keeps_its_name(name, values):
    assert own_name(name, values) == name
