"""Which weights of a trial are kept, and how: whole, or as what differs from its start.

In: the trial, the sweep's `save`, and state dicts as training goes on. Out: files of weights in the
folder that the trial writes to, by the names that its record lists. It stands apart from the
trial's life, which only says when there is something to keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from harness.runfolder.checkpoints import LAST
from harness.runfolder.folder import TrialFolder
from harness.sweepfile.settings import Save
from harness.training.network import path_of_start
from harness.trials.spec import TrialSpec
from headstart.errors import InputError
from headstart.files import sync_folder
from headstart.records import MODEL
from models.delta import Start, save_difference
from models.delta_record import DrawnStart, FileStart
from models.weights import save_weights

EPOCHS = "checkpoints"  # folder in a trial's own


@dataclass(eq=False)
class WeightFiles:
    """The files of weights that one trial writes.

    Attributes:
        is_needed: whether other trials start from its weights, which are then kept in any case.
        notes: for its record: why weights are whole where differences were asked for.
    """

    spec: TrialSpec
    folder: TrialFolder
    save: Save
    is_needed: bool = False
    notes: list[str] = field(default_factory=list)

    def epoch_name(self, step: int, steps_per_epoch: int) -> str | None:
        """The file for the weights after this step; None where they are not to be kept."""
        epoch, rest = divmod(step, steps_per_epoch)
        if self.save.every is None or step == 0 or rest or epoch % self.save.every:
            return None
        return f"{EPOCHS}/epoch-{epoch:04d}.safetensors"

    def write_epoch(self, state: Mapping[str, Tensor], name: str) -> None:
        """Keep the weights after an epoch."""
        folder = self.folder.result / EPOCHS
        if not folder.is_dir():
            folder.mkdir()  # not those above it, which are gone when another command took over
            sync_folder(folder.parent)
        self._write(state, name)

    def write_last(self, state: Mapping[str, Tensor]) -> list[str]:
        """Keep the weights after the last step, where they are asked for."""
        return [self._write(state, LAST)] if self.save.last else []

    def write_best(self, state: Mapping[str, Tensor]) -> list[str]:
        """Keep the weights that validation chose; nothing starts from those of a search trial."""
        is_kept = self.save.weights != "none" or self.is_needed or self.spec.stage == "pretrain"
        return [self._write(state, MODEL)] if is_kept and self.spec.is_tested else []

    def _write(self, state: Mapping[str, Tensor], name: str) -> str:
        path = self.folder.result / name
        if self.save.weights == "delta" and self._write_difference(state, path):
            return name
        save_weights(state, path)
        return name

    def _write_difference(self, state: Mapping[str, Tensor], path: Path) -> bool:
        start = start_of(self.spec, self.folder.path.parent)
        if start is None:
            self._note("code of the user's own draws its start, which no file of weights runs")
            return False
        try:
            save_difference(state, path, start)
        except InputError as err:  # training needs the start no more
            self._note(str(err))
            return False
        return True

    def _note(self, reason: str) -> None:
        note = f"its weights are kept whole: {reason}"
        if note not in self.notes:
            self.notes.append(note)


def start_of(spec: TrialSpec, trials: Path) -> Start | None:
    """What a trial's weights may differ from; None where code of the user's own draws them.

    `trials` is the folder where the parent trial's folder lies.
    """
    path = path_of_start(spec, trials)
    if path is not None:
        named = f"{trials.name}/{spec.parent}/{path.name}" if spec.parent else str(path)
        return Start(FileStart(path=named, entry=spec.condition.start.entry, digest=""), path)
    choice = spec.condition.model
    if choice.code:
        return None
    return Start(
        DrawnStart(
            model=choice.name,
            options=choice.written_options(),
            n_classes=len(spec.data.class_names),
            image_size=spec.data.image_size,
            channels=spec.data.channels,
            init_seed=spec.streams["init"],
            head_seed=spec.streams["head"],
        )
    )
