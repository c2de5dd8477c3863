from __future__ import annotations

import pytest

from harness.options import parse


@pytest.mark.parametrize(
    ("arguments", "is_watched"),
    [
        ([], False),
        (["--watch"], True),
        (["--watch-port", "8000"], True),
        (["--watch-port", "0"], True),  # a free one, as --watch takes
    ],
)
def test_a_port_asks_for_the_page_too(arguments, is_watched):
    assert parse(["s.yaml", *arguments]).is_watched == is_watched


@pytest.mark.parametrize(
    ("arguments", "is_whole"),
    [([], True), (["--only", "report"], True), (["--only", "arms"], False),
     (["--only", "pretrain"], False), (["--shard", "1/2"], False)],
)  # fmt: skip
def test_a_part_of_a_plan_is_not_the_whole(arguments, is_whole):
    """A part that took itself for the whole would write tables without the trials of others."""
    assert parse(["s.yaml", *arguments]).is_whole == is_whole
