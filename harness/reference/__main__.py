"""`python -m harness.reference RUN`: what a run's networks say of images whose labels are in doubt.

In: a run folder, and (with `--on`) a data set that its networks were not trained on. Out: one npz
file that `python -m analysis audit` reads. It stands alone because it computes with torch what the
analysis, which has no torch, then judges: each network's probabilities for images that it did not
train on, beside the labels that the images were given.

Without `--on` the networks of one arm audit the labels they were themselves trained on: each says
what the images are that its split held out. Where that leaves images out, further networks are
trained on the same labels, into RUN/audit/folds, so that each image is judged by networks that did
not see it. With `--train DATA` such networks are trained into RUN. With `--on DATA`, RUN is the
reference: its labels are trusted, and how often it errs is measured on its own test images.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

import datasets
from datasets.base import Dataset
from datasets.split import split_dataset
from harness.evaluate.models import check_logits, logits_of
from harness.reference.named import OPEN_NAMED
from harness.reference.networks import (
    FOLDS,
    DataEntry,
    covers_all,
    read_entry,
    train_networks,
    trained_specs,
)
from harness.runfolder.gallery import MAX_SIDE, shrunk
from harness.training.machine import EVALUATION_BATCH
from harness.training.network import build_network
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import TrialSpec
from harness.trials.time_left import duration_text
from headstart.cli import run_command, to_path
from headstart.errors import EXIT_DONE, DataError, InputError, ModelError
from headstart.files import atomic_file, safe_name
from headstart.foreign import own_folder
from headstart.records import MODEL, kept_weights, trial_row
from models.global_draws import seed_all
from models.weights import load_into, read_weights

MOST_NETWORKS = 5
TO_TRAIN = 1  # for each fold
SHOWN = 12  # images kept for a figure: of each given label, by either way of reading a class
SUREST = 240  # images kept for the sheet of labels that look wrong

Held = Literal["validation", "test"]
HELD: tuple[Held, ...] = ("validation", "test")


@dataclass(frozen=True)
class Answers:
    """indices, given int64 (n,); probabilities float32 (n, classes), the mean over networks."""

    indices: np.ndarray
    given: np.ndarray
    probabilities: np.ndarray


def main(argv: Sequence[str]) -> int:
    """Predict, and write the file whose name is printed; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.reference",
        description="Let a run's networks answer for images whose labels are in doubt; then "
        "`python -m analysis audit RUN` says what was done to the labels. Without --on: the "
        "labels that the run itself was trained on, each network on images it did not see.",
    )
    parser.add_argument("run", type=to_path, metavar="RUN", help="a finished run folder")
    data = parser.add_mutually_exclusive_group()
    data.add_argument(
        "--on", metavar="DATA",
        help="audit this data set with RUN as the trusted reference: a name, a folder, a file, or "
        "an entry as in a sweep file, "
        "'{name: mnist, corrupt_labels: {kind: uniform, fraction: 0.4}}'",
    )  # fmt: skip
    data.add_argument(
        "--train",
        metavar="DATA",
        help="first train networks on this data set's labels, into RUN (made where it is not)",
    )
    parser.add_argument(
        "--arm", help="whose networks (default: the best by validation of those trained with "
        "cross-entropy); an arm or a pretrain stage",
    )  # fmt: skip
    parser.add_argument(
        "--networks", type=int, metavar="N",
        help=f"use the networks of the first N seeds (default {MOST_NETWORKS}); of networks that "
        f"are trained for the audit, N for each of {FOLDS} folds (default {TO_TRAIN})",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=int, metavar="N",
        help="judge N images only, drawn by class, where networks are trained for the audit",
    )  # fmt: skip
    parser.add_argument("--data", type=to_path, metavar="DIR", help="where data sets lie")
    parser.add_argument(
        OPEN_NAMED, action="store_true",
        help="open the data and weights that RUN's own sweep.yaml names wherever they lie, and "
        "fetch what is not there (default: only what lies in the data folder; a stranger's run "
        "may name any file and any address)",
    )  # fmt: skip
    parser.add_argument(
        "--code", action="append", default=[], type=to_path, metavar="FILE|DIR",
        help="where code of your own lies with which RUN was made; none is taken from RUN",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=to_path, metavar="FILE.npz", help="default: RUN/audit/NAME.npz"
    )
    given = parser.parse_args(argv)
    for flag, number in (("--networks", given.networks), ("--images", given.images)):
        if number is not None and number < 1:
            raise InputError(f"{flag} {number}: a whole number from 1 is expected")
    n_folded, n_seeds = given.networks or TO_TRAIN, given.networks or MOST_NETWORKS
    if given.data is not None and not given.data.is_dir():
        raise InputError(f"--data {given.data}: no such folder")
    if given.out is not None and given.out.suffix != ".npz":
        raise InputError(f"--out {given.out}: a file name that ends in .npz is expected")
    entry = None if given.on is None else read_entry(given.on, "--on")
    if given.train is not None:
        to_learn = read_entry(given.train, "--train")
        status = train_networks(to_learn, given.run, n_folded, given.data, given.images)
        if status != EXIT_DONE:
            return status
    # With --train, the run's sweep.yaml has just been written from this command line.
    open_named = given.open_named or given.train is not None
    catalogue = DataCatalogue(given.data, allow_download=open_named)
    run = given.run
    specs = trained_specs(run, catalogue, given.arm, open_named, given.code)
    specs = [spec for spec in specs if spec.seed in sorted({s.seed for s in specs})[:n_seeds]]
    if entry is None and given.arm is None and not _judge_all(specs, catalogue):
        run = run / "audit" / "folds"
        own_folder(given.run, "audit")
        status = _train_folds(specs[0], run, n_folded, given)
        if status != EXIT_DONE:
            return status
        specs = trained_specs(run, catalogue, None, open_named=True)
    content = answer(run, specs, catalogue, entry, given.run)
    about = json.loads(str(content["about"]))
    out = given.out or given.run / "audit" / f"{safe_name(about['name'])}.npz"
    if given.out is None:
        own_folder(given.run, "audit")
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **content)
    print(f"{len(content['given'])} images of {about['data']}, answered by {about['by']}")
    print(f"{out}\nnow: python -m analysis audit {given.run if given.out is None else out}")
    return EXIT_DONE


def answer(
    run: Path,
    specs: Sequence[TrialSpec],
    catalogue: DataCatalogue,
    entry: DataEntry | None,
    shown: Path | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of the file; `shown` is the run that they are of, where other networks answer.

    `indices`, `given`, `probabilities` of the audited images; `trusted_given`,
    `trusted_probabilities` (empty in a self-audit); `class_names`; `image_indices` and `images`
    uint8 (m, C, h, w) of contradicted ones; `about`, JSON: name, data, by, notes.
    """
    first = specs[0]
    by = f"“{first.arm}” of {(shown or run).name} ({len(specs)} network{'s' * (len(specs) > 1)})"
    networks = {spec.id: _load(run, spec) for spec in specs}
    if entry is None:
        audited = catalogue.open(first.data)
        answers = _held_out(specs, networks, catalogue, _held_parts(first, audited))
        trusted = None
        choice = first.data.choice
        name, data = (
            f"{choice.shown}-itself",
            DataEntry(choice.name, choice.written_options()).in_words(),
        )
        if first.data.choice.split.fold is not None:
            by = _of_folds(run, specs)
        by += ", trained on these labels, each on images it did not see"
    else:
        audited = _open(entry, first, catalogue.data_dir)
        answers = _together(specs, networks, audited)
        trusted = _held_out(specs, networks, catalogue, HELD[first.data.has_test :][:1])
        name, data = f"{entry.name}-by-{first.arm}", entry.in_words()
        by += f", trained on “{first.data.choice.shown}”, whose labels are trusted"
    pictured = _contradicted(answers)
    stride = -(-max(audited.images.shape[2:]) // MAX_SIDE)
    empty = np.zeros((0, len(audited.class_names)), np.float32)
    about = {"name": name, "data": data, "by": by, "is_self_audit": trusted is None}
    return {
        "indices": answers.indices,
        "given": answers.given,
        "probabilities": answers.probabilities,
        "trusted_given": np.zeros(0, np.int64) if trusted is None else trusted.given,
        "trusted_probabilities": empty if trusted is None else trusted.probabilities,
        "class_names": np.array(audited.class_names),
        "image_indices": pictured,
        "images": np.stack([shrunk(audited.images[i], stride) for i in pictured])
        if len(pictured)
        else np.zeros((0, 1, 1, 1), np.uint8),
        "about": np.array(json.dumps(about, ensure_ascii=False)),
    }


def _held_parts(spec: TrialSpec, dataset: Dataset) -> tuple[Held, ...]:
    """The parts that a network did not learn from and whose labels are of one origin.

    A test part drawn from the same pool was held out like validation; an official one has labels
    of another origin. Of a fold the test part alone: nothing was chosen by it.
    """
    if spec.data.choice.split.fold is not None:
        return ("test",)
    return ("validation",) if "test" in dataset.parts else HELD


def _judge_all(specs: Sequence[TrialSpec], catalogue: DataCatalogue) -> bool:
    """Whether each image was held out from one of these networks, or no others can be trained.

    Folds are all that their audit asked for; a set that code of the user's own reads is known
    beside the run's own sweep file alone, so that no folds of it can be trained, which is said.
    """
    choice = specs[0].data.choice
    if choice.split.fold is not None:
        return True
    held = _held_parts(specs[0], catalogue.open(specs[0].data))
    if covers_all(specs, catalogue, held):
        return True
    if choice.own_code:
        print(
            f"{choice.shown}: your own code reads this set, so no folds of it are trained; the "
            f"run's networks judge the {' and '.join(held)} images that they did not train on, "
            "and the others are not judged",
            file=sys.stderr,
        )
    return bool(choice.own_code)


def _train_folds(spec: TrialSpec, run: Path, networks: int, given: argparse.Namespace) -> int:
    """Networks for the images that the run's own ones leave out; what that costs is said first."""
    choice = spec.data.choice
    n = given.images or spec.data.n_images
    print(
        f"{given.run}: no network of “{spec.arm}” was kept from every image; {FOLDS * networks} "
        f"LeNet-5 are trained on folds of {min(n, spec.data.n_images):,} images, into {run}",
        file=sys.stderr,
    )
    entry = DataEntry(choice.name, choice.written_options())
    return train_networks(entry, run, networks, given.data, given.images)


def _of_folds(run: Path, specs: Sequence[TrialSpec]) -> str:
    """Who answers, with what it cost to train them."""
    rows = [trial_row(run / "trials" / spec.id) for spec in specs]
    seconds = sum(row.train_time_s or 0.0 for row in rows if row is not None)
    folds = f"{len(specs)} LeNet-5 of {FOLDS} folds"
    return f"{folds} ({duration_text(seconds)} of training)"


def _open(entry: DataEntry, like: TrialSpec, data_dir: Path | None) -> Dataset:
    """The audited set at the network's size.

    Raises:
        DataError: other classes than the reference's, or the very labels it was trained on.
    """
    dataset = datasets.load_dataset(
        entry.name,
        entry.options,
        data_dir=data_dir,
        image_size=like.data.image_size,
        channels=like.data.channels,
    )
    if dataset.class_names != like.data.class_names:
        raise DataError(
            f"--on {entry.name}: its classes ({_few(dataset.class_names)}) are not those of the "
            f"reference ({_few(like.data.class_names)})"
        )
    if dataset.fingerprint == like.data.fingerprint:
        raise DataError(
            f"--on {entry.name}: the reference was trained on these very labels; leave --on out "
            "to audit them by networks that did not see them"
        )
    return dataset


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" … {len(names)} classes" if len(names) > 10 else "")


def _load(run: Path, spec: TrialSpec) -> nn.Module:
    network, groups = build_network(spec)
    path = run / "trials" / spec.id / MODEL
    row = trial_row(path.parent)
    if row is not None:
        kept_weights(path.parent, row)
    weights = read_weights(path)
    try:
        load_into(network, weights, head="keep", groups=groups)
    except ModelError as err:
        raise ModelError(f"{path}: {err}") from err
    return network.eval()


def _held_out(
    specs: Sequence[TrialSpec],
    networks: dict[str, nn.Module],
    catalogue: DataCatalogue,
    parts: tuple[Held, ...],
) -> Answers:
    """Each image of these parts by the networks that it was held out from, in mean over them."""
    total: dict[int, np.ndarray] = {}
    times: dict[int, int] = {}
    for spec in specs:
        dataset = catalogue.open(spec.data)
        rng = np.random.default_rng(spec.streams["split"])
        split = split_dataset(dataset, spec.data.choice.split, rng)
        indices = np.concatenate([getattr(split, part) for part in parts])
        said = _probabilities(networks[spec.id], dataset, indices, spec)
        for index, row in zip(indices.tolist(), said, strict=True):
            total[index] = total[index] + row if index in total else row.astype(np.float64)
            times[index] = times.get(index, 0) + 1
    if not total:
        raise DataError(
            f"{specs[0].data.choice.shown}: no {' or '.join(parts)} images to answer for"
        )
    indices = np.array(sorted(total), np.int64)
    mean = np.stack([total[i] / times[i] for i in indices.tolist()]).astype(np.float32)
    return Answers(indices, np.asarray(dataset.labels[indices]), mean)


def _together(
    specs: Sequence[TrialSpec], networks: dict[str, nn.Module], dataset: Dataset
) -> Answers:
    """All images that are not in an official test part, by all networks in mean."""
    others = np.setdiff1d(np.arange(len(dataset.labels)), dataset.parts.get("test", []))
    indices = np.asarray(dataset.parts.get("train", others), np.int64)
    said = [_probabilities(networks[spec.id], dataset, indices, spec) for spec in specs]
    mean = np.stack(said).mean(axis=0, dtype=np.float64).astype(np.float32)
    return Answers(indices, np.asarray(dataset.labels[indices]), mean)


def _probabilities(
    network: nn.Module, dataset: Dataset, indices: np.ndarray, spec: TrialSpec
) -> np.ndarray:
    """float32 (n, classes), in batches of a fixed size."""
    info = spec.condition.model.info.for_channels(spec.data.channels)
    if not len(indices):
        return np.zeros((0, len(dataset.class_names)), np.float32)
    starts = range(0, len(indices), EVALUATION_BATCH)
    batches = (dataset.images[indices[start : start + EVALUATION_BATCH]] for start in starts)
    if spec.condition.runs_others_code:  # which may draw from the global generators
        seed_all(0)
    logits = logits_of(network, batches, info, torch.device("cpu"))
    check_logits(logits, f"trial {spec.id} (“{spec.arm}”, seed {spec.seed})")
    return logits.softmax(dim=1).numpy()


def _contradicted(answers: Answers) -> np.ndarray:
    """Indices of images for a figure, of each given label `SHOWN` that are surely something else.

    Drawn from the most certain quarter of each class read, not the very first: those would be of
    the one or two classes that the network finds easiest. Filled up with the most certain others.
    """
    p = answers.probabilities
    rng = np.random.default_rng(0)
    surety = p.max(axis=1) - p[np.arange(len(p)), answers.given]
    surest = np.argsort(-surety, kind="stable")[:SUREST]
    chosen = set(answers.indices[surest[surety[surest] > 0]].tolist())
    for read, certainty in ((p.argmax(axis=1), p.max(axis=1)), (p.argmin(axis=1), -p.min(axis=1))):
        limits = [
            np.quantile(certainty[read == k], 0.75) if (read == k).any() else 0.0
            for k in range(p.shape[1])
        ]
        is_sure = certainty >= np.array(limits)[read]
        for label in range(p.shape[1]):
            members = np.flatnonzero((answers.given == label) & (read != label))
            sure = rng.permutation(members[is_sure[members]])
            rest = members[~is_sure[members]]
            rest = rest[np.argsort(-certainty[rest], kind="stable")]
            chosen.update(answers.indices[np.concatenate([sure, rest])[:SHOWN]].tolist())
    return np.array(sorted(chosen), np.int64)


if __name__ == "__main__":
    run_command(main)
