"""The tails of several seeds as one computation: stacked weights, batched matrix products.

In: trainers at the same step, whose networks are tails of linear layers, 1×1 convolutions and what
works on each image by itself. Out: the same trainers some steps further. A step of `Joint` is every
trainer's own step: its own batch in its own order, its own dropout masks, its own loss. Only the
order in which sums are taken differs, so the results agree with solo runs to float32 rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.optim.lr_scheduler import LambdaLR

from harness.joint.fused_network import batched_linear
from harness.training.loop import Trainer, loss_function
from harness.training.optimizers import make_optimizer
from models.dropout import SeededDropout

# Without parameters, and each image by itself: seeds and batch can be one dimension for them.
_IMAGE_WISE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Sigmoid, nn.Tanh,
    nn.Flatten, nn.Identity, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d,
)  # fmt: skip
_IMAGE_WISE_FUNCTIONS = (torch.flatten, torch.relu, F.relu, F.gelu, F.adaptive_avg_pool2d)


def can_stack(tail: fx.GraphModule) -> bool:
    """Whether `StackedTail` can compute this tail: all of it trains, and all of it is known."""
    return all(p.requires_grad for p in tail.parameters()) and all(
        _is_known(tail, node) for node in tail.graph.nodes
    )


def _is_known(tail: fx.GraphModule, node: fx.Node) -> bool:
    if node.op in ("placeholder", "output"):
        return True
    if len(node.all_input_nodes) != 1:
        return False
    if node.op == "call_function":
        return node.target in _IMAGE_WISE_FUNCTIONS
    if node.op != "call_module":
        return False
    module = tail.get_submodule(str(node.target))
    return type(module) in (nn.Linear, SeededDropout, *_IMAGE_WISE_MODULES) or _is_1x1(module)


def _is_1x1(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == (1, 1)
        and module.stride == (1, 1)
        and module.padding in ((0, 0), "valid", "same")
        and module.groups == 1
    )


class StackedTail:
    """K tails of one shape as one function.

    Args:
        tails: of the K seeds; their dropout layers draw the masks.
        weights: parameter name → float32 (K, …), the tails' parameters stacked.
    """

    def __init__(self, tails: Sequence[fx.GraphModule], weights: dict[str, Tensor]):
        self.n = len(tails)
        self.weights = weights
        self.nodes = tuple(tails[0].graph.nodes)
        self.modules = {
            node: [tail.get_submodule(str(node.target)) for tail in tails]
            for node in self.nodes
            if node.op == "call_module"
        }
        self.scratch: dict[fx.Node, Tensor] = {}

    def __call__(self, inputs: Tensor) -> Tensor:
        """Features (K, batch, …) → logits (K, batch, classes).

        What comes before the first weights is written over the features, or into memory of the
        step before, whose gradients must be done with: fresh memory costs more than the arithmetic.
        """
        values: dict[fx.Node, Tensor] = {}
        for node in self.nodes:
            if node.op == "placeholder":
                values[node] = inputs
            elif node.op != "output":
                values[node] = self._compute(node, values[node.all_input_nodes[0]])
        return values[self.nodes[-1].all_input_nodes[0]]

    def _compute(self, node: fx.Node, x: Tensor) -> Tensor:
        if node.op == "call_function":
            merged = x.flatten(0, 1)
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda _: merged)
            return self._apart(node.target(*args, **kwargs))  # type: ignore[operator]
        modules = self.modules[node]
        if isinstance(modules[0], SeededDropout):
            return self._drop(modules, x)
        if isinstance(modules[0], nn.Linear):
            return self._linear(str(node.target), x)
        if isinstance(modules[0], nn.Conv2d):
            pixels = self._kept_copy(node, x.movedim(2, -1))
            return self._linear(str(node.target), pixels).movedim(-1, 2)
        return self._apart(modules[0](x.flatten(0, 1)))

    def _drop(self, modules: Sequence[Any], x: Tensor) -> Tensor:
        if x.requires_grad:
            return torch.stack([drop(one) for drop, one in zip(modules, x, strict=True)])
        for drop, one in zip(modules, x, strict=True):
            drop.drop_(one)
        return x

    def _kept_copy(self, node: fx.Node, x: Tensor) -> Tensor:
        """`x`, contiguous; in memory that is used at every step where no gradient goes through."""
        if x.requires_grad or x.is_contiguous():
            return x.contiguous()
        memory = self.scratch.get(node)
        if memory is None or memory.numel() < x.numel():
            memory = self.scratch[node] = x.new_empty(x.numel())
        return memory[: x.numel()].view(x.shape).copy_(x)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        weight = self.weights[f"{name}.weight"].flatten(2)  # of a 1×1 convolution: its two sides
        return batched_linear(x, weight, self.weights.get(f"{name}.bias"))

    def _apart(self, merged: Tensor) -> Tensor:
        return merged.unflatten(0, (self.n, -1))


class Joint:
    """Steps of several trainers as one computation, while the `with` block lasts.

    Inside the block the weights and the optimizer's state are stacked copies; at its end every
    trainer has its own again, as if it had made the steps alone.

    Args:
        trainers: of equal settings, at the same step, with equally many training images.
    """

    def __init__(self, trainers: Sequence[Trainer]):
        self.trainers = trainers
        self.lead = trainers[0]
        self.settings = self.lead.settings
        self.tails: list[Any] = [t.unprepared for t in trainers]
        self.losses_of = loss_function(self.settings, "none")

    def __enter__(self) -> Joint:
        self.weights = {
            name: torch.stack([tail.get_parameter(name).detach() for tail in self.tails])
            for name, _ in self.tails[0].named_parameters()
        }
        for name, weight in self.weights.items():
            weight.requires_grad_(self.tails[0].get_parameter(name).requires_grad)
        self.tail = self._function()
        self.optimizer = make_optimizer(self._groups(), self.settings)
        self._stack_states()
        if isinstance(self.lead.schedule, LambdaLR) and self.lead.step_count == 0:
            self.lead.optimizer.step()  # moves nothing; its schedule warns unless it was called
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:  # the trials begin again from their last states
            return
        with torch.no_grad():
            for k, trainer in enumerate(self.trainers):
                self._give_back(k, trainer)

    def _function(self) -> Callable[[Tensor], Tensor]:
        """Inputs (K, batch, …) → logits (K, batch, classes)."""
        table = self.lead.part.inputs
        size = len(self.trainers) * self.settings.batch_size
        self.inputs = table.new_empty(size * table[0].numel())  # of a batch of all, at every step
        return StackedTail(self.tails, self.weights)

    def step(self) -> None:
        """One step of every trainer."""
        inputs, labels = self._batches()
        losses = self.update(inputs, labels)
        if isinstance(self.lead.schedule, LambdaLR):
            self.lead.schedule.step()
            _copy_rates(self.lead.optimizer, self.optimizer)
        self._count(losses, labels.shape[1])

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """A step's work on the device, from inputs and labels to moved weights; see `losses`."""
        losses = self.losses(inputs, labels)
        losses.sum().backward()
        if self.settings.clip_gradient_norm is not None:
            self._clip(self.settings.clip_gradient_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return losses.detach()

    def losses(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Each trainer's mean loss (K,) of inputs (K, batch, …) and labels (K, batch)."""
        logits = self.tail(inputs)
        losses = self.losses_of(logits.flatten(0, 1), labels.flatten())
        return losses.view(len(labels), -1).mean(dim=1)

    def _batches(self) -> tuple[Tensor, Tensor]:
        """Inputs (K, batch, …) and labels int64 (K, batch) of every trainer's next step.

        A tail's inputs are features, which need no preparing.
        """
        table = self.lead.part.inputs
        size = len(self.trainers) * self.lead.next_size * table[0].numel()
        memory = self.inputs[:size].view(len(self.trainers), -1, *table.shape[1:])
        batches = [t.next_batch(out) for t, out in zip(self.trainers, memory, strict=True)]
        return memory.float(), torch.stack([labels for _, labels in batches])

    def _count(self, losses: Tensor, n_images: int) -> None:
        """Enter a step that was made, with each trainer's mean loss (K,)."""
        for trainer, loss in zip(self.trainers, losses, strict=True):
            trainer.count_step(loss, n_images)

    def _clip(self, limit: float) -> None:
        """Each seed's gradient to a norm of `limit` at most, as `clip_grad_norm_` does for one."""
        gradients = [weight.grad for weight in self.weights.values() if weight.grad is not None]
        squares = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients])
        factors = (limit / (squares.sum(dim=0).sqrt() + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))

    # -- from the trainers' own tensors to stacked ones, and back ---------------------------

    def _groups(self) -> list[dict[str, Any]]:
        """The lead's parameter groups, over stacked weights."""
        names = {id(p): name for name, p in self.tails[0].named_parameters()}
        return [
            {"params": [self.weights[names[id(p)]] for p in group["params"]], "lr": group["lr"]}
            for group in self.lead.optimizer.param_groups
        ]

    def _stack_states(self) -> None:
        for name, weight in self.weights.items():
            states = [
                trainer.optimizer.state.get(tail.get_parameter(name), {})
                for trainer, tail in zip(self.trainers, self.tails, strict=True)
            ]
            if states[0]:
                self.optimizer.state[weight] = {
                    key: _stacked(key, [state[key] for state in states]) for key in states[0]
                }

    def _give_back(self, k: int, trainer: Trainer) -> None:
        for name, weight in self.weights.items():
            if weight not in self.optimizer.state:  # frozen
                continue
            mine = self.tails[k].get_parameter(name)
            mine.copy_(weight[k])
            trainer.optimizer.state[mine] = {
                key: value if value is None else (value if key == "step" else value[k]).clone()
                for key, value in self.optimizer.state[weight].items()
            }
        if isinstance(trainer.schedule, LambdaLR) and trainer is not self.lead:
            trainer.schedule.load_state_dict(self.lead.schedule.state_dict())  # type: ignore[union-attr]
            _copy_rates(self.lead.optimizer, trainer.optimizer)


def _stacked(key: str, values: list[Any]) -> Any:
    """One state entry of all trainers; the count of steps is the same for all."""
    if values[0] is None:
        return None
    return values[0].clone() if key == "step" else torch.stack(values)


def _copy_rates(source: Any, target: Any) -> None:
    for mine, other in zip(target.param_groups, source.param_groups, strict=True):
        mine["lr"] = other["lr"]
