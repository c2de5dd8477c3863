"""All that decides how an arm or a stage trains: network, data, training, start, what is tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import models
from harness.sweepfile.settings.by_name import DataChoice, ModelChoice
from harness.sweepfile.settings.train import OWN_PARTS, Train
from headstart.caches import expanded
from headstart.grid import Values
from headstart.own_code import shown
from headstart.settings import Frozen, key
from models.forms import FineTune, read_fine_tune


class RunArm(Frozen):
    """The models of another sweep's run, seed by seed."""

    run: str = key("The run folder.", example="runs/part2")
    arm: str = key("The arm of that run.", example="pretrained")


class StartFile(Frozen):
    """A file of weights of which one part is meant."""

    file: str = key("The file: what `torch.save` writes, or safetensors, under any name.",
        example="weights/checkpoint.pth")  # fmt: skip
    entry: str = key("Which of the file's state dicts, where it holds several.", "", example="ema")
    prefix: str = key("What stands before the names that are meant, where the file has the network "
        "several times.", "", example="encoder_q.")  # fmt: skip


class Start(Frozen):
    """Where a trial's first weights come from; `name` is a stage, a file or a run folder."""

    kind: Literal["random", "stage", "imagenet", "file", "run"] = "random"
    name: str = ""
    arm: str = ""  # of a run
    entry: str = ""  # of a file
    prefix: str = ""  # of a file

    @property
    def path(self) -> Path:
        """Of a file or a run; `~` is the user's folder."""
        return expanded(self.name)

    def hashed(self) -> dict[str, object]:
        """What the id of a trial is computed from, beside the file's content."""
        chosen = {"entry": self.entry, "prefix": self.prefix}
        return {"start_part": chosen} if any(chosen.values()) else {}

    def written(self) -> str | dict[str, str] | None:
        """As a sweep file writes it."""
        if self.kind == "run":
            return {"run": self.name, "arm": self.arm}
        if self.entry or self.prefix:
            return {"file": self.name, "entry": self.entry, "prefix": self.prefix}
        return {"random": None, "imagenet": "imagenet"}.get(self.kind, self.name)


FINE_TUNE = "fine_tune"  # the one key of a condition itself that can be searched


class Condition(Frozen):
    """All that decides how one arm or one pretrain stage trains, but for its seed."""

    model: ModelChoice
    data: tuple[DataChoice, ...]  # in order of preference
    train: Train
    start: Start = Start()
    fine_tune: str | dict[str, Any] = "all"
    head: Literal["auto", "new", "keep"] = "auto"
    shared: bool = False

    @property
    def tuning(self) -> FineTune:
        """`fine_tune`, read: what of the network trains, and when."""
        return read_fine_tune(self.fine_tune)

    @property
    def own_code(self) -> tuple[str, ...]:
        """What of it is of the user's own, as people write it, each with its digest."""
        parts = {"model": (self.model.shown, self.model.code)}
        for part in OWN_PARTS:
            parts[part] = (shown(getattr(self.train, part)), getattr(self.train, f"{part}_code"))
        return tuple(f"{name} {digest}" for name, digest in parts.values() if digest)

    @property
    def runs_users_code(self) -> bool:
        """Whether code of the user's own makes its steps; it may draw from global generators."""
        return bool(self.own_code) or models.is_users(self.model.name)

    @property
    def runs_others_code(self) -> bool:
        """Whether code that is not ours makes its steps: the user's, timm's, transformers'."""
        return self.runs_users_code or models.is_source(self.model.name)

    @property
    def users_names(self) -> str:
        """What of it is of the user's own, for a message."""
        names = [text.rpartition(" ")[0] for text in self.own_code]
        return ", ".join(names) or self.model.shown

    def with_values(self, values: Values) -> Condition:
        """The same with values laid over it by full key, checked as a sweep file's are.

        Raises:
            ValidationError: a value that the setting or the network does not take.
            ValueError: a key that leads into a setting which is no mapping.
        """
        train = self.train.model_dump(mode="json", exclude_defaults=True)
        options = self.model.written_options()
        for full, value in values.items():
            section, *path = full.split(".")
            if section == FINE_TUNE:
                continue
            at = train if section == "train" else options
            for part in path[:-1]:
                at = at.setdefault(part, {})
                if not isinstance(at, dict):
                    raise ValueError(f"{full}: {part} is no mapping here")
            at[path[-1]] = value
        model = ModelChoice.model_validate({"name": self.model.name, **options})
        changed = {"train": Train.model_validate(train), "model": model}
        return self.model_copy(update=changed | {k: values[k] for k in (FINE_TUNE,) if k in values})
