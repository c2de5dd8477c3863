"""The networks of a hand-in as Python text that needs PyTorch and torchvision alone.

In: the trials. Out: the text of `network.py`, a function for each network, and the user's own files
where the networks are theirs. A row of layers is written out; of torchvision's networks the
constructor and what we changed. Each is built from its text and compared before it is believed.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from harness.hand_in.evaluated import Evaluated
from harness.training.network import build_network
from harness.trials.spec import TrialSpec
from headstart.errors import InputError
from headstart.own_code import is_reference, read_code
from models.dropout import SeededDropout
from models.networks.torchvision_networks import GreyConv2d, family_arguments
from models.own import OwnOptions, read_maker, read_signature

CODE = Path(__file__).parent / "code"
OWN_FOLDER = "own_network"  # of the user's files
DIMENSIONS = {"element": "", "channel": ", 2", "image": ", 1"}
HEAD = '''"""The networks of this run, written by the program that trained them."""
'''


@dataclass
class NetworkCode:
    """`text` of network.py; `files` of the user's own, by their paths below the code's folder."""

    text: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)  # that the user's files import
    channels_last: dict[str, bool] = field(default_factory=dict)  # by key of the evaluation
    outputs: dict[str, int | None] = field(default_factory=dict)  # which is the logits, of several


def write_networks(evaluations: Sequence[Evaluated]) -> NetworkCode:
    """The code of the networks.

    Raises:
        InputError: a network that cannot be written so; says which.
    """
    code, functions = NetworkCode(), []
    by_body: dict[str, str] = {}
    for each in evaluations:
        network, _ = build_network(each.trial)
        code.channels_last[each.key] = bool(getattr(network, "channels_last", True))
        code.outputs[each.key] = getattr(network, "place", None)
        if is_reference(each.trial.condition.model.name):
            lines = _own(each.trial, code)
        else:
            lines = _body(each.trial, network)
            _compare(lines, network, each)
        body = "\n".join(f"    {line}".rstrip() for line in lines)
        if body in by_body:
            body = f"    return {by_body[body]}()"
        else:
            by_body[body] = each.key
        functions.append(f'def {each.key}():\n    """{_about(each)}"""\n{body}\n')
    code.text = "\n\n".join([HEAD + _imports(code, functions), *functions])
    return code


def _about(each: Evaluated) -> str:
    return f"{each.trial.condition.model.shown.replace(chr(34), '')}: evaluation {each.number}."


def _imports(code: NetworkCode, functions: Sequence[str]) -> str:
    text = "\n".join(functions)
    lines = ["import sys", "from pathlib import Path", ""] if code.files else []
    lines += ["from collections import OrderedDict", ""] if "OrderedDict(" in text else []
    lines += ["import torch"] if "torch.zeros" in text else []
    lines += ["import torchvision"] if "torchvision." in text else []
    lines += ["from torch import nn"] if "nn." in text else []
    ours = [n for n in ("Dropout", "GrayConv2d", "with_seeded_dropout") if f" {n}(" in text]
    lines += ["", f"from layers import {', '.join(ours)}"] if ours else []
    if code.files:
        lines += ["", f'sys.path.insert(0, str(Path(__file__).resolve().parent / "{OWN_FOLDER}"))']
    return "\n".join(lines).strip("\n") + "\n"


# -- networks of the catalogue -------------------------------------------------------------------


def _body(trial: TrialSpec, network: nn.Module) -> list[str]:
    try:
        return _written(trial, network)
    except (TypeError, SyntaxError) as err:
        raise _refused(trial, str(err)) from err


def _written(trial: TrialSpec, network: nn.Module) -> list[str]:
    if isinstance(network, nn.Sequential):
        return f"return {_expression(network)}".split("\n")
    import torchvision

    name = trial.condition.model.name
    if name not in torchvision.models.list_models():
        raise _refused(trial, "its layers are no row of PyTorch's own")
    given = {"num_classes": len(trial.data.class_names), **family_arguments(
        name, trial.data.image_size)}  # fmt: skip
    plain = torchvision.models.get_model(name, weights=None, **given)
    words = "".join(f", {key}={value!r}" for key, value in given.items())
    changed = [
        line
        for path, module in _changes(plain, network)
        for line in f"{_target(path)} = {_expression(module)}".split("\n")
    ]
    return [
        f'network = torchvision.models.get_model("{name}", weights=None{words})',
        *changed,
        "return with_seeded_dropout(network)",
    ]


def _target(path: str) -> str:
    """`network.layer1[0].conv`: a place among the modules, as Python sets it."""
    parts = [f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".")]
    return "network" + "".join(parts)


def _changes(plain: nn.Module, ours: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The modules in which a network differs from torchvision's; dropout is replaced anyway."""
    if isinstance(ours, SeededDropout) and type(plain) is not SeededDropout:
        return
    children, others = dict(ours.named_children()), dict(plain.named_children())
    same = type(plain) is type(ours) and list(children) == list(others)
    if not same or (not children and _inside(plain) != _inside(ours)):
        yield path, ours
        return
    for name, child in children.items():
        yield from _changes(others[name], child, f"{path}.{name}".lstrip("."))


def _expression(module: nn.Module, indent: str = "") -> str:
    """The call that makes a module.

    Raises:
        TypeError: it is no layer of PyTorch's.
        SyntaxError: what it says of itself is no call.
    """
    deeper = indent + "    "
    if isinstance(module, nn.Sequential):
        lines = [
            f'{deeper}("{name}", {_expression(child, deeper)}),'
            for name, child in module.named_children()
        ]
        return "\n".join(["nn.Sequential(OrderedDict([", *lines, f"{indent}]))"])
    if isinstance(module, SeededDropout):
        return f"Dropout({module.p}{DIMENSIONS[module.unit]})"
    if isinstance(module, GreyConv2d):
        sides = {"scale": module.scale.flatten().tolist(), "shift": module.shift.flatten().tolist()}
        words = "".join(f", {key}={value}" for key, value in sides.items())
        return f"GrayConv2d({_inside(module)}{words})"
    if not type(module).__module__.startswith("torch.nn.") or next(module.children(), None):
        raise TypeError(f"{type(module).__name__} is no layer of PyTorch's")
    text = f"nn.{type(module).__name__}({_inside(module)})"
    ast.parse(text)
    return text


def _inside(module: Any) -> str:
    """What PyTorch says of a layer: the arguments that make it."""
    return str(module.extra_repr())


def _compare(lines: Sequence[str], network: nn.Module, each: Evaluated) -> None:
    """Build the network from its text: it must hold the same tensors and say the same."""
    import torchvision

    layers = _layers()
    names: dict[str, Any] = {
        "nn": nn, "torch": torch, "torchvision": torchvision, "OrderedDict": OrderedDict,
        "Dropout": layers.Dropout, "GrayConv2d": layers.GrayConv2d,
        "with_seeded_dropout": layers.with_seeded_dropout,
    }  # fmt: skip
    text = "def build():\n" + "\n".join(f"    {line}" for line in lines)
    with torch.random.fork_rng(devices=[]):
        exec(text, names)  # text of ours, of the modules of a network
        built = names["build"]().eval()
    data = each.trial.data
    images = torch.randn(
        2, data.channels, *data.image_size, generator=torch.Generator().manual_seed(0)
    )
    built.load_state_dict(network.state_dict())
    was_training = network.training
    with torch.no_grad():
        is_alike = torch.allclose(built(images), network.eval()(images), rtol=1e-4, atol=1e-5)
    network.train(was_training)
    if not is_alike:
        raise _refused(each.trial, "its code, written out, computes something else")


@cache
def _layers() -> ModuleType:
    """`layers.py` of the hand-in."""
    spec = importlib.util.spec_from_file_location("_hand_in_layers", CODE / "layers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- a network of the user's own -----------------------------------------------------------------


def _own(trial: TrialSpec, code: NetworkCode) -> list[str]:
    """The call of the user's code, whose files are carried along."""
    choice, data = trial.condition.model, trial.data
    assert isinstance(choice.options, OwnOptions)
    own = read_code(choice.name, choice.options.code)
    taken = {path.stem for path in CODE.glob("*.py")} | {"network"}
    for name, source in own.sources.items():
        inside = source.path.relative_to(own.path.parent).as_posix()
        if name.split(".")[0] in taken:
            raise _refused(trial, f"{inside} has the name of a file of the hand-in; rename it")
        if source.path.suffix == ".py":
            code.files[f"{OWN_FOLDER}/{inside}"] = source.content
            code.packages |= _packages(source.content) - {n.split(".")[0] for n in own.sources}
    if not own.path.stem.isidentifier():
        raise _refused(trial, f"{own.path.name} cannot be imported by that name; rename it")
    signature = read_signature(choice.name, read_maker(choice.name, choice.options))
    given = signature.arguments(
        choice.options, len(data.class_names), data.image_size, data.channels
    )
    call = f"{own.name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"
    lines = [f"from {own.path.stem} import {own.name}", "", f"network = {call}"]
    if any(b"Lazy" in content for content in code.files.values()):
        shape = (2, data.channels, *data.image_size)
        lines += [f"network.eval()(torch.zeros{shape})  # sizes are learnt from the first images"]
    return [*lines, "return with_seeded_dropout(network)"]


def _packages(content: bytes) -> set[str]:
    """The packages that a file imports, but for the standard library's."""
    names = set()
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names


def _refused(trial: TrialSpec, why: str) -> InputError:
    name = trial.condition.model.shown
    return InputError(f"deliver.hand_in: {trial.arm}: {name} cannot be handed in: {why}")
