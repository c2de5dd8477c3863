"""A trial's network: built from its seeds, given its first weights, frozen as the arm says.

In: a `TrialSpec`. Out: `Prepared`: the network on the device, optimizer groups, and a report of
what was loaded, what is new and what was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.seeds import derive_seed
from harness.sweepfile.settings import Train
from harness.training.arrays import Normalise
from harness.training.optimizers import ParameterGroups
from harness.training.pull import PullToStart
from harness.trials.spec import TrialSpec
from headstart.cli import few
from headstart.errors import ModelError
from headstart.records import MODEL, checked_file, kept_weights, trial_row
from models import finetune
from models.build import build_model
from models.delta import open_whole
from models.delta_record import digest_of_weights
from models.heads import head_of as head_module
from models.imagenet import read_imagenet
from models.lora import is_added
from models.weights import LoadReport, load_into


@dataclass(frozen=True)
class Prepared:
    """A network that is ready to train.

    Attributes:
        network: on the device.
        tuned: its layer groups, and what of them trains when.
        n_frozen: how many groups lie before the first that ever trains.
        normalise: from uint8 images to what the network takes.
        parameter_groups: one optimizer group for each layer group that ever trains, input first.
        before_epoch: unfreezes what a gradual schedule has due; else does nothing.
        n_trainable: parameters that train (at the end, where unfreezing is gradual).
        load_report: names of tensors `loaded`, `new`, `left_out`; where they came from; notes.
        pull: of what trains to where it started; None: it is free.
    """

    network: nn.Module
    tuned: finetune.Tuned
    n_frozen: int
    normalise: Normalise
    parameter_groups: ParameterGroups
    before_epoch: Callable[[int], None]
    n_trainable: int
    load_report: dict[str, object]
    pull: PullToStart | None = None

    @property
    def groups(self) -> tuple[finetune.LayerGroup, ...]:
        """Its layer groups, input first."""
        return self.tuned.groups

    @property
    def n_parameters(self) -> int:
        """Of the whole network, as its saved weights have them."""
        named = self.network.named_parameters()
        return sum(p.numel() for name, p in named if not is_added(name))


def prepare_network(
    spec: TrialSpec, trials: Path, device: torch.device, epochs: int | None = None
) -> Prepared:
    """Build, load and freeze.

    Args:
        trials: the folder where the parent trial's weights lie.
        epochs: how many it trains, where `at_least_steps` adds some; None: those of its settings.

    Raises:
        ModelError: weights that do not fit, a layer group that does not exist.
    """
    condition = spec.condition
    network, groups = build_network(spec)
    report = _load_start(spec, network, groups, trials)
    network.to(device)
    tuned = finetune.tune(network, groups, condition.tuning, condition.train.epochs,
                          _seed_of_added(spec))  # fmt: skip
    epochs = epochs or condition.train.epochs
    return _prepared(spec, network, tuned, normalise_of(spec, device), report, epochs)


def narrowed(spec: TrialSpec, prepared: Prepared, names: Sequence[str]) -> Prepared:
    """The same network, of which the groups that are named alone train, and the head."""
    tuned = prepared.tuned.narrowed(names)
    n = spec.condition.train.epochs  # all that train do so from the first one on
    return _prepared(spec, prepared.network, tuned, prepared.normalise, prepared.load_report, n)


def _prepared(
    spec: TrialSpec,
    network: nn.Module,
    tuned: finetune.Tuned,
    normalise: Normalise,
    report: dict[str, object],
    epochs: int,
) -> Prepared:
    train = spec.condition.train

    def before_epoch(epoch: int) -> None:
        tuned.freeze(network, epoch)

    before_epoch(epochs - 1)  # the last one, in which all train that ever do
    pull = _pull(network, report, train)
    trains = bool(tuned.schedule.names)
    parameter_groups = _parameter_groups(network, tuned.groups, train, pull) if trains else []
    n_trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    before_epoch(0)
    return Prepared(
        network=network,
        tuned=tuned,
        n_frozen=_n_frozen(tuned),
        normalise=normalise,
        parameter_groups=parameter_groups,
        before_epoch=before_epoch,
        n_trainable=n_trainable,
        load_report=report,
        pull=pull,
    )


def normalise_of(spec: TrialSpec, device: torch.device) -> Normalise:
    """From uint8 images to what the trial's network takes."""
    info = spec.condition.model.info.for_channels(spec.data.channels)
    size = spec.data.image_size if spec.data.kept_size else None
    return Normalise(info.mean, info.std, device, size)


def build_frozen(spec: TrialSpec) -> tuple[nn.Module, tuple[finetune.LayerGroup, ...], int]:
    """As `build_network`, frozen as `fine_tune` says; and how many groups are frozen at the front.

    Raises:
        ModelError: the network has no such layer groups as `fine_tune` names.
    """
    network, groups = build_network(spec)
    tuned = finetune.tune(network, groups, spec.condition.tuning, 1, _seed_of_added(spec))
    tuned.freeze(network, max(tuned.schedule.begins, default=0))
    return network, tuned.groups, _n_frozen(tuned)


def _seed_of_added(spec: TrialSpec) -> int:
    return derive_seed(spec.streams["init"], "added", 0)


def _n_frozen(tuned: finetune.Tuned) -> int:
    """Groups before the first that trains; 0 where none trains, since no step is made then."""
    trained = tuned.schedule.names
    return [group.name for group in tuned.groups].index(trained[0]) if trained else 0


def build_network(spec: TrialSpec) -> tuple[nn.Module, tuple[finetune.LayerGroup, ...]]:
    """The trial's network on the CPU with its own random weights, and its layer groups.

    Raises:
        ModelError: the network cannot be built for these images.
    """
    choice = spec.condition.model
    network = build_model(
        choice.name,
        n_classes=len(spec.data.class_names),
        image_size=spec.data.image_size,
        channels=spec.data.channels,
        init_seed=spec.streams["init"],
        head_seed=spec.streams["head"],
        options=choice.options,
    )
    example = torch.zeros(2, spec.data.channels, *spec.data.image_size)
    return network, finetune.layer_groups(network, example)


@dataclass(frozen=True)
class StartWeights:
    """The tensors that a trial starts from, where they are from, and what becomes of the head."""

    tensors: Mapping[str, Tensor]
    origin: str
    head: Literal["new", "keep"]
    notes: tuple[str, ...] = ()
    on_head: tuple[str, ...] = ()

    def for_network(
        self, spec: TrialSpec, network: nn.Module, groups: tuple[finetune.LayerGroup, ...]
    ) -> StartWeights:
        """The same; where `model.head` is new and the file's is another one, it stays as drawn."""
        if spec.condition.head == "keep" or self.head == "new" or head_module(network) is None:
            return self
        own = network.state_dict()
        of_head = {name: own[name].shape for name in groups[-1].parameters}
        given = {key: tensor.shape for key, tensor in self.tensors.items()}
        if all(any(f".{key}".endswith(f".{name}") and shape == given[key] for key in given)
               for name, shape in of_head.items()):  # fmt: skip
            return self
        return replace(self, head="new", on_head=("its head is not of the layers of model.head, so "
                                                  "a new one is drawn",))  # fmt: skip

    def load(
        self, spec: TrialSpec, network: nn.Module, groups: tuple[finetune.LayerGroup, ...]
    ) -> LoadReport:
        """Copy them into the trial's network; what is to be said of the file comes first.

        Raises:
            ModelError: they do not fit the network.
        """
        prefix = spec.condition.start.prefix
        try:
            report = load_into(network, self.tensors, head=self.head, groups=groups, prefix=prefix)
        except ModelError as err:
            text = str(err).replace("the network", f"the network {spec.condition.model.shown}", 1)
            raise ModelError("; ".join((f"{self.origin}: {text}", *self.notes))) from err
        return replace(report, notes=(*self.notes, *report.notes, *self.on_head))


def read_start(spec: TrialSpec, path: Path) -> StartWeights:
    """What the trial starts from, of the file that has it.

    Raises:
        ModelError: the file cannot be read.
    """
    condition = spec.condition
    if condition.start.kind == "imagenet":
        weights = read_imagenet(condition.model.name, path, spec.data.image_size)
        head: Literal["new", "keep"] = "keep" if condition.head == "keep" else "new"
        origin = f"ImageNet weights in {path.name}"
        return StartWeights(weights, origin, head, on_head=_on_head(spec, head, None))
    row = trial_row(path.parent)
    if row is not None and path.name == MODEL:
        kept_weights(path.parent, row)
    elif row is not None and path.name in row.files:
        checked_file(path.parent, path.name, row)
    file = open_whole(path, condition.start.entry)
    head = head_of(spec, row.class_names if row else None)
    on_head = () if spec.parent else _on_head(spec, head, row.class_names if row else None)
    return StartWeights(file.tensors, spec.parent or str(path), head, file.notes, on_head)


def _on_head(spec: TrialSpec, head: str, class_names: Sequence[str] | None) -> tuple[str, ...]:
    """For which classes the outputs of a kept head are taken, where the file does not say it."""
    own = spec.data.class_names
    if head != "keep" or (class_names is not None and tuple(class_names) == tuple(own)):
        return ()
    were = f", of the classes {few(class_names)}" if class_names else ""
    return (f"its head{were} is kept: its outputs are taken for {few(own)}, in this order",)


def path_of_start(spec: TrialSpec, trials: Path) -> Path | None:
    """The file of weights that a trial starts from; None where they are drawn.

    `trials` is the folder where the parent trial's folder lies.
    """
    return trials / spec.parent / MODEL if spec.parent else spec.start_file


def planned_start(spec: TrialSpec, trials: Path) -> StartWeights:
    """What a trial starts from, where that is not random; `trials` is as of `prepare_network`.

    Raises:
        ModelError: the file cannot be read, or is another one than when the plan was made.
    """
    path = path_of_start(spec, trials)
    assert path is not None
    if spec.start_content and path.is_file() and digest_of_weights(path) != spec.start_content:
        raise ModelError(f"{path}: is another file than when the trials were planned, or than on "
                         "the machine that planned them; run the command again")  # fmt: skip
    return read_start(spec, path)


def _load_start(
    spec: TrialSpec, network: nn.Module, groups: tuple[finetune.LayerGroup, ...], trials: Path
) -> dict[str, object]:
    if spec.condition.start.kind == "random":
        return {"from": "random initialisation"}
    start = planned_start(spec, trials).for_network(spec, network, groups)
    report = start.load(spec, network, groups)
    return {"from": start.origin, "head": start.head, **asdict(report)}


def head_of(spec: TrialSpec, class_names: Sequence[str] | None) -> Literal["new", "keep"]:
    """What becomes of the head: `auto` keeps it where the classes have the same names.

    `class_names` are those that the weights were trained on; None: not known.
    """
    given = spec.condition.head
    if given != "auto":
        return given
    same = class_names is not None and tuple(class_names) == tuple(spec.data.class_names)
    return "keep" if same else "new"


def _pull(network: nn.Module, report: Mapping[str, Any], train: Train) -> PullToStart | None:
    """Of the parameters that train and were loaded, to their present values."""
    loaded = set(report.get("loaded", ()))
    return PullToStart.here(
        train.pull_to_start,
        [p for name, p in network.named_parameters() if p.requires_grad and name in loaded],
    )


def _parameter_groups(
    network: nn.Module,
    groups: tuple[finetune.LayerGroup, ...],
    train: Train,
    pull: PullToStart | None = None,
) -> ParameterGroups:
    """Parameters that ever train, by layer group where groups learn at rates of their own.

    Those that are pulled to their start have no other decay.
    """
    parameters = dict(network.named_parameters())
    factors = finetune.learning_rate_factors(train.learning_rate_factors, groups)
    made: ParameterGroups = []
    for group in groups:
        trained = [parameters[n] for n in group.parameters if parameters[n].requires_grad]
        if trained:
            made.append({"params": trained, "lr": train.learning_rate * factors[group.name]})
    if train.learning_rate_factors == 1.0:  # one group: one fused kernel instead of several
        made = [{"params": [p for group in made for p in group["params"]]}]
    spared = {id(p) for p in pull.parameters} if pull else set()
    if train.weight_decay_of == "weights":
        spared |= _spared(network)
    if not spared or not train.weight_decay:
        return made
    return [part for group in made for part in _apart(group, spared)]


def _spared(network: nn.Module) -> set[int]:
    """Ids of parameters without weight decay: vectors and numbers, and what the network names.

    As timm has it: biases and the parameters of normalisation have one dimension at most.
    """
    named = getattr(network, "no_weight_decay", None)
    names = set(named()) if callable(named) else set()
    parameters = network.named_parameters()
    return {id(p) for name, p in parameters if p.dim() <= 1 or name in names}


def _apart(group: dict[str, Any], spared: set[int]) -> ParameterGroups:
    """Those of a group that are spared first, so that the last group is of weights."""
    with_decay = [p for p in group["params"] if id(p) not in spared]
    without = [p for p in group["params"] if id(p) in spared]
    parts = [{**group, "params": without, "weight_decay": 0.0}, {**group, "params": with_decay}]
    return [part for part in parts if part["params"]]
