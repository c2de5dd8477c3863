"""Networks that can answer for labels: trained on those labels on purpose, or found in a run.

In: a data set as a person names it, or a run folder. Out: a run folder with finished trials of
one arm, and their specs. It stands alone because which networks answer is a question of its own;
`harness.reference` lets them answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

import datasets
from datasets.given import read_given
from datasets.split import SplitSettings, split_dataset
from harness.plan.planner import make_plan
from harness.plan.search import recorded
from harness.reference.named import refuse_outside
from harness.sweep import main as run_sweep
from harness.sweepfile.reader import load_run
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import TrialSpec
from headstart.errors import InputError, RunFolderError, did_you_mean
from headstart.files import make_folder, temporary_beside
from headstart.records import finished_rows
from headstart.rows import TrialRow

TRAINED = """\
name: audit
question: What do networks that learned these labels say of images that they did not see?
model: {name: lenet5}
train: {learning_rate: 1.0e-3, batch_size: 64, epochs: 10, at_least_steps: 800, select: val_loss,
        augment: {rotate: 10, translate: 0.08}}
"""
FOLDS = 4  # each image is judged by networks that learned from the three other quarters


@dataclass(frozen=True)
class DataEntry:
    """A data set as a person named it, as a sweep's `data` entry has it."""

    name: str
    options: Mapping[str, object]  # its own, and how it is split

    def in_words(self) -> str:
        """A few words: its name, or the last part of its path, and what was spoilt."""
        name = Path(str(self.options["path"])).name if "path" in self.options else self.name
        others = [key for key in self.options if key != "path"]
        return f"“{name}”" + (f" with {', '.join(others)}" if others else "")


def train_networks(
    entry: DataEntry, run: Path, seeds: int, data_dir: Path | None, images: int | None = None
) -> int:
    """Train LeNet-5 on a data set's labels, `seeds` networks for each of `FOLDS` folds, into `run`.

    Nothing finished is trained again. The labels are taken as they are: what a network learned
    from most of them shows which of the others do not fit. Returns the exit status of the sweep.

    Args:
        images: how many images are folded, drawn by class; None: all.

    Raises:
        InputError: the entry says how it is split, other than by counts.
    """
    data, images = _without_split(entry, images)
    folds = range(1, FOLDS + 1)
    of_images = {} if images is None else {"images": images}
    arms = {
        f"fold_{k}": {"data": {**data, "fold": {"number": k, "of": FOLDS, **of_images}}}
        for k in folds
    }
    sweep = {**yaml.safe_load(TRAINED), "data": data, "arms": arms, "seeds": seeds}
    where = [] if data_dir is None else ["--data", str(data_dir)]
    make_folder(run)
    path = temporary_beside(run / "audit.yaml")  # of a killed command, the next one removes it
    try:
        path.write_text(json.dumps(sweep), encoding="utf-8")
        return run_sweep([str(path), "--out", str(run), "--engine", "local", "--no-report", *where])
    finally:
        path.unlink(missing_ok=True)
        with suppress(OSError):  # empty where the data did not fit
            run.rmdir()


def _without_split(entry: DataEntry, images: int | None) -> tuple[dict[str, object], int | None]:
    """A data entry without the keys of its split, and how many images it asks for."""
    split = {key: entry.options[key] for key in SplitSettings.model_fields if key in entry.options}
    counts = [split.pop(key, 0) for key in ("train", "validation", "test")]
    if split:
        raise InputError(
            f"{entry.in_words()}: {', '.join(split)}: an audit folds all images of a set; leave it "
            "out, or say how many images with the counts train and validation"
        )
    known = [n for n in counts if isinstance(n, int)]
    options = {k: v for k, v in entry.options.items() if k not in SplitSettings.model_fields}
    return {"name": entry.name, **options}, images or sum(known) or None


def covers_all(specs: Sequence[TrialSpec], catalogue: DataCatalogue, parts: Sequence[str]) -> bool:
    """Whether each image that is in no test part of its own was held out from some network."""
    dataset = catalogue.open(specs[0].data)
    held = [np.asarray(dataset.parts.get("test", []), np.int64)]
    for spec in specs:
        split = split_dataset(
            dataset, spec.data.choice.split, np.random.default_rng(spec.streams["split"])
        )
        held += [getattr(split, part) for part in parts]
    return len(np.unique(np.concatenate(held))) == len(dataset.labels)


def trained_specs(
    run: Path,
    catalogue: DataCatalogue,
    arm: str | None,
    open_named: bool = False,
    code: Sequence[Path] = (),
) -> list[TrialSpec]:
    """The finished trials of one arm or stage, by seed, as the run's own `sweep.yaml` plans them.

    Of a run that `train_networks` made, those of all folds.

    Args:
        open_named: whether what that file names is opened wherever it lies.
        code: files or folders with the code of its user's own that it was made with.

    Raises:
        RunFolderError: nothing of the arm has finished, or the data here are not the run's.
        InputError: that file names something outside of the user's folders.
    """
    rows = {row.trial_id: row for row in finished_rows(run) if row.status == "done"}
    sweep = load_run(run, code)
    if not open_named:
        refuse_outside(run / "sweep.yaml", sweep, catalogue.data_dir)
    seeds = sorted({row.seed for row in rows.values()})
    plan = make_plan(sweep, catalogue, seeds)
    if sweep.searches:  # whose arms have the values that were chosen
        plan = recorded(plan, catalogue, run).plan
    known = [
        spec for spec in plan.trials if spec.id in rows and spec.stage not in ("search", "double")
    ]
    if not known:
        raise RunFolderError(
            f"{run}: none of its {len(rows)} finished trials is one that its sweep.yaml plans with "
            "the data on this machine"
        )
    names = list(dict.fromkeys(spec.arm for spec in known))
    folds = [spec for spec in known if spec.data.choice.split.fold is not None]
    if arm is None and len(folds) == len(known):  # of one audit: only together they cover the set
        return sorted(folds, key=lambda spec: spec.seed)
    if arm is None:
        arm = _best_arm(known, rows)
    if arm not in names:
        near = did_you_mean(arm, names)
        raise InputError(f"--arm {arm}: has no finished trial in {run}; there are "
                         f"{', '.join(names)}{near}")  # fmt: skip
    return sorted((spec for spec in known if spec.arm == arm), key=lambda spec: spec.seed)


def _best_arm(known: Sequence[TrialSpec], rows: Mapping[str, TrialRow]) -> str:
    """By mean validation accuracy; a network of another loss than cross-entropy assumes a shape."""
    scores: dict[str, list[float]] = {}
    for spec in known:
        if spec.stage == "arm" and spec.condition.train.loss == "cross_entropy":
            best = rows[spec.id].best_val_accuracy
            assert best is not None  # a done trial was evaluated
            scores.setdefault(spec.arm, []).append(best)
    if not scores:
        raise InputError("no arm was trained with cross-entropy; name one with --arm")
    return max(scores, key=lambda name: float(np.mean(scores[name])))


def read_entry(text: str, flag: str) -> DataEntry:
    """`--on` or `--train` as name and options of a data set: a name, a path, or a flow mapping.

    A path is a folder, an archive or a file that some set reads.

    Raises:
        InputError: none of these.
    """
    given = read_given(text, flag=flag)
    datasets.options_model(given.name)
    options = {key: str(each) if key == "path" else each for key, each in given.options.items()}
    return DataEntry(given.name, options)
