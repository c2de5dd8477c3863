"""`python -m datasets.describe NAME|PATH`: what is in a data set, in numbers and two pictures.

Counts by class and part, image size, brightness, copies, mean images and a montage; with
`--against mnist`, how the set differs from another one; with `--augment FILE`, its own images under
a mapping of `train.augment`. Of many large pictures a sample is looked
at, each made small, and the description says so; `--full` looks at all of them as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from datasets.augmented import contact_sheet, read_augment
from datasets.base import PART_NAMES, Dataset, Survey
from datasets.catalog import load_dataset
from datasets.flat_csv import SIDE, check_path, write_flat_csv
from datasets.given import read_given
from datasets.measures import (
    class_means,
    differences,
    mean_of_known,
    measure_images,
    nearest_mean_accuracy,
)
from datasets.preprocess import resize
from headstart.cli import path_error, run_command, to_path
from headstart.files import atomic_path, safe_name, write_json

_MEASURED = 2_000  # images of a set that are measured one by one
_PER_ROW = 14  # images of a class in the montage
_BINS = 8
_GAP = 2  # pixels between images in a picture
_MOST_PIXELS = 400_000_000  # of all images together; beyond, a sample is described
_CELL = 128  # pixels, the longer side of an image in the montage at most
_MOST_ROWS = 60  # classes in a picture
_UNITS = {
    "brightness": "of white",
    "ink": "of the pixels are over half white",
    "height": "of the image's height is the ink's",
    "width": "of the image's width is the ink's",
    "off_centre": "of the image's height from the middle",
    "stroke": "pixels thick",
}


@dataclass(frozen=True)
class Description:
    """What is printed and written as JSON; `measures` are means over the images measured.

    Of a sample there is no fingerprint (empty), and copies are not counted (None).
    """

    name: str
    source: str
    fingerprint: str
    image_shape: tuple[int, ...]
    counts: dict[str, dict[str, int]]  # part (or "all") → class → number
    histogram: list[float]  # share of pixels in each of 8 equal ranges of brightness
    measures: dict[str, float]
    n_copies: int | None
    n_copies_between_parts: int | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    n_near_duplicates: int | None = None  # pairs, exact copies left out
    survey: Survey | None = None


def main(argv: Sequence[str]) -> None:
    """Describe one set, print it, and write `description.json`, `montage.png`, `means.png`."""
    args = _parser().parse_args(argv)
    if args.csv is not None:
        check_path(args.csv)
    settings = None if args.augment is None else read_augment(args.augment)
    dataset = _load(args.dataset, args, image_size=None)
    reference = None
    if args.against is not None:
        height, width = dataset.images.shape[2:]
        reference = _load(args.against, args, image_size=(height, width))
    description = describe(dataset)
    print(as_text(description))
    if reference is not None:
        print(compare(dataset, reference))
    out = args.out or Path(f"describe-{safe_name(Path(args.dataset).stem)}")
    _write(out, description, dataset, reference)
    print(f"\nPictures and numbers: {out}/montage.png, means.png, description.json")
    if settings is not None:
        _save(out / "augment.png", contact_sheet(dataset, settings))
        print(f"Its images under {args.augment}: {out}/augment.png")
    if args.csv is not None:
        flat = _load(args.dataset, args, image_size=(SIDE, SIDE), channels=1, is_full=True)
        write_flat_csv(flat, args.csv)
        print(f"Label and {SIDE * SIDE} pixels of {len(flat.labels):,} images: {args.csv}")


def describe(dataset: Dataset) -> Description:
    """Count and measure `dataset`."""
    first_copy = dataset.first_copy
    assert first_copy is not None, "build_dataset sets it"
    measures = measure_images(_sample(dataset)[0])
    counts, _ = np.histogram(_sample(dataset)[0], bins=_BINS, range=(0, 256))
    survey = dataset.survey
    is_sample = survey is not None and survey.is_sample
    n_copies = int(np.count_nonzero(first_copy != np.arange(len(first_copy))))
    return Description(
        name=dataset.name,
        source=dataset.source,
        fingerprint="" if is_sample else dataset.fingerprint,
        image_shape=dataset.images.shape[1:],
        counts=_all_counts(dataset, survey) if survey and is_sample else _counts(dataset),
        histogram=(counts / counts.sum()).tolist(),
        measures={key: mean_of_known(values) for key, values in measures.items()},
        n_copies=None if is_sample else n_copies,
        n_copies_between_parts=None if is_sample else _copies_between_parts(dataset, first_copy),
        notes=dataset.notes,
        warnings=dataset.warnings,
        n_near_duplicates=None if dataset.near_pairs is None else len(dataset.near_pairs),
        survey=survey,
    )


def as_text(description: Description) -> str:
    """The description for people."""
    channels, height, width = description.image_shape
    parts = list(description.counts)
    colour = "grayscale" if channels == 1 else "RGB"
    survey = description.survey
    lines = [f"{description.name}: {description.source}"]
    if survey is not None and survey.is_sample:
        lines += [
            f"a sample of {survey.n_decoded:,} of {survey.n_files:,} images, each scaled to "
            f"{width}×{height} pixels, {colour}; --full looks at all of them as they are"
        ]
    else:
        lines += [f"fingerprint {description.fingerprint}; {width}×{height} pixels, {colour}"]
    lines += [
        *_files_lines(survey),
        "",
        f"{'class':<16}" + "".join(f"{part:>12}" for part in parts),
    ]
    for name in next(iter(description.counts.values())):
        lines.append(f"{name:<16}" + "".join(f"{description.counts[p][name]:>12,}" for p in parts))
    sums = (sum(description.counts[part].values()) for part in parts)
    lines += [f"{'total':<16}" + "".join(f"{n:>12,}" for n in sums), "", "brightness of pixels"]
    for index, share in enumerate(description.histogram):
        low = index * 256 // _BINS
        lines.append(f"{low:>4}–{low + 256 // _BINS - 1:<4} {share:7.2%} {'█' * round(40 * share)}")
    lines += [
        "",
        *(f"mean {key}: {value:.3f} {_UNITS[key]}" for key, value in description.measures.items()),
        *_copies_lines(description),
    ]
    lines += [f"warning: {warning}" for warning in description.warnings]
    return "\n".join([*lines, *(f"note: {note}" for note in description.notes)])


def _files_lines(survey: Survey | None) -> list[str]:
    if survey is None or not survey.sizes:
        return []
    smallest, median, largest = (f"{width}×{height}" for width, height in survey.sizes)
    kinds = ", ".join(f"{kind} {n:,}" for kind, n in survey.kinds.items())
    of = "" if survey.n_sizes == survey.n_files else f" of {survey.n_sizes:,} headers"
    return [
        f"files: {kinds}",
        f"sizes{of}: smallest {smallest}, median {median}, largest {largest} pixels (width × "
        "height)",
    ]


def _copies_lines(description: Description) -> list[str]:
    if description.n_copies is None:
        return ["copies and near-duplicates: not looked for beyond the sample"]
    lines = [
        f"exact copies: {description.n_copies:,} images, of which "
        f"{description.n_copies_between_parts:,} repeat one of another part"
    ]
    if description.n_near_duplicates:
        n = description.n_near_duplicates
        pairs = "1 pair of images looks" if n == 1 else f"{n:,} pairs of images look"
        lines.append(f"near-duplicates: at least {pairs} like the same picture")
    return lines


def compare(dataset: Dataset, reference: Dataset) -> str:
    """How `dataset` differs from `reference`, for people; same image size in both."""
    own, labels = _sample(dataset)
    other, other_labels = _sample(reference)
    gaps = differences(measure_images(own), measure_images(other))
    lines = ["", f"against {reference.name}: differences of means, in its standard deviations"]
    lines += [f"{key:<12} {gap:+.2f}" for key, gap in gaps.items()]
    if dataset.class_names == reference.class_names:
        means = class_means(reference)
        lines.append(
            f"nearest class mean of {reference.name}: "
            f"{nearest_mean_accuracy(means, own, labels):.1%} right here, "
            f"{nearest_mean_accuracy(means, other, other_labels):.1%} on its own images"
        )
    else:
        lines.append(f"the classes are not those of {reference.name}, so none are compared")
    return "\n".join(lines)


def _load(
    given: str,
    args: argparse.Namespace,
    image_size: tuple[int, int] | None,
    channels: int | None = None,
    is_full: bool = False,
) -> Dataset:
    described = read_given(given, args.set if given == args.dataset else ())
    return load_dataset(
        described.name,
        described.options,
        data_dir=args.data,
        image_size=image_size,
        channels=channels,
        most_pixels=None if args.full or is_full else _MOST_PIXELS,
    )


def _sample(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced images of one channel, uint8 (n, H, W), and their labels."""
    every = max(1, -(-len(dataset.labels) // _MEASURED))
    images = dataset.images[::every]
    gray = images[:, 0] if images.shape[1] == 1 else images.mean(axis=1).astype(np.uint8)
    return np.ascontiguousarray(gray), dataset.labels[::every]


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    parts = dataset.parts or {"all": np.arange(len(dataset.labels))}
    return {
        part: {
            name: int(np.count_nonzero(dataset.labels[indices] == label))
            for label, name in enumerate(dataset.class_names)
        }
        for part, indices in parts.items()
    }


def _all_counts(dataset: Dataset, survey: Survey) -> dict[str, dict[str, int]]:
    """Of all files, whether they are in the sample or not."""
    parts = [part for part in ("all", *PART_NAMES) if part in survey.counts]
    return {
        part: {name: survey.counts[part].get(name, 0) for name in dataset.class_names}
        for part in parts
    }


def _copies_between_parts(dataset: Dataset, first_copy: np.ndarray) -> int:
    """Images of which another part holds an equal one, counted in the later of the parts."""
    n_copies, seen = 0, np.empty(0, np.int64)
    for indices in dataset.parts.values():
        n_copies += int(np.isin(first_copy[indices], seen).sum())
        seen = np.union1d(seen, first_copy[indices])
    return n_copies


def _write(
    out: Path, description: Description, dataset: Dataset, reference: Dataset | None
) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "description.json", asdict(description))
        _write_png(out / "montage.png", _montage(dataset))
        rows = [class_means(each)[:_MOST_ROWS] for each in (dataset, reference) if each is not None]
        _write_png(out / "means.png", _grid([list(np.round(row).astype(np.uint8)) for row in rows]))
    except OSError as err:
        text = f"{out}: cannot be written: {err.strerror}; choose another --out"
        raise path_error(err, text) from err


def _montage(dataset: Dataset) -> np.ndarray:
    """The first images of each class, one class a row, uint8 (H, W) or (H, W, 3)."""
    rows = []
    for label in range(len(dataset.class_names))[:_MOST_ROWS]:
        chosen = np.flatnonzero(dataset.labels == label)[:_PER_ROW]
        rows.append([_cell(image.transpose(1, 2, 0)) for image in dataset.images[chosen]])
    return _grid(rows)


def _cell(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, C) → (h, w) or (h, w, 3), no side over `_CELL`."""
    height, width = image.shape[:2]
    scale = min(1.0, _CELL / max(height, width))
    if scale < 1:
        size = (max(1, round(scale * height)), max(1, round(scale * width)))
        image = resize(np.ascontiguousarray(image), size)
    return image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image


def _grid(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Equal images in rows, grey gaps between them."""
    height, width = rows[0][0].shape[:2]
    n_columns = max(len(row) for row in rows)
    shape = (len(rows) * (height + _GAP) + _GAP, n_columns * (width + _GAP) + _GAP)
    picture = np.full((*shape, *rows[0][0].shape[2:]), 96, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top, left = _GAP + i * (height + _GAP), _GAP + j * (width + _GAP)
            picture[top : top + height, left : left + width] = image
    return picture


def _save(path: Path, picture: np.ndarray) -> None:
    try:
        _write_png(path, picture)
    except OSError as err:
        text = f"{path.parent}: cannot be written: {err.strerror}; choose another --out"
        raise path_error(err, text) from err


def _write_png(path: Path, picture: np.ndarray) -> None:
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m datasets.describe", description=__doc__)
    parser.add_argument("dataset", metavar="NAME|PATH", help="a data set, or a folder or file")
    parser.add_argument("--against", metavar="NAME|PATH", help="compare with this one")
    parser.add_argument(
        "--augment",
        type=to_path,
        metavar="FILE",
        help="also show images under the mapping of train.augment in this YAML file: augment.png",
    )
    parser.add_argument(
        "--out",
        type=to_path,
        help="where pictures and numbers go; default: describe-NAME in the working folder",
    )
    parser.add_argument(
        "--csv",
        type=to_path,
        metavar="FILE",
        help="also write all images in gray at 28×28 as one flat table: label, 784 pixels",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="look at all images as they are, however many and large they are",
    )
    parser.add_argument("--data", type=to_path, help="where to look for data sets")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the set, as in a sweep's data entry; may be repeated",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
