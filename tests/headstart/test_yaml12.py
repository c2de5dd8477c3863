from __future__ import annotations

import gc
import os
import re

import pytest

from headstart.errors import SpecError
from headstart.yaml12 import (
    OF_A_PERSON,
    RECORD,
    Limits,
    parse_scalar_or_flow,
    parse_yaml,
    read_yaml,
)

of_both = pytest.mark.parametrize("limits", [OF_A_PERSON, RECORD], ids=["a person", "a record"])


@of_both
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("3.0e-4", 3e-4), ("10:30", "10:30"), ("no", "no"), ("on", "on"),
        ("true", True), ("null", None), ("~", None), ("0x10", 16), ("0o10", 8), ("010", 10),
        ("1_000", "1_000"), ("2026-11-21", "2026-11-21"), (".inf", float("inf")), ("-.5", -0.5),
        ("'1'", "1"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2_reads_them(text, value, limits):
    read = parse_yaml(f"key: {text}", "f", limits=limits).plain()["key"]
    assert read == value
    assert type(read) is type(value)


@of_both
def test_every_value_knows_its_line_and_path(limits):
    node = parse_yaml("a:\n  b: 1\n  c: [x, {d: 2}]\n", "f.yaml", limits=limits)
    assert str(node.get("a", "b").where) == "f.yaml:2"
    assert node.get("a", "c", 1, "d").path == "a.c[1].d"


@of_both
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "f:2: a: is given twice (first at f:1)"),
        ("a: [1\n", "f:2: is not YAML"),
        ("- 1\n", "f:1: a mapping"),
        ("a: !!python/object/apply:os.system [ls]\n", "is not allowed; plain values only"),
        ("", "f:1: a mapping"),
        ("x: " + "[" * 3000 + "]" * 3000, "f:1: is not YAML: is nested deeper than 60 levels"),
        ("a: 1\nx: &a [*a]\n", "f:2: x[0]: an alias holds itself"),
        ("x: !!int abc\n", "f:1: x: 'abc' is no int"),
        ("a: ä\nb: '\x01'\n", "f:2: is not YAML: "),
    ],
)
def test_what_is_no_plain_mapping_is_refused(text, message, limits):
    with pytest.raises(SpecError, match=re.escape(message)):
        parse_yaml(text, "f", limits=limits)


@pytest.mark.parametrize("entry", ["1,", "[],", "{a: 1},"])
def test_a_record_has_a_limit_too(entry, monkeypatch):
    small = Limits(RECORD.n_bytes, 1000)
    monkeypatch.setattr("headstart.yaml12.RECORD", small)
    with pytest.raises(SpecError, match="f:2: is not YAML: has over 1000 values"):
        parse_yaml(f"a: [\n{entry * 2000}]", "f", limits=small)


def test_the_collector_runs_again_after_a_mistake():
    with pytest.raises(SpecError):
        parse_yaml("a: [1\n", "f")
    assert gc.isenabled()


@pytest.mark.parametrize("limits", [OF_A_PERSON, RECORD])
def test_aliases_that_unfold_without_end_are_refused(limits):
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [
        f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]" for a, b in zip("abcdef", "bcdefg", strict=False)
    ]
    with pytest.raises(SpecError, match=str(OF_A_PERSON.n_nodes)):
        parse_yaml("\n".join(lines), "f", limits=limits)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: " + "[" * 3000 + "]" * 3000, "f:1: is not YAML: is nested deeper than 60 levels"),
        ("x: " + "{a: " * 400 + "}" * 400, "f:1: is not YAML: is nested deeper than 60 levels"),
        ("x:\n  " + "? " * 400, "is nested deeper than 60 levels"),
        ("x:\n  " + "- " * 400, "f:2: is not YAML: is nested deeper than 60 levels"),
        ("a: 1\nx: &a [*a]\n", "f:2: x[0]: an alias holds itself"),
        ("x: &a {b: {c: *a}}\n", "f:1: x.b.c: an alias holds itself"),
        ("x: *a\n", "f:1: is not YAML: found undefined alias"),
        ("x: !!int abc\n", "f:1: x: 'abc' is no int"),
        ("x: !!float abc\n", "f:1: x: 'abc' is no float"),
        ("x: !!bool maybe\n", "f:1: x: 'maybe' is no bool"),
        ("x: !!null 3\n", "f:1: x: '3' is no null"),
        ("x: !!map 3\n", "tag:yaml.org,2002:map' is not allowed"),
        ("x: !!str {a: 1}\n", "tag:yaml.org,2002:str' is not allowed"),
        ("x: !!set {a, b}\n", "tag:yaml.org,2002:set' is not allowed"),
        ("x: !!binary aGk=\n", "tag:yaml.org,2002:binary' is not allowed"),
        ("x: !!timestamp 2026-01-01\n", "tag:yaml.org,2002:timestamp' is not allowed"),
        ("x: !!omap [a: 1]\n", "tag:yaml.org,2002:omap' is not allowed"),
        ("x: !mine 3\n", "f:1: x: the tag '!mine' is not allowed"),
        ("x: " + "9" * 5000, "is a number of more than 64 bits"),
        ("x: 9223372036854775808", "f:1: x: '9223372036854775808' is a number of more than 64"),
        ("x: -0" + "1" * 200, "is a number of more than 64 bits"),
        ("x: 0x" + "f" * 5000, "is a number of more than 64 bits"),
        ("x: 1e999", "f:1: x: '1e999' is a number of more than 64 bits"),
        ("? [a, b]\n: 1\n", "f:1: a key must be a word"),
        ("x: {[1]: 2}\n", "f:1: x: a key must be a word"),
        ("a: &a {b: 1}\nx: {<<: *a, <<: *a}\n", "f:2: x.<<: is given twice (first at f:2)"),
        ("a: 1\n\nx: \x00\n", "f:3: is not YAML: the character U+0000 is not allowed"),
        ("x:\n\t- 1\n", "f:2: is not YAML: found character"),
        ("a: 1\n---\na: 2\n", "is not YAML: but found another document"),
        ('x: "a\\ud800"\n', "f:1: x: 'a\\ud800' has half a character, or a null, which is"),
        ('"a\\ud800": 1\n', "f:1: 'a\\ud800' has half a character"),
        ('x: "a\\0b"\n', "f:1: x: 'a\\x00b' has half a character, or a null"),
        ('"a\\nb": !mine 1\n', "f:1: a\\nb: the tag '!mine' is not allowed"),
    ],
)
def test_odd_yaml_is_one_line_that_names_the_line(text, message):
    with pytest.raises(SpecError) as info:
        parse_yaml(text, "f")
    assert message in str(info.value)
    assert len(str(info.value).splitlines()) == 1


def test_the_largest_numbers_are_read():
    text = "a: 9223372036854775807\nb: -9223372036854775808\nc: 1.7e308\nd: -.inf\n"
    values = {"a": 2**63 - 1, "b": -(2**63), "c": 1.7e308, "d": -float("inf")}
    assert parse_yaml(text, "f").plain() == values


def test_an_alias_may_be_used_twice_but_not_nested():
    text = "a: &a {b: 1}\nx: [*a, *a]\n"
    assert parse_yaml(text, "f").plain() == {"a": {"b": 1}, "x": [{"b": 1}, {"b": 1}]}


def test_words_stay_as_they_are_written():
    read = parse_yaml("a: 0123\nb: [no, ~]\n", "f", as_words=True)
    assert read.plain() == {"a": "0123", "b": ["no", "~"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: é\n".encode("latin-1"), "s.yaml:1: is not UTF-8 text (byte 3)"),
        ("a: 1\nb: é\n".encode("utf-16"), "s.yaml:1: is not UTF-8 text (byte 0)"),
        (b"a: 1\n" * 200_000 + b"#", "s.yaml: a YAML file has at most 1000000 bytes"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, content, message):
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=re.escape(message)):
        read_yaml(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    (tmp_path / "s.yaml").write_bytes("\ufeffa: 1\n".encode())
    assert read_yaml(tmp_path / "s.yaml").plain() == {"a": 1}


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, message in {
        "pipe": "is no plain file", "loop": "cannot be read: Too many levels", "": "is a folder",
        "none": "cannot be read: No such file", "x" * 5000: "cannot be read: File name too long",
    }.items():  # fmt: skip
        with pytest.raises(SpecError, match=message):
            read_yaml(tmp_path / name)
    with pytest.raises(SpecError, match="is no plain file"):
        read_yaml("/dev/zero")


def test_a_sweep_file_may_come_from_a_pipe():
    reads, writes = os.pipe()
    with os.fdopen(writes, "w") as file:
        file.write("a: 1\n")
    assert read_yaml(f"/dev/fd/{reads}").plain() == {"a": 1}
    os.close(reads)


def test_a_value_of_an_option_that_is_not_text_is_refused():
    for text in ("a\x00", "\udce9", "[", "!mine 1", '"\\ud800"', "9" * 5000, "{a: 1, a: 2}"):
        with pytest.raises(SpecError) as info:
            parse_scalar_or_flow(text, "--set", "k")
        assert str(info.value).startswith("--set: k")
        assert str(info.value).isprintable()


def test_set_values_may_be_lists_and_mappings():
    assert parse_scalar_or_flow("[1, 2]", "--set", "k").plain() == [1, 2]
    assert parse_scalar_or_flow("{steps: 5}", "--set", "k").plain() == {"steps": 5}
    assert parse_scalar_or_flow("", "--set", "k").plain() is None
