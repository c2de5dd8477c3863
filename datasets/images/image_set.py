"""Image files of a tree, laid out in classes and parts → a `Dataset`.

In: a `Tree` (a folder, an archive, a container of encoded images), its `Layout`, and what a person
may choose of it. Out: the set, its images decoded and of one size. It stands alone because every
set of image files is made so, wherever its files lie and whatever names their classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import field_validator

from datasets.base import (
    PART_NAMES,
    PHOTOGRAPHIC,
    Dataset,
    DatasetOptions,
    Preprocess,
    Request,
    build_dataset,
)
from datasets.cache.packed import Decode, InPlace
from datasets.common_size import Size, commonest_size, few_of_a_size
from datasets.files.image_kinds import Also
from datasets.files.places import FILES, Reader
from datasets.files.trees import Tree
from datasets.images.bit_depth import ValueRange
from datasets.images.blocks import (
    Decoding,
    Outcome,
    Shaped,
    decode_into_memory,
    decode_into_pages,
    decoder_of,
)
from datasets.images.decode import OnDamaged, decoder_versions, read_image_size
from datasets.images.survey import header_sizes, sample_of, small_size, survey
from datasets.layout.layout import Layout
from datasets.natural_order import natural_key
from datasets.preprocess import gray, shape_images, shape_ink
from headstart.errors import DataError, did_you_mean
from headstart.settings import key

_BRIGHT = 127  # a page whose border is brighter than this is paper, and its ink is dark


class ImageOptions(DatasetOptions):
    """Where image files are, and what to make of them; a set gives `path` its own words."""

    path: Path = key("The file or folder.", example="my/photos")
    class_names: tuple[str, ...] | None = key("Which classes, in the order of their labels, or "
        "names of the labels where these are numbers; without it all that occur.", None,
        example=["cat", "dog"], min_length=2)  # fmt: skip
    preprocess: Preprocess = key("`resize`: the whole image is scaled; `mnist_style`: it is "
        "cropped to its ink, fitted and centred as MNIST's digits are, in gray; `centred`: the "
        "ink is moved to the middle and keeps its size, in gray; `sized`: as `mnist_style`, with a "
        "bar at either side that shows where on the page the ink was; `centre_crop`: the image is "
        "scaled until it covers the size, its proportions kept, and its middle is cut.", "resize",
        example="mnist_style")  # fmt: skip
    invert: bool | None = key("Whether black and white are swapped; without it, where a page's "
        "border is bright, but never for `resize` and `centre_crop`.", None,
        example=True)  # fmt: skip
    on_damaged: OnDamaged = key("Whether a damaged image is refused, or skipped with a note in "
        "the report.", "refuse", example="skip")  # fmt: skip
    also: tuple[Also, ...] = key("Kinds of files that are read beside the usual ones: `gif` (the "
        "first picture of each) and `pdf` (of one page, as scanners make them).", (),
        example=["gif"])  # fmt: skip
    value_range: ValueRange | None = key("[black, white], for images whose samples do not fill the "
        "range of their type, as 12 bits kept in 16, or are floating-point numbers.", None,
        example=[0, 4095], unit="sample values")  # fmt: skip

    @field_validator("also", mode="before")
    @classmethod
    def _alone(cls, also: object) -> object:
        """`gif` as `[gif]`."""
        return (also,) if isinstance(also, str) else also


def dataset_of_files(
    name: str,
    tree: Tree,
    layout: Layout,
    options: ImageOptions,
    request: Request,
    classes: Sequence[str] = (),
) -> Dataset:
    """The images of `layout`, decoded from `tree` as `options` and `request` say.

    Args:
        name: of the set.
        tree: where the files are; `tree.where` is the set's source and begins messages.
        layout: which files, of which class and part.
        options: which classes, how they are shaped, what becomes of damaged ones.
        request: size and channels; None: the commonest size, and gray where nothing has colour.
        classes: the order of the labels that the files themselves say; without it, and without
            `class_names`, the names are sorted (numbers by value).

    Raises:
        DataError: a damaged image, a class of `class_names` that is not there, no train part.
    """
    names, chosen, notes = _chosen_classes(layout, options.class_names, classes, tree.where)
    files = [layout.files[index] for index in chosen]
    strata = [(layout.parts[index], layout.classes[index]) for index in chosen]
    all_files, size, headers = files, request.image_size, None
    if request.most_pixels is not None and size is None:
        headers = header_sizes(tree, files)
        sampled = sample_of(strata, headers, request.most_pixels)
        if len(sampled) < len(files):
            chosen, files, size = chosen[sampled], [files[i] for i in sampled], small_size(headers)
    chosen_by = () if size else _sizes_of_first(tree, files)
    size = size or commonest_size(each for each, _ in chosen_by)
    is_prepared = request.prepare is not None
    decoding = _decoding(options, request, size)
    is_sample = len(files) < len(all_files)
    to = replace(request, pages=None) if is_sample or is_prepared else request
    images, outcome, digests = _decoded(tree, files, decoding, size, to)
    good, sizes = outcome.good, outcome.sizes
    chosen = chosen[good]
    label_of = {name: label for label, name in enumerate(names)}
    dataset = build_dataset(
        name,
        images,
        np.array([label_of[layout.classes[index]] for index in chosen]),
        names,
        source=str(tree.where),
        parts=_part_indices([layout.parts[index] for index in chosen], tree.where, is_prepared),
        notes=[
            *layout.notes,
            *notes,
            *outcome.notes,
            *([] if is_prepared else _sizes_note(sizes, size)),
            *_inverted_note(outcome.turned, options.invert),
        ],
        groups=[layout.groups[index] for index in chosen] if layout.groups else None,
        files=[layout.files[index] for index in chosen],
        warnings=[*layout.warnings, *few_of_a_size(chosen_by, size), *_damaged_warning(good)],
        may_lack=is_prepared,
        target=options.target,
        digests=digests,
    )
    known = headers if headers and is_sample else [(h, w) for h, w in sizes.elements()]
    surveyed = survey(all_files, strata, known, is_sample=is_sample, n_decoded=len(images))
    return replace(dataset, survey=surveyed)


def _decoded(
    tree: Tree, files: Sequence[str], how: Decoding, size: tuple[int, int], request: Request
) -> tuple[np.ndarray, Outcome, list[bytes] | None]:
    """uint8 (N, C, H, W), what is known of the files, and the images' digests if these are known.

    C is 1 where no image has colour and the request leaves it open.
    """
    if request.pages is None:
        images, outcome = decode_into_memory(tree, files, how)
        if request.prepare is not None:
            return shape_images(images, None, None), outcome, None
        if request.channels is None and outcome.is_gray:
            images = images[..., :1]
        return shape_images(images, size, request.channels), outcome, None
    pages = request.pages
    outcome = decode_into_pages(tree, files, how, pages, (1 if request.channels == 1 else 3, *size))
    if request.channels is None and outcome.is_gray:
        if pages.is_kept:
            pages.narrow()
        else:  # read once more, as nothing is kept
            decode_into_pages(tree, files, _first_channel(how), pages, (1, *size))
    assert request.pages.images is not None, "it is whole"
    return request.pages.images, outcome, request.pages.digests


def _decoding(options: ImageOptions, request: Request, size: tuple[int, int]) -> Decoding:
    return Decoding(
        _shape_of(options, request, size),
        options.on_damaged,
        as_gray=request.channels == 1,
        value_range=options.value_range,
    )


def _first_channel(how: Decoding) -> Decoding:
    """Of three equal ones."""

    def shape(image: np.ndarray) -> np.ndarray | Shaped:
        made = how.shape(image)
        if isinstance(made, Shaped):
            return Shaped(made.pixels[..., :1], made.was_inverted)
        return made[..., :1]

    return replace(how, shape=shape)


def in_place(options: ImageOptions, request: Request, reader: Reader = FILES) -> InPlace:
    """How images of such a set are decoded from their files whenever they are read."""

    def decoder(shape: tuple[int, int, int]) -> Decode:
        how = _decoding(options, request, shape[1:])
        is_narrow = request.channels is None and shape[0] == 1
        return decoder_of(_first_channel(how) if is_narrow else how, reader)

    return InPlace(decoder, decoder_versions)


def _shape_of(
    options: ImageOptions, request: Request, size: tuple[int, int]
) -> Callable[[np.ndarray], np.ndarray | Shaped]:
    """What makes an image of the set from a decoded file."""
    if request.prepare is not None:
        return request.prepare

    def shape(image: np.ndarray) -> Shaped:
        image, invert = _without_paper(image, options.preprocess, options.invert)
        shaped = shape_image(image, size, request.channels, options.preprocess, invert)
        return Shaped(shaped, invert)

    return shape


def shape_image(
    image: np.ndarray,
    size: tuple[int, int],
    channels: int | None,
    preprocess: Preprocess,
    invert: bool | None,
) -> np.ndarray:
    """`image` as uint8 (H, W, C) of the wanted size; C is 3 unless one channel is wanted.

    `preprocess` and `invert` as in `Options`.
    """
    image, invert = _without_paper(image, preprocess, invert)
    image = np.invert(image) if invert else image
    image = shape_ink(image, size, preprocess)
    if image.ndim == 3:
        return image
    return image[..., None] if channels == 1 else np.repeat(image[..., None], 3, axis=2)


def _without_paper(
    image: np.ndarray, preprocess: Preprocess, invert: bool | None
) -> tuple[np.ndarray, bool]:
    """The image, gray where its ink is looked for, and whether it is to be inverted."""
    if preprocess in PHOTOGRAPHIC:
        return image, bool(invert)
    image = gray(image) if image.ndim == 3 else image
    return image, has_bright_border(image) if invert is None else invert


def has_bright_border(image: np.ndarray) -> bool:
    """Whether most of the border of uint8 (H, W) or (H, W, 3) is bright, as paper is."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return bool(np.median(border) > _BRIGHT)


def _chosen_classes(
    layout: Layout, wanted: tuple[str, ...] | None, said: Sequence[str], path: Path
) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    """Class names in label order, the indices of their files by class, and what was left out."""
    place = {name: index for index, name in enumerate(said)}
    there = sorted(set(layout.classes), key=lambda name: (place.get(name, -1), natural_key(name)))
    names = wanted or tuple(there)
    for name in names:
        if name not in there:
            raise DataError(
                f"{path}: class_names: there is no class folder '{name}'"
                f"{did_you_mean(name, there)}; there are {', '.join(there)}"
            )
    rank = {name: label for label, name in enumerate(names)}
    order = {part: place for place, part in enumerate(("", *PART_NAMES))}
    chosen = [index for index, name in enumerate(layout.classes) if name in rank]
    chosen.sort(key=lambda i: (order[layout.parts[i]], rank[layout.classes[i]]))
    n_left_out = len(there) - len(names)
    notes = [f"{n_left_out} class folders are not in class_names and were not read"] * (
        n_left_out > 0
    )
    return names, np.array(chosen), notes


def _sizes_of_first(tree: Tree, files: Sequence[str]) -> list[tuple[Size, str]]:
    """(height, width) and name of each of the first thousand images."""
    sizes = []
    for name in files[:1000]:
        with suppress(DataError):  # decoding it tells, and knows whether it may be skipped
            sizes.append((read_image_size(tree.read(name), tree.label(name)), name))
    return sizes


def _part_indices(
    parts: Sequence[str], path: Path, may_lack: bool = False
) -> dict[str, np.ndarray]:
    indices = {
        part: np.flatnonzero(np.array(parts) == part) for part in PART_NAMES if part in parts
    }
    if indices and "train" not in indices and not may_lack:
        raise DataError(f"{path}: has {' and '.join(indices)} but no train part")
    return indices


def _inverted_note(turned: Counter[bool], invert: bool | None) -> list[str]:
    """Which pages were recognised as paper; nothing where the owner says what they are."""
    if invert is not None or not turned[True]:
        return []
    return [
        f"{turned[True]} of {turned.total()} images were inverted, since their border is bright "
        "as paper's is; invert: false or true decides for all of them"
    ]


def _damaged_warning(good: np.ndarray) -> list[str]:
    """What is said first where over a tenth of the image files were damaged and skipped."""
    n_damaged = int(np.count_nonzero(~good))
    if n_damaged * 10 <= len(good):
        return []
    return [f"{n_damaged} of {len(good)} image files, over a tenth, were damaged and skipped"]


def _sizes_note(sizes: Counter[tuple[int, int]], size: tuple[int, int]) -> list[str]:
    if set(sizes) == {size}:
        return []
    (h0, w0), (h1, w1) = min(sizes), max(sizes)
    if len(sizes) == 1:
        return [f"images of {w0}×{h0} pixels (width × height) were brought to {size[1]}×{size[0]}"]
    return [
        f"images of {len(sizes)} sizes (from {w0}×{h0} to {w1}×{h1} pixels, "
        f"width × height) were brought to {size[1]}×{size[0]}"
    ]
