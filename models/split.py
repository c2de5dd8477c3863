"""Cut a network in two at a layer group, so that the frozen part can be computed once.

In: a network and its layer groups. Out: a prefix (images → features) and a tail (features →
logits) that share the network's own modules, so that training the tail trains the network. The cut
follows the graph of the computation, traced symbolically by torch.fx; a network that cannot be
traced is cut before its head alone, where its library says which that is. Whatever does not depend
on the tail's parameters (activations, pooling, flattening) is in the prefix, but for dropout before
the tail.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.errors import ModelError
from models.crossing import Crossing, look, pack, unpack
from models.dropout import SeededDropout
from models.groups import LayerGroup
from models.heads import DenseHead
from models.own_forward import OwnModule, let_go


class Tracer(fx.Tracer):
    """Takes our own layers whole, as torch's: they look at their mode, which a trace would fix.

    So does batch norm of any class, such as one whose statistics several workers share.
    """

    def __init__(self) -> None:
        timm = sys.modules.get("timm.layers")  # whose networks are there only where it is
        functions = tuple(timm.get_notrace_functions()) if timm else ()
        self.whole = tuple(timm.get_notrace_modules()) if timm else ()
        super().__init__(autowrap_functions=functions)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, DenseHead):  # a row of layers in every mode
            return False
        if isinstance(m, self.whole):
            return True
        is_ours = type(m).__module__.startswith("models.") or isinstance(m, _BatchNorm)
        return is_ours or super().is_leaf_module(m, module_qualified_name)


class UpToHead(nn.Module):
    """images → what the head is given, by running the network whole: it is not traced.

    Args:
        head: paths of what is called one after another: dropout if there is any, and the head.
    """

    code = ""

    def __init__(self, network: nn.Module, head: tuple[str, ...]):
        super().__init__()
        self.network, self.head = network, head

    def forward(self, images: Tensor) -> Tensor:
        """float32 (N, C, H, W) → (N, …).

        Raises:
            ModelError: the head is not called once, with one tensor.
        """
        given: list[Any] = []
        head = [self.network.get_submodule(path) for path in self.head]
        modes = [module.training for module in head]
        handle = head[0].register_forward_pre_hook(lambda _, inputs: given.append(inputs))
        try:
            for module in head:
                module.training = False  # its dropout draws in the tail alone
            self.network(images)
        finally:
            handle.remove()
            for module, training in zip(head, modes, strict=True):
                module.training = training
        if len(given) != 1 or len(given[0]) != 1 or not isinstance(given[0][0], Tensor):
            raise ModelError(f"{self.head[0]} is not called once, with one tensor")
        features: Tensor = given[0][0]
        return features

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:  # type: ignore[override]
        """Of the network before its head."""
        own = self.network.state_dict()
        return {k: v for k, v in own.items() if not k.startswith(f"{self.head[-1]}.")}


def split_at(
    model: nn.Module, groups: Sequence[LayerGroup], k: int
) -> tuple[nn.Module, fx.GraphModule]:
    """(prefix, tail) with `tail(prefix(x))` = `model(x)`; the tail begins with group `k`.

    The parts have the network's own parameter objects under their own names, and its mode.

    Args:
        k: 1 … number of groups - 1.

    Raises:
        ModelError: the network cannot be traced, or more than one tensor crosses the cut; the
            message has the reason.
    """
    if not 0 < k < len(groups):
        raise ModelError(f"a cut lies before group 1 … {len(groups) - 1}, not {k}")
    before = set(vars(model))
    try:
        graph = _trace(model)
    except ModelError:
        head = _only_head(model, groups[k:])
        if head is None:
            raise
        return _at_head(model, head)
    in_tail = _tail_nodes(graph, groups[k:])
    crossing = _crossing(graph, in_tail)
    several = _several(model, graph, crossing) if len(crossing) > 1 else None
    if several is None and len(crossing) != 1:
        _leave_no_constants(model, before)
        raise ModelError(
            f"the network cannot be cut before {groups[k].name}: {len(crossing)} tensors cross "
            f"there ({', '.join(node.name for node in crossing[:3])}), and one can be kept"
        )
    if several is None:
        parts = (_prefix(model, graph, crossing[0]), _tail(model, graph, in_tail, crossing[0]))
    else:
        parts = (_packed(model, graph, several), _unpacked(model, graph, in_tail, several))
    _leave_no_constants(model, before)
    _keep_own_state(model, parts[1])
    for part in parts:
        part.training = model.training  # of the part alone: its modules have the network's modes
    return parts


def _only_head(model: nn.Module, tail: Sequence[LayerGroup]) -> tuple[str, ...] | None:
    """Paths of the modules that are to be the tail, where they are one head and its dropout."""
    heads = model.head_paths if isinstance(model, OwnModule) else ()
    if len(tail) != 1 or len(heads) != 1 or tail[0].modules[-1:] != heads:
        return None
    before = [model.get_submodule(path) for path in tail[0].modules[:-1]]
    are_dropout = all(isinstance(module, SeededDropout) for module in before)
    return tail[0].modules if are_dropout else None


def _at_head(model: nn.Module, head: tuple[str, ...]) -> tuple[nn.Module, fx.GraphModule]:
    """The cut before the head of a network that cannot be traced.

    Whether the head's answer is the network's is not known here: `own_split.py` compares them.
    """
    graph = fx.Graph()
    value = graph.placeholder("features")
    for path in head:
        value = graph.call_module(path, (value,))
    graph.output(value)
    parts = UpToHead(model, head), fx.GraphModule(model, graph)
    for part in parts:
        part.training = model.training
    return parts


def _several(model: nn.Module, graph: fx.Graph, crossing: list[fx.Node]) -> Crossing | None:
    """What the several values are that cross; None where they cannot be kept as one tensor."""
    if not isinstance(model, OwnModule) or not model.image_shape:
        return None
    return look(model, graph, crossing, model.image_shape)


def _leave_no_constants(model: nn.Module, before: set[str]) -> None:
    """Take off the network what a trace keeps there."""
    for name in set(vars(model)) - before:
        if name.startswith("_tensor_constant"):
            delattr(model, name)


def _keep_own_state(model: nn.Module, tail: fx.GraphModule) -> None:
    """Take out of the tail's state what the network's has not."""
    own = model.state_dict()
    for path, _ in list(tail.named_buffers()):
        parent, _, name = path.rpartition(".")
        if path not in own:
            tail.get_submodule(parent)._non_persistent_buffers_set.add(name)


def _trace(model: nn.Module) -> fx.Graph:
    let_go(model)
    try:
        return Tracer().trace(model)
    except Exception as err:  # a network's own code runs on symbols here, and can raise anything
        reason = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
        raise ModelError(
            f"{type(model).__name__} cannot be cut in two, as torch.fx cannot trace it: {reason}"
        ) from err
    finally:
        let_go(model)


def _tail_nodes(graph: fx.Graph, tail: Sequence[LayerGroup]) -> set[fx.Node]:
    """Nodes that lie in a module of the tail or use its tensors, and all that depend on them."""
    modules = {path for group in tail for path in group.modules}
    tensors = {name for group in tail for name in (*group.parameters, *group.buffers)}
    dependent: set[fx.Node] = set()
    for node in graph.nodes:
        owners = {path for path, _ in node.meta.get("nn_module_stack", {}).values()}
        holds = node.op == "call_module" and any(p.startswith(f"{node.target}.") for p in modules)
        if (
            modules & owners
            or holds
            or (node.op == "get_attr" and node.target in tensors)
            or dependent.intersection(node.all_input_nodes)
        ):
            dependent.add(node)
    return dependent


def _crossing(graph: fx.Graph, in_tail: set[fx.Node]) -> list[fx.Node]:
    """Nodes outside the tail whose values it needs; the network's own tensors do not count."""
    return [
        node
        for node in graph.nodes
        if node not in in_tail and node.op != "get_attr" and in_tail.intersection(node.users)
    ]


def _prefix(model: nn.Module, graph: fx.Graph, last: fx.Node) -> fx.GraphModule:
    needed = _ancestors(last)
    made = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node in needed:
            copies[node] = made.node_copy(node, lambda n: copies[n])
    made.output(copies[last])
    return fx.GraphModule(model, made)


def _tail(
    model: nn.Module, graph: fx.Graph, in_tail: set[fx.Node], first: fx.Node
) -> fx.GraphModule:
    made = fx.Graph()
    copies = {first: made.placeholder("features")}
    for node in graph.nodes:
        if node in in_tail or (node.op == "get_attr" and in_tail.intersection(node.users)):
            copies[node] = made.node_copy(node, lambda n: copies[n])
    return fx.GraphModule(model, made)


def _packed(model: nn.Module, graph: fx.Graph, several: Crossing) -> fx.GraphModule:
    needed = set().union(*(_ancestors(node) for node in several.shapes))
    made = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node in needed or node.op == "placeholder":
            copies[node] = made.node_copy(node, lambda n: copies[n])
    images = next(node for node in made.nodes if node.op == "placeholder")
    made.output(made.call_function(pack, (images, *(copies[n] for n in several.shapes))))
    return fx.GraphModule(model, made)


def _unpacked(
    model: nn.Module, graph: fx.Graph, in_tail: set[fx.Node], several: Crossing
) -> fx.GraphModule:
    made = fx.Graph()
    features = made.placeholder("features")
    copies: dict[fx.Node, Any] = {node: made.call_method("size", (features, 0))
                                  for node in several.counts}  # fmt: skip
    start = 0
    for node, (m, shape) in several.shapes.items():
        stop = start + m * math.prod(shape)
        copies[node] = made.call_function(unpack, (features, start, stop, shape))
        start = stop
    tensors = {}
    for k, (node, value) in enumerate(several.constants.items()):
        if isinstance(value, Tensor):
            tensors[f"_kept{k}"] = value
            value = made.create_node("get_attr", f"_kept{k}")
        copies[node] = value
    for node in graph.nodes:
        is_used = node.op == "get_attr" and bool(in_tail.intersection(node.users))
        if node not in copies and (node in in_tail or is_used):
            copies[node] = made.node_copy(node, lambda n: copies[n])
    for name, value in tensors.items():
        setattr(model, name, value)
    try:
        return fx.GraphModule(model, made)
    finally:
        for name in tensors:
            delattr(model, name)


def _ancestors(node: fx.Node) -> set[fx.Node]:
    reached: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting += current.all_input_nodes
    return reached
