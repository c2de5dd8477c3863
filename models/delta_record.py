"""What a file of weights that holds only differences says of the rest: its start, and what is same.

In: the path of a file of weights. Out: its record, where it is such a file, and the digest that all
its tensors together have. The record stands in the header of a safetensors file, which is read here
without torch: whoever plans trials needs the digest alone. `models/delta.py` puts the tensors
together.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, ValidationError, field_validator

from headstart.errors import ModelError
from headstart.own_code import is_reference
from headstart.settings import Frozen

KEY = "headstart.delta"  # of the header's metadata
MOST_HEADER_BYTES = 100_000_000  # as safetensors has it

Positive = Annotated[int, Field(ge=1, le=1_000_000)]


class FileStart(Frozen):
    """A file of weights.

    Attributes:
        path: from a run folder on, as `trials/ID/model.safetensors`, or absolute.
        entry: which of the file's state dicts.
        digest: of its content (`digest_of_weights`).
    """

    path: str
    entry: str = ""
    digest: str


class DrawnStart(Frozen):
    """Random weights: what `models.build.build_model` draws them from."""

    model: str
    options: dict[str, Any] = Field(default_factory=dict)
    n_classes: Positive
    image_size: tuple[Positive, Positive]
    channels: Positive
    init_seed: NonNegativeInt
    head_seed: NonNegativeInt

    @field_validator("model")
    @classmethod
    def _is_of_the_catalogue(cls, model: str) -> str:
        if is_reference(model):
            raise ValueError("code that a file of weights names is not run")
        return model


class DeltaRecord(Frozen):
    """What belongs to the tensors of such a file.

    Attributes:
        start: where the other tensors are.
        same: of each of them the name in the start and the type of its numbers, by name here.
        whole: the digest of the file that would hold all tensors (`digest_of_weights`).
        torch: the version that wrote it; another one may draw other weights.
    """

    start: FileStart | DrawnStart
    same: dict[str, tuple[str, str]]
    whole: str
    torch: str


def read_record(path: Path) -> DeltaRecord | None:
    """The record of a file of weights; None of a file that is whole, or that cannot be read.

    Raises:
        ModelError: the record is damaged.
    """
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if 0 < length <= MOST_HEADER_BYTES else b""
    except OSError:  # whoever reads the tensors says it
        return None
    if not header.startswith(b"{") or KEY.encode() not in header:
        return None
    try:
        metadata = json.loads(header).get("__metadata__") or {}
        return DeltaRecord.model_validate_json(metadata[KEY]) if KEY in metadata else None
    except (ValueError, AttributeError, TypeError, RecursionError, ValidationError) as err:
        raise ModelError(f"{path}: what it says of its start is damaged; fetch it again, or train "
                         "its trial again") from err  # fmt: skip


def digest_of_weights(path: Path) -> str:
    """32 hexadecimal characters: BLAKE2b of the file that holds all of the tensors.

    So a file of differences has the digest of the whole file in whose place it lies.

    Raises:
        OSError: it cannot be read.
        ModelError: it holds differences, and its record is damaged.
    """
    record = read_record(path)
    if record is not None:
        return record.whole
    with open(path, "rb") as file:  # in pieces: the file may be larger than memory
        return hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=16)).hexdigest()


def digest_of_bytes(content: bytes) -> str:
    """The digest of a whole file with this content."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
