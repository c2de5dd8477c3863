"""`python -m datasets.describe NAME|PATH`: what is in a data set, in numbers and two pictures.

Counts by class and part, image size, brightness, copies, mean images and a montage; with
`--against mnist`, how the set differs from another one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.base import Dataset
from datasets.catalog import dataset_for_path, dataset_names, load_dataset
from datasets.measures import (
    class_means,
    differences,
    mean_of_known,
    measure_images,
    nearest_mean_accuracy,
)
from headstart.cli import did_you_mean, path_error, run_command, to_path
from headstart.errors import DataError
from headstart.files import atomic_path, safe_name, write_json
from headstart.own_code import absolute, is_reference
from headstart.yaml12 import parse_scalar_or_flow

_MEASURED = 2_000  # images of a set that are measured one by one
_PER_ROW = 14  # images of a class in the montage
_BINS = 8
_GAP = 2  # pixels between images in a picture


@dataclass(frozen=True)
class Description:
    """What is printed and written as JSON; `measures` are means over the images measured."""

    name: str
    source: str
    fingerprint: str
    image_shape: tuple[int, ...]
    counts: dict[str, dict[str, int]]  # part (or "all") → class → number
    histogram: list[float]  # share of pixels in each of 8 equal ranges of brightness
    measures: dict[str, float]
    n_copies: int
    n_copies_between_parts: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def main(argv: Sequence[str]) -> None:
    """Describe one set, print it, and write `description.json`, `montage.png`, `means.png`."""
    args = _parser().parse_args(argv)
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


def describe(dataset: Dataset) -> Description:
    """Count and measure `dataset`."""
    first_copy = dataset.first_copy
    assert first_copy is not None, "build_dataset sets it"
    measures = measure_images(_sample(dataset)[0])
    counts, _ = np.histogram(_sample(dataset)[0], bins=_BINS, range=(0, 256))
    return Description(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        image_shape=dataset.images.shape[1:],
        counts=_counts(dataset),
        histogram=(counts / counts.sum()).tolist(),
        measures={key: mean_of_known(values) for key, values in measures.items()},
        n_copies=int(np.count_nonzero(first_copy != np.arange(len(first_copy)))),
        n_copies_between_parts=_copies_between_parts(dataset, first_copy),
        notes=dataset.notes,
        warnings=dataset.warnings,
    )


def as_text(description: Description) -> str:
    """The description for people."""
    channels, height, width = description.image_shape
    parts = list(description.counts)
    lines = [
        f"{description.name}: {description.source}",
        f"fingerprint {description.fingerprint}; {width}×{height} pixels, "
        f"{'grayscale' if channels == 1 else 'RGB'}",
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
    lines += ["", *(f"mean {key}: {value:.3f}" for key, value in description.measures.items())]
    lines.append(
        f"exact copies: {description.n_copies:,} images, of which "
        f"{description.n_copies_between_parts:,} repeat one of another part"
    )
    lines += [f"warning: {warning}" for warning in description.warnings]
    return "\n".join([*lines, *(f"note: {note}" for note in description.notes)])


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


def _load(given: str, args: argparse.Namespace, image_size: tuple[int, int] | None) -> Dataset:
    options: dict[str, object] = _options(args.set) if given == args.dataset else {}
    name, path = _name_or_path(given)
    if path is not None:
        options["path"] = path
    return load_dataset(name, options, data_dir=args.data, image_size=image_size)


def _name_or_path(given: str) -> tuple[str, Path | None]:
    path = Path(given)
    if given in dataset_names():
        return given, None
    if is_reference(given):
        return absolute(given, Path.cwd()), None
    if not path.exists():
        raise DataError(
            f"'{given}' is no data set{did_you_mean(given, dataset_names())} and no file or "
            f"folder; data sets are {', '.join(dataset_names())}"
        )
    return dataset_for_path(path), path


def _options(pairs: Sequence[str]) -> dict[str, object]:
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise DataError(f"--set {pair}: give KEY=VALUE, as in --set classes=digits")
        options[key] = parse_scalar_or_flow(value, "--set", key).plain()
    return options


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
        write_json(out / "description.json", vars(description))
        _write_png(out / "montage.png", _montage(dataset))
        rows = [class_means(dataset)] + ([] if reference is None else [class_means(reference)])
        _write_png(out / "means.png", _grid([list(np.round(row).astype(np.uint8)) for row in rows]))
    except OSError as err:
        text = f"{out}: cannot be written: {err.strerror}; choose another --out"
        raise path_error(err, text) from err


def _montage(dataset: Dataset) -> np.ndarray:
    """The first images of each class, one class a row, uint8 (H, W) or (H, W, 3)."""
    rows = []
    for label in range(len(dataset.class_names)):
        chosen = np.flatnonzero(dataset.labels == label)[:_PER_ROW]
        rows.append([image.transpose(1, 2, 0).squeeze() for image in dataset.images[chosen]])
    return _grid(rows)


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


def _write_png(path: Path, picture: np.ndarray) -> None:
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m datasets.describe", description=__doc__)
    parser.add_argument("dataset", metavar="NAME|PATH", help="a data set, or a folder or file")
    parser.add_argument("--against", metavar="NAME|PATH", help="compare with this one")
    parser.add_argument("--out", type=to_path, help="where the pictures go; default describe-NAME")
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
