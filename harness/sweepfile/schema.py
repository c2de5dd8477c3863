"""The JSON schema of a sweep file, for editors that complete and check keys.

In: the models of `file.py`, the options of every network and data set. Out: one schema. An arm, a
stage or a profile may give a part of what is inherited, so nothing is required there; what needs
the whole (`last_N` deeper than the network, an arm that is not there) only the reader can see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

import datasets
import models
from datasets.base import TestPart
from datasets.split import SplitSettings
from harness.sweepfile.file import SweepFile
from harness.sweepfile.nodes import LEFT_OUT
from harness.sweepfile.recipes import RECIPES
from harness.sweepfile.settings import SeedsRule, VerdictRule, schema_of_names
from headstart.settings import key
from models.forms import SCHEMA as FINE_TUNE_SCHEMA
from models.info import NORMALISE


class OfAlsoTest(BaseModel):
    """What an item of `also_test` may say beside a set's options."""

    part: TestPart | None = key("Which images are shown: a part of the set, or `all`. Without it "
        "the test part, and all where the set has no parts.", None, example="all")  # fmt: skip
    label: str | None = key("What reports call it.", None, example="Photographed digits")


class OfData(BaseModel):
    """What a `data` entry may say beside a set's options and its split."""

    optional: bool = key("Of an item of `first_of` that names files of yours: whether the next "
        "item is used where they are not there. Otherwise that is a mistake, and nothing trains.",
        False, example=True)  # fmt: skip
    normalise: NORMALISE = key("Mean and standard deviation that these images are normalised by, "
        "where the network has no `normalise` of its own.", None, example={"mean": 0.13,
        "std": 0.31})  # fmt: skip


DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def schema_text() -> str:
    return json.dumps(sweep_schema(), indent=1, ensure_ascii=False) + "\n"


def sweep_schema() -> Schema:
    """The schema of a whole file; parts that stand in several places are in its `$defs`."""
    schema = SweepFile.model_json_schema()
    parts: Schema = schema.pop("$defs")
    networks = (*models.model_names(), *models.torchvision_names())
    options: dict[str, type[BaseModel]]
    options = {name: models.options_model(name) for name in networks}
    parts["ModelChoice"] = _by_name("A network and its options.", options, parts, {})
    _add_sources(parts["ModelChoice"], parts)
    options = {name: datasets.options_model(name) for name in datasets.dataset_names()}
    split = _hoisted(SplitSettings, parts)["properties"]
    split |= _hoisted(OfData, parts)["properties"]
    meaning = "A data set, its options, and how it is split."
    parts["DataChoice"] = _by_name(meaning, options, parts, split)
    parts["Data"] = _data(parts["DataChoice"])
    meaning = "A further test set, and its options."
    parts["OfAlsoTest"] = _hoisted(OfAlsoTest, parts)
    beside = parts["OfAlsoTest"]["properties"]
    parts["AlsoTest"] = _by_name(meaning, options, parts, beside)
    parts["Seeds"] = _seeds(parts)
    parts["Train"]["properties"] = {"recipe": RECIPE, **parts["Train"]["properties"]}
    for section in ("Arm", "Stage"):
        del parts[section]["required"]
        parts[section]["type"] = ["object", "null"]  # `scratch:` alone is an arm too
        parts[section]["properties"]["fine_tune"] |= FINE_TUNE_SCHEMA
    parts["Save"]["properties"]["best"] = {"const": True, "deprecated": True}
    file = schema["properties"]
    for owner in (file, parts["Arm"]["properties"], parts["Stage"]["properties"]):
        owner["data"] = {**_about(owner["data"]), "$ref": "#/$defs/Data"}
    file["also_test"]["items"] = _also_test(parts["AlsoTest"])
    file["seeds"]["default"] = 5
    file["model"] = {**_about(file["model"]), "$ref": "#/$defs/ModelChoice"}
    for section, part in (("arms", "Arm"), ("pretrain", "Stage")):
        kept: Schema = {"$ref": f"#/$defs/{part}"}
        left_out: Schema = {"if": {"const": LEFT_OUT}, "then": True, "else": kept}
        file[section] |= {"additionalProperties": left_out}
    values = {"type": "array", "minItems": 1}
    file["grid"] |= {
        "additionalProperties": False,
        "patternProperties": {r"^(model|data|train|arms|pretrain)(\.|$)": values},
    }
    any_part = {key: value for key, value in file.items() if key != "profiles"}
    parts["Profile"] = {"description": "Any part of a sweep file.", **_object(any_part)}
    file["profiles"] |= {"additionalProperties": {"$ref": "#/$defs/Profile"}}
    return {"$schema": DIALECT, **schema, "$defs": dict(sorted(parts.items()))}


def _object(properties: Schema, *required: str) -> Schema:
    """The schema of a mapping that takes these keys and no others."""
    return {
        "type": "object",
        "properties": properties,
        **({"required": list(required)} if required else {}),
        "additionalProperties": False,
    }


RECIPE: Schema = {
    "description": "A set of settings by name, below those that stand beside it; they are written "
    "out in the run's sweep.yaml. [Recipes](../recipes.md) has each in full, with its source.",
    "enum": list(RECIPES),
    "examples": ["fine_tune_photographs"],
}


def _about(schema: Schema) -> Schema:
    """What it says of a key to people."""
    return {k: v for k, v in schema.items() if k in ("description", "examples", "title")}


def _without_about(schema: Schema) -> Schema:
    """What it says of a key to programs."""
    return {k: v for k, v in schema.items() if k not in _about(schema) and k != "default"}


def _by_name(
    meaning: str, options: Mapping[str, type[BaseModel]], parts: Schema, beside: Schema
) -> Schema:
    """A mapping whose `name` decides which other keys it takes; without a name, any of them."""
    own: dict[type[BaseModel], list[str]] = {}
    for name, model in options.items():
        own.setdefault(model, []).append(name)
    every: dict[str, list[Schema]] = {option: [of_all] for option, of_all in beside.items()}
    cases: list[Schema] = []
    for model, names in own.items():
        schema = _hoisted(model, parts)
        for option, of_some in schema["properties"].items():
            every.setdefault(option, []).append(of_some)
        schema["properties"] = {"name": True, **schema["properties"], **beside}
        is_named = {"properties": {"name": {"enum": names}}, "required": ["name"]}
        cases.append({"if": is_named, "then": schema})
    any_set = {option: _any_of(meanings) for option, meanings in every.items()}
    unnamed = {"properties": any_set, "additionalProperties": False}
    cases.append({"if": {"not": {"required": ["name"]}}, "then": unnamed})
    return {
        "description": meaning,
        "type": "object",
        "properties": {"name": {"description": "Which one.", **schema_of_names(*options)}},
        "allOf": cases,
    }


def _any_of(meanings: list[Schema]) -> Schema:
    """What a key takes that has several meanings; it is told of the last."""
    allowed = {json.dumps(_without_about(one), sort_keys=True): one for one in meanings}
    if len(allowed) == 1:
        return meanings[-1]
    return {**_about(meanings[-1]), "anyOf": [_without_about(one) for one in allowed.values()]}


def _add_sources(choice: Schema, parts: Schema) -> None:
    """The networks of other libraries, whose names begin alike."""
    for begin in models.SOURCES:
        named = {"type": "string", "pattern": f"^{begin}."}
        schema = _hoisted(models.options_model(begin), parts)
        schema["properties"] = {"name": True, **schema["properties"]}
        is_named = {"properties": {"name": named}, "required": ["name"]}
        choice["allOf"].insert(0, {"if": is_named, "then": schema})
        choice["allOf"][-1]["then"]["properties"] |= schema["properties"]
        choice["properties"]["name"]["anyOf"].append(named)


def _hoisted(model: type[BaseModel], parts: Schema) -> Schema:
    """A model's schema, what it refers to moved to the file's own parts."""
    schema = model.model_json_schema()
    parts.update(schema.pop("$defs", {}))
    return schema


def _data(choice: Schema) -> Schema:
    names = {"anyOf": choice["properties"]["name"]["anyOf"]}
    single = {"$ref": "#/$defs/DataChoice"}
    shared = choice["allOf"][-1]["then"]["properties"]
    first_of = {
        "description": "Data sets in order of preference: the first that is there is used. One "
        "that names files of yours must be there, unless it says `optional: true`. Keys beside "
        "`first_of` hold for all of them.",
        "type": "array",
        "minItems": 1,
        "items": {"if": {"type": "string"}, "then": names, "else": single},
    }
    several = _object({"first_of": first_of, **shared}, "first_of")
    mapping = {"if": {"required": ["first_of"]}, "then": several, "else": single}
    return {"if": {"type": "string"}, "then": names, "else": mapping}


def _also_test(choice: Schema) -> Schema:
    corrupted: Schema = {"$ref": "#/$defs/Corrupted"}
    mapping = {
        "if": {"required": ["corrupted"]},
        "then": corrupted,
        "else": {"$ref": "#/$defs/AlsoTest"},
    }
    names = {"anyOf": choice["properties"]["name"]["anyOf"]}
    return {"if": {"type": "string"}, "then": names, "else": mapping}


def _seeds(parts: Schema) -> Schema:
    parts["SeedsRule"] = _hoisted(SeedsRule, parts)
    parts["VerdictRule"] = _hoisted(VerdictRule, parts)
    number = {"type": "integer", "minimum": 0}
    return {
        "anyOf": [
            {"type": "integer", "minimum": 1},
            {"type": "array", "minItems": 1, "items": number},
            {"$ref": "#/$defs/SeedsRule"},
            {"$ref": "#/$defs/VerdictRule"},
        ]
    }
