"""What the chosen weights of a run score on the sweep's further test sets (`also_test`).

In: a run folder whose trials have ended, its plan, and the sets. Out: `also_test.parquet`, a row a
trial and set. Scores are made from saved weights after the trials, and only those that are missing:
so a set that is added to a finished run trains nothing, and no trial knows of any set. What was
scored stays in the table, also of sets that the sweep does not name any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.image_corruptions import corrupt_images
from harness.evaluate.also_sets import AlsoSets, FoundSet, Shown, corrupted_fingerprint, shown_as
from harness.runfolder.tables import as_table
from harness.sweepfile.settings import AlsoTest, Corrupted
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import DataUse, Plan
from headstart.digests import check_table, sealed_table
from headstart.errors import InputError, RunFolderError
from headstart.files import atomic_file
from headstart.foreign import open_plain, read_limited
from headstart.packed import read_table
from headstart.records import ALSO_TEST, MODEL
from headstart.rows import AlsoTestRow

if TYPE_CHECKING:
    from harness.evaluate.models import SavedModel

Say = Callable[[str], None]
Key = tuple[str, str]  # a trial's id, and what the set is called
AT_ONCE = 256 << 20  # bytes of images that are made worse at once


@dataclass(frozen=True)
class _Wanted:
    """One score that is missing: of which network, on which set."""

    model: SavedModel
    data: DataUse  # that it was trained and tested on
    item: AlsoTest | Corrupted
    fingerprint: str

    @property
    def key(self) -> Key:
        return self.model.id, self.item.called


def n_missing(plan: Plan, run: Path, found: Sequence[FoundSet]) -> int:
    """How many scores of the plan's arms are not there, those of trials to come too."""
    there = read_scores(run)
    needed = {
        (trial.id, each.called): each.fingerprint
        for each in found
        for arm in each.arms
        for trial in plan.by_arm.get(("arm", arm), ())
    }
    return sum(
        key not in there or there[key].fingerprint != fingerprint
        for key, fingerprint in needed.items()
    )


def score_sets(
    run: Path, plan: Plan, sets: AlsoSets, catalogue: DataCatalogue, device: str, say: Say
) -> bool:
    """Make the scores that are missing; what could not be made is said. Returns whether all are.

    Args:
        device: `cpu` or `cuda`.
        say: gets a line for people.

    Raises:
        RunFolderError: the table of scores is damaged.
        DataError: a set is not what it was when the plan was made.
    """
    from harness.evaluate.models import finished_models  # torch: only where there is a set

    models = {model.id: model for model in finished_models(run, plan.sweep, ("arm",))}
    with_weights = [model for model in models.values() if MODEL in model.row.files]
    if n := len(models) - len(with_weights):
        say(f"also_test: {n} of {len(models)} finished trials kept no weights (save: {{weights: "
            "none}), so they cannot be scored on further test sets")  # fmt: skip
    rows = read_scores(run)
    wanted = [
        each
        for item in plan.sweep.also_test
        for model in with_weights
        if not _is_scored(each := _wanted(model, item, plan, sets), rows)
    ]
    if not wanted:
        return True
    n_models = len({each.model.id for each in wanted})
    say(f"also_test: {len(wanted)} scores of {n_models} networks on further test sets …")
    failed = 0
    for item in plan.sweep.also_test:
        of_item = [each for each in wanted if each.item is item]
        for row, each, error in _scored(of_item, sets, catalogue, device):
            if row is None:
                failed += 1
                say(f"also_test: {each.model.arm}, seed {each.model.row.seed}, on "
                    f"{item.called}: {error}")  # fmt: skip
            else:
                rows[each.key] = row
        if of_item:
            _write(run, plan, rows)
    return not failed


def read_scores(run: Path) -> dict[Key, AlsoTestRow]:
    """The table of scores of a run folder; empty where there is none.

    Raises:
        RunFolderError: it is damaged.
    """
    path = run / ALSO_TEST
    try:
        with open_plain(path) as file:
            content = read_limited(file, path)
    except FileNotFoundError:
        return {}
    check_table(path, content)
    try:
        rows = list(map(AlsoTestRow.from_json, read_table(BytesIO(content)).to_pylist()))
    except ValueError as err:
        raise RunFolderError(
            f"{path}: cannot be read ({err}); remove it and run the sweep's command again, which "
            "scores the networks anew"
        ) from err
    return {(row.trial_id, row.test_set): row for row in rows}


def _is_scored(each: _Wanted, rows: dict[Key, AlsoTestRow]) -> bool:
    """Whether the score is there, and of the set as it is now."""
    row = rows.get(each.key)
    return row is not None and row.fingerprint == each.fingerprint


def _wanted(model: SavedModel, item: AlsoTest | Corrupted, plan: Plan, sets: AlsoSets) -> _Wanted:
    data = plan.by_id[model.id].data
    if isinstance(item, Corrupted):
        return _Wanted(model, data, item, corrupted_fingerprint(item, data.fingerprint))
    return _Wanted(model, data, item, sets.fingerprint(item, _shown_to(item, model)))


def _shown_to(item: AlsoTest, model: SavedModel) -> Shown:
    return shown_as(item, model.data, model.kept_size, model.channels, model.class_names)


def _scored(
    wanted: Sequence[_Wanted], sets: AlsoSets, catalogue: DataCatalogue, device: str
) -> Iterator[tuple[AlsoTestRow | None, _Wanted, str]]:
    """Each score, or why there is none; a set is read once for all networks that see it alike."""
    shown: Shown | None = None
    images, right = np.empty((0, 1, 1, 1), np.uint8), np.empty(0, np.int64)
    kept: tuple[bytes, np.ndarray] | None = None  # of images made worse
    for each in wanted:
        try:
            if isinstance(each.item, AlsoTest):
                its = _shown_to(each.item, each.model)
                if its != shown:
                    test = sets.read(each.item, its)
                    shown, images, right = its, test.images, test.right
            else:
                rows, right = _own_test_part(each.model)
                key = each.data.fingerprint.encode() + rows.tobytes()
                if kept is None or kept[0] != key:
                    kept = key, _made_worse(each, rows, catalogue)
                images = kept[1]
            yield _row(each, images, right, device), each, ""
        except InputError as err:  # one that fails spares the others
            yield None, each, str(err)


def _own_test_part(model: SavedModel) -> tuple[np.ndarray, np.ndarray]:
    from harness.evaluate.models import own_answers

    rows, right, _ = own_answers(model)
    return rows, right


def _made_worse(each: _Wanted, rows: np.ndarray, catalogue: DataCatalogue) -> np.ndarray:
    """The trial's own test images, uint8 (n, C, H, W), as the corruption leaves them."""
    assert isinstance(each.item, Corrupted)
    images = catalogue.open(each.data).images
    out = np.empty((len(rows), *images.shape[1:]), np.uint8)
    step = max(1, AT_ONCE // max(1, out[:1].nbytes * 8))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        out[start : start + step] = corrupt_images(
            np.ascontiguousarray(images[some]), each.item.corruption, each.item.strength, some
        )
    return out


def _row(each: _Wanted, images: np.ndarray, right: np.ndarray, device: str) -> AlsoTestRow:
    import torch

    from harness.evaluate.models import answers, scored

    item, row = each.item, each.model.row
    score = scored(answers(each.model, images, right, device), right, row.target)
    name, strength = ("", None)
    if isinstance(item, Corrupted):
        name, strength = item.corruption, item.strength
    return AlsoTestRow(
        trial_id=row.trial_id,
        arm=row.arm,
        seed=row.seed,
        test_set=item.called,
        corruption=name,
        strength=strength,
        fingerprint=each.fingerprint,
        n_images=len(right),
        **score.columns(),
        device=device if device == "cpu" else torch.cuda.get_device_name(),
    )


def _write(run: Path, plan: Plan, rows: dict[Key, AlsoTestRow]) -> None:
    """The table, in the order of the plan and of the sweep's sets; then what else is known."""
    trials = {trial.id: k for k, trial in enumerate(plan.trials)}
    sets = {item.called: k for k, item in enumerate(plan.sweep.also_test)}
    last = len(trials), len(sets)
    ordered = sorted(
        rows.values(),
        key=lambda row: (sets.get(row.test_set, last[1]), row.test_set,
                         trials.get(row.trial_id, last[0]), row.trial_id),
    )  # fmt: skip
    with atomic_file(run / ALSO_TEST, "wb") as file:
        file.write(sealed_table(as_table(ordered, AlsoTestRow)))
