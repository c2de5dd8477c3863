"""The further test sets of a sweep (`also_test`), looked at before any trial runs.

In: a plan and its data catalogue. Out: for each set and each kind of network what was found: how
many images, under which fingerprint, what must be said of it. Sets that cannot be used are named
all at once, each with the line of the sweep file that names it. It stands apart from the scoring,
which needs torch and finished trials.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.cache.checked import is_in_files
from datasets.given import Given
from datasets.image_corruptions import FORMAT, SMALL, value_of
from datasets.target import TargetSettings
from harness.evaluate.test_sets import IN_A_FILE, Preparation, TestSet, preparation, read_set
from harness.sweepfile.settings import AlsoTest, Corrupted, DataChoice
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import DataUse, Plan, TrialSpec
from headstart.caches import expanded
from headstart.digests import image_keys
from headstart.errors import InputError, SpecError

MOST_COMPARED = 2 << 30  # bytes of a training set whose images are looked for in a test set


@dataclass(frozen=True)
class Shown:
    """How networks see a set: what its images are made like, the classes that they know, and what
    their labels stand for, where these are no classes."""

    prepare: Preparation
    class_names: tuple[str, ...]
    target: TargetSettings | None = None


def shown_as(
    item: AlsoTest,
    data: DataChoice,
    image_size: tuple[int, int],
    channels: int,
    class_names: tuple[str, ...],
) -> Shown:
    """How a network that was trained on `data`, whose images are kept at this size, sees a set."""
    preprocess = item.options.model_dump(exclude_unset=True).get("preprocess")
    prepare = preparation(data, image_size, channels, preprocess)
    return Shown(prepare, class_names, data.options.target)


@dataclass(frozen=True)
class FoundSet:
    """What is known of one further test set, as the networks of some arms see it.

    Attributes:
        fingerprint: of the images as they are shown, and of their labels.
        how: how the images are made like the networks' own, in words.
    """

    called: str
    arms: tuple[str, ...]
    n_images: int
    fingerprint: str
    how: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def record(self) -> dict[str, object]:
        """As `provenance.json` has it."""
        return {**vars(self), "arms": list(self.arms), "notes": list(self.notes),
                "warnings": list(self.warnings)}  # fmt: skip


class AlsoSets:
    """Reads the sets of a sweep for whoever asks, and remembers their fingerprints."""

    def __init__(self, data_dir: Path | None):
        self.data_dir = data_dir
        self._fingerprints: dict[tuple[str, Shown], str] = {}

    def read(self, item: AlsoTest, shown: Shown) -> TestSet:
        """The images and labels of a set, as such networks see them.

        Raises:
            DataError: it is not there, or has labels that they do not know.
        """
        options = item.options.model_dump(exclude_unset=True)
        options.pop("preprocess", None)  # it is in `shown`
        if "path" in options:
            options["path"] = expanded(options["path"])
        test = read_set(
            Given(item.name, options), shown.class_names, shown.prepare, item.called,
            data_dir=self.data_dir, part=item.part, ways=IN_A_FILE, target=shown.target,
        )  # fmt: skip
        self._fingerprints[item.called, shown] = test.fingerprint
        return test

    def fingerprint(self, item: AlsoTest, shown: Shown) -> str:
        """That of the set's images and labels; read where that was not done yet."""
        if (item.called, shown) not in self._fingerprints:
            self.read(item, shown)
        return self._fingerprints[item.called, shown]


def corrupted_fingerprint(item: Corrupted, of_data: str) -> str:
    """A hash of a data set's fingerprint and of what is done to its test images."""
    content = f"{FORMAT} {item.corruption} {item.strength} {of_data}"
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def look_at_sets(plan: Plan, sets: AlsoSets, catalogue: DataCatalogue) -> list[FoundSet]:
    """What is known of each set, in the order of the sweep file.

    Raises:
        SpecError: sets that cannot be used; one line for each.
    """
    sweep = plan.sweep
    if not sweep.also_test:
        return []
    found: list[FoundSet] = []
    mistakes: list[str] = []
    for item, at in zip(sweep.also_test, _places(plan), strict=True):
        try:
            if isinstance(item, Corrupted):
                found += _corrupted(item, plan)
            else:
                for shown, trials in _arms_by_kind(item, plan).items():
                    found.append(_found(item, shown, trials, plan, sets, catalogue))
        except InputError as err:
            mistakes += [f"{at}: {line}" for line in str(err).splitlines()]
    if mistakes:
        raise SpecError(mistakes)
    return found


def lines(
    found: Sequence[FoundSet], n_scores: int | None = None, *, keeps_weights: bool = True
) -> Iterator[str]:
    """What a command says of the sets: of each a line, its warnings and its notes.

    keeps_weights: whether the trials to come leave weights that can be scored.
    """
    for each in found:
        yield f"also tested on: {each.called}, {each.n_images:,} images; {each.how}"
        yield from (f"  warning: {text}" for text in each.warnings)
        yield from (f"  note: {text}" for text in each.notes)
    if n_scores and not keeps_weights:
        yield ("At the end new trials are not scored on further test sets: save: {weights: none} "
               "keeps no weights of theirs.")  # fmt: skip
    elif n_scores is not None:
        yield f"At the end {n_scores:,} scores on further test sets are left to make."


def _places(plan: Plan) -> Sequence[str]:
    """Where the file names each set."""
    sweep = plan.sweep
    if len(sweep.also_at) == len(sweep.also_test):
        return sweep.also_at
    return [f"{sweep.name}: also_test[{k}]" for k in range(len(sweep.also_test))]


def _arms_by_kind(item: AlsoTest, plan: Plan) -> dict[Shown, list[TrialSpec]]:
    """One trial of each arm, by how its networks see the set."""
    kinds: dict[Shown, list[TrialSpec]] = {}
    for (stage, _), trials in plan.by_arm.items():
        if stage == "arm":
            data = trials[0].data
            size = data.kept_size or data.image_size
            shown = shown_as(item, data.choice, size, data.channels, data.class_names)
            kinds.setdefault(shown, []).append(trials[0])
    return kinds


def _corrupted(item: Corrupted, plan: Plan) -> Iterator[FoundSet]:
    """The arms' own test images, once for each data set."""
    uses: dict[str, tuple[DataUse, list[str]]] = {}
    for (stage, arm), trials in plan.by_arm.items():
        if stage == "arm":
            use = trials[0].data
            uses.setdefault(use.fingerprint, (use, []))[1].append(arm)
    for fingerprint, (use, arms) in uses.items():
        size = use.kept_size or use.image_size
        made_for = "32×32 (CIFAR-10-C)" if min(size) < SMALL else "224×224 (ImageNet-C)"
        value = value_of(item.corruption, item.strength, size)
        yield FoundSet(
            called=item.called,
            arms=tuple(arms),
            n_images=use.n_tested,
            fingerprint=corrupted_fingerprint(item, fingerprint),
            how=f"the test images of {use.choice.label} at {size[0]}×{size[1]}, {item.corruption} "
            f"{value:.3g}, from the values for {made_for}; alike for every arm and seed",
        )


def _found(
    item: AlsoTest,
    shown: Shown,
    trials: Sequence[TrialSpec],
    plan: Plan,
    sets: AlsoSets,
    catalogue: DataCatalogue,
) -> FoundSet:
    test = sets.read(item, shown)
    warnings = [*test.warnings, *_trained_on(test, trials, plan, catalogue)]
    return FoundSet(
        called=item.called,
        arms=tuple(trial.arm for trial in trials),
        n_images=len(test.labels),
        fingerprint=test.fingerprint,
        how=shown.prepare.words(),
        notes=test.notes,
        warnings=tuple(warnings),
    )


def _trained_on(
    test: TestSet, trials: Sequence[TrialSpec], plan: Plan, catalogue: DataCatalogue
) -> Iterator[str]:
    """A warning for each data set of the arms and their stages that has some of the test images.

    Raises:
        InputError: one has most of them.
    """
    keys = image_keys(test.images)
    for use, arm in _learned_from(trials, plan):
        images = catalogue.open(use).images
        alike = images.shape[1:] == test.images.shape[1:]
        if not alike or is_in_files(images) or images.nbytes > MOST_COMPARED:
            continue
        n = int(np.isin(keys, image_keys(images)).sum())
        text = f"{n:,} of {len(keys):,} images are among those of {use.choice.label}, from which " \
            f"'{arm}' learns"  # fmt: skip
        if 2 * n > len(keys):
            raise InputError(f"{test.name}: {text}, so they test nothing outside of it")
        if n:
            yield text


def _learned_from(trials: Sequence[TrialSpec], plan: Plan) -> Iterator[tuple[DataUse, str]]:
    """The data sets of these trials and of those that they start from, each once."""
    seen: set[str] = set()
    for trial in trials:
        at: TrialSpec | None = trial
        while at is not None:
            if at.data.fingerprint not in seen:
                seen.add(at.data.fingerprint)
                yield at.data, trial.arm
            at = plan.by_id.get(at.parent) if at.parent else None
