"""What a sweep may say under `train.augment`: how far each image may be moved, bent and covered.

In: the mapping from a sweep file. Out: one frozen `Augment`. It stands apart from `augment.py` so
that reading a sweep needs no torch.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

Range = tuple[float, float]


class Augment(BaseModel):
    """Limits of the random changes; every default means "leave this alone".

    Each value is drawn uniformly between its limits, once for each image and use of the image.
    `rotate: 15` turns by -15 to +15 degrees; `scale: 0.1` enlarges by 0.9 to 1.1, and
    `scale: [0.8, 1.0]` names both ends.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest turn about the image's centre, in degrees, both ways."""
    translate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest move along each axis, as a fraction of the image's width or height."""
    scale: Annotated[float, Field(ge=0, lt=1)] | Range = 0.0
    """Largest change of size, or (smallest, largest) factor; above 1 enlarges."""
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0
    """Largest slant along the x axis, in degrees, both ways."""
    elastic: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Typical (root mean square) displacement of a smooth random field at its control points,
    as a fraction of the image's shorter side; 0.03 is about what Simard et al. (2003) use."""
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that a rectangle of the image is covered."""
    erase_area: Range = (0.02, 0.2)
    """(smallest, largest) covered area, as a fraction of the image's."""
    fill: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Grey level (0 to 1) of what comes in from outside the image and of erased rectangles."""

    @field_validator("scale", "erase_area")
    @classmethod
    def _ordered(cls, value: float | Range) -> float | Range:
        if isinstance(value, tuple) and not 0 < value[0] <= value[1]:
            raise ValueError(f"{list(value)} is not [smallest, largest] with both above 0")
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
