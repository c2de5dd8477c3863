"""The finished models of a run, and what each answers on images that it is given.

In: a run folder. Out: `SavedModel`s, the networks that validation chose, with what is needed to
show them images as their trials did; and their answers. It reads the plan, the resolved sweep and
the records, never the training data, which need not be on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from harness.sweepfile.reader import load_run
from harness.sweepfile.settings import Condition, DataChoice, Sweep
from harness.training.arrays import Normalise
from harness.training.determinism import allow_refused_operations
from harness.training.goal import Right, answers_of, loss_of_target, score_of_target
from harness.training.loop import both_ways, forward_in_parts, loss_function
from harness.training.machine import CPU_PART
from harness.training.memory import halved_until_it_fits, images_at_once
from harness.training.process import in_precision, make_accelerator, set_up_process
from harness.training.score import Score, class_counts, score_of
from harness.trials.catalogue import kept_size
from headstart.digests import image_keys
from headstart.errors import InputError, ModelError, RunFolderError, did_you_mean
from headstart.metrics import WITHOUT_ACCURACY
from headstart.predictions import read_answers, read_predictions
from headstart.records import (
    MODEL,
    PlannedTrial,
    check_run_folder,
    checked_bytes,
    kept_weights,
    read_plan,
    trial_rows,
)
from headstart.rows import TRAINED_ON, TrialRow
from models import finetune
from models.build import build_model
from models.global_draws import seed_all
from models.info import ModelInfo
from models.weights import load_into, read_weights


@dataclass(frozen=True)
class SavedModel:
    """One finished trial and how to rebuild its network.

    Attributes:
        row: the trial's record, under the name that its run's plan gives it now.
        condition: how it was trained.
        data: the data set that it was trained on, one of the condition's choices.
        info: normalisation of its network, and the image size and channels that it asks for.
        image_size: (height, width) of the images that it was given.
        channels: of them.
        path: its weights, those that validation chose.
    """

    row: TrialRow
    condition: Condition
    data: DataChoice
    info: ModelInfo
    image_size: tuple[int, int]
    channels: int
    path: Path

    @property
    def kept_size(self) -> tuple[int, int]:
        """(height, width) of images as its data set keeps them, of which it sees `image_size`."""
        return kept_size(self.image_size, self.condition.train.crop_fraction) or self.image_size

    @property
    def id(self) -> str:
        return self.row.trial_id

    @property
    def arm(self) -> str:
        return self.row.arm

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.row.class_names


@dataclass(frozen=True)
class Answers:
    """A network's answers: probabilities float32 (n, classes), mean loss (NaN without labels).

    Of several labels the probability of each; of a number, in its unit, (n, 1).
    """

    probabilities: np.ndarray
    loss: float


def read_run(folder: Path, code: Sequence[Path] = ()) -> Sweep:
    """The sweep of a run folder, as it was resolved; `code` is as of `load_run`.

    Raises:
        RunFolderError: `folder` is no run folder.
        SpecError: its `sweep.yaml` cannot be read any more.
    """
    check_run_folder(folder)
    return load_run(folder, code)


def find_models(
    folder: Path, sweep: Sweep, arms: Sequence[str] = (), refitted: bool = False
) -> list[SavedModel]:
    """Finished models of the named arms or stages, in the plan's order.

    Args:
        arms: none: all that have a model.
        refitted: the arms' networks that were trained once more, on all images.

    Raises:
        InputError: a name that the run does not have, a named arm of which nothing has finished, or
            a run of which nothing has.
    """
    known = [*sweep.arms, *sweep.stages]
    for name in arms:
        if name not in known:
            raise InputError(
                f"--arm {name}: {folder} has no such arm or stage{did_you_mean(name, known)}; "
                f"it has {', '.join(known)}"
            )
    wanted = tuple(arms) or tuple(sweep.arms)
    stages = ("pretrain", "refit" if refitted else "arm")
    saved = [model for model in finished_models(folder, sweep, stages) if model.arm in wanted]
    there = {model.arm for model in saved}
    for name in wanted:
        if name not in there and (arms or not there):
            what, other = f"trial of '{name}' has finished with a model", ""
            if refitted:
                what = f"network of '{name}' has been refitted yet"
                other = "; --networks selected takes those of the trials"
            raise InputError(f"{folder}: no {what}; see python -m harness.status {folder}{other}")
    return saved


def finished_models(folder: Path, sweep: Sweep, stages: Sequence[str]) -> list[SavedModel]:
    """Those of these stages of the plan, in its order; those of a search have no model."""
    plan = read_plan(folder)
    planned = [trial for trial in plan.trials if trial.stage in stages] if plan else []
    rows = dict(trial_rows(folder, [trial.id for trial in planned]))
    models_or_none = [_saved(folder, sweep, trial, rows[trial.id]) for trial in planned]
    return [model for model in models_or_none if model is not None]


def answers(
    model: SavedModel, images: np.ndarray, right: Right | None, device: str = "cpu"
) -> Answers:
    """What the model says of uint8 (n, C, H, W) images, in the precision that it was trained in.

    The images are prepared as those it was trained on; what is `right` is for the loss only, None
    where that is not known; `device` is `cpu` or `cuda`.

    Raises:
        ModelError: weights that are missing, damaged, or of another network.
        InputError: the device or the precision does not work here.
    """
    train = model.condition.train
    set_up_process(train)
    allow_refused_operations()  # what a network could be trained with can be evaluated
    accelerator = make_accelerator(train.precision, device)
    place, precision = accelerator.device, train.precision
    network = in_precision(network_of(model).to(place), precision).eval()

    size = model.image_size if train.crop_fraction < 1 else None
    shown = both_ways(network) if train.evaluate_mirrored else network

    def compute(at_once: int) -> torch.Tensor:
        if model.condition.runs_others_code:  # which may draw from the global generators
            seed_all(0, place)
        batches = (images[start : start + at_once] for start in range(0, len(images), at_once))
        return logits_of(shown, batches, model.info, place, precision, size)

    height, width = images.shape[2:]
    logits, _ = halved_until_it_fits(compute, images_at_once((height, width), place))
    check_logits(logits, str(model.path))
    shares = _said(model.row, logits).numpy()
    if right is None:
        return Answers(shares, float("nan"))
    return Answers(shares, _loss(model, logits, torch.from_numpy(np.ascontiguousarray(right))))


def _loss(model: SavedModel, logits: torch.Tensor, right: torch.Tensor) -> float:
    """Mean loss of logits, as the trial computes it."""
    kind = model.row.target
    train = model.condition.train.for_target(kind)
    if kind in WITHOUT_ACCURACY or train.loss == "ordinal":
        return loss_of_target(kind, train, logits, right, scale_of(model.row))
    return float(loss_function(train)(logits, right))


def _said(row: TrialRow, logits: torch.Tensor) -> torch.Tensor:
    """What logits say, float32, as the record of the trial says how to read them.

    Raises:
        RunFolderError: the record does not say it.
    """
    if row.target not in WITHOUT_ACCURACY:
        return logits.softmax(dim=1)
    mean, sd = scale_of(row)
    return answers_of(row.target, logits, mean, sd).float()


def scale_of(row: TrialRow) -> tuple[float, float]:
    """Mean and standard deviation by which outputs become numbers in their unit; 0 and 1 of labels.

    Raises:
        RunFolderError: the record of a number does not have them.
    """
    if row.target != "number":
        return 0.0, 1.0
    kept = row.target_scale or {}
    mean, sd = kept.get("mean"), kept.get("sd")
    if not (isinstance(mean, int | float) and isinstance(sd, int | float) and sd > 0):
        raise RunFolderError(f"trial {row.trial_id}: its record has no target_scale of its numbers")
    return float(mean), float(sd)


def mean_probabilities(each: Sequence[np.ndarray]) -> np.ndarray:
    """What an ensemble says: float32 (n, classes), the mean of its members' probabilities."""
    mean: np.ndarray = np.mean(np.stack(each).astype(np.float64), axis=0)
    return mean.astype(np.float32)


def n_trained_on(model: SavedModel, images: np.ndarray) -> int:
    """How many of the images uint8 (n, C, H, W) a refitted network was trained on, bit for bit.

    Raises:
        RunFolderError: the trial's list of its images is missing or damaged.
    """
    path = model.path.with_name(TRAINED_ON)
    content = checked_bytes(path.parents[2], path.parent.name, path.name, model.row)
    if content is None:
        raise RunFolderError(f"{path}: is not there, so what it was trained on is not known")
    known = np.frombuffer(content, np.uint64)
    return int(np.isin(image_keys(images), known).sum())


@torch.no_grad()
def logits_of(
    network: Callable[[torch.Tensor], torch.Tensor],
    batches: Iterable[np.ndarray],
    info: ModelInfo,
    device: torch.device,
    precision: str = "float32",
    size: tuple[int, int] | None = None,
) -> torch.Tensor:
    """Logits float32 (n, classes) on the CPU, of batches uint8 (b, C, H, W), one at least.

    The network is on the device, in evaluation mode, and computes in `precision`.
    It is shown the middle of `size` (height, width) of larger images.
    """
    normalise = Normalise(info.mean, info.std, device, size)
    inputs = (torch.from_numpy(np.ascontiguousarray(batch)).to(device) for batch in batches)
    images = (normalise.images(batch) for batch in inputs)
    logits = (forward_in_parts(network, batch, precision, CPU_PART) for batch in images)
    return torch.cat([batch.float().cpu() for batch in logits])


def check_logits(logits: torch.Tensor, whose: str) -> None:
    """Refuse answers that are no numbers, so that they are not counted as answers.

    Raises:
        ModelError: a logit is NaN or infinite; `whose` names the weights.
    """
    n_broken = int((~logits.isfinite()).any(dim=1).sum())
    if n_broken:
        raise ModelError(
            f"{whose}: the network gives {n_broken} of {len(logits)} images logits that are not "
            "finite (NaN or infinity); leave its arm out, or train it again"
        )


def scored(answers: Answers, right: Right, kind: str = "") -> Score:
    """The score of answers to images of which this is right; `kind` is that of the target."""
    shares, wanted = torch.from_numpy(answers.probabilities), torch.from_numpy(right)
    if kind:
        return score_of_target(kind, answers.loss, shares, wanted)
    counts = class_counts(shares.argmax(dim=1), wanted, shares.shape[1])
    return score_of(answers.loss, len(right), counts.tolist())


def own_answers(model: SavedModel) -> tuple[np.ndarray, Right, Answers]:
    """Rows of the data set, what is right, and answers, of the test part that the trial had.

    Raises:
        RunFolderError: its predictions are missing or damaged.
    """
    path = model.path.with_name("predictions.npz")
    content = checked_bytes(path.parents[2], path.parent.name, path.name, model.row)
    if content is None:
        raise RunFolderError(f"{path}: is not there, so its own answers are not known")
    loss = float("nan") if model.row.test_loss is None else model.row.test_loss
    if model.row.target in WITHOUT_ACCURACY:
        kept = read_answers(path, content)
        order = np.argsort(kept["indices"], kind="stable")
        own = Answers(kept["answers"].astype(np.float32)[order], loss)
        return kept["indices"][order], kept["right"].astype(np.float64)[order], own
    kept = read_predictions(path, content)
    order = np.argsort(kept["indices"], kind="stable")
    own = Answers(kept["probabilities"].astype(np.float32)[order], loss)
    return kept["indices"][order], kept["labels"][order], own


def _saved(
    folder: Path, sweep: Sweep, planned: PlannedTrial, row: TrialRow | None
) -> SavedModel | None:
    """The model of a planned trial; None where it has not finished, failed or diverged."""
    trial = folder / "trials" / planned.id
    if row is None or row.status != "done":
        return None
    row = replace(row, arm=planned.arm, stage=planned.stage, seed=planned.seed)
    conditions = sweep.stages if planned.stage == "pretrain" else sweep.arms
    condition = conditions.get(planned.arm)
    if condition is None:
        raise RunFolderError(
            f"{folder}: plan.json has the {planned.stage} '{planned.arm}', sweep.yaml has "
            "not; run the sweep's command again"
        )
    info = condition.model.info
    data = _data_of(condition, row, trial)
    path = trial / MODEL
    size, channels = _images_of(info, row, trial)
    info = info.for_channels(channels)
    return SavedModel(row, condition, data, info, size, channels, path)


def _images_of(info: ModelInfo, row: TrialRow, trial: Path) -> tuple[tuple[int, int], int]:
    """Size and channels of the images that the trial's network was given."""
    size, channels = info.image_size, info.channels
    if row.image_height is not None and row.image_width is not None:
        size = size or (row.image_height, row.image_width)
    channels = channels or row.channels
    if size is None or channels is None:
        raise RunFolderError(f"{trial}: its record does not say which images its network takes")
    return size, channels


def _data_of(condition: Condition, row: TrialRow, trial: Path) -> DataChoice:
    """Which of the condition's choices the trial was trained on."""
    named = [choice for choice in condition.data if choice.shown == row.dataset]
    if not named:
        raise RunFolderError(
            f"{trial}: trained on '{row.dataset}', which its sweep.yaml does not name"
        )
    return named[0]


def network_of(model: SavedModel) -> torch.nn.Module:
    """The network with its trained weights, on the CPU."""
    choice = model.condition.model
    network = build_model(
        choice.name,
        n_classes=len(model.class_names),
        image_size=model.image_size,
        channels=model.channels,
        init_seed=0,  # every weight is replaced
        head_seed=0,
        options=choice.options,
    )
    groups = finetune.layer_groups(network, torch.zeros(2, model.channels, *model.image_size))
    weights = read_weights(kept_weights(model.path.parent, model.row))
    try:
        load_into(network, weights, head="keep", groups=groups)
    except ModelError as err:
        raise ModelError(f"{model.path}: {err}") from err
    return network
