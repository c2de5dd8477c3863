"""A contact sheet of a data set's own images under a mapping of `train.augment`.

In: a YAML file that holds the mapping alone, and a data set. Out: a picture: in the first row
images as they are, then a row for each of the settings alone, then rows of all of them together. It
stands alone because it needs torch, and a description without it does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from datasets.augment_settings import Augment
from datasets.base import Dataset
from headstart.errors import SpecError, did_you_mean
from headstart.value_errors import Details, reason, with_forms
from headstart.yaml12 import Node, read_yaml

_PER_ROW = 8  # images
_TOGETHER = 3  # rows of all settings at once
_SIDE = 160  # pixels of an image in the sheet, at most
_SMALL = 56  # pixels to which smaller images are enlarged
_LINE = 16  # pixels of a line of words
_LABEL = 240  # pixels for the words at the left
_GAP = 3
_SEED = 0
_BELONGS = {  # a key that says more of another one: both are shown together
    "crop_ratio": "random_resized_crop", "blur_sigma": "blur", "erase_area": "erase",
}  # fmt: skip


def read_augment(path: Path) -> Augment:
    """The mapping in a file.

    Raises:
        SpecError: a line for each mistake, with its place in the file.
    """
    node = read_yaml(path)
    try:
        return Augment.model_validate(node.plain())
    except ValidationError as err:
        errors = with_forms(err.errors(), lambda error: _place(node, error).path, Augment)
        raise SpecError([_mistake(node, error) for error in errors]) from err


def _place(node: Node, error: Details) -> Node:
    for key in error["loc"]:
        node = node.get(key) or node
    return node


def _mistake(node: Node, error: Details) -> str:
    """`file:line: key: what is wrong`."""
    at, names = _place(node, error), [str(key) for key in error["loc"]]
    text = reason(error)
    if error["type"] == "extra_forbidden":
        known = list(Augment.model_fields)
        text = f"is not a key here; allowed: {', '.join(known)}{did_you_mean(names[-1], known)}"
        if "augment" in names or "train" in names:
            text = "the file holds the mapping of train.augment alone: write its keys at the top"
    return f"{at.where}: {at.path or '.'.join(names)}: {text}"


def contact_sheet(dataset: Dataset, settings: Augment) -> np.ndarray:
    """uint8 (H, W, 3); the draws are of a fixed seed, so the same files give the same sheet."""
    images = _chosen(dataset)
    rows = [("as it is", images)]
    rows += [(words, _changed(images, alone, 0)) for words, alone in _one_by_one(settings)]
    if len(rows) > 2:  # of one setting, all together is the same
        names = [f"all together, {k + 1}" for k in range(_TOGETHER)]
        rows += [(name, _changed(images, settings, k)) for k, name in enumerate(names)]
    else:
        rows += [(f"again, {k}", _changed(images, settings, k)) for k in range(2, 1 + _TOGETHER)]
    return _sheet(rows)


def _chosen(dataset: Dataset) -> np.ndarray:
    """Images of all classes in turn, uint8 (n, C, H, W)."""
    by_class = [np.flatnonzero(dataset.labels == k) for k in range(len(dataset.class_names))]
    longest = max(map(len, by_class))
    in_turn = (each[k] for k in range(longest) for each in by_class if k < len(each))
    places = [place for place, _ in zip(in_turn, range(_PER_ROW), strict=False)]
    return np.stack([dataset.images[place] for place in places])


def _one_by_one(settings: Augment) -> Iterator[tuple[str, Augment]]:
    """Each setting by itself, with words for it: what is written, or of `{}` what it means."""
    given = settings.model_dump(exclude_defaults=True, mode="json")
    written = settings.model_dump(exclude_unset=True, mode="json")
    for name, value in given.items():
        if name in _BELONGS or name == "fill":
            continue
        more = {k: v for k, v in given.items() if _BELONGS.get(k) == name or k == "fill"}
        alone = Augment.model_validate({name: value, **more})
        if not alone.is_identity:
            shown = written.get(name, value) or getattr(settings, name).model_dump()
            yield f"{name}: {_shown(shown)}", alone


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " to ".join(f"{each:g}" for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _changed(images: np.ndarray, settings: Augment, seed: int) -> np.ndarray:
    import torch

    from datasets import augment

    size = (images.shape[2], images.shape[3])
    generator = torch.Generator().manual_seed(_SEED + seed)
    draws = augment.draw(settings, len(images), size, generator)
    changed = augment.apply(torch.from_numpy(images).float() / 255, draws)
    result: np.ndarray = (changed * 255).round().clamp(0, 255).byte().numpy()
    return result


def _sheet(rows: list[tuple[str, np.ndarray]]) -> np.ndarray:
    from PIL import Image, ImageDraw

    n, _, height, width = rows[0][1].shape
    longer = max(height, width)
    scale = min(1.0, _SIDE / longer) if longer >= _SIDE / 2 else max(2.0, _SMALL / longer)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    n_lines = max(_lines(words).count("\n") + 1 for words, _ in rows)
    step_x, step_y = size[0] + _GAP, max(size[1], _LINE * n_lines) + _GAP
    sheet = Image.new("RGB", (_LABEL + n * step_x + _GAP, len(rows) * step_y + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (words, images) in enumerate(rows):
        top = _GAP + i * step_y
        draw.multiline_text((2 * _GAP, top), _lines(words), fill="black")
        for j, image in enumerate(images):
            shown = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
            picture = Image.fromarray(np.ascontiguousarray(shown)).convert("RGB").resize(size)
            sheet.paste(picture, (_LABEL + j * step_x, top))
    return np.asarray(sheet)


def _lines(words: str) -> str:
    """Broken after commas and colons, so that it fits beside the images."""
    lines = [""]
    for piece in words.replace(": ", ":\n").replace(", ", ",\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(piece) > 36:
            lines.append("")
        lines[-1] = f"{lines[-1]} {piece}".strip()
    return "\n".join(lines)
