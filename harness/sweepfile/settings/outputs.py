"""What stays when trials are over: weights in their folders, and files that were asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from headstart.settings import Frozen, key


def _always(best: bool) -> bool:
    if not best:
        raise ValueError(
            "cannot be: stages start from the weights that validation chose, and "
            "harness.evaluate reads them; leave it true"
        )
    return best


class Save(Frozen):
    """Which weights stay in a trial's folder. Nothing of it is in a trial's id."""

    every: PositiveInt | None = key("A checkpoint is kept every so many epochs; without it, none "
        "is.", None, example=5, unit="epochs")  # fmt: skip
    last: bool = key("Whether the weights of the last epoch are kept.", False, example=True)
    weights: Literal["best", "delta", "none"] = key("How the weights that `train.select` "
        "chooses are kept. `best`: whole. `delta`: without the tensors that are, bit for bit, "
        "those that the trial started from; it can be read as long as the start is there. "
        "`none`: not kept, unless other trials of the plan start from them.", "best",
        example="delta")  # fmt: skip
    best: Annotated[bool, BeforeValidator(_always)] = Field(default=True, exclude=True)  # given up

    @model_validator(mode="after")
    def _none_is_none(self) -> Save:
        if self.weights == "none" and (self.every is not None or self.last):
            raise PydanticCustomError("save", "weights: none keeps no weights, and every and last "
                                      "keep some; take them out, or none")  # fmt: skip
        return self

    def of_refit(self) -> Save:
        """What is kept of a refit: its network, for which it was trained, and no other weights."""
        return Save(weights="delta" if self.weights == "delta" else "best")


FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}"


class Deliver(Frozen):
    """What else the report's folder holds, where files of a certain form were asked for."""

    workbook: Annotated[str, Field(pattern=FILE_NAME + r"\.xlsx$")] | None = key("A workbook of "
        "this name with the four evaluations of Assignment 4.", None,
        example="Assignment 4 Results.xlsx")  # fmt: skip
    pdf: Annotated[str, Field(pattern=FILE_NAME + r"\.pdf$")] | None = key("The report's text "
        "under this name, on at most two pages and without figures.", None,
        example="Assignment 4 Report.pdf")  # fmt: skip
    folders: bool = key("Whether the images of the first seed's split are written, a folder a "
        "part and class.", False, example=True)  # fmt: skip
    hand_in: Annotated[str, Field(pattern=FILE_NAME + r"$")] | None = key("All that Assignment 4 "
        "asks for, as a folder of this name and a zip of it: code that runs by itself, the three "
        "sets as JPEG files, report, workbook, requirements (docs/hand-in.md). The arms' data need "
        "`as_jpeg: true`.", None, example="Assignment 4")  # fmt: skip
    seed: NonNegativeInt | None = key("The seed whose images and networks are handed in; without "
        "it, the first.", None, example=0)  # fmt: skip
