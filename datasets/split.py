"""Which images train, which validate, which test: drawn by class, copies and groups kept together.

In: a `Dataset`, the split's settings from a sweep's `data` entry, a generator (the seed's `split`
stream, or one that is the same for all seeds for a fixed split). Out: three lists of indices.
No image is in two parts, no image that another part holds an exact copy of, and no group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from datasets import split_notes
from datasets.base import Dataset, first_copies, image_digests
from datasets.folds import Fold, folded
from datasets.group_split import UNUSED, assign_groups
from datasets.strata import stratified
from headstart.errors import DataError
from headstart.settings import key

_WITH_TEST = {"train": 0.85, "validation": 0.15, "test": 0.0}  # the set has its own test part
_WITHOUT_TEST = {"train": 0.70, "validation": 0.15, "test": 0.15}
_VALIDATION_PER_TRAIN = 0.15 / 0.85  # where only `train` is a count
_CLASSES_SHOWN = 12  # in a message


class SplitSettings(BaseModel):
    """The keys of a `data` entry that say how to split."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    train: int | None = key("Images to train on (for each class with `per_class`). Without counts "
        "and `split`: 0.85 of the images, or 0.70 where the set has no test part of its own.", None,
        example=50000, unit="images", ge=1)  # fmt: skip
    validation: int | None = key("Images that choose the checkpoint. Without it, 0.15 of the "
        "images, or 15 for each 85 of `train`.", None, example=10000, unit="images",
        ge=0)  # fmt: skip
    test: int | None = key("Images for the one test at the end. Without it, the set's own test "
        "part, or 0.15 of the images where it has none.", None, example=10000, unit="images",
        ge=0)  # fmt: skip
    split: Mapping[str, float] | None = key("Shares of the images that are there to draw from, "
        "instead of counts.", None, example={"train": 0.7, "validation": 0.15, "test": 0.15},
        unit="fractions of images")  # fmt: skip
    per_class: bool = key("Whether the counts are for each class.", False, example=True)
    fold: Fold | None = key("Cross-validation: the images of this fold test; of the others, 0.9 "
        "train and 0.1 choose the checkpoint. The folds are the same for every seed, and the set's "
        "own test part is left out.", None, example={"number": 1, "of": 4})  # fmt: skip

    @field_validator("split")
    @classmethod
    def _fractions(cls, split: Mapping[str, float] | None) -> Mapping[str, float] | None:
        if split is None:
            return None
        unknown = sorted(set(split) - set(_WITH_TEST))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: the parts are train, validation, test")
        if any(not 0 <= share <= 1 for share in split.values()) or split.get("train", 0) == 0:
            raise ValueError("each share is a fraction between 0 and 1, and train's is over 0")
        if sum(split.values()) > 1 + 1e-9:
            raise ValueError(f"the shares add up to {sum(split.values()):g}, which is over 1")
        return split

    @model_validator(mode="after")
    def _counts_or_fractions(self) -> SplitSettings:
        counted = [each for each in _WITH_TEST if getattr(self, each) is not None]
        if self.split is not None and (counted or self.per_class):
            raise ValueError(
                f"give counts ({', '.join(counted) or 'per_class'}) or fractions (split), not both"
            )
        if self.fold is not None and (counted or self.per_class or self.split is not None):
            raise ValueError("a fold says which images test: leave counts and split out")
        if self.per_class and self.train is None:
            raise ValueError("per_class needs the count `train`")
        return self

    @property
    def asks_for_counts(self) -> bool:
        """Whether a person said which or how many images a part has."""
        return self.fold is not None or any(getattr(self, each) is not None for each in _WITH_TEST)

    @property
    def asks_for_test(self) -> bool:
        """Whether a person said how many images test."""
        return self.test is not None or self.fold is not None or "test" in (self.split or {})


_OF_A_FOLD = SplitSettings(split={"train": 0.9, "validation": 0.1})


@dataclass(frozen=True)
class Split:
    """int64 indices into the data set, in the order drawn; `test` may be empty.

    `notes` says what a report must say: how many images were left out because another part
    holds a copy of them.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()

    def without_test(self) -> Split:
        """The same split for one who may not see its test images."""
        return replace(self, test=self.test[:0])

    def in_one_part(self) -> Split:
        """All of its images as training images: first those that were, then the others."""
        train = np.concatenate([self.train, self.validation, self.test])
        return replace(self, train=train, validation=train[:0], test=train[:0])


def split_dataset(dataset: Dataset, settings: SplitSettings, rng: np.random.Generator) -> Split:
    """Draw the parts of `dataset`.

    Where the set comes with a test part, `test` is drawn from it (all of it without a count), and
    likewise `validation`; everything else is drawn from its train part. Draws are stratified: each
    class gets its share, rounded so that the total is exact. Images of the train part that have an
    exact copy in an official part stay out; other copies go to one part together. Where the set
    has groups, a group goes to one part as a whole (`_draw_groups`), and those of an official part
    stay out of the others. Where labels are no classes, `stratified` says what takes their place.

    Raises:
        DataError: more images are asked for than there are.
    """
    target, labels = dataset.target, dataset.labels
    if target is not None:
        if settings.per_class and target.kind != "ordered":
            raise DataError(f"data set '{dataset.name}': per_class counts images by class, and its "
                            f"target is {target.kind}")  # fmt: skip
        split = _by_class(replace(stratified(dataset), target=None), settings, rng)
        parts = {name: getattr(split, name) for name in _WITH_TEST}
        return replace(split, notes=(*split.notes, *split_notes.lacking(target, labels, parts)))
    split = _by_class(dataset, settings, rng)
    if settings.asks_for_counts:
        return split
    parts = {"validation": split.validation, "test": split.test}
    return replace(split, notes=(*split.notes, *split_notes.without_a_class(dataset, parts)))


def _by_class(dataset: Dataset, settings: SplitSettings, rng: np.random.Generator) -> Split:
    """As `split_dataset`, each class its share."""
    first_copy = _known_copies(dataset)
    if settings.fold is not None:
        return _fold(dataset, settings.fold, first_copy, rng)
    official = {
        name: dataset.parts[name] for name in ("validation", "test") if name in dataset.parts
    }
    fixed = {
        name: _from_official(dataset, name, indices, settings, rng)
        for name, indices in official.items()
    }
    pool, n_left_out = _pool(dataset, official, first_copy)
    pool, group_notes = _pool_of_groups(dataset, official, pool)
    wanted = {
        name: n for name, n in _wanted(dataset, pool, settings, fixed).items() if name not in fixed
    }
    if dataset.groups is None:
        drawn = _draw(dataset.labels, pool, wanted, first_copy, rng)
        n_short = sum(int(n.sum()) for n in wanted.values()) - sum(map(len, drawn.values()))
    else:
        drawn = _draw_groups(dataset.labels, dataset.groups, pool, wanted, rng)
        drawn, copy_notes = _without_copies(drawn, first_copy)
        said = split_notes.groups_note(dataset.groups, {**drawn, **fixed}, wanted)
        group_notes += [*copy_notes, said]
        n_short = 0  # the note of the groups says what was given
    parts = {**drawn, **fixed}
    if len(parts["train"]) == 0:
        raise DataError(
            f"data set '{dataset.name}' ({dataset.source}): no image is left to train on; "
            f"{len(pool)} are there to draw from"
        )
    notes = (
        *split_notes.unused_shares(settings.split or {}, official),
        *([] if settings.asks_for_test else split_notes.no_test_part(dataset, parts)),
        *split_notes.copies(dataset, n_left_out, n_short),
        *group_notes,
        *split_notes.near_duplicates(dataset, parts["train"], parts["test"]),
    )
    return Split(parts["train"], parts["validation"], parts["test"], notes)


def _fold(dataset: Dataset, fold: Fold, first_copy: np.ndarray, rng: np.random.Generator) -> Split:
    """The fold's images test; the rest is drawn for training and validation.

    Groups hold a copy of an image apart where it is of another group: such a copy is left out, so
    that no network saw what it judges.
    """
    pool = np.setdiff1d(np.arange(len(dataset.labels)), dataset.parts.get("test", []))
    tied = first_copy if dataset.groups is None else dataset.groups
    indices, numbers = folded(dataset.labels, tied, pool, fold)
    rest, test = indices[numbers != fold.number], indices[numbers == fold.number]
    rest = rest[~np.isin(first_copy[rest], first_copy[test])]
    wanted = _wanted_by_fractions(dataset, rest, _OF_A_FOLD, {"test": test})
    if dataset.groups is None:
        drawn = _draw(dataset.labels, rest, wanted, first_copy, rng)
    else:
        drawn = _draw_groups(dataset.labels, dataset.groups, rest, wanted, rng)
    if len(drawn["train"]) == 0:
        raise DataError(
            f"data set '{dataset.name}' ({dataset.source}): fold {fold.number} of {fold.of} leaves "
            f"no image to train on; {len(indices)} are folded"
        )
    return Split(drawn["train"], drawn["validation"], test)


def check_parts(dataset: Dataset, split: Split, *, is_tested: bool) -> None:
    """Whether a trial can train with the parts: it chooses by validation, and an arm is tested.

    Raises:
        DataError: a part that it needs has no image; how many the others have.
    """
    needed = {"validation": "to choose the checkpoint by"}
    if is_tested:
        needed["test"] = "to test on"
    for name, use in needed.items():
        if len(getattr(split, name)) == 0:
            others = [f"{len(getattr(split, n)):,} {n}" for n in _WITH_TEST if n != name]
            raise DataError(
                f"data set '{dataset.name}' ({dataset.source}): {name}: no image is left {use} "
                f"({' and '.join(others)} of {len(dataset.labels):,}); say how many, as "
                f"{name}: N, and ask for fewer of the others, or add "
                f"{'images' if dataset.groups is None else 'groups, each of which stays whole'}"
            )


def draws_are_alike(dataset: Dataset, split: Split) -> bool:
    """Whether no other draw can leave a part without images, where `split` has some in each.

    Without groups and copies every draw gives the same numbers. With them, numbers differ by what
    stays together.
    """
    smallest = min(len(part) for part in (split.train, split.validation, split.test) if len(part))
    if dataset.groups is not None:
        tied = 2 * int(np.bincount(dataset.groups).max())
    else:
        counts = np.bincount(_known_copies(dataset))
        tied = int(counts[counts > 1].sum())
    return smallest > tied


def _known_copies(dataset: Dataset) -> np.ndarray:
    if dataset.first_copy is not None:
        return dataset.first_copy
    return first_copies(image_digests(dataset.images))


def _from_official(
    dataset: Dataset,
    name: str,
    indices: np.ndarray,
    settings: SplitSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """All of an official part, in its own order, or a stratified draw of the count asked for."""
    count = getattr(settings, name)
    if count is None:
        return indices
    there = np.bincount(dataset.labels[indices], minlength=len(dataset.class_names))
    asked = _Asked(dataset, there, {name: count}, settings.per_class)
    if settings.per_class:
        per_class = asked.of_each_class(there, name)
    else:
        per_class = _apportion(there, asked.checked(there, name, count))
    picked = [
        rng.permutation(indices[dataset.labels[indices] == label])[:n]
        for label, n in enumerate(per_class)
    ]
    return rng.permutation(np.concatenate(picked))


def _pool(
    dataset: Dataset, official: Mapping[str, np.ndarray], first_copy: np.ndarray
) -> tuple[np.ndarray, int]:
    """What may be drawn from: the train part without the copies of official images."""
    pool = dataset.parts.get("train")
    if pool is None:
        taken = np.concatenate([[], *official.values()]).astype(np.int64)
        pool = np.setdiff1d(np.arange(len(dataset.labels)), taken)
    if not official:
        return pool, 0
    held = np.unique(first_copy[np.concatenate(list(official.values()))])
    free = ~np.isin(first_copy[pool], held)
    return pool[free], int(np.count_nonzero(~free))


def _wanted(
    dataset: Dataset, pool: np.ndarray, settings: SplitSettings, fixed: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """For each part the number of images of each class, int64 (n_classes,)."""
    if settings.train is None and settings.validation is None and settings.test is None:
        return _wanted_by_fractions(dataset, pool, settings, fixed)
    totals = _totals(dataset, pool, settings, fixed)
    left = np.bincount(dataset.labels[pool], minlength=len(dataset.class_names))
    by_class = [n for n in totals if settings.per_class and getattr(settings, n) is not None]
    asked = _Asked(dataset, left, {n: totals[n] for n in by_class or totals}, bool(by_class))
    wanted = {}
    for name, total in totals.items():
        if name in by_class:
            wanted[name] = asked.of_each_class(left, name)
        else:
            wanted[name] = _apportion(left, asked.checked(left, name, total))
        left = left - wanted[name]
    return wanted


@dataclass(frozen=True)
class _Asked:
    """How many images a person asks for, of a set or of one of its own parts.

    `there` has the images by class, int64 (n_classes,); `counts` those asked for by part, for each
    class where `by_class`.
    """

    dataset: Dataset
    there: np.ndarray
    counts: Mapping[str, int]
    by_class: bool

    def of_each_class(self, left: np.ndarray, name: str) -> np.ndarray:
        """The count of part `name` for each class; `left`: of the images, those not given yet.

        Raises:
            DataError: a class has too few; the number found and needed of every such class.
        """
        count = self.counts[name]
        if count > left.min():
            poorest = int(left.argmin())
            raise self._too_few(
                f"{name}: {count} images a class asked for, class "
                f"'{self.dataset.class_names[poorest]}' has {left[poorest]} left"
            )
        return np.full(len(left), count, np.int64)

    def checked(self, left: np.ndarray, name: str, total: int) -> int:
        """`total`, where so many are left.

        Raises:
            DataError: fewer are.
        """
        n_left = int(left.sum())
        if total > n_left:
            raise self._too_few(f"{name}: {total} images asked for, {n_left} are left to draw from")
        return total

    def _too_few(self, text: str) -> DataError:
        return DataError(
            f"data set '{self.dataset.name}' ({self.dataset.source}): {text}; {self._needed()}; "
            "ask for fewer, or add images"
        )

    def _needed(self) -> str:
        """What the parts need together, and what is there."""
        total = sum(self.counts.values())
        parts = " + ".join(f"{n} {name}" for name, n in self.counts.items() if n)
        if not self.by_class:
            return f"needed in all: {total} ({parts}), found: {self.there.sum()}"
        classes = zip(self.dataset.class_names, self.there.tolist(), strict=True)
        poor = [f"'{name}' {n}" for name, n in classes if n < total]
        more = f" and {len(poor) - _CLASSES_SHOWN} more classes" * (len(poor) > _CLASSES_SHOWN)
        shown = ", ".join(poor[:_CLASSES_SHOWN])
        return f"needed of each class: {total} ({parts}), found: {shown}{more}"


def _wanted_by_fractions(
    dataset: Dataset, pool: np.ndarray, settings: SplitSettings, fixed: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    shares = dict(settings.split or (_WITH_TEST if "test" in fixed else _WITHOUT_TEST))
    shares = {name: shares.get(name, 0.0) for name in _WITH_TEST if name not in fixed}
    if settings.split is None:
        shares = {name: share / sum(shares.values()) for name, share in shares.items()}
    left = np.bincount(dataset.labels[pool], minlength=len(dataset.class_names))
    n_pool = int(left.sum())
    wanted = {}
    ends = np.round(np.cumsum(list(shares.values())) * n_pool).astype(int)
    for name, total in zip(shares, np.diff(ends, prepend=0), strict=True):
        wanted[name] = _apportion(left, int(total))
        left = left - wanted[name]
    return wanted


def _totals(
    dataset: Dataset, pool: np.ndarray, settings: SplitSettings, fixed: Mapping[str, np.ndarray]
) -> dict[str, int]:
    """The counts asked for, with those that were not given filled in.

    Without `train`, all that the others leave; without `validation`, 15 for each 85 of train
    (what is left, if that is less); without `test`, none where the set has no test part.
    """
    scale = len(dataset.class_names) if settings.per_class else 1
    test = 0 if "test" in fixed else settings.test or 0
    if settings.train is None:
        validation = 0 if "validation" in fixed else settings.validation or 0
        return {
            "train": max(0, len(pool) - validation - test),
            "validation": validation,
            "test": test,
        }
    if "validation" in fixed:
        validation = 0
    elif settings.validation is not None:
        validation = settings.validation
    else:
        n_left = max(0, len(pool) - (settings.train + test) * scale)
        validation = min(round(settings.train * scale * _VALIDATION_PER_TRAIN), n_left)
    return {"train": settings.train, "validation": validation, "test": test}


def _apportion(available: np.ndarray, total: int) -> np.ndarray:
    """`total` shared in proportion to `available`, int64 (n_classes,), by largest remainder."""
    if total == 0:
        return np.zeros(len(available), np.int64)
    exact = available * (total / available.sum())
    shares: np.ndarray = np.floor(exact + 1e-9).astype(np.int64)
    by_remainder = np.argsort(shares - exact, kind="stable")
    shares[by_remainder[: total - int(shares.sum())]] += 1
    return shares


def _draw(
    labels: np.ndarray,
    pool: np.ndarray,
    wanted: Mapping[str, np.ndarray],
    first_copy: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Fill each part with the wanted number of each class, groups of copies first and whole."""
    names = list(wanted)
    need = np.stack([wanted[name] for name in names])
    taken: dict[str, list[np.ndarray]] = {name: [] for name in names}
    order = rng.permutation(pool)
    groups, singles = _copies_together(order, first_copy)
    for group in groups:
        cost = np.bincount(labels[group], minlength=need.shape[1])
        fits = [part for part in range(len(names)) if (need[part] >= cost).all()]
        if fits:
            room = np.array([need[part].sum() for part in fits], float)
            part = fits[rng.choice(len(fits), p=room / room.sum())]
            need[part] -= cost
            taken[names[part]].append(group)
    _fill_with_singles(labels, singles, need, names, taken)
    return {
        name: rng.permutation(np.concatenate([np.empty(0, np.int64), *taken[name]]))
        for name in names
    }


def _copies_together(
    order: np.ndarray, first_copy: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """Groups of two or more equal images, and the images that have no copy, in `order`."""
    _, inverse, counts = np.unique(first_copy[order], return_inverse=True, return_counts=True)
    single = counts[inverse] == 1
    copies, which = order[~single], inverse[~single]
    groups = [copies[which == group] for group in dict.fromkeys(which.tolist())]
    return groups, order[single]


def _fill_with_singles(
    labels: np.ndarray,
    singles: np.ndarray,
    need: np.ndarray,
    names: list[str],
    taken: dict[str, list[np.ndarray]],
) -> None:
    for label in range(need.shape[1]):
        members = singles[labels[singles] == label]
        ends = np.cumsum(need[:, label])
        for name, start, end in zip(names, ends - need[:, label], ends, strict=True):
            taken[name].append(members[start:end])


def _pool_of_groups(
    dataset: Dataset, official: Mapping[str, np.ndarray], pool: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """`pool` without the groups that an official part holds, and what a report says of that."""
    if dataset.groups is None or not official:
        return pool, []
    held = np.unique(dataset.groups[np.concatenate(list(official.values()))])
    free = ~np.isin(dataset.groups[pool], held)
    n_left_out = int(np.count_nonzero(~free))
    notes = [
        f"{n_left_out} images of the train part of '{dataset.name}' left out: their groups are in "
        "its validation or test part"
    ]
    if not free.any():
        raise DataError(
            f"data set '{dataset.name}' ({dataset.source}): every group of its train part is in "
            "its validation or test part too, so no image is left to train on; leave the groups "
            "out, or have the parts drawn by group from all images"
        )
    return pool[free], notes if n_left_out else []


def _draw_groups(
    labels: np.ndarray,
    groups: np.ndarray,
    pool: np.ndarray,
    wanted: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Fill each part with whole groups, as near to the wanted number of each class as can be.

    Groups of one image come last: they fill what the larger ones have left open, class by class.
    """
    names = list(wanted)
    need = np.stack([wanted[name] for name in names])
    members, which = np.unique(groups[pool], return_inverse=True)
    counts = np.zeros((len(members), need.shape[1]), np.int64)
    np.add.at(counts, (which, labels[pool]), 1)
    is_large = counts.sum(1) > 1
    there, in_large = counts.sum(0), counts[is_large].sum(0)
    ends = np.round(np.cumsum(need, axis=0) * (in_large / np.maximum(there, 1))).astype(np.int64)
    part_of = np.full(len(members), UNUSED)
    part_of[is_large] = assign_groups(counts[is_large], np.diff(ends, axis=0, prepend=0), rng)
    taken = {name: [pool[part_of[which] == part]] for part, name in enumerate(names)}
    got = np.stack([np.bincount(labels[taken[name][0]], minlength=len(there)) for name in names])
    singles = rng.permutation(pool[~is_large[which]])
    _fill_with_singles(labels, singles, np.maximum(0, need - got), names, taken)
    return {name: rng.permutation(np.concatenate(taken[name])) for name in names}


def _without_copies(
    drawn: Mapping[str, np.ndarray], first_copy: np.ndarray
) -> tuple[dict[str, np.ndarray], list[str]]:
    """`drawn` without the images of a part of which a later part holds a copy, of another group."""
    kept, held, n_left_out = {}, np.empty(0, np.int64), 0
    for name in reversed(list(drawn)):
        is_free = ~np.isin(first_copy[drawn[name]], held)
        n_left_out += int(np.count_nonzero(~is_free))
        held = np.union1d(held, first_copy[drawn[name]])
        kept[name] = drawn[name][is_free]
    note = f"{n_left_out} images left out: exact copies of images of another group in another part"
    return {name: kept[name] for name in drawn}, [note] if n_left_out else []
