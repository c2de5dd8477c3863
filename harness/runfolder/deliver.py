"""The images of a sweep as files beside its report, for people.

In: a finished plan. Out: `Training Set/`, `Validation Set/` and `Test Set/`, each with one folder a
class, where the sweep asks for them: the split of the first seed of the first arm. Other seeds draw
other ones. `contact-sheets/`, where digits were cut from photographs: each of these with boxes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from datasets.base import Dataset
from datasets.sheet.write import PARTS, write_image
from datasets.split import split_dataset
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import Plan
from headstart.errors import StorageError
from headstart.files import (
    remove_dead_temporaries,
    safe_name,
    sync_folder,
    sync_tree,
    temporary_beside,
)
from headstart.records import CONTACT_SHEETS


def write_folders(plan: Plan, catalogue: DataCatalogue, out: Path) -> None:
    """Write the three folders into `out`; those of an earlier call are replaced.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    trial = next(trial for trial in plan.trials if trial.stage == "arm")
    dataset = catalogue.open(trial.data)
    rng = np.random.default_rng(trial.streams["split"])
    split = split_dataset(dataset, trial.data.choice.split, rng)
    remove_dead_temporaries(out)
    for part, indices in zip(PARTS, (split.train, split.validation, split.test), strict=True):
        temporary = temporary_beside(out / part)
        try:
            _write_part(temporary, dataset, np.sort(indices))
            sync_tree(temporary)
            shutil.rmtree(out / part, ignore_errors=True)
            temporary.rename(out / part)
            sync_folder(out)
        except OSError as err:
            raise StorageError(f"{out / part}: cannot be written: {err.strerror}") from err
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_contact_sheets(plan: Plan, catalogue: DataCatalogue, report: Path) -> None:
    """Keep beside the report what was cut from photographs; that of an earlier call is replaced.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    uses = {trial.data.fingerprint: trial.data for trial in plan.trials}
    pictures = [catalogue.open(use).pictures for use in uses.values()]
    folder = report / CONTACT_SHEETS
    temporary = temporary_beside(folder)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        if not any(pictures):
            return
        temporary.mkdir(parents=True)
        for number, files in enumerate(filter(None, pictures), 1):
            which = f"{number}-" if sum(map(bool, pictures)) > 1 else ""
            for name, content in files.items():
                (temporary / f"{which}{safe_name(name, 80)}").write_bytes(content)
        sync_tree(temporary)
        temporary.rename(folder)
    except OSError as err:
        raise StorageError(f"{folder}: cannot be written: {err.strerror}") from err
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_part(folder: Path, dataset: Dataset, indices: np.ndarray) -> None:
    names = _folder_names(dataset.class_names)
    for name in names:
        (folder / name).mkdir(parents=True)
    for index in indices.tolist():
        image = dataset.images[index].transpose(1, 2, 0)  # (H, W, C)
        picture = image[..., 0] if image.shape[2] == 1 else image
        write_image(folder / names[dataset.labels[index]] / f"image-{index:06d}.png", picture)


def _folder_names(class_names: tuple[str, ...]) -> list[str]:
    """A folder for each class; numbered where two names differ only in case or in odd signs."""
    names = [safe_name(name, 60) for name in class_names]
    if len({name.lower() for name in names}) == len(names):
        return names
    return [f"{label:03d}-{name}" for label, name in enumerate(names)]
