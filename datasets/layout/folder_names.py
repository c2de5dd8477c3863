"""What the name of a folder says: a part of a data set, no class, or nothing in particular.

In: names of folders that lie beside each other, as people and tools spell them. Out: which part
each is, and which ones hold pictures of no class. It stands alone because it is about words only:
what is made of them depends on what lies in the folders (`datasets.layout.layout`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from datasets.files.part_words import WORDS

_WORDS = {
    **{part: "|".join(words) for part, words in WORDS.items()},
    "evaluation": "eval|evaluation",  # of either kind: what lies beside it decides
}
_NEUTRAL = "set|sets|data|dataset|split|image|images|img|imgs|folder|dir|samples|files|pics|photos"
_EACH = "|".join(f"(?P<{part}>{words})" for part, words in _WORDS.items())
_PART = re.compile(f"(?:{_EACH})(?:{_NEUTRAL})?[0-9]*")
_SHORT = {"tr": "train", "va": "validation", "ts": "test", "te": "test"}  # only beside each other
_ALONE = ("train", "trainset", "training", "trainingset", "val", "valid", "validation",
    "validationset", "dev", "test", "testset", "testing", "testingset")  # fmt: skip
_OF_SYSTEMS = {"@eadir", "@tmp", "#recycle", "@recycle", "$recycle.bin", "lost+found",
    "system volume information", "__macosx", "__pycache__"}  # fmt: skip
# Words that are seldom those of a class: `paper`, `mask`, `run` and `figure` are.
_OF_NO_CLASS = frozenset(
    """
    plots figures graphs charts diagrams thumbs thumbnail thumbnails preview previews cache
    caches temp tmp backup backups annotation annotations annotated labels masks trimap
    trimaps segmentation segmentations segmentationclass segmentationobject groundtruth gt
    heatmap heatmaps docs documents documentation readme assets logs results output outputs
    reports runs models checkpoints weights notebooks scripts src meta metadata attributes
    bbox bboxes boundingboxes imagesets unlabeled unlabelled pred preds predict prediction
    predictions submission submissions screenshots examples originals unsorted
    uncategorised uncategorized newfolder untitledfolder
    """.split()  # noqa: SIM905
)
_PIECES = {"images", "imgs", "img", "image", "part", "batch", "chunk", "shard", "piece", "archive"}
_GROUPS = {"patient", "patients", "case", "slide", "study", "session", "scan", "visit", "writer",
    "user", "video", "clip", "scene"}  # fmt: skip
_SMALL_COPIES = {"thumbs", "thumbnail", "thumbnails", "preview", "previews"}
_HOLDS_IMAGES = {"image", "images", "img", "imgs", "jpg", "jpgs", "jpeg", "jpegs", "jpegimages",
    "png", "pngs", "pngimages", "photo", "photos", "picture", "pictures", "pics", "data",
    "dataset", "all"}  # fmt: skip
_NO_CLASS_IN_A_PART = {*_HOLDS_IMAGES, "unknown", "unlabeled", "unlabelled", "none"}


@dataclass(frozen=True)
class PartName:
    """A folder's name that has the word of a part in it; `rest`: its other words that say much."""

    part: str
    rest: tuple[str, ...]


def is_of_system(name: str) -> bool:
    """Whether a network drive, a desktop or Python made the folder; what is in it is no data."""
    return name.lower() in _OF_SYSTEMS or name.startswith(".")


def is_of_no_class(name: str) -> bool:
    """Whether such a folder beside others mostly holds pictures of no class: plots, masks, …"""
    return _plain(name) in _OF_NO_CLASS


def is_of_small_copies(name: str) -> bool:
    """Whether such a folder among images holds smaller copies of them."""
    return _plain(name) in _SMALL_COPIES


def holds_images(name: str) -> bool:
    """Whether the name says no more than that images are in the folder."""
    return _plain(name) in _HOLDS_IMAGES


def is_no_class_of_a_part(name: str) -> bool:
    """Whether a part's only folder of this name holds its images without classes."""
    return _plain(name) in _NO_CLASS_IN_A_PART


def is_usual_part(name: str) -> bool:
    """Whether the name is that of a part even where no other part lies beside it."""
    return _plain(name) in _ALONE


def are_numbered_pieces(names: Collection[str]) -> bool:
    """Whether all say no more than that they are pieces of something: `images_001`, `part 2`."""
    return _are_numbered(names, _PIECES)


def are_numbered_groups(names: Collection[str]) -> bool:
    """Whether all are called as patients and the like are: `patient_001`, `slide 2`."""
    return _are_numbered(names, _GROUPS)


def _are_numbered(names: Collection[str], words: Collection[str]) -> bool:
    stems = {tuple(word for word in _words(name) if not word.isdecimal()) for name in names}
    plain = {tuple(word.rstrip("0123456789") for word in stem) for stem in stems}
    return len(names) > 1 and len(plain) == 1 and not set(words).isdisjoint(*plain)


def part_name(name: str) -> PartName | None:
    """What `name` says of parts: nothing, or one part and the words beside it."""
    words = [word for word in _words(name) if not re.fullmatch(_NEUTRAL, word)]
    hits = [(at, match) for at, word in enumerate(words) if (match := _PART.fullmatch(word))]
    if is_usual_part(name):  # `Training Set`, and also `t_e_s_t`
        joined = _PART.fullmatch(_plain(name))
        return PartName(str(joined.lastgroup), ()) if joined else None
    if len({match.lastgroup for _, match in hits}) != 1:
        return None
    at, match = hits[0]
    rest = tuple(word for n, word in enumerate(words) if n != at)
    if rest and at not in (0, len(words) - 1):
        return None
    return PartName(str(match.lastgroup), tuple(w for w in rest if not re.fullmatch("[0-9]+", w)))


def parts_among(names: Collection[str]) -> Mapping[str, PartName]:
    """Those of `names`, of folders beside each other, that are parts.

    A part's word among others (`seg_train`) counts where another part has the same other words
    (`seg_test`), or where a part of a plain name lies beside it.
    """
    named = {name: part for name in names if (part := part_name(name)) is not None}
    if any(_plain(name) == "invalid" for name in names):
        named = {name: part for name, part in named.items() if _plain(name) != "valid"}
    by_rest: dict[tuple[str, ...], set[str]] = {}
    for each in named.values():
        by_rest.setdefault(each.rest, set()).add(each.part)
    parts = {
        name: each
        for name, each in named.items()
        if not each.rest or () in by_rest or len(by_rest[each.rest]) > 1
    }
    return MappingProxyType(_evaluation_settled(parts or _short_parts(names)))


def _short_parts(names: Iterable[str]) -> dict[str, PartName]:
    """`imagesTr` and `imagesTs`, which mean something only together."""
    short = {}
    for name in names:
        words = [word for word in _words(name) if not re.fullmatch(_NEUTRAL, word)]
        if len(words) == 1 and words[0] in _SHORT:
            short[name] = PartName(_SHORT[words[0]], ())
    return short if {"train"} < {each.part for each in short.values()} else {}


def _evaluation_settled(parts: dict[str, PartName]) -> dict[str, PartName]:
    """`eval` is the test part beside a validation part, and the validation part beside a test."""
    there = {each.part for each in parts.values() if not each.rest}
    if len({"validation", "test"} & there) != 1:
        return parts
    meant = "test" if "validation" in there else "validation"
    return {
        name: PartName(meant, each.rest) if each.part == "evaluation" else each
        for name, each in parts.items()
    }


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\s_.,()\[\]+-]+", spaced.lower()) if word]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()
