"""Pairs of images that show the same picture: saved again, resized, brightened, cropped, mirrored.

In: the images of a set, and which of them a split may test on. Out: pairs of indices. An accuracy
on test images whose near-duplicates were trained on is too high (Barz & Denzler 2020 found 3.3 %
of CIFAR-10's test images so). It stands alone because it looks at pixels only, once for each set,
and changes nothing.

The method is that of a perceptual hash (pHash: the low frequencies of a small gray picture), with
two changes, since a hash of 64 bits calls most ones of MNIST equal. The frequencies stay numbers,
and they are whitened over the set, so that what all its images share says nothing. Two images are
candidates where the cosine of these vectors is high, both absolutely and beside an image's other
neighbours: among digits everything has neighbours that are nearly as near. Then their pixels must
agree. Of an image's pairs the ten nearest are kept. `docs/data.md` has what it finds and misses.

The search holds the frequencies alone, twice: 0.5 kB an image. Pictures are made again of
candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from headstart.processes import n_cores

MIN_SIDE = 16  # pixels; smaller images are too few numbers to say "the same picture"
_SIDE = 32  # of the small gray picture
_FREQUENCIES = 8  # each way, the lowest, without the mean
_FLAT = 2.0  # gray levels of standard deviation; below, a picture is blank
_FLOOR = 0.1  # of the mean variance: no direction is blown up beyond it
_NEIGHBOURS = 5  # how far the others are is read from the 5th nearest
_CANDIDATE = 0.75  # cosine; unrelated photographs of 64 dimensions reach 0.6 among 50,000
_SPARSE = 0.3  # cosine that the 5th neighbour is taken to have where it is no candidate
_NEARER = 0.2  # a duplicate is five times as near as the 5th neighbour
_SHARP, _BLURRED = 0.85, 0.95  # correlations of the pixels
_SAME, _SHARP_SAME = 0.95, 0.95  # cosine and correlation that suffice, however near others are:
#   of a film's frames all are near. Not where most of a picture is empty
_SHARP_INK = 0.985  # where most of a picture is empty, as around a character
_INK_SHARE, _PAPER = 0.5, 8  # of the pixels at most this many gray levels from the median
_BLUR = 1.5  # pixels of the small picture: what a crop of some percent moves
_MOST_PAIRS = 700_000_000  # of images that are compared: some five seconds of one core
_MOST_OF_ONE = 10  # pairs of an image that are kept
_PIECE = 4096  # pictures that are computed at once
_SUMMED = 1 << 16  # vectors whose products are summed at once
_BLOCK = 512  # images that a core compares with
_OTHERS = 1024  # others at once: their cosines fit into its own cache


class Looks(NamedTuple):
    """Of images: their low frequencies, float32 (n, 63), each of length 1; which are blank."""

    spectra: np.ndarray
    is_flat: np.ndarray


def looks_at(images: np.ndarray) -> Looks:
    """Of uint8 (n, C, H, W); what images look like alone does not depend on the others."""
    return _spectra(_small(images))


def looks_at_pictures(pictures: Iterable[np.ndarray]) -> Looks:
    """The same of uint8 (H, W, C) each, as decoders make them."""
    return _spectra(np.stack([_shrunk(_gray(picture)) for picture in pictures]))


def near_pairs(
    images: np.ndarray, first_copy: np.ndarray, tested: np.ndarray, known: Looks | None = None
) -> np.ndarray:
    """Pairs (i, j), int64 (n, 2), of images that show the same picture; exact copies left out.

    Args:
        images: uint8 (N, C, H, W).
        first_copy: int64 (N,), as of `Dataset`.
        tested: int64 indices of images that may be tested on; of each pair i is one of them.
            Where they are too many to be compared with all others, some of them are: evenly
            spaced ones.
        known: of the last of the images, which are not looked at again.
    """
    tested = tested[:: max(1, -(-len(tested) * len(images) // _MOST_PAIRS))]
    if is_too_small(images.shape) or len(tested) == 0:
        return np.empty((0, 2), np.int64)
    with threadpool_limits(1, "blas"):  # whose threads wait for each other in busy circles
        return _pairs(images, first_copy, tested, known)


def is_too_small(shape: tuple[int, ...]) -> bool:
    """Whether images (…, H, W) have too few pixels to be looked at."""
    return min(shape[-2:]) < MIN_SIDE


def _pairs(
    images: np.ndarray, first_copy: np.ndarray, tested: np.ndarray, known: Looks | None
) -> np.ndarray:
    spectra, is_flat = _looks(images, known)
    whitening = _whitening(spectra)
    own = _whitened(spectra[tested], *whitening)
    pairs = [np.empty((0, 2), np.int64)]
    for way in (1, -1):  # as it is, and mirrored
        signs = np.tile(float(way) ** np.arange(_FREQUENCIES), _FREQUENCIES)[1:]
        other = np.empty_like(spectra)
        for start in range(0, len(spectra), _PIECE):
            piece = spectra[start : start + _PIECE] * signs.astype(np.float32)
            other[start : start + _PIECE] = _whitened(piece, *whitening)
        for found, is_nearer in _candidates(own, other, tested, first_copy):
            for start in range(0, len(found), _PIECE):
                piece = found[start : start + _PIECE]
                at, places = np.unique(piece, return_inverse=True)
                small = _small_of(images, at)
                rows, columns = places.reshape(piece.shape).T
                agree = _pixels_agree(
                    small[rows], small[columns][:, :, ::way], is_nearer[start : start + _PIECE]
                )
                agree &= ~is_flat[piece].any(axis=1)
                pairs.append(piece[agree])
    return _each_once(np.concatenate(pairs))


def _looks(images: np.ndarray, known: Looks | None) -> Looks:
    """Of all images, each core a block of them."""
    n_new = len(images) - (0 if known is None else len(known.is_flat))
    spectra = np.empty((len(images), _FREQUENCIES**2 - 1), np.float32)
    is_flat = np.empty(len(images), bool)
    if known is not None:
        spectra[n_new:], is_flat[n_new:] = known

    def look(start: int) -> None:
        stop = min(start + _BLOCK, n_new)
        spectra[start:stop], is_flat[start:stop] = looks_at(images[start:stop])

    with ThreadPoolExecutor(n_cores()) as pool:
        list(pool.map(look, range(0, n_new, _BLOCK)))
    return Looks(spectra, is_flat)


def _small(images: Iterable[np.ndarray]) -> np.ndarray:
    """uint8 (n, 32, 32) gray, of images (C, H, W)."""
    import cv2

    small = []
    for image in images:
        has_colour = len(image) == 3 and image.strides[0] != 0
        small.append(_shrunk(_gray(cv2.merge(list(image))) if has_colour else image[0]))
    return np.stack(small)


def _gray(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W), of (H, W, C)."""
    import cv2

    if picture.shape[2] == 1:
        return picture[..., 0]
    return cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)


def _shrunk(rows: np.ndarray) -> np.ndarray:
    """uint8 (32, 32), of (H, W)."""
    import cv2

    return cv2.resize(rows, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)


def _small_of(images: np.ndarray, at: np.ndarray) -> np.ndarray:
    """uint8 (n, 32, 32) gray, of the images `at`; they are read one by one."""
    small = np.empty((len(at), _SIDE, _SIDE), np.uint8)

    def shrink(start: int) -> None:
        some = at[start : start + _BLOCK]
        small[start : start + _BLOCK] = _small(images[index] for index in some)

    with ThreadPoolExecutor(n_cores()) as pool:
        list(pool.map(shrink, range(0, len(at), _BLOCK)))
    return small


def _spectra(small: np.ndarray) -> Looks:
    """Of uint8 (n, 32, 32)."""
    n = np.arange(_SIDE)
    cosines = np.cos(np.pi * (2 * n + 1) * n[:_FREQUENCIES, None] / (2 * _SIDE))
    cosines[0] /= np.sqrt(2)  # orthonormal but for a factor
    basis = cosines.astype(np.float32)
    pictures = small.astype(np.float32)
    low = (basis @ pictures @ basis.T).reshape(len(pictures), -1)
    return Looks(_unit(low[:, 1:]), pictures.std(axis=(1, 2)) < _FLAT)


def _whitening(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of vectors, and the matrix that takes their covariance away."""
    mean = spectra.mean(axis=0)
    n, n_dimensions = spectra.shape
    covariance = np.zeros((n_dimensions, n_dimensions), np.float32)
    for start in range(0, n, _SUMMED):
        piece = spectra[start : start + _SUMMED] - mean
        covariance += piece.T @ piece
    covariance /= n
    level = float(np.trace(covariance)) / n_dimensions
    known = n / (n + n_dimensions)  # of few images a covariance is mostly noise
    values, vectors = np.linalg.eigh(
        known * covariance + (1 - known) * level * np.eye(n_dimensions, dtype=np.float32)
    )
    return mean, (vectors / np.sqrt(np.maximum(values, max(_FLOOR * level, 1e-12)))).astype(
        np.float32
    )


def _whitened(spectra: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Without the mean and the covariance, each row of length 1."""
    return _unit((spectra - mean) @ scale)


def _candidates(
    own: np.ndarray, other: np.ndarray, tested: np.ndarray, first_copy: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (i, j) of vectors that are near, and whether much nearer than i's other neighbours.

    `own` is of the images `tested`. Each core compares a block of images: a matrix product, then a
    search in it.
    """

    def of_block(start: int) -> tuple[np.ndarray, np.ndarray]:
        stop = start + _BLOCK
        return _nearest(own[start:stop], other, tested[start:stop], first_copy)

    with ThreadPoolExecutor(n_cores()) as pool:
        yield from pool.map(of_block, range(0, len(tested), _BLOCK))


def _nearest(
    own: np.ndarray, other: np.ndarray, at: np.ndarray, first_copy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `_candidates`, of the images `at`."""
    pieces = [_near(own, other[first : first + _OTHERS], first)
              for first in range(0, len(other), _OTHERS)]  # fmt: skip
    rows, columns, cosines = map(np.concatenate, zip(*pieces, strict=True))
    is_other = first_copy[at[rows]] != first_copy[columns]
    rows, columns, cosines = rows[is_other], columns[is_other], cosines[is_other]
    order = np.lexsort((-cosines, rows))
    rows, columns, cosines = rows[order], columns[order], cosines[order]
    counts = np.bincount(rows, minlength=len(at))
    fifth = np.cumsum(counts) - counts + _NEIGHBOURS - 1
    level = np.full(len(at), _SPARSE, np.float32)
    many = counts >= _NEIGHBOURS
    level[many] = cosines[fifth[many]]
    rank = np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
    is_nearer = 1 - cosines <= _NEARER * (1 - level[rows])
    kept = (is_nearer | (cosines >= _SAME)) & (rank < _MOST_OF_ONE)
    return np.stack([at[rows[kept]], columns[kept]], axis=1), is_nearer[kept]


def _near(
    own: np.ndarray, other: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of `own`, rows of `other` counted from `first`, and cosines, where these are high."""
    near = own @ other.T
    some = np.flatnonzero(near.max(axis=1) >= _CANDIDATE)  # few, and the rest is seen at once
    rows, columns = np.nonzero(near[some] >= _CANDIDATE)
    rows = some[rows]
    return rows, first + columns, near[rows, columns]


def _pixels_agree(some: np.ndarray, others: np.ndarray, is_nearer: np.ndarray) -> np.ndarray:
    """bool (n,): whether uint8 (n, 32, 32) correlate, pixel by pixel and blurred."""
    pair = [pictures.astype(np.float32) for pictures in (some, others)]
    blur = _blurring()
    blurred = [blur @ pictures @ blur.T for pictures in pair]
    sharp = _correlations(*pair)
    is_ink = _are_mostly_empty(some) | _are_mostly_empty(others)
    enough = np.where(is_nearer, _SHARP, np.where(is_ink, np.inf, _SHARP_SAME))
    enough = np.where(is_ink, np.maximum(enough, _SHARP_INK), enough)
    agree: np.ndarray = (sharp >= enough) & (_correlations(*blurred) >= _BLURRED)
    return agree


def _are_mostly_empty(pictures: np.ndarray) -> np.ndarray:
    """Whether most pixels are alike, as paper around ink is; two such pictures agree easily."""
    levels = pictures.reshape(len(pictures), -1).astype(np.int16)
    is_paper = np.abs(levels - np.median(levels, axis=1, keepdims=True)) <= _PAPER
    mostly: np.ndarray = is_paper.mean(axis=1) > _INK_SHARE
    return mostly


def _blurring() -> np.ndarray:
    """float32 (32, 32): what blurs the rows of a picture as a Gaussian does, mirrored at edges."""
    reach = np.arange(-6, 7)
    weights = np.exp(-(reach**2) / (2 * _BLUR**2))
    matrix = np.zeros((_SIDE, _SIDE), np.float32)
    for row, columns in enumerate(np.abs(np.arange(_SIDE)[:, None] + reach)):
        mirrored = np.where(columns >= _SIDE, 2 * _SIDE - 2 - columns, columns)
        np.add.at(matrix[row], mirrored, weights / weights.sum())
    return matrix


def _correlations(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each of two times (n, 32, 32)."""
    a, b = (_unit(p.reshape(len(p), -1) - p.mean(axis=(1, 2))[:, None]) for p in (some, others))
    correlations: np.ndarray = (a * b).sum(axis=1)
    return correlations


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = rows / np.maximum(lengths, 1e-9)
    return unit


def _each_once(pairs: np.ndarray) -> np.ndarray:
    """Pairs in the order of their indices, (j, i) left out where (i, j) is there."""
    _, first = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)
    return pairs[np.sort(first)]
