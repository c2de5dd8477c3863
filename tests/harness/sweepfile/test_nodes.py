from __future__ import annotations

import re

import pytest

from harness.sweepfile.nodes import MAX_NODES, merge, parse_scalar_or_flow, parse_yaml
from headstart.errors import SpecError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("3.0e-4", 3e-4), ("10:30", "10:30"), ("no", "no"), ("on", "on"),
        ("true", True), ("null", None), ("~", None), ("0x10", 16), ("0o10", 8), ("010", 10),
        ("1_000", "1_000"), ("2026-11-21", "2026-11-21"), (".inf", float("inf")), ("-.5", -0.5),
        ("'1'", "1"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2_reads_them(text, value):
    read = parse_yaml(f"key: {text}", "f").plain()["key"]
    assert read == value
    assert type(read) is type(value)


def test_every_value_knows_its_line_and_path():
    node = parse_yaml("a:\n  b: 1\n  c: [x, {d: 2}]\n", "f.yaml")
    assert str(node.get("a", "b").where) == "f.yaml:2"
    assert node.get("a", "c", 1, "d").path == "a.c[1].d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "f:2: a: is given twice (first at f:1)"),
        ("a: [1\n", "f:2: is not YAML"),
        ("- 1\n", "f:1: a mapping"),
        ("a: !!python/object/apply:os.system [ls]\n", "is not allowed; plain values only"),
        ("", "f:1: a mapping"),
    ],
)
def test_what_is_no_plain_mapping_is_refused(text, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        parse_yaml(text, "f")


def test_aliases_that_unfold_without_end_are_refused():
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [
        f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]" for a, b in zip("abcdef", "bcdefg", strict=False)
    ]
    with pytest.raises(SpecError, match=str(MAX_NODES)):
        parse_yaml("\n".join(lines), "f")


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


def test_set_values_may_be_lists_and_mappings():
    assert parse_scalar_or_flow("[1, 2]", "--set", "k").plain() == [1, 2]
    assert parse_scalar_or_flow("{steps: 5}", "--set", "k").plain() == {"steps": 5}
    assert parse_scalar_or_flow("", "--set", "k").plain() is None
