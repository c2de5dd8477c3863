"""The JSON schema of a sweep file, as an editor's validator uses it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator
from small_sweep import SMALL

from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.sweepfile.schema import sweep_schema
from headstart.yaml12 import parse_yaml, read_yaml
from runs import ROOT, environment

SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))
SCHEMA = sweep_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
EVERYTHING = """\
name: everything
question: Does the schema take all that the reader takes?
model: {name: midas_cnn, image_size: 40}
data:
  first_of: [optdigits, {name: glyphs, corrupt_labels: {kind: pairs, fraction: 0.5}}]
  train: 30
train: {betas: [0.9, 0.99], learning_rate_factors: {dense: 0.5}, augment: {scale: [0.9, 1.1]}}
pretrain:
  drawn: {shared: true, data: glyphs, train: {early_stopping: {patience: 3}}}
arms:
  scratch:
  tuned: {initialize: drawn, fine_tune: {from: dense}, search: none}
  last: {initialize: drawn, fine_tune: last_2, search: {samples: 2}, data: {validation: 5}}
  small: {model: {dense: 10}, head: new}
grid: {data.train: [10, 20], arms.small.train.epochs: [1, 2]}
search: {dropout: {uniform: [0.1, 0.5]}, space: {train.epochs: {integer: [1, 4]}}, samples: 3}
seeds: {until: {half_width: 0.1}, at_most: 9}
resources: {pack: auto}
save: {best: true}
profiles: {quick: {seeds: 2, arms: {small: {model: {dense: 5}}}, measure: {targets: [0.5]}}}
"""


def mistakes_in(text: str) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(parse_yaml(text, "file").plain())]


def test_it_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_of_ours_fits_and_names_it(path):
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../docs/reference/sweep-file.schema.json"
    assert not list(VALIDATOR.iter_errors(read_yaml(path).plain()))


def test_all_forms_that_the_reader_takes_fit(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(EVERYTHING)
    assert mistakes_in(EVERYTHING) == []
    for profile in (None, "quick"):
        assert mistakes_in(resolved_yaml(load_sweep(path, profile))) == []


@pytest.mark.parametrize(
    ("old", "new", "at"),
    [
        ("question: Does", "questoin: Does", "$"),
        ("{name: lenet5}", "{name: lenet55}", "$.model.name"),
        ("{name: lenet5}", "{name: lenet5, dense: 5}", "$.model"),
        ("learning_rate: 1.0e-3", "learning_rate: 0", "$.train.learning_rate"),
        ("batch_size: 32", "batch_size: '32'", "$.train.batch_size"),
        ("count: 600", "cuont: 600", "$.data"),
        ("name: glyphs, count: 600", "name: glyps", "$.data.name"),
        ("{steps: 4}", "{step: 4}", "$.train.evaluate_every"),
        ("{initialize: drawn}", "{fine_tune: last_layr}", "$.arms.pretrained.fine_tune"),
        ("{initialize: drawn}", "{optimizer: adam}", "$.arms.pretrained"),
        ("seeds: 2", "seeds: 0", "$.seeds"),
        ("seeds: 2", "seeds: 2\nvary: [colour]", "$.vary"),
        ("seeds: 2", "seeds: 2\ngrid: {resources.cpus: [1]}", "$.grid"),
        ("seeds: 2", "seeds: 2\nsearch: {samples: 0}", "$.search"),
        ("[0.3, 0.5]", "[0.3, -1.5]", "$.measure.targets[1]"),
        ("{epochs: 12}", "{epoch: 12}", "$.profiles.longer.train"),
    ],
)
def test_typical_mistakes_do_not_fit(old, new, at):
    assert at in mistakes_in(SMALL.replace(old, new))


def keys_of(part: dict, path: str):
    for name, value in part.get("properties", {}).items():
        if isinstance(value, dict) and not value.get("deprecated"):
            yield f"{path}.{name}", value
    for case in part.get("allOf", ()):
        yield from keys_of(case.get("then", {}), path)


ALL_KEYS = [
    (path, value)
    for name, part in [("", SCHEMA), *SCHEMA["$defs"].items()]
    if name != "Data"
    for path, value in keys_of(part, name)
    if not path.endswith((".name", "Profile"))
]


def test_every_key_has_a_meaning_and_an_example_that_fits():
    assert len(ALL_KEYS) > 100
    for path, value in ALL_KEYS:
        assert value.get("description"), path
        assert value["description"].endswith("."), path
        assert value.get("examples"), path
        example = {"$defs": SCHEMA["$defs"], **value}
        assert not list(Draft202012Validator(example).iter_errors(value["examples"][0])), path


def test_the_command_prints_it_without_torch():
    code = (
        "import sys, runpy\n"
        "sys.argv = ['sweep', '--schema']\n"
        "try:\n    runpy.run_module('harness.sweep', run_name='__main__')\n"
        "finally:\n"
        "    print(sorted({'torch', 'ray', 'pandas'} & sys.modules.keys()), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True,
        timeout=240,
    )  # fmt: skip
    assert json.loads(done.stdout) == SCHEMA
    assert done.stderr.strip() == "[]"
