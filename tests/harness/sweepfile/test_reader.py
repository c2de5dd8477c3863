from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.sweepfile.conditions import Conditions
from harness.sweepfile.reader import _over_grid, load_run, load_sweep, read_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.sweepfile.settings import EvaluateEvery
from headstart.digests import sealed_text
from headstart.errors import SpecError
from headstart.grid import GridPoint
from headstart.settings import Compare
from headstart.yaml12 import OF_A_PERSON, parse_yaml
from runs import ROOT, environment

SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))


def mistakes_of(path: Path, **options) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_sweep(path, **options)
    return list(caught.value.mistakes)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_of_ours_reads_and_states_its_question_first(path):
    assert path.read_text().startswith("# ")
    profiles = parse_yaml(path.read_text(), path.name).get("profiles")
    for profile in [None, *(profiles.value if profiles else ())]:
        assert load_sweep(path, profile).question.endswith("?")


def test_arms_inherit_key_by_key(write_sweep):
    sweep = load_sweep(write_sweep(("scratch: {}", "scratch: {train: {epochs: 9}}")))
    scratch, pretrained = sweep.arms["scratch"], sweep.arms["pretrained"]
    assert (scratch.train.epochs, scratch.train.batch_size) == (9, 32)
    assert pretrained.train.epochs == 3
    assert pretrained.start.kind == "stage"
    assert sweep.stages["drawn"].train.augment.rotate == 15
    assert sweep.compare == (Compare(treatment="pretrained", control="scratch"),)


def test_profile_then_assignments_are_laid_over_the_file(write_sweep):
    path = write_sweep()
    assert load_sweep(path, "longer").arms["scratch"].train.epochs == 12
    sweep = load_sweep(
        path, "longer", ["train.epochs=5", "arms.extra={initialize: drawn, head: new}"]
    )
    assert sweep.arms["scratch"].train.epochs == 5
    assert set(sweep.arms) == {"scratch", "pretrained", "extra"}


def test_a_profile_and_an_assignment_leave_out_arms_and_stages(write_sweep):
    profile = "longer: {arms: {pretrained: none, other: {head: new}}, pretrain: {drawn: none}, "
    path = write_sweep(("longer: {", profile), ("compare: [{treatment: pretrained, ", "#"))
    assert {*load_sweep(path).arms} == {"scratch", "pretrained"}
    sweep = load_sweep(path, "longer", ["arms.scratch=none"])
    assert (set(sweep.arms), set(sweep.stages)) == ({"other"}, set())


def test_a_pair_may_name_points_of_the_grid(write_sweep):
    grid = "seeds: 2\ngrid: {pretrain.drawn.train.epochs: [1, 2, 4]}"
    longer, shorter = (f"pretrained [epochs={n}]" for n in (4, 1))

    def compared(treatment: str, control: str) -> list[tuple[str, str]]:
        pair = f"[{{treatment: '{treatment}', control: '{control}'}}]"
        old = "[{treatment: pretrained, control: scratch}]"
        sweep = load_sweep(write_sweep(("seeds: 2", grid), (old, pair)))
        return [(pair.treatment, pair.control) for pair in sweep.compare]

    assert compared(longer, shorter) == [(longer, shorter)]
    assert compared(longer, "scratch") == [(longer, "scratch")]
    assert compared("scratch", longer) == [("scratch", longer)]
    assert len(compared("pretrained", "scratch")) == 3
    with pytest.raises(SpecError, match=r"epochs=3\]' is not an arm.*mean 'pretrained \[epochs="):
        compared("pretrained [epochs=3]", "scratch")
    with pytest.raises(SpecError, match="is compared with itself"):
        compared(longer, longer)
    for pair in ((longer, "pretrained"), ("pretrained", longer)):
        with pytest.raises(SpecError, match="are one arm; name a point of the grid for each"):
            compared(*pair)


def test_what_was_left_out_cannot_be_named(write_sweep):
    stage = "sweep.yaml:12: arms.pretrained.initialize: 'drawn' is not a pretrain stage"
    with pytest.raises(SpecError, match=stage):
        load_sweep(write_sweep(), None, ["pretrain.drawn=none"])
    with pytest.raises(SpecError, match=r"compare.*'pretrained' is not an arm; arms: scratch"):
        load_sweep(write_sweep(), None, ["arms.pretrained=none"])
    with pytest.raises(SpecError, match="at least one arm is expected"):
        load_sweep(write_sweep(), None, ["arms={scratch: none, pretrained: none}"])


@pytest.mark.parametrize(
    "assignment",
    ["grid.train.epochs=[2, 4]", "grid={train.epochs: [2, 4], train.batch_size: [32]}"],
)
def test_an_assignment_reaches_a_key_of_the_grid_which_is_a_path_itself(write_sweep, assignment):
    grid = "seeds: 2\ngrid: {train.epochs: [1, 2, 3], train.batch_size: [32]}"
    sweep = load_sweep(write_sweep(("seeds: 2", grid)), None, [assignment])
    scratch = [arm for name, arm in sweep.arms.items() if name.startswith("scratch")]
    assert [arm.train.epochs for arm in scratch] == [2, 4]


def test_eight_mistakes_are_eight_messages_each_with_its_line(write_sweep):
    path = write_sweep(
        ("question: Does", "questoin: Does"),
        ("{name: lenet5}", "{name: lenet55}"),
        ("learning_rate: 1.0e-3", "learning_rate: -1.0"),
        ("batch_size: 32", "batch_size: '32'"),
        ("initialize: drawn", "initialize: drwan"),
        ("seeds: 2", "seeds: 0"),
        ("control: scratch", "control: scrach"),
        ("[0.3, 0.5]", "[0.3, 1.5]"),
    )
    mistakes = mistakes_of(path)
    text = "\n".join(mistakes)
    for line, words in (
        (2, ["questoin", "did you mean 'question'"]),
        (3, ["'lenet55'", "did you mean 'lenet5'"]),
        (5, ["train.learning_rate", "-1.0", "greater than 0"]),
        (5, ["train.batch_size", "'32'", "integer"]),
        (12, ["arms.pretrained.initialize", "'drwan'", "did you mean 'drawn'"]),
        (13, ["seeds", "0 is not a whole number from 1"]),
        (14, ["'scrach' is not an arm", "did you mean 'scratch'"]),
        (15, ["measure.targets", "1.5", "less than or equal to 1"]),
    ):
        found = [
            m for m in mistakes if m.startswith(f"{path}:{line}: ") and all(w in m for w in words)
        ]
        assert len(found) == 1, f"line {line} {words}:\n{text}"
    assert len(mistakes) == 9, text  # and `question` is missing


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("scratch: {}", "scratch: {fine_tune: last_9}", "deeper than the network's 5 layer groups"),
        ("scratch: {}", "scratch: {fine_tune: last_layr}", "did you mean 'last_layer'"),
        ("scratch: {}", "scratch: {optimizer: adam}", "is not a key here; allowed: model, data"),
        ("scratch: {}", "scratch: {train: {optimizer: adm}}", "not one of adam, adamw, sgd"),
        ("scratch: {}", "scratch: {train: {momentum: 0.9}}", "momentum and nesterov belong to sgd"),
        ("scratch: {}", "scratch: {}\n  again: {}", "is the same condition as arm 'scratch'"),
        ("scratch: {}", "scratch: {data: {name: glyphs, train: 5, test: 0}}", "needs test images"),
        ("{steps: 4}", "{steps: 4, epochs: 1}", "give one of steps, epochs"),
        ("epochs: 3", "epochs: true", "train.epochs: true should be a valid integer"),
        ("seeds: 2", "seeds: {until: {half_width: 1.0}, at_least: 9, at_most: 3}", "is over"),
        ("seeds: 2", "seeds: {until: verdct}", "'verdct' is neither verdict nor"),
        ("seeds: 2", "seeds: {until: verdict, looks: [8, 5]}", "the numbers must rise"),
        ("seeds: 2", "seeds: {until: verdict, looks: [1, 5]}", "greater than or equal to 2"),
        ("seeds: 2", "seeds: {until: verdict, at_most: 9}", "at_most does not go with this rule"),
        ("seeds: 2", "seeds: {until: {half_width: 1.0}, looks: [5]}", "does not go with this rule"),
        ("seeds: 2", "seeds: {until: verdict, lokos: [5]}", "allowed: until, looks "),
        (
            "seeds: 2",
            "seeds: {until: {half_width: 1.0}, at_leat: 5}",
            "allowed: until, at_least, at_most ",
        ),
        ("seeds: 2", "seeds: 2\nvary: [order, colour]", "'colour' is not one of split, order"),
        ("seeds: 2", "seeds: 2\nresources: {gpu: 1}", "did you mean 'gpus'"),
        ("seeds: 2", "seeds: 2\nresources: {gpus: 2}", "resources.gpus: 2 is more than a worker"),
        ("seeds: 2", "seeds: 2\nresources: {gpus: 1.5, workers: 2}", "give gpus: 1, workers: 2"),
        ("seeds: 2", "seeds: 2\nsave: {best: false}", "save.best: false cannot be: stages start"),
        ("seeds: 2", "seeds: 2\nresources: {pack: 0}", "neither a number from 1 nor auto"),
        ("seeds: 2", "seeds: 2\nresources: {pack: many}", "neither a number from 1 nor auto"),
        ("seeds: 2", "seeds: 2\ngrid: {resources.cpus: [1, 2]}", "outside model, data, train"),
        ("count: 600", "cuont: 600", "did you mean 'count'"),
        ("count: 600", "count: 600, optional: true", "no other data set is named to use instead"),
        ("name: small", "name: ../small", "is not a name"),
        ("{initialize: drawn}", "{initialize: nowhere.safetensors}", "no such file"),
        ("scratch: {}", "scratch: {head: {hidden: [8]}}", "an option of the network: model: {head"),
        ("lenet5}", "lenet5, head: {hidden: [], dropout: 0.2}}", "leave dropout out"),
        ("lenet5}", "lenet5, head: {hidden: [-8]}}", "model.head.hidden[0]: -8 should be greater"),
        ("lenet5}", "lenet5, head: '256'}", "model.head: '256' is not a mapping of keys"),
        ("lenet5}", "lenet5, head: {hidden: [8], dropout: 1}}", "dropout: 1 should be less than 1"),
        ("lenet5}", "lenet5, dropout: 0.2, head: {hidden: [8]}}", "leave dropout out"),
    ],
)  # fmt: skip
def test_a_mistake_says_what_is_allowed(write_sweep, old, new, message):
    mistakes = mistakes_of(write_sweep((old, new)))
    assert any(message in mistake for mistake in mistakes), mistakes
    assert len(mistakes) == 1, mistakes


def test_a_stage_that_starts_from_itself_is_refused(write_sweep):
    both = "drawn:\n    initialize: other\n"
    path = write_sweep(("drawn:\n", both), ("arms:\n", "  other: {initialize: drawn}\narms:\n"))
    assert any("starts from itself" in mistake for mistake in mistakes_of(path))


def test_grid_multiplies_only_what_a_key_concerns(write_sweep):
    path = write_sweep(
        ("seeds: 2", "seeds: 2\ngrid: {arms.pretrained.train.learning_rate: [1.0e-2, 1.0e-3]}")
    )
    sweep = load_sweep(path)
    assert set(sweep.arms) == {
        "scratch", "pretrained [learning_rate=0.01]", "pretrained [learning_rate=0.001]",
    }  # fmt: skip
    assert [pair.control for pair in sweep.compare] == ["scratch", "scratch"]
    assert set(sweep.stages) == {"drawn"}
    shared = load_sweep(write_sweep(("seeds: 2", "seeds: 2\ngrid: {train.batch_size: [16, 32]}")))
    assert len(shared.arms) == 4
    assert all(p.treatment[-4:] == p.control[-4:] for p in shared.compare)
    assert {c.start.name for n, c in shared.arms.items() if n.startswith("pre")} == set(
        shared.stages
    )


def test_a_shared_grid_key_leaves_alone_what_writes_its_own(write_sweep):
    grid = ("seeds: 2", "seeds: 2\ngrid: {data.train: [10, 20], train.batch_size: [16, 32]}")
    sweep = load_sweep(write_sweep(grid))
    assert set(sweep.stages) == {"drawn [batch_size=16]", "drawn [batch_size=32]"}  # its own data
    own = ("train: {epochs: 2, augment", "train: {batch_size: 8, epochs: 2, augment")
    sweep = load_sweep(write_sweep(grid, own))
    assert set(sweep.stages) == {"drawn"}
    assert len(sweep.arms) == 8
    assert {arm.start.name for arm in sweep.arms.values()} == {"", "drawn"}
    assert sweep.stages["drawn"].train.batch_size == 8


def calls_of_reading(text: str) -> int:
    """How many Python functions are called while a sweep is read."""
    n_calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal n_calls
        n_calls += event == "call"

    root = parse_yaml(text, "grid.yaml")
    sys.setprofile(count)
    try:
        read_sweep(root)
    finally:
        sys.setprofile(None)
    return n_calls


@pytest.mark.parametrize("arms", [2, 20])
def test_reading_a_grid_takes_work_in_proportion_to_its_points(write_sweep, arms):
    def text(n_points: int) -> str:
        values = ", ".join(f"{1e-4 * (i + 1):.4f}" for i in range(n_points))
        more = "".join(f"  more{i}: {{train: {{epochs: {10 + i}}}}}\n" for i in range(arms - 2))
        pairs = "".join(f", {{treatment: more{i}, control: scratch}}" for i in range(arms - 2))
        path = write_sweep(
            ("seeds: 2", f"{more}grid: {{train.learning_rate: [{values}]}}\nseeds: 2"),
            ("control: scratch}", f"control: scratch}}{pairs}"),
        )
        return path.read_text()

    few, many = calls_of_reading(text(8)), calls_of_reading(text(32))
    assert few < many < 4.2 * few


class CountedName(str):
    """An arm's name that counts how often it is compared."""

    n_compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        CountedName.n_compared += 1
        return str.__eq__(self, other)


def test_pairs_do_not_look_through_all_arms():
    def comparisons(n_arms: int) -> int:
        points = [GridPoint(CountedName(f"a{i}"), {"k": v}) for i in range(n_arms) for v in (1, 2)]
        conditions = Conditions(
            arms=dict.fromkeys(point.name for point in points),
            points={point.name: point for point in points},
        )
        pairs = [Compare(treatment=f"a{i}", control="a0") for i in range(1, n_arms)]
        CountedName.n_compared = 0
        made = list(_over_grid(pairs, conditions))
        assert made[:3] == [
            Compare(treatment="a1 [k=1]", control="a0 [k=1]"),
            Compare(treatment="a1 [k=2]", control="a0 [k=2]"),
            Compare(treatment="a2 [k=1]", control="a0 [k=1]"),
        ]
        assert len(made) == 2 * (n_arms - 1)
        return CountedName.n_compared

    assert comparisons(80) < 5 * comparisons(20)


def test_the_resolved_text_reads_to_the_same_sweep(write_sweep):
    for options in (
        [],
        ["grid={train.batch_size: [16, 32]}"],
        ["seeds={until: {half_width: 0.1}}"],
        ["seeds={until: verdict}"],
        ["seeds={until: verdict, looks: [3, 6]}"],
    ):
        sweep = load_sweep(write_sweep(), "longer", options)
        again = read_sweep(parse_yaml(resolved_yaml(sweep), "resolved"))
        assert again.model_copy(update={"grid_points": sweep.grid_points}) == sweep


def test_a_record_that_does_not_know_optional_passes_over_what_is_missing(write_sweep, tmp_path):
    choices = "[{name: folder, path: mine, optional: true}, {name: npz, path: x.npz}, glyphs]"
    sweep = load_sweep(write_sweep(), None, [f"data={{first_of: {choices}}}"])
    text = resolved_yaml(sweep)
    (tmp_path / "sweep.yaml").write_text(text)
    assert load_run(tmp_path) == sweep
    old = re.sub(r" *optional: .*\n", "", text)
    (tmp_path / "sweep.yaml").write_text(old)
    said = [[each.optional for each in s.arms["scratch"].data] for s in (sweep, load_run(tmp_path))]
    assert said == [[True, False, False], [True, True, True]]


def test_a_rule_for_seeds_says_all_of_itself_when_it_is_resolved(write_sweep):
    verdict = load_sweep(write_sweep(), None, ["seeds={until: verdict}"])
    assert verdict.seeds.values == (0, 1, 2, 3, 4)
    width = load_sweep(write_sweep(), None, ["seeds={until: {half_width: 0.1}, at_most: 20}"])
    written = [parse_yaml(resolved_yaml(s), "r").plain()["seeds"] for s in (verdict, width)]
    assert written == [
        {"until": "verdict", "looks": [5, 8, 12, 18, 27, 40, 60]},
        {"until": {"metric": "test_accuracy", "half_width": 0.1}, "at_least": 8, "at_most": 20},
    ]


def test_what_arms_have_in_common_is_resolved_once(write_sweep):
    sweep = load_sweep(write_sweep(), None, ["grid={train.batch_size: [16, 32]}"])
    text = resolved_yaml(sweep)
    assert text.count("batch_size: ") == len(sweep.arms) + len(sweep.stages)
    assert text.count("label_smoothing: ") == 1


def test_what_a_stage_has_of_its_own_replaces_what_arms_have_in_common(write_sweep):
    own = {
        "model": {"name": "midas_cnn"},
        "train": {
            "schedule": {"name": "none"}, "early_stopping": None,
            "learning_rate_factors": {"features": 0.5}, "evaluate_every": {"epochs": 1},
        },
    }  # fmt: skip
    common = {
        "schedule": {"name": "cosine", "warmup_steps": 2}, "early_stopping": {"patience": 2},
        "learning_rate_factors": {"classifier": 0.1}, "evaluate_every": {"steps": 3},
    }  # fmt: skip
    options = [f"train.{key}={json.dumps(value)}" for key, value in common.items()]
    options += ["pretrain.other={initialize: random}"]
    options += [f"pretrain.other.{key}={json.dumps(value)}" for key, value in own.items()]
    sweep = load_sweep(write_sweep(), None, options)
    assert read_sweep(parse_yaml(resolved_yaml(sweep), "resolved")) == sweep


@pytest.mark.slow
def test_a_run_folders_sweep_of_thousands_of_arms_is_read_by_every_command(write_sweep, tmp_path):
    axes = {"train.batch_size": list(range(1, 41)), "train.epochs": list(range(1, 101))}
    sweep = load_sweep(write_sweep(), None, [f"grid={json.dumps(axes)}"])
    assert len(sweep.arms) == 8000
    text = sealed_text(resolved_yaml(sweep))
    assert OF_A_PERSON.n_bytes < len(text) < 400 * len(sweep.arms)
    (tmp_path / "sweep.yaml").write_text(text)
    for again in (load_run(tmp_path), load_sweep(tmp_path / "sweep.yaml")):
        assert again.model_copy(update={"grid_points": sweep.grid_points}) == sweep
    (tmp_path / "own.yaml").write_text(text.partition("\n")[2])
    with pytest.raises(SpecError, match="at most 1000000 bytes"):
        load_sweep(tmp_path / "own.yaml")


@pytest.mark.parametrize(
    ("every", "due"),
    [
        (EvaluateEvery(steps=3), [3, 6, 9]),
        (EvaluateEvery(epochs=1.0), [4, 8]),
        (EvaluateEvery(epochs=0.5), [2, 4, 6, 8, 10]),
        (EvaluateEvery(steps=2, until=4, then=5), [2, 4, 9]),
    ],
)
def test_when_an_evaluation_is_due(every, due):
    assert [step for step in range(1, 11) if every.is_due(step, steps_per_epoch=4)] == due


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        pytest.param(["{sweep}", "--profile", "longr"], marks=pytest.mark.slow),
        ["{sweep}", "--set", "train.epoch=3"],
        pytest.param(["{sweep}", "--set", "seeds"], marks=pytest.mark.slow),
        pytest.param(["{sweep}", "--shard", "3/2"], marks=pytest.mark.slow),
        pytest.param(["nowhere.yaml"], marks=pytest.mark.slow),
    ],
)
def test_the_command_answers_without_torch_or_ray_and_without_a_traceback(write_sweep, arguments):
    sweep = str(write_sweep())
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['sweep'] + {[a.format(sweep=sweep) for a in arguments]!r}\n"
        "try:\n    runpy.run_module('harness.sweep', run_name='__main__')\n"
        "except SystemExit as end:\n    print('status', end.code, file=sys.stderr)\n"
        "heavy = {'torch', 'ray', 'pandas'} & sys.modules.keys()\n"
        "print('heavy', sorted(heavy), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(),
        timeout=240, check=False,
    )  # fmt: skip
    assert "heavy []" in done.stderr
    assert "Traceback" not in done.stderr
    assert f"status {0 if arguments == ['--help'] else 2}" in done.stderr


TEN = """\
name: ten mistakes
question: What is wrong here?
model: {name: lenet5, dropot: 0.5}
data: {name: glyphs, count: 1, validaton: 3}
train: {learning_rate: fast, augment: {scale: 2.0}}
arms:
  a: {initialize: nowhere}
  b: {data: {first_of: [glyphs, {name: optdigitz}]}}
compare: [{treatment: a, control: c}]
search: {learning_rat: {log_uniform: [0, 1]}}
"""


def test_a_file_with_ten_mistakes_gives_ten_lines_in_its_order(tmp_path):
    path = tmp_path / "ten.yaml"
    path.write_text(TEN)
    places = [mistake.removeprefix(f"{path}:").split(": ")[:2] for mistake in mistakes_of(path)]
    assert places == [
        ["1", "name"], ["3", "model.dropot"], ["4", "data.count"], ["4", "data.validaton"],
        ["5", "train.learning_rate"], ["5", "train.augment.scale"], ["7", "arms.a.initialize"],
        ["8", "arms.b.data.first_of[1].name"], ["9", "compare[0].control"],
        ["10", "search.learning_rat.log_uniform[0]"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("name: a\nquestion: b?\narms: {}", ["f:3: arms: at least one arm is expected"]),
        (
            "question: b?\narms: {x: {}, y: {}}",
            ["name: is missing", "model: is missing: {name: NETWORK}", "data: is missing: {name:"],
        ),
        (
            "name: a\nquestion: b?\nmodel: {name: lenet5}\ndata: {first_of: 3}\narms: {x: {}}",
            ["f:4: data.first_of: 3 is not a list"],
        ),
        (
            "name: a\nquestion: b?\nmodel: {name: lenet5}\ndata: {train: 3}\narms: {x: {}}",
            ["f:4: data.name: is missing"],
        ),
        (
            "name: a\nquestion: b?\nmodel: {name: lenet5}\ndata: optdigits\narms: {x: 3, y: {}}",
            ["f:5: arms.x: 3 is not a mapping of keys"],
        ),
    ],
)
def test_what_is_not_there_is_said_once(text, messages):
    with pytest.raises(SpecError) as caught:
        read_sweep(parse_yaml(text, "f"))
    for mistake, message in zip(caught.value.mistakes, messages, strict=True):
        assert message in mistake


def test_keys_that_were_given_up_are_read_from_a_run_folder_and_from_no_sweep_file(
    write_sweep, tmp_path
):
    sweep = load_sweep(write_sweep())
    text = resolved_yaml(sweep)
    assert "best:" not in text
    old = text.replace("save:\n", "evaluations: [{title: x, arm: scratch}]\nsave:\n  best: true\n")
    (tmp_path / "sweep.yaml").write_text(old)
    assert load_run(tmp_path) == sweep
    assert any("evaluations: is not a key" in m for m in mistakes_of(tmp_path / "sweep.yaml"))


@pytest.mark.parametrize("sign", ["\\n", "\\x1b", "\\x7f", "\\x9b", "\\u2028", "\\u202e", "\\x85"])
def test_a_name_that_a_terminal_or_a_log_would_obey_is_refused(write_sweep, sign):
    name = f'"scr{sign}atch"'
    (message,) = mistakes_of(
        write_sweep(("scratch: {}", f"{name}: {{}}"), ("control: scratch", f"control: {name}"))
    )
    assert "a name has 1 to 64 printing characters" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    "name", ["с нуля", "训练", "à l’essai", "🙂", "a\\u00a0b", "$(touch x)", "=1+1"]
)
def test_a_name_in_any_script_is_a_name(write_sweep, name):
    sweep = load_sweep(
        write_sweep(("scratch: {}", f'"{name}": {{}}'), ("control: scratch", f'control: "{name}"'))
    )
    assert next(iter(sweep.arms)) == name.replace("\\u00a0", "\u00a0")


def test_a_value_of_the_grid_that_becomes_a_part_of_a_name_prints(write_sweep):
    grid = ("seeds: 2", 'seeds: 2\ngrid: {model.activation: ["relu", "re\\x1blu"]}')
    assert any("printing characters" in line for line in mistakes_of(write_sweep(grid)))
