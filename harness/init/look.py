"""What data are: a name or a path in, what a sweep file must know of them out.

In: what a person names: a folder, a file, photographed sheets, or a set of ours. Out: `Looked`. The
readers are those of `datasets`; of many large pictures a sample is looked at. It stands alone
because it reads data, and what follows from them is decided and written elsewhere.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets.base import PART_NAMES, Dataset, Survey
from datasets.catalog import (
    checked_options,
    dataset_info,
    dataset_names,
    load_dataset,
    options_model,
)
from datasets.given import Given, read_given, read_settings
from harness.init.photos import ORDERS, labels_to_try, photos_of
from headstart.errors import DataError, InputError

MOST_PIXELS = 60_000_000  # of all images together; beyond, a sample is looked at
MOST_READ = 1_500_000_000  # pixels that are opened to plan the sweep: some 20 seconds
MOST_FILES = 20_000
_FLAT = "no images in class folders"
_MEASURED = 500  # images whose colours are looked at


@dataclass(frozen=True)
class Looked:
    """What a sweep file must know of data.

    Attributes:
        data: the entry as a sweep file has it.
        title: what a person calls them.
        counts: by part (`all` where they have none) the images of each class.
        side: (height, width) in pixels of the middle one of all sizes.
        is_gray: whether no image has a colour.
        is_ink: whether they are characters, bright on black.
        is_paper: whether they are dark marks on a bright page.
        is_large: whether only some images were opened, since all of them take minutes.
        digest: the fingerprint; of a sample empty.
    """

    data: Mapping[str, object]
    title: str
    counts: Mapping[str, Mapping[str, int]]
    side: tuple[int, int]
    is_gray: bool
    is_ink: bool
    is_paper: bool
    is_large: bool
    digest: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def by_class(self) -> dict[str, int]:
        """Images of each class, of all parts."""
        total: dict[str, int] = {}
        for counts in self.counts.values():
            for name, n in counts.items():
                total[name] = total.get(name, 0) + n
        return total

    @property
    def n_images(self) -> int:
        return sum(self.by_class.values())

    def beside(self, folder: Path) -> Looked:
        """For a sweep file in `folder`: paths are as they were given where that is the working
        folder, from which sweep files read them, and absolute anywhere else."""
        if folder.resolve() == Path.cwd():
            return self
        data = dict(self.data)
        if isinstance(path := data.get("path"), Path):
            data["path"] = path.absolute()
        if isinstance(corrections := data.get("corrections"), str):
            data["corrections"] = str(Path(corrections).absolute())
        if isinstance(photos := data.get("photos"), Mapping):
            data["photos"] = {str(Path(photo).absolute()): text for photo, text in photos.items()}
        return replace(self, data=data)

    def n_of(self, part: str) -> int:
        """Images of a part of its own; 0: it has none."""
        return sum(self.counts.get(part, {}).values())


def look(
    texts: Sequence[str],
    pairs: Sequence[str] = (),
    labels: str | None = None,
    data_dir: Path | None = None,
    labels_file: Path | None = None,
) -> Looked:
    """Look at what a person names.

    Args:
        texts: a folder, a file or the name of a set; or photographs of sheets.
        pairs: options of the set, KEY=VALUE.
        labels: what is written on the photographs; None: it is found.
        data_dir: where data sets lie.
        labels_file: what is written on each photograph.

    Raises:
        DataError: it cannot be read, with what to do.
    """
    with_labels = labels is not None or labels_file is not None
    is_set = any(text in dataset_names() for text in texts)
    if not is_set and (photos := photos_of(texts, with_labels)):
        written = labels_to_try(photos, labels, labels_file)
        return _looked(*_sheets(photos, written, pairs, data_dir))
    if len(texts) > 1:
        other = next(text for text in texts if is_set or not photos_of([text], with_labels))
        raise InputError(f"{other}: no photograph; give photographs of sheets, or one data set")
    if with_labels:
        raise InputError(
            f"--labels belongs to photographs of sheets, and {texts[0]} is none; name a "
            "photograph, several, or a folder of them"
        )
    given = read_given(texts[0], pairs)
    if given.path is None and "path" in options_model(given.name).model_fields:
        raise InputError(f"{texts[0]}: is read from files; give their folder or file in its place")
    return _looked(*_opened(given, data_dir))


def _opened(given: Given, data_dir: Path | None) -> tuple[Given, Dataset]:
    """The set; where some images cannot be read, without them."""
    try:
        return given, load_dataset(
            given.name, given.options, data_dir=data_dir, most_pixels=MOST_PIXELS
        )
    except DataError as err:
        if _FLAT in str(err) and given.path is not None and photos_of([str(given.path)], True):
            hint = (
                "; photographs of written sheets: say what they show with --labels (docs/sheets.md)"
            )
            raise DataError(f"{err}{hint}") from err
        if "on_damaged: skip" not in str(err) or "on_damaged" in given.options:
            raise
    given = Given(given.name, {**given.options, "on_damaged": "skip"})
    options = given.options
    return given, load_dataset(given.name, options, data_dir=data_dir, most_pixels=MOST_PIXELS)


def _sheets(
    photos: Sequence[str],
    written: Sequence[Sequence[object]],
    pairs: Sequence[str],
    data_dir: Path | None,
) -> tuple[Given, Dataset]:
    """The digits of photographs, by the first of the readings that fits them."""
    settings = read_settings(pairs)
    if "photos" in settings:
        raise InputError("--set photos=…: the photographs are named without it")
    refusals = []
    for entries in written:
        names = map(glob.escape, photos)
        given = Given("sheets", {"photos": dict(zip(names, entries, strict=True)), **settings})
        try:
            return given, load_dataset(given.name, given.options, data_dir=data_dir)
        except DataError as err:
            refusals.append(str(err).splitlines()[0])
    if len(written) == 1:
        raise DataError(refusals[0])
    raise DataError(
        f"{refusals[0]}; tried: rows of {' and '.join(ORDERS)}; say what is written there with "
        "--labels, a character for each row from the top, or with --labels-file, for each "
        "photograph (docs/sheets.md)"
    )


def _looked(given: Given, dataset: Dataset) -> Looked:
    survey = dataset.survey
    is_sample = survey is not None and survey.is_sample
    if survey is not None and is_sample:
        counts = {part: dict(each) for part, each in survey.counts.items()}
    else:
        counts = _counts(dataset)
    side = dataset.images.shape[2:]
    if survey is not None and survey.sizes:
        side = survey.sizes[1][::-1]
    some = dataset.images[:: max(1, len(dataset.images) // _MEASURED)]
    is_gray = some.shape[1] == 1 or bool((some == some[:, :1]).all())
    info = dataset_info(given.name)
    shaped = getattr(checked_options(given.name, given.options), "preprocess", info.preprocess)
    is_ink = info.is_ink and shaped != "resize"
    bright = float((some > 180).mean())
    return Looked(
        data={"name": given.name, **given.options},
        title=_title(given),
        counts=counts,
        side=(int(side[0]), int(side[1])),
        is_gray=is_gray,
        is_ink=is_ink,
        is_paper=is_gray and not is_ink and bright > 0.6,
        is_large=survey is not None and is_sample and _takes_minutes(survey),
        digest="" if is_sample else dataset.fingerprint,
        notes=dataset.notes,
        warnings=dataset.warnings,
    )


def _takes_minutes(survey: Survey) -> bool:
    width, height = survey.sizes[1] if survey.sizes else (0, 0)
    return survey.n_files > MOST_FILES or survey.n_files * width * height > MOST_READ


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    parts = dataset.parts or {"all": np.arange(len(dataset.labels))}
    n = len(dataset.class_names)
    by_part = {
        part: np.bincount(dataset.labels[parts[part]], minlength=n)
        for part in ("all", *PART_NAMES)
        if part in parts
    }
    return {
        part: dict(zip(dataset.class_names, counts.tolist(), strict=True))
        for part, counts in by_part.items()
    }


def _title(given: Given) -> str:
    if given.path is not None:
        return given.path.name if given.path.name not in ("", "..") else given.path.resolve().name
    photos = given.options.get("photos")
    if isinstance(photos, Mapping):
        first = Path(next(iter(photos)))
        return first.stem if len(photos) == 1 else f"{first.parent.resolve().name}"
    return given.name
