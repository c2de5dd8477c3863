"""What a sweep may say under `train.augment`: how each image may be cut, moved and coloured anew.

In: the mapping from a sweep file. Out: one frozen `Augment`. It stands apart from `augment/` so
that reading a sweep needs no torch.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from headstart.settings import key

Range = tuple[float, float]
Probability = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0)] | Range


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _no_words(value: object) -> object:
    """A number: `true` would be taken for 1, so a flip of every image in place of half of them."""
    is_list = isinstance(value, list | tuple)
    for each in value if isinstance(value, list | tuple) else (value,):
        if isinstance(each, bool):
            what = f"holds {str(each).lower()}, which is" if is_list else "is"
            raise ValueError(f"{what} no number; how often or how far it is done is expected")
    return value


class ColourJitter(_Settings):
    """Changes of colour in random order, each by a factor or shift drawn uniformly.

    A number x means factors from max(0, 1 - x) to 1 + x; [smallest, largest] names both ends.
    """

    brightness: Factor = key("Largest change of brightness.", 0.0, example=0.4, unit="factor")
    contrast: Factor = key("Largest change of contrast.", 0.0, example=0.4, unit="factor")
    saturation: Factor = key("Largest change of saturation.", 0.0, example=0.4, unit="factor")
    hue: Annotated[float, Field(ge=0, le=0.5)] = key("Largest turn of the hue, both ways.", 0.0,
        example=0.1, unit="of the colour circle")  # fmt: skip

    _no_words = field_validator("*", mode="before")(_no_words)

    @field_validator("brightness", "contrast", "saturation")
    @classmethod
    def _ordered(cls, value: float | Range) -> float | Range:
        if isinstance(value, tuple) and not 0 <= value[0] <= value[1]:
            raise ValueError("is not [smallest, largest] with both 0 or more")
        return value

    def range_of(self, name: str) -> Range:
        """(smallest, largest) factor of `brightness`, `contrast`, `saturation`; shift of `hue`."""
        value: float | Range = getattr(self, name)
        if isinstance(value, tuple):
            return value
        return (-value, value) if name == "hue" else (max(0.0, 1 - value), 1 + value)

    @property
    def is_identity(self) -> bool:
        """Whether colours stay as they are."""
        factors = (self.range_of(name) for name in ("brightness", "contrast", "saturation"))
        return not self.hue and all(each == (1.0, 1.0) for each in factors)


class RandAugment(_Settings):
    """Some of 14 changes in turn, each drawn, all of one strength (Cubuk et al. 2020)."""

    layers: Annotated[int, Field(ge=1, le=14)] = key("Changes of each image.", 2, example=2,
        unit="changes")  # fmt: skip
    magnitude: Annotated[int, Field(ge=0, le=30)] = key("Their strength, of 30.", 9, example=9)

    _no_words = field_validator("*", mode="before")(_no_words)


class Augment(BaseModel):
    """Limits of the random changes; every default means "leave this alone".

    Each value is drawn uniformly between its limits, once for each image and use of the image.
    `rotate: 15` turns by -15 to +15 degrees; `scale: 0.1` enlarges by 0.9 to 1.1, and
    `scale: [0.8, 1.0]` names both ends.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    horizontal_flip: Probability = key("Probability that left and right are swapped.", 0.0,
        example=0.5, unit="probability")  # fmt: skip
    vertical_flip: Probability = key("Probability that top and bottom are swapped.", 0.0,
        example=0.5, unit="probability")  # fmt: skip
    random_crop: Annotated[int, Field(ge=0, le=1024)] | None = key("The image is cut at a "
        "random place, after so many pixels of `fill` were added on every side. 0: only from what "
        "`train.crop_fraction` leaves around the cut.", None, example=4, unit="pixels")  # fmt: skip
    random_resized_crop: Annotated[float, Field(gt=0, le=1)] | Range | None = key("A part of the "
        "image is cut at a random place and scaled to the network's size: its smallest area, or "
        "[smallest, largest].", None, example=[0.08, 1.0],
        unit="fraction of the image")  # fmt: skip
    crop_ratio: Range = key("`random_resized_crop`: [smallest, largest] width over height of the "
        "part, drawn on a logarithmic scale.", (3 / 4, 4 / 3), example=[0.75, 1.333])  # fmt: skip
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
    colour_jitter: ColourJitter = key("Random brightness, contrast, saturation and hue.",
        ColourJitter(), example={"brightness": 0.4, "contrast": 0.4})  # fmt: skip
    grayscale: Probability = key("Probability that an image loses its colours.", 0.0, example=0.2,
        unit="probability")  # fmt: skip
    blur: Probability = key("Probability that an image is blurred by a Gaussian.", 0.0,
        example=0.5, unit="probability")  # fmt: skip
    blur_sigma: Range = key("`blur`: [smallest, largest] standard deviation.", (0.1, 2.0),
        example=[0.1, 2.0], unit="pixels")  # fmt: skip
    rand_augment: RandAugment | None = key("RandAugment (Cubuk et al. 2020) with torchvision's "
        "changes and strengths.", None, example={"layers": 2, "magnitude": 9})  # fmt: skip
    trivial_augment: bool = key("TrivialAugment (Müller and Hutter 2021), the wide space: one "
        "change of each image, of a strength drawn anew.", False, example=True)  # fmt: skip
    erase: Annotated[float, Field(ge=0, le=1)] = key("Probability that a rectangle of the image "
        "is covered.", 0.0, example=0.5, unit="probability")  # fmt: skip
    erase_area: Range = key("[smallest, largest] covered area.", (0.02, 0.2), example=[0.02, 0.2],
        unit="fraction of the image")  # fmt: skip
    fill: Annotated[float, Field(ge=0, le=1)] = key("Grey level of what comes in from outside the "
        "image, and of erased rectangles.", 0.0, example=0.5, unit="0 black … 1 white")  # fmt: skip

    @field_validator("*", mode="before")
    @classmethod
    def _numbers(cls, value: object, info: ValidationInfo) -> object:
        is_number = info.field_name not in ("trivial_augment", "rand_augment", "colour_jitter")
        return _no_words(value) if is_number else value

    @field_validator("scale", "erase_area", "crop_ratio", "blur_sigma", "random_resized_crop")
    @classmethod
    def _ordered(cls, value: float | Range | None) -> float | Range | None:
        if isinstance(value, tuple) and not 0 < value[0] <= value[1]:
            raise ValueError("is not [smallest, largest] with both above 0")
        return value

    @field_validator("erase_area", "random_resized_crop")
    @classmethod
    def _part_of_the_image(cls, value: float | Range | None) -> float | Range | None:
        if isinstance(value, tuple) and value[1] > 1:
            raise ValueError(f"{value[1]} is more than the whole image (1.0)")
        return value

    @model_validator(mode="after")
    def _one_of_each(self) -> Augment:
        if self.random_crop is not None and self.random_resized_crop is not None:
            raise ValueError("random_crop and random_resized_crop: give one of them; null takes "
                             "away one that is inherited")  # fmt: skip
        if self.rand_augment is not None and self.trivial_augment:
            raise ValueError("rand_augment and trivial_augment: give one of them; null and false "
                             "take away one that is inherited")  # fmt: skip
        return self

    @property
    def crop_area(self) -> Range | None:
        """(smallest, largest) area of `random_resized_crop`."""
        area = self.random_resized_crop
        return (area, 1.0) if isinstance(area, float) else area

    @property
    def scale_range(self) -> Range:
        """(smallest, largest) factor of size."""
        if isinstance(self.scale, tuple):
            return self.scale
        return 1 - self.scale, 1 + self.scale

    @property
    def cuts(self) -> bool:
        """Whether an image is mirrored, or a part of it taken."""
        crop = self.random_crop is not None or self.random_resized_crop is not None
        return bool(crop or self.horizontal_flip or self.vertical_flip)

    @property
    def recolours(self) -> bool:
        """Whether images go through changes of their own number and order (`draws.ops`)."""
        policy = self.rand_augment is not None or self.trivial_augment
        return bool(policy or self.grayscale or self.blur or not self.colour_jitter.is_identity)

    @property
    def of_colours_alone(self) -> list[str]:
        """The changes that leave a gray image as it is, as a sweep names them."""
        jitter = self.colour_jitter
        changes = {
            "colour_jitter.saturation": jitter.range_of("saturation") != (1.0, 1.0),
            "colour_jitter.hue": bool(jitter.hue),
            "grayscale": bool(self.grayscale),
        }
        return [name for name, is_made in changes.items() if is_made]

    @property
    def moves(self) -> bool:
        """Whether images are turned, moved or bent."""
        affine = self.rotate or self.translate or self.shear or self.scale_range != (1.0, 1.0)
        return bool(affine or self.elastic)

    @property
    def is_identity(self) -> bool:
        """Whether images stay exactly as they are."""
        return not (self.moves or self.erase or self.cuts or self.recolours)
