from __future__ import annotations

import pytest

from harness.sweepfile.nodes import as_left_out, merge, with_value
from headstart.errors import SpecError
from headstart.yaml12 import parse_yaml


def test_merging_goes_key_by_key_but_a_named_data_set_replaces_the_whole():
    base = parse_yaml("data: {name: mnist, train: 5}\ntrain: {epochs: 3, batch_size: 8}\n", "f")
    override = parse_yaml("data: {name: glyphs}\ntrain: {epochs: 4}\n", "g")
    assert merge(base, override).plain() == {
        "data": {"name": "glyphs"}, "train": {"epochs": 4, "batch_size": 8},
    }  # fmt: skip
    partial = parse_yaml("data: {train: 7}\n", "g")
    assert merge(base, partial).plain()["data"] == {"name": "mnist", "train": 7}


def test_a_merged_value_keeps_the_line_that_wrote_it():
    base = parse_yaml("train:\n  epochs: 3\n  batch_size: 8\n", "base")
    merged = merge(base, parse_yaml("train:\n\n  epochs: 4\n", "over"))
    assert merged.get("train", "epochs").where == ("over", 3)
    assert merged.get("train", "batch_size").where == ("base", 3)


def test_a_value_that_lies_deeper_than_any_setting_is_refused():
    root = parse_yaml("a: 1\n", "f")
    with pytest.raises(SpecError, match="f:1: x: leads over 60 keys deep"):
        with_value(root, ["x"] * 2000, root.get("a"))


def test_arms_and_stages_that_are_none_are_left_out():
    root = parse_yaml("pretrain: {a: none, b: {}}\narms: {c: none, d: {search: none}, e:}\n", "f")
    assert as_left_out(root).plain() == {
        "pretrain": {"b": {}}, "arms": {"d": {"search": "none"}, "e": None},
    }  # fmt: skip
    for text in ("arms: none\n", "seeds: 3\n", "arms: [none]\n"):
        assert as_left_out(parse_yaml(text, "f")).plain() == parse_yaml(text, "f").plain()
