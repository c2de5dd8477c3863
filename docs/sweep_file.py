"""docs/reference/sweep-file.md: every key of a sweep file, in tables.

In: the JSON schema, which is made from the models of `harness/sweepfile/`. Out: the page. The order
of the sections and what stands between the tables is written here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from harness.sweepfile.schema import sweep_schema

MADE = "<!-- Made by `make docs`: change the models in the code, not this page. -->"
Schema = Mapping[str, Any]

BLOCKS = (  # title, the part of the schema, words before its table
    ("Stages: `pretrain`", "Stage", "`pretrain: {NAME: {…}}`. An arm starts from a stage by "
     "`initialize: NAME`. A stage may start from another one."),
    ("Conditions: `arms`", "Arm", "`arms: {NAME: {…}}`. What is compared."),
    ("Training: `train`", "Train", "Of the whole sweep, a stage or an arm."),
    ("`train.schedule`", "Schedule", ""),
    ("`train.evaluate_every`", "EvaluateEvery", ""),
    ("`train.early_stopping`", "EarlyStopping", ""),
    ("`train.augment`", "Augment", "In which order, and how it looks on your own images: "
     "[recipes](../recipes.md)."),
    ("`train.augment.colour_jitter`", "ColourJitter", ""),
    ("`train.augment.rand_augment`", "RandAugment", ""),
    ("Search: `search`", "SearchSection", "At the top of the file for all arms that train, or in "
     "an arm. Any key of `train` and any option of the network may stand beside the keys of the "
     "table; its value is a distribution: `learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}`. "
     "[Searching settings](../search.md) tells what a search promises."),
    ("Distributions", "Distribution", "One of these keys."),
    ("`seeds` as a rule", "SeedsRule", "`seeds: 30` runs seeds 0 to 29, `seeds: [0, 7]` those two; "
     "a mapping is a rule."),
    ("`seeds.until`", "Until", ""),
    ("`seeds` until a verdict", "VerdictRule", "What it costs and holds: "
     "[seeds until sure](../statistics.md#seeds-until-sure)."),
    ("`compare`", "Compare", "A list of such mappings."),
    ("`measure`", "Measure", ""),
    ("`also_test`: data sets", "OfAlsoTest", "A list. An item is the name of a data set, or "
     "`{name: DATA_SET, …}` with the set's own options and these keys. Its classes are the arms' "
     "by name, or some of them; its images are made like the arms' own. "
     "[Further test sets](../evaluation.md#further-test-sets-in-a-sweep)."),
    ("`also_test`: images made worse", "Corrupted", "An item `{corrupted: {NAME: STRENGTH}}`."),
    ("`resources`", "Resources", ""),
    ("`save`", "Save", ""),
    ("`deliver`", "Deliver", ""),
)  # fmt: skip
ORDER = (  # of the keys of the whole file: as one writes them
    "name", "question", "model", "data", "train", "pretrain", "arms", "grid", "search", "seeds",
    "seed", "vary", "decompose", "refit", "compare", "measure", "also_test", "resources", "save",
    "track", "deliver", "why", "choices", "profiles",
)  # fmt: skip
INTRODUCTION = """\
# Sweep files

This page has every key of a sweep file: what it means, what it may be, and what holds where it is
not written. A sweep file states one question; `python -m harness.sweep FILE` answers it.

```yaml
{example}```

- **Inheritance.** Every stage and arm inherits `model`, `data` and `train` of the whole sweep, key
  by key. A `data` or `schedule` with a `name`, or an `evaluate_every` with a unit, replaces the
  whole.
- **Profiles.** `--profile NAME` lays `profiles.NAME` over the file before anything is checked;
  `--set key.path=value` then lays single values over it, as `--set train.epochs=3`. `none` in
  place of an arm or a stage leaves it out: `arms: {{pretrained: none}}`.
- **Numbers** are read as YAML 1.2 reads them: `1e-5` is a number, `no` is a word.
- **Mistakes** are all reported at once, each with its line, and the command ends with status 2.
- **Editors** complete and check keys by the [JSON schema](sweep-file.schema.json) that the first
  line of every file in `sweeps/` names; `python -m harness.sweep --schema` prints it.
"""
NETWORKS = """\
`{name: NETWORK, …}`, with the network's own options beside the name. `python -m models.describe
NAME` shows a network.\
"""
DATA_SETS = """\
A name; or `{name: DATA_SET, …}`, with the keys of the split and the set's own options beside the
name; or `{first_of: [A, B, …]}`, of which the first that is there is used, and the report says
which. An item that names files of yours (`path`, `photos`) must be there: a slip in its name is a
mistake, and never a reason to train on other data. `optional: true` beside it says that the next
item may be used instead. `python -m datasets` shows which are here.\
"""
EXAMPLE = """\
# yaml-language-server: $schema=../docs/reference/sweep-file.schema.json
name: example
question: Does pretraining on drawn digits help LeNet-5 on other digits?
model: {name: lenet5}
data: {name: optdigits, train: 300, validation: 100, test: 500}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 10, evaluate_every: {steps: 5}}
pretrain:
  drawn:
    data: {name: glyphs, count: 3000, train: 2000, validation: 500}
    train: {epochs: 5, augment: {rotate: 15}}
arms:
  scratch: {}
  pretrained: {initialize: drawn}
  last_layer: {initialize: drawn, fine_tune: last_layer}
seeds: 10
compare:
  - {treatment: pretrained, control: scratch}
measure: {targets: [0.80, 0.90], equivalence: 0.01}
profiles:
  quick: {seeds: 2, train: {epochs: 3}}
"""


def page() -> str:
    """The page's text."""
    schema = sweep_schema()
    parts = schema["$defs"]
    lines = [MADE, "", INTRODUCTION.format(example=EXAMPLE), "## The whole file", ""]
    whole = {key: schema["properties"][key] for key in ORDER}
    lines += _table({**schema, "properties": whole}, parts)
    for title, part, words in BLOCKS:
        lines += ["", f"## {title}", "", *_paragraphs(parts[part].get("description"), words)]
        lines += _table(parts[part], parts)
    lines += ["", "## Networks: `model`", "", NETWORKS, ""]
    lines += ["### Of every network", ""]
    normalise = parts["ModelChoice"]["allOf"][0]["then"]["properties"]["normalise"]
    lines += _table({"properties": {"normalise": normalise}}, parts)
    lines += ["", "### `normalise`", "", *_table(parts["NormaliseBy"], parts), ""]
    lines += _options(parts["ModelChoice"], parts, leave_out=("normalise",))
    lines += [
        "",
        "## Data sets: `data`",
        "",
        DATA_SETS,
        "",
        "### The split, for every data set",
        "",
    ]
    split = parts["DataChoice"]["allOf"][0]["then"]["properties"]
    keys = ("train", "validation", "test", "split", "per_class", "fold", "optional", "normalise",
            "corrupt_labels", "as_jpeg")  # fmt: skip
    lines += _table({"properties": {key: split[key] for key in keys}}, parts)
    lines += ["", "### `corrupt_labels`", ""]
    lines += _table(parts["CorruptLabels"], parts)
    lines += ["", "### `fold`", "", *_table(parts["Fold"], parts)]
    lines += ["", *_options(parts["DataChoice"], parts, leave_out=keys)]
    return "\n".join(lines) + "\n"


def _paragraphs(*texts: str | None) -> Iterator[str]:
    for text in texts:
        if text:
            yield from (*text.replace("\n\n", "\n").split("\n"), "")


def _options(choice: Schema, parts: Schema, leave_out: Iterable[str] = ()) -> Iterator[str]:
    """A table for each group of names that take the same options."""
    for case in choice["allOf"][:-1]:
        named = case["if"]["properties"]["name"]
        names = named.get("enum", [named.get("pattern", "").strip("^.") + "NAME"])
        shown = f"`{names[0]}`" if len(names) == 1 else f"Networks of torchvision ({len(names)})"
        options = {
            key: value
            for key, value in case["then"]["properties"].items()
            if key != "name" and key not in leave_out
        }
        needed = case["then"].get("required", [])
        yield from (f"### {shown}", "")
        if len(names) > 1:
            yield from (", ".join(f"`{name}`" for name in names) + ".", "")
        yield from _table({"properties": options, "required": needed}, parts)
        yield ""


def _table(schema: Schema, parts: Schema) -> list[str]:
    rows = [
        _row(key, value, key in schema.get("required", ()), parts)
        for key, value in schema["properties"].items()
        if isinstance(value, Mapping) and not value.get("deprecated")
    ]
    if not rows:
        return ["No options."]
    head = ["| key | meaning | type | default | unit | example |", "|---|---|---|---|---|---|"]
    return head + [f"| {' | '.join(row)} |" for row in rows]


def _row(key: str, value: Schema, is_needed: bool, parts: Schema) -> tuple[str, ...]:
    default = "must be written" if is_needed else _default(value)
    example = value.get("examples", [""])[0]
    cells = (
        f"`{key}`",
        value["description"],
        _type(value, parts),
        default,
        value.get("unit", ""),
        f"`{key}: {_flow(example)}`",
    )
    return tuple(" ".join(cell.replace("|", "\\|").split()) for cell in cells)


def _default(value: Schema) -> str:
    default = value.get("default")
    if default is None:
        return "none"
    if isinstance(default, dict) and default:
        return "its own defaults"
    if isinstance(default, float):
        default = float(f"{default:.4g}")
    return "empty" if default in ([], {}, "") else f"`{_flow(default)}`"


def _flow(value: Any) -> str:
    """As a sweep file writes it on one line."""
    if isinstance(value, Mapping):
        value = {k: v for k, v in value.items() if v is not None}
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.strip().removesuffix("...").strip()


def _type(value: Schema, parts: Schema) -> str:
    """In words: what the value may be."""
    if "$ref" in value:
        return _link(value["$ref"].rsplit("/", 1)[-1], parts)
    if "anyOf" in value:
        kinds = [_type(each, parts) for each in value["anyOf"] if each != {"type": "null"}]
        return " or ".join(dict.fromkeys(filter(None, kinds)))
    if "enum" in value or "const" in value:
        words = value.get("enum", [value.get("const")])
        return ", ".join(f"`{json.dumps(word).strip(chr(34))}`" for word in words)
    kind = value.get("type", "")
    if kind == "array":
        items = value.get("items") or {}
        return "list of " + (
            _type(items, parts) if isinstance(items, Mapping) and items else "values"
        )
    if kind == "object":
        return "mapping"
    return _words(kind) + _limits(value)


def _link(part: str, parts: Schema) -> str:
    titles = {name: title for title, name, _ in BLOCKS} | {
        "ModelChoice": "Networks: `model`",
        "Data": "Data sets: `data`",
        "CorruptLabels": "`corrupt_labels`",
    }
    if part == "Seeds":
        return "whole number, list or [rule](#seeds-as-a-rule)"
    if part not in titles:
        return _type(parts[part], parts) if "type" in parts[part] else "mapping"
    anchor = "".join(c for c in titles[part].lower() if c.isalnum() or c in " -_").replace(" ", "-")
    return f"[mapping](#{anchor})"


def _words(kind: str) -> str:
    words = {"integer": "whole number", "boolean": "true or false", "string": "text", "": "any"}
    return words.get(kind, kind)


def _limits(value: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {value[key]:g}" for key, sign in signs.items() if key in value]
    return f" {', '.join(limits)}" if limits else ""
