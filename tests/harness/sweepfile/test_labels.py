"""Labels of arms: shown in place of names, never in ids, and no two arms look like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_run, load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.trials.catalogue import DataCatalogue
from headstart.digests import sealed_text
from headstart.errors import SpecError

SCRATCH, PRETRAINED = "  scratch: {}\n", "  pretrained: {initialize: drawn}\n"
LABELLED = "  pretrained: {label: '  On drawn\n    digits ', initialize: drawn}\n"
OTHER = "  pretrained: {initialize: drawn, label: Other}\n"
TWO_GRIDS = "seeds: 2\ngrid: {arms.scratch.train.epochs: [1], arms.b.train.epochs: [1]}\n"


def labelled(text: str) -> tuple[tuple[str, str], ...]:
    return ((SCRATCH, text),)


def test_ids_know_of_no_label_and_a_record_keeps_it(write_sweep, tmp_path: Path):
    grid = ("seeds: 2\n", "seeds: 2\ngrid: {train.batch_size: [16, 32]}\n")
    plain = load_sweep(write_sweep(grid))
    shown = load_sweep(write_sweep(grid, (PRETRAINED, LABELLED)))
    assert shown.labels == {
        f"pretrained [batch_size={n}]": f"On drawn digits [batch_size={n}]" for n in (16, 32)
    }
    assert plain != shown
    assert plain.labels == {}
    plans = [make_plan(each, DataCatalogue()) for each in (plain, shown)]
    assert [t.id for t in plans[0].trials] == [t.id for t in plans[1].trials]
    names = [plans[1].shown_arm(trial) for trial in plans[1].trials]
    assert set(names) == {*shown.labels.values(), "scratch [batch_size=16]",
                          "scratch [batch_size=32]", "drawn [batch_size=16]",
                          "drawn [batch_size=32]"}  # fmt: skip
    (tmp_path / "sweep.yaml").write_text(sealed_text(resolved_yaml(shown)))
    assert load_run(tmp_path).labels == shown.labels


def test_a_profile_gives_another_label(write_sweep):
    profile = ("longer: {", "longer: {arms: {scratch: {label: From nothing}}, ")
    assert load_sweep(write_sweep(profile), "longer").labels == {"scratch": "From nothing"}


@pytest.mark.parametrize(
    ("replacements", "mistake"),
    [
        (labelled(f"  scratch: {{label: {'x' * 65}}}\n"), "a label has 1 to 64 printing"),
        (labelled('  scratch: {label: "a\\eb"}\n'), "a label has 1 to 64 printing"),
        (labelled('  scratch: {label: "a\\u202Eb"}\n'), "a label has 1 to 64 printing"),
        (labelled("  scratch: {label: ' '}\n"), "a label has 1 to 64 printing"),
        (labelled("  scratch: {label: 5}\n"), "label: 5 is no text; quotes make it one"),
        (labelled("  scratch: {label: true}\n"), "label: true is no text; quotes make it one"),
        (labelled("  scratch: {label: [a]}\n"), 'label: ["a"] is no text'),
        (labelled("  scratch: {label: pretrained}\n"), "'pretrained' is the name of another arm"),
        (
            ((SCRATCH, "  scratch: {label: Other}\n"), (PRETRAINED, OTHER)),
            "arms.pretrained.label: 'Other' is the label of arm 'scratch' too",
        ),
        (
            (  # one letter in two ways of writing it, which look alike
                (SCRATCH, '  scratch: {label: "\u00e9"}\n'),
                (PRETRAINED, OTHER.replace("Other", '"e\u0301"')),
            ),
            "'é' is the label of arm 'scratch' too",
        ),
        (
            (
                (SCRATCH, "  scratch: {label: 'b [epochs=1]'}\n  b: {train: {batch_size: 8}}\n"),
                ("seeds: 2\n", TWO_GRIDS.replace("arms.scratch.train.epochs: [1], ", "")),
            ),
            "'b [epochs=1]' is the name of another arm",
        ),
        (
            ((SCRATCH, "  scratch: {label: A, head: new}\n"), ("control: scratch", "control: A")),
            "'A' is not an arm; arms: scratch, pretrained (that is a label; its arm is scratch)",
        ),
        ((("    train: {epochs: 2, augment: {rotate: 15}}", "    label: x"),), "is not a key here"),
    ],
)  # fmt: skip
def test_mistakes(write_sweep, replacements, mistake):
    path = write_sweep(*replacements)
    with pytest.raises(SpecError) as caught:
        load_sweep(path)
    assert len(caught.value.mistakes) == 1
    assert mistake in caught.value.mistakes[0]


def test_two_arms_that_differ_by_their_labels_alone_are_one(write_sweep):
    path = write_sweep((SCRATCH, "  scratch: {label: A}\n  again: {label: B}\n"))
    with pytest.raises(SpecError, match="is the same condition as arm 'scratch'"):
        load_sweep(path)
