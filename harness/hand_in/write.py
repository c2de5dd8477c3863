"""The folder that is handed in and its zip: whole, or not there.

In: a finished run. Out: `report/NAME/` and `report/NAME.zip`, which hold `Code`, the three sets,
the two documents (the analysis writes them while the block runs) and `requirements.txt`. The same
run gives the same bytes.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

import numpy as np

from datasets.as_jpeg import encode
from datasets.sheet.write import PARTS
from datasets.split import split_dataset
from harness.hand_in.check import named_seed
from harness.hand_in.evaluated import Evaluated, evaluations_of
from harness.hand_in.readme import readme
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import Plan, TrialSpec
from headstart.errors import InputError, StorageError
from headstart.files import (
    atomic_path,
    remove,
    remove_dead_temporaries,
    safe_name,
    sync_folder,
    sync_tree,
    temporary_beside,
)
from headstart.records import kept_weights, trial_row
from headstart.rows import TrialRow

CODE = Path(__file__).parent / "code"
NEEDS = ("numpy", "opencv-python-headless", "safetensors", "torch", "torchvision")
STAND_IN_TEST = "pretraining_test.npz"
MADE_AT = (1980, 1, 1, 0, 0, 0)  # of each file in a zip: no clock is read


@contextmanager
def handing_in(plan: Plan, catalogue: DataCatalogue, run: Path, report: Path) -> Iterator[Path]:
    """Give the folder, with all but its documents, under a temporary name; then put it in place.

    Raises:
        InputError: a trial of the named seed has no result.
        StorageError: the disk is full or cannot be written; no zip is there that is not whole.
    """
    name = str(plan.sweep.deliver.hand_in)
    folder, archive = report / name, report / f"{name}.zip"
    temporary = temporary_beside(folder)
    try:
        report.mkdir(parents=True, exist_ok=True)
        remove_dead_temporaries(report)
        archive.unlink(missing_ok=True)  # of an earlier call: it may be of other results
        remove(folder)
        _fill(plan, catalogue, run, temporary)
        yield temporary
        sync_tree(temporary)
        with atomic_path(archive) as packed:
            _pack(temporary, packed)
            temporary.rename(folder)
        sync_folder(report)
    except OSError as err:
        raise StorageError(f"{folder}: cannot be written: {err.strerror or err}") from err
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(plan: Plan, catalogue: DataCatalogue, run: Path, folder: Path) -> None:
    from harness.hand_in.network_code import write_networks
    from harness.hand_in.settings import settings_of

    seed = named_seed(plan)
    evaluations = evaluations_of(plan, seed)
    rows = {each.trial.id: _row(plan, run, each.trial) for each in evaluations}
    code = folder / "Code"
    code.mkdir(parents=True)
    class_folders = _write_sets(evaluations[1].trial, catalogue, folder)
    for path in sorted(CODE.glob("*.py")):
        shutil.copyfile(path, code / path.name)
    networks = write_networks(evaluations)
    (code / "network.py").write_text(networks.text, encoding="utf-8")
    for name, content in networks.files.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_bytes(content)
    weights = _write_weights(evaluations, rows, run, code / "weights")
    tested_on = _write_pretraining_test(evaluations[0].trial, catalogue, code)
    shown = {each.trial.id: plan.shown_arm(each.trial) for each in evaluations}
    settings = settings_of(
        evaluations, rows, networks, weights, shown, tested_on, class_folders, seed
    )
    text = json.dumps(settings, indent=1, ensure_ascii=False, allow_nan=False)
    (code / "settings.json").write_text(f"{text}\n", encoding="utf-8")
    (code / "README.md").write_text(readme(settings, sorted(networks.files)), encoding="utf-8")
    requirements = requirement_lines(networks.packages)
    (folder / "requirements.txt").write_text("\n".join([*requirements, ""]), encoding="utf-8")


def _row(plan: Plan, run: Path, trial: TrialSpec) -> TrialRow:
    row = trial_row(run / "trials" / trial.id)
    if row is None or row.status != "done" or row.test_accuracy is None:
        status = row.status if row else "not run"
        raise InputError(
            f"hand-in: not written, since {plan.shown_arm(trial)} of seed {trial.seed} is "
            f"{status}; deliver.seed names another seed"
        )
    return row


# -- images --------------------------------------------------------------------------------------


def _write_sets(trial: TrialSpec, catalogue: DataCatalogue, folder: Path) -> list[str]:
    """The seed's split, one folder a class, numbered in the order drawn; returns the folders."""
    files, dataset = catalogue.before_jpeg(trial.data), catalogue.open(trial.data)
    rng = np.random.default_rng(trial.streams["split"])
    split = split_dataset(dataset, trial.data.choice.split, rng)
    names = class_folders(dataset.class_names)
    for part, indices in zip(PARTS, (split.train, split.validation, split.test), strict=True):
        for name in names:
            (folder / part / name).mkdir(parents=True)
        width = max(3, len(str(len(indices))))
        for number, index in enumerate(indices.tolist(), 1):
            path = folder / part / names[dataset.labels[index]] / f"image-{number:0{width}d}.jpg"
            path.write_bytes(encode(files.images[index, 0]))
    return names


def class_folders(class_names: Sequence[str]) -> list[str]:
    """A folder for each class; numbered where two names differ only in case or in odd signs."""
    names = [safe_name(name, 60) for name in class_names]
    if len({name.lower() for name in names}) == len(names):
        return names
    return [f"{label:03d}-{name}" for label, name in enumerate(names)]


def _write_pretraining_test(trial: TrialSpec, catalogue: DataCatalogue, code: Path) -> str:
    """`MNIST` where anybody can fetch the images; else the file that holds them."""
    choice = trial.data.choice
    options = choice.options
    is_plain = options.corrupt_labels is None and not options.as_jpeg
    if choice.name == "mnist" and choice.split.test is None and is_plain:
        return "MNIST"
    dataset = catalogue.open(trial.data)
    rng = np.random.default_rng(trial.streams["split"])
    test = split_dataset(dataset, choice.split, rng).test
    arrays = {"images": dataset.images[test], "labels": dataset.labels[test]}
    with zipfile.ZipFile(code / STAND_IN_TEST, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in arrays.items():  # np.savez would write the time of day
            content = io.BytesIO()
            np.save(content, np.ascontiguousarray(array))
            file.writestr(zipfile.ZipInfo(f"{name}.npy", MADE_AT), content.getvalue(),
                          zipfile.ZIP_DEFLATED)  # fmt: skip
    return STAND_IN_TEST


# -- weights, requirements, the zip --------------------------------------------------------------


def _write_weights(
    evaluations: Sequence[Evaluated], rows: Mapping[str, TrialRow], run: Path, folder: Path
) -> dict[str, str]:
    """A file for each network, equal ones once; their names by key of the evaluation."""
    from models.delta import whole_content  # torch: only where a hand-in is written

    folder.mkdir()
    names: dict[str, str] = {}
    by_content: dict[bytes, str] = {}
    for each in evaluations:
        content = whole_content(kept_weights(run / "trials" / each.trial.id, rows[each.trial.id]))
        name = by_content.setdefault(content, f"{each.key}.safetensors")
        if name == f"{each.key}.safetensors":
            (folder / name).write_bytes(content)
        names[each.key] = name
    return names


def requirement_lines(packages: Sequence[str] | set[str] = ()) -> list[str]:
    """A line for each package that the code needs, with the version of this run."""
    of_imports = metadata.packages_distributions()
    named = {of_imports[name][0] for name in packages if name in of_imports}
    lines = []
    for name in sorted({*NEEDS, *named}, key=str.lower):
        with suppress(metadata.PackageNotFoundError):
            lines.append(f"{name}=={re.sub(r'[+].*', '', metadata.version(name))}")
    return lines


def _pack(folder: Path, path: Path) -> None:
    """Its content as a zip, in the order of the names, without times."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for each in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(each.relative_to(folder).as_posix(), MADE_AT)
            entry.external_attr = 0o644 << 16
            file.writestr(entry, each.read_bytes(), zipfile.ZIP_DEFLATED)
