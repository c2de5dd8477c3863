"""The script that makes mutants: which changes it makes, and which words it leaves alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.mutants import MODULES, mutants, own_tests

ROOT = Path(__file__).resolve().parents[2]


def changed_lines(source: str) -> set[str]:
    """The lines that mutants of `source` have and it has not, without spaces at the ends."""
    own = set(source.splitlines())
    return {
        line.strip()
        for mutant in mutants(source)
        for line in mutant.apply(source).splitlines()
        if line not in own
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a = b < c", {"a = (b <= c)"}),
        ("a = b is c", {"a = (b is not c)"}),
        ("a = b < c < d", {"a = (b <= c < d)", "a = (b < c <= d)"}),
        ("a = b + c", {"a = (b - c)"}),
        ("a = b and c", {"a = (b or c)"}),
        ("a = not b", {"a = (b)"}),
        ("a += b", {"a -= b"}),
        ("a = 3", {"a = 4"}),
        ("a = True", {"a = False"}),
        ("a = 'b'", {"a = 'another b'"}),
        ("a = ''", {"a = 'another'"}),
        ("a = None", set()),
        ("a = [b for b in c if b]", {"a = [b for b in c if (not (b))]"}),
        ("a = b if c else d", {"a = b if (not (c)) else d"}),
        ("ä = b == c", {"ä = (b != c)"}),
    ],
)
def test_each_change_of_a_line(line, expected):
    assert changed_lines(line) == expected


def test_conditions_turn_round_once_and_functions_return_nothing():
    source = "def f(a):\n    while a:\n        if a == b:\n            return a\n    return None\n"
    assert changed_lines(source) == {"while (not (a)):", "if (a != b):", "return None"}


def test_words_for_people_stay():
    source = '''
"""A module's words."""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import other

@decorated(limit=1)
def f(a: int | None = None) -> "b":
    """A function's words."""
    raise ValueError(f"{a}: is one", "with a space")
'''
    assert mutants(source) == []


@pytest.mark.parametrize("module", MODULES)
def test_every_mutant_of_our_modules_is_python_and_another_one(module):
    source = (ROOT / module).read_text(encoding="utf-8")
    every = mutants(source)
    assert len(every) > 20
    texts = [mutant.apply(source) for mutant in every]
    assert source not in texts
    assert len(set(texts)) == len(texts)
    for text in texts[:: len(texts) // 20]:
        ast.parse(text)


def test_a_modules_tests_mirror_it_or_are_those_of_its_room():
    assert own_tests("datasets/split.py") == "tests/datasets/test_split.py"
    assert own_tests("harness/joint/stacked.py") == "tests/harness/joint"
    assert all((ROOT / own_tests(module)).is_file() for module in MODULES)
