"""What one worker gets, and how much it takes on. Nothing of it changes a trial's result."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import NonNegativeInt, PlainValidator, PositiveInt, WithJsonSchema

from headstart.settings import Frozen, key


def _as_pack(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError("is neither a number from 1 nor auto")


Pack = Annotated[
    int | Literal["auto"],
    PlainValidator(_as_pack),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
]


def _as_gpus(value: object) -> object:
    if value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("is neither a number from 0 to 1 nor auto")
    if value > 1:
        raise ValueError(
            "is more than a worker can use: it computes on one GPU, so 0 to 1 is allowed; for "
            f"several GPUs to a trial give gpus: 1, workers: {math.ceil(value)}"
        )
    return float(value)


Gpus = Annotated[
    float | Literal["auto"],
    PlainValidator(_as_gpus),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"const": "auto"}]}),
]


class Resources(Frozen):
    """What one worker gets, and how much it takes on. It changes no trial's result."""

    cpus: PositiveInt = key("CPU cores of a worker.", 1, example=1, unit="cores")
    gpus: Gpus = key("The GPU of a worker: 1, or a share; 0.25: four workers share one. 0 computes "
        "on the CPU. `auto`: 1 where PyTorch sees a GPU, else 0; it is decided where the trials "
        "run.", "auto", example=0.25, unit="GPUs")  # fmt: skip
    workers: PositiveInt = key("Processes that share one trial: each computes a part of every "
        "batch.", 1, example=2, unit="processes to a trial")  # fmt: skip
    pack: Pack = key("The most trials that a worker takes at once. Where they are alike, they are "
        "trained as one computation. `auto`: on a GPU as many as measurements advise, on CPUs 1.",
        "auto", example=8, unit="trials")  # fmt: skip
    fuse: Literal["auto", "always", "never"] = key("Whether the networks of a pack are trained as "
        "one program; `auto`: on GPUs.", "auto", example="never")  # fmt: skip
    graph: Literal["always", "never"] = key("Whether a GPU replays the steps of a trial that "
        "trains by itself from one CUDA graph. Not yet seen on a card.", "never",
        example="always")  # fmt: skip
    max_failures: NonNegativeInt = key("How often a trial that failed is tried again.", 2,
        example=0, unit="attempts")  # fmt: skip

    @property
    def cpus_per_trial(self) -> int:
        return self.cpus * self.workers

    def settled(self, n_gpus: int) -> Settled:
        """What `auto` comes to where PyTorch sees `n_gpus` GPUs.

        Packs pay on a GPU: on CPUs they would keep other slots idle, and several workers run one
        trial after another.
        """
        gpus = float(n_gpus > 0) if self.gpus == "auto" else self.gpus
        packs = gpus > 0 and self.workers == 1
        pack = 1 if self.pack == "auto" and not packs else self.pack
        return Settled.model_validate({**dict(self), "gpus": gpus, "pack": pack})


class Settled(Resources):
    """Resources as they hold where the trials run: `gpus` is a number."""

    gpus: float

    @property
    def gpus_per_trial(self) -> float:
        return self.gpus * self.workers

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        return "cuda" if self.gpus > 0 else "cpu"
