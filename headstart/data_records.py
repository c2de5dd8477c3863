"""What a run says of each of its data sets, in `provenance.json` under `data`.

In: what a plan knows of a data set, or the JSON of a run folder. Out: `DataRecord`. It stands in
the leaf because the harness writes it and the report reads it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

Text = Annotated[str, Field(max_length=100_000)]


class NotUsed(BaseModel):
    """A data set that the sweep prefers, and why it was not used."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Text
    reason: Text


class DataRecord(BaseModel):
    """One data set of a run; keys of later versions are left out.

    Attributes:
        name: for people: the set's name, and of a user's own files what they are called.
        dataset: the set's name alone, as trials have it.
        fingerprint: a hash of its content.
        source: where it came from, for people.
        image_size: (height, width) in pixels, as the networks got it.
        channels: 1 or 3.
        class_names: the classes, by their numbers.
        counts: of each part of its own, images by class; under "" where it has no parts.
        n_groups: how many groups a split keeps together; None: its images have none.
        not_used: the data sets that the sweep names before it.
        notes: what a reader should know of it.
        warnings: what a reader must know of it first.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Text
    dataset: Text
    fingerprint: Text
    source: Text
    image_size: tuple[NonNegativeInt, NonNegativeInt]
    channels: NonNegativeInt
    class_names: tuple[Text, ...]
    counts: dict[Text, tuple[NonNegativeInt, ...]]
    n_groups: NonNegativeInt | None = None
    not_used: tuple[NotUsed, ...] = ()
    notes: tuple[Text, ...] = ()
    warnings: tuple[Text, ...] = ()

    @property
    def n_images(self) -> int:
        return sum(map(sum, self.counts.values()))
