"""The data sets of a plan. In: a condition's data. Out: `DataUse`, and the images."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

import datasets
from datasets.as_jpeg import SIZE
from datasets.base import PART_NAMES, Dataset
from datasets.cache.checked import is_in_files, is_mapped
from datasets.split import Split, SplitSettings, check_parts, draws_are_alike, split_dataset
from harness.sweepfile.settings import Condition, DataChoice
from harness.trials.spec import DataUse, PassedOver
from headstart.errors import DataError, DataNotFoundError, InputError
from headstart.metrics import WITHOUT_ACCURACY
from models import ModelInfo

MAY_BE_MISSING = "`optional: true` beside it would let the next of first_of stand in"


class DataCatalogue:
    """Opens each data set of a plan once; remembers what was chosen from every `first_of`.

    `split_stream` is that of the seed whose split is drawn for what a split says of itself.
    """

    def __init__(
        self, data_dir: Path | None = None, allow_download: bool = True, split_stream: int = 0
    ):
        self.data_dir = data_dir
        self.allow_download = allow_download
        self.split_stream = split_stream
        self._uses: dict[str, DataUse | InputError] = {}
        self._opened: dict[str, Dataset] = {}
        self._right: dict[str, np.ndarray | None] = {}  # right labels by fingerprint
        # By fingerprint and the split's settings; and whether every seed's has images alike.
        self._drawn: dict[tuple[str, str], tuple[Split, bool]] = {}
        self._mistakes: dict[tuple[str, str, int, bool], str] = {}  # also by stream and is_tested

    def use(self, condition: Condition) -> DataUse:
        """The first available choice of the condition's data, at its network's image size.

        Raises:
            DataNotFoundError: none of the choices is available; one message names them all.
            DataError: a data set is there and cannot be used.
        """
        info = condition.model.info
        fraction = condition.train.crop_fraction
        key = repr((condition.data, info.image_size, info.channels, fraction))
        if key not in self._uses:
            try:
                self._uses[key] = self._first_available(condition.data, info, fraction)
            except InputError as err:  # the next arm gets the same one, and nothing is read again
                self._uses[key] = err
        use = self._uses[key]
        if isinstance(use, InputError):
            raise use
        return use

    def open(self, use: DataUse) -> Dataset:
        """The images and labels of a data set that was chosen; cached by fingerprint.

        Raises:
            DataError: the content changed since the plan was made.
        """
        if use.fingerprint not in self._opened:
            dataset = self._load(use.choice, use.kept_size or use.image_size, use.channels)
            if dataset.fingerprint != use.fingerprint:
                raise DataError(
                    f"{use.choice.shown}: its content changed since the plan was made "
                    f"({use.fingerprint[:8]} then, {dataset.fingerprint[:8]} now)"
                )
            self._opened[use.fingerprint] = dataset
        return self._opened[use.fingerprint]

    def right_labels(self, use: DataUse) -> np.ndarray | None:
        """The right label of each image of a data set that was chosen; None: not known."""
        if use.fingerprint not in self._right:
            choice = use.choice
            self._right[use.fingerprint] = datasets.right_labels(
                choice.name, choice.options, self.open(use), data_dir=self.data_dir
            )
        return self._right[use.fingerprint]

    def before_jpeg(self, use: DataUse) -> Dataset:
        """The images of a set with `as_jpeg` before they were encoded, gray and 28×28."""
        options = use.choice.options.model_copy(update={"as_jpeg": False})
        choice = use.choice.model_copy(update={"options": options})
        return self._load(choice, SIZE, 1)

    def check_splits(self, use: DataUse, streams: Mapping[int, int], is_tested: bool) -> None:
        """Whether every seed can draw its split, and has images in all parts that it needs.

        Args:
            use: a data set that this catalogue has chosen.
            streams: by seed that of its split.
            is_tested: whether the trials are tested at their end.

        Raises:
            DataError: a seed cannot; says which, where others can.
        """
        key = (use.fingerprint, use.choice.split.model_dump_json())
        if key not in self._drawn:
            return  # another catalogue has chosen it, and looked at it
        split, is_alike = self._drawn[key]
        if is_alike:
            check_parts(self._opened[use.fingerprint], split, is_tested=is_tested)
            return
        said = {seed: self._mistake(use, stream, is_tested) for seed, stream in streams.items()}
        wrong = [seed for seed in streams if said[seed]]
        if wrong:
            raise DataError(said[wrong[0]] + _of_seeds(wrong, streams))

    def _mistake(self, use: DataUse, stream: int, is_tested: bool) -> str:
        """What is wrong with the split of one stream; looked at once for all arms."""
        dataset, settings = self._opened[use.fingerprint], use.choice.split
        key = (use.fingerprint, settings.model_dump_json(), stream, is_tested)
        if key not in self._mistakes:
            self._mistakes[key] = ""
            try:
                split = split_dataset(dataset, settings, np.random.default_rng(stream))
                check_parts(dataset, split, is_tested=is_tested)
            except DataError as err:
                self._mistakes[key] = str(err)
        return self._mistakes[key]

    def _first_available(
        self, choices: Sequence[DataChoice], info: ModelInfo, fraction: float
    ) -> DataUse:
        kept = kept_size(info.image_size, fraction)
        if len(choices) > 1:
            check_named(choices, self.data_dir)
        missing: list[DataNotFoundError] = []
        passed_over: list[PassedOver] = []
        for position, choice in enumerate(choices):
            try:
                dataset = self._load(choice, kept, info.channels)
            except DataNotFoundError as err:
                missing.append(err)
                passed_over.append(PassedOver(choice.label, err.reason, err.brief))
                continue
            self._opened[dataset.fingerprint] = dataset
            split = self._split(dataset, choice.split)
            key = (dataset.fingerprint, choice.split.model_dump_json())
            self._drawn[key] = (split, draws_are_alike(dataset, split))
            own = (dataset.images.shape[2], dataset.images.shape[3])
            shown = own if fraction == 1 else info.image_size or seen_size(own, fraction)
            return DataUse(
                choice=choice,
                fingerprint=dataset.fingerprint,
                n_images=len(dataset.labels),
                class_names=dataset.class_names,
                stand_in_for=choices[0].name if position else "",
                has_test=_has_test(dataset, choice.split),
                image_size=shown,
                channels=dataset.images.shape[1],
                notes=dataset.notes,
                warnings=dataset.warnings,
                passed_over=tuple(passed_over),
                source=dataset.source,
                counts=_counts(dataset),
                n_groups=None if dataset.groups is None else len(np.unique(dataset.groups)),
                split_notes=split.notes,
                n_train=len(split.train),
                n_used=len(split.train) + len(split.validation) + len(split.test),
                n_tested=len(split.test),
                n_evaluated=max(len(split.validation), len(split.test)),
                decoded_bytes=_stored_bytes(dataset.images),
                is_mapped=is_mapped(dataset.images),
                kept_size=None if shown == own else own,
                in_files=is_in_files(dataset.images),
                target=dataset.target.kind if dataset.target else "",
                unit=dataset.target.unit if dataset.target else "",
            )
        if len(missing) == 1:
            raise missing[0]
        raise DataNotFoundError("\n".join(map(str, missing)))

    def _load(
        self, choice: DataChoice, image_size: tuple[int, int] | None, channels: int | None
    ) -> Dataset:
        return datasets.load_dataset(
            choice.name,
            choice.options,
            data_dir=self.data_dir,
            image_size=image_size,
            channels=channels,
            allow_download=self.allow_download,
        )

    def _split(self, dataset: Dataset, settings: SplitSettings) -> Split:
        """One seed's draw: whether there are enough images is found before any trial runs."""
        return split_dataset(dataset, settings, np.random.default_rng(self.split_stream))


def kept_size(size: tuple[int, int] | None, fraction: float) -> tuple[int, int] | None:
    """(height, width) of images of which a network of image size `size` sees a part."""
    if size is None or fraction == 1:
        return size
    return round(size[0] / fraction), round(size[1] / fraction)


def seen_size(size: tuple[int, int], fraction: float) -> tuple[int, int]:
    """(height, width) of what a network sees of images of `size`; a pixel at least."""
    return max(1, round(size[0] * fraction)), max(1, round(size[1] * fraction))


def check_named(choices: Sequence[DataChoice], data_dir: Path | None) -> None:
    """Whether the files that a person named are there, also of sets that others come before.

    Raises:
        DataNotFoundError: some are not, and no `optional: true` allows it; a line for each set.
        DataError: a set is there, and is none.
    """
    missing = []
    for choice in choices:
        try:
            datasets.locate_dataset(choice.name, data_dir, choice.options)
        except DataNotFoundError as err:
            if err.is_named and not choice.optional:
                missing.append(f"{err} ({MAY_BE_MISSING})")
    if missing:
        raise DataNotFoundError("\n".join(missing), is_named=True)


def _stored_bytes(images: np.ndarray) -> int:
    """Bytes of an array, in which one channel may be shown as three."""
    if is_in_files(images):
        return int(images.nbytes)
    stored: list[int] = [n for n, by in zip(images.shape, images.strides, strict=True) if by]
    return images.itemsize * math.prod(stored)


def _counts(dataset: Dataset) -> dict[str, tuple[int, ...]]:
    """Images by part and class; of a target without classes, of each part all in one number."""
    parts = dataset.parts or {"": np.arange(len(dataset.labels))}
    if dataset.target is not None and dataset.target.kind in WITHOUT_ACCURACY:
        return {name: (len(parts[name]),) for name in ("", *PART_NAMES) if name in parts}
    n_classes = len(dataset.class_names)
    return {
        part: tuple(np.bincount(dataset.labels[parts[part]], minlength=n_classes).tolist())
        for part in ("", *PART_NAMES)
        if part in parts
    }


def _of_seeds(wrong: Sequence[int], seeds: Collection[int]) -> str:
    """Which seeds a mistake is of; nothing where it is of all."""
    if len(wrong) == len(seeds):
        return ""
    more = f" and {len(wrong) - 3} more" * (len(wrong) > 3)
    return f" (in the split of seed {', '.join(map(str, wrong[:3]))}{more})"


def _has_test(dataset: Dataset, split: SplitSettings) -> bool:
    """Whether `split_dataset` will leave test images: the set's own, a count or a share."""
    if split.fold is not None:
        return True
    if split.test is not None:
        return split.test > 0
    if "test" in dataset.parts:
        return True
    if split.split is not None:
        return split.split.get("test", 0) > 0
    return split.train is None and split.validation is None
