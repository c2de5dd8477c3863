"""What a sweep may say under `train.augment`: how far each image may be moved, bent and covered.

In: the mapping from a sweep file. Out: one frozen `Augment`. It stands apart from `augment.py` so
that reading a sweep needs no torch.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from headstart.settings import key

Range = tuple[float, float]


class Augment(BaseModel):
    """Limits of the random changes; every default means "leave this alone".

    Each value is drawn uniformly between its limits, once for each image and use of the image.
    `rotate: 15` turns by -15 to +15 degrees; `scale: 0.1` enlarges by 0.9 to 1.1, and
    `scale: [0.8, 1.0]` names both ends.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rotate: Annotated[float, Field(ge=0, le=180)] = key("Largest turn about the image's centre, "
        "both ways.", 0.0, example=15, unit="degrees")  # fmt: skip
    translate: Annotated[float, Field(ge=0, le=1)] = key("Largest move along each axis.", 0.0,
        example=0.07, unit="fraction of width or height")  # fmt: skip
    scale: Annotated[float, Field(ge=0, lt=1)] | Range = key("Largest change of size, or "
        "[smallest, largest] factor; above 1 enlarges.", 0.0, example=0.1,
        unit="factor")  # fmt: skip
    shear: Annotated[float, Field(ge=0, lt=90)] = key("Largest slant along the x axis, both ways.",
        0.0, example=10, unit="degrees")  # fmt: skip
    elastic: Annotated[float, Field(ge=0, le=0.5)] = key("Typical (root mean square) displacement "
        "of a smooth random field at its control points; 0.03 is about what Simard et al. (2003) "
        "use.", 0.0, example=0.03, unit="fraction of the shorter side")  # fmt: skip
    erase: Annotated[float, Field(ge=0, le=1)] = key("Probability that a rectangle of the image "
        "is covered.", 0.0, example=0.5, unit="probability")  # fmt: skip
    erase_area: Range = key("[smallest, largest] covered area.", (0.02, 0.2), example=[0.02, 0.2],
        unit="fraction of the image")  # fmt: skip
    fill: Annotated[float, Field(ge=0, le=1)] = key("Grey level of what comes in from outside the "
        "image, and of erased rectangles.", 0.0, example=0.5, unit="0 black … 1 white")  # fmt: skip

    @field_validator("scale", "erase_area")
    @classmethod
    def _ordered(cls, value: float | Range) -> float | Range:
        if isinstance(value, tuple) and not 0 < value[0] <= value[1]:
            raise ValueError("is not [smallest, largest] with both above 0")
        return value

    @field_validator("erase_area")
    @classmethod
    def _part_of_the_image(cls, value: Range) -> Range:
        if value[1] > 1:
            raise ValueError(f"{value[1]} is more than the whole image (1.0)")
        return value

    @property
    def scale_range(self) -> Range:
        """(smallest, largest) factor of size."""
        if isinstance(self.scale, tuple):
            return self.scale
        return 1 - self.scale, 1 + self.scale

    @property
    def moves(self) -> bool:
        """Whether pixels are resampled at all."""
        affine = self.rotate or self.translate or self.shear or self.scale_range != (1.0, 1.0)
        return bool(affine or self.elastic)

    @property
    def is_identity(self) -> bool:
        """Whether images stay exactly as they are."""
        return not (self.moves or self.erase)
