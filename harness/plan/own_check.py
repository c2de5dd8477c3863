"""Code of the user's own, tried before any trial runs: does it work, and give the same bits twice?

In: a plan. Out: nothing, or one line for each arm whose own code does not. It stands alone because
the catalogue's networks need none of it. Three copies make two steps on noise. The second copy
makes the first one's step again. The third goes on from the first one's saved state, as a trial
does that was killed. All must have the same bits. So what draws from anywhere but the global
generators, which are seeded for each step, and what is kept between steps outside of `state_dict`,
is refused while nothing has been trained.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from harness.plan.own_state import Kept, kept_outside
from harness.training.goal import Goal
from harness.training.loop import loss_function
from harness.training.network import build_frozen
from harness.training.optimizers import make_optimizer
from harness.training.process import set_up_process
from harness.training.steps import draws_apart
from harness.trials.spec import Plan, TrialSpec
from headstart.errors import HeadstartError, InputError, SpecError
from headstart.own_code import is_reference, read_code, said_of
from headstart.own_sources import lines_that_draw
from models.dropout import set_dropout_generator
from models.global_draws import seed_all, seeded

INSTEAD = "draw from torch's global generator, which is seeded for each step"


class Tried(NamedTuple):
    """What came of trying: why it cannot train, and what the user should know of it."""

    reason: str | None = None
    note: str | None = None


def check_own_code(plan: Plan) -> list[str]:
    """Try the own code of each arm and stage once; notes on what works and is odd.

    Raises:
        SpecError: a line for each that fails.
    """
    known: dict[str, Tried] = {}
    mistakes = []
    for (_, name), trials in plan.by_arm.items():
        spec = trials[0]
        if spec.condition.runs_users_code:
            if spec.step_key not in known:
                known[spec.step_key] = try_own_code(spec, plan.sweep.resources.workers)
            if reason := known[spec.step_key].reason:
                mistakes.append(f"{plan.sweep.name}: {name}: {reason}")
    if mistakes:
        raise SpecError(mistakes)
    return list(dict.fromkeys(tried.note for tried in known.values() if tried.note))


def try_own_code(spec: TrialSpec, n_workers: int = 1) -> Tried:
    """Whether a trial's own code can train in so many processes."""
    set_up_process(spec.condition.train)
    try:
        with seeded(0):
            network, logits = _try(spec)
    except HeadstartError as err:
        return Tried(str(err))
    except Exception as err:  # what the user's code gives may break anything
        return Tried(f"{spec.condition.users_names}: {said_of(err)}")
    if n_workers > 1 and getattr(network, "draws", False):
        return Tried(draws_apart(spec))
    return Tried(note=_on_softmax(spec, logits))


def _on_softmax(spec: TrialSpec, logits: Tensor) -> str | None:
    """A note where outputs are probabilities: the loss would take the softmax of a softmax."""
    ones = torch.ones(len(logits))
    is_softmax = bool((logits >= 0).all()) and torch.allclose(logits.sum(dim=1), ones, atol=1e-4)
    if not is_softmax or spec.condition.train.loss_code:
        return None
    return (
        f"{spec.condition.model.shown} gives probabilities (each image's sum to 1), and the loss "
        "takes logits, of which it makes probabilities itself: leave the softmax out"
    )


def _try(spec: TrialSpec) -> tuple[nn.Module, Tensor]:
    """The network, and its outputs in an evaluation, where nothing is wrong."""
    first, second, third = (_Copy(spec) for _ in range(3))
    whose = spec.condition.users_names
    lines = _suspicious(spec)
    if not _same(first.tensors(), second.tensors()):
        raise InputError(f"{whose}: two networks of the same seeds start with other weights; "
                         f"{INSTEAD}{lines}")  # fmt: skip
    if not _same(first.step(0), second.step(0)):
        raise InputError(f"{whose}: the same step from the same weights gives other numbers; "
                         f"{INSTEAD}{lines}")  # fmt: skip
    third.load(first.saved())
    before = first.kept_outside()
    is_same = _same(first.step(1), third.step(1))
    changed = [name for name, value in first.kept_outside().items() if before.get(name) != value]
    outputs = first.evaluate()
    is_same = is_same and _same(outputs, third.evaluate())
    if not is_same or changed:
        named = f" ({', '.join(changed[:3])})" if changed else ""
        raise InputError(
            f"{whose}: keeps something between steps that state_dict does not hold{named}, so a "
            "trial that was stopped would go on with other numbers; make it a buffer "
            f"(register_buffer), or, for a generator, {INSTEAD}{lines}"
        )
    return first.network, outputs[0]


class _Copy:
    """One network with its optimizer and its loss."""

    def __init__(self, spec: TrialSpec):
        self.train, self.whose = spec.train, spec.condition.users_names
        self.n_classes = len(spec.data.class_names)
        self.shape = (spec.data.channels, *spec.data.image_size)
        self.network, _, _ = build_frozen(spec)
        self.masks = torch.Generator()
        set_dropout_generator(self.network, self.masks)
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = make_optimizer([{"params": trained}], self.train) if trained else None
        goal = Goal.on_noise(spec.data.target, self.n_classes, "cpu")
        self.loss = loss_function(self.train, goal=goal)

    def step(self, number: int) -> list[Tensor]:
        """One step on noise; the loss, and all tensors after it."""
        logits, labels = self._logits(number, self.network.train())
        loss = self.loss(logits, labels)
        if self.optimizer is not None:
            if not loss.requires_grad:
                raise InputError(
                    f"{self.whose}: no gradient reaches a parameter that trains; look for "
                    "no_grad(), detach(), set_grad_enabled or inference_mode in forward and loss"
                )
            torch.autograd.backward(loss)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return [loss.detach().clone(), *self.tensors()]

    def evaluate(self) -> list[Tensor]:
        with torch.no_grad():
            return [self._logits(2, self.network.eval())[0]]

    def tensors(self) -> list[Tensor]:
        state = self.network.state_dict().values()
        return [value.clone() for value in state if isinstance(value, Tensor)]

    def saved(self) -> dict[str, Any]:
        """The state, through the file that a trial writes.

        Raises:
            InputError: it holds what no state may hold.
        """
        buffer = io.BytesIO()
        state = {"network": self.network.state_dict()}
        if self.optimizer is not None:
            state["optimizer"] = self.optimizer.state_dict()
        try:
            torch.save(state, buffer)
            buffer.seek(0)
            loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
            return loaded
        except Exception as err:
            reason = str(err).strip().splitlines()[0][:160]
            raise InputError(
                f"{self.whose}: state_dict holds more than tensors, numbers and texts, and is not "
                f"read back: {reason}"
            ) from err

    def load(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])

    def kept_outside(self) -> Kept:
        """What is kept between steps and stands in no state."""
        objects: dict[str, object] = {
            "": self.network,
            "loss": getattr(self.loss, "function", None),
        }
        if self.train.optimizer_code:
            objects["optimizer"] = self.optimizer
        return kept_outside(objects, self.masks)

    def _logits(self, number: int, network: nn.Module) -> tuple[Tensor, Tensor]:
        noise = torch.Generator().manual_seed(number)
        images = torch.randn(2, *self.shape, generator=noise)
        self.masks.manual_seed(number)
        seed_all(number)
        return network(images), torch.arange(2) % self.n_classes


def _same(these: Sequence[Tensor], those: Sequence[Tensor]) -> bool:
    """Whether all have the same bits; NaN equals NaN."""
    pairs = zip(these, those, strict=True)
    return all(torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)) for a, b in pairs)


def _suspicious(spec: TrialSpec) -> str:
    """Lines of the user's code that may be the cause, as a message names them."""
    lines = list(_lines(spec))
    return f" (look at {'; '.join(lines[:4])})" if lines else ""


def _lines(spec: TrialSpec) -> Iterator[str]:
    condition = spec.condition
    for name in (condition.model.name, condition.train.optimizer, condition.train.loss):
        if is_reference(name):
            yield from lines_that_draw(read_code(name).sources)
