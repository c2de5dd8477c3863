"""`sweeps/part1.yaml`: 62 classes of handwriting, at a size that a test can afford."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datasets.files.trees import open_tree
from datasets.sets.handwritten62 import listed_classes
from harness.evaluate import __main__ as evaluate
from harness.plan.planner import make_plan
from harness.runfolder import provenance
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.training.context import TrialContext
from harness.training.trial import run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended

PART1 = Path(__file__).resolve().parents[2] / "sweeps" / "part1.yaml"
PER_CLASS = 9  # of the 40 pages
SELECTED = ("--networks", "selected")
SMALLER = (
    "data={name: handwritten62, preprocess: sized, per_class: true, train: 6, "
    "validation: 2, test: 1}",
    "train.epochs=5",
    "seeds=1",
)


def test_a_stand_in_is_planned_where_the_handwriting_is_not_there(tmp_path):
    plan = make_plan(load_sweep(PART1, "quick"), DataCatalogue(tmp_path, allow_download=False))
    use = plan.trials[0].data
    assert (use.choice.name, use.stand_in_for) == ("glyphs", "handwritten62")
    assert len(use.class_names) == 62
    assert use.class_names == tuple(listed.name for listed in listed_classes())
    assert (use.image_size, use.n_images) == ((40, 48), 2480)


@pytest.mark.slow
def test_pages_from_a_zip_get_the_answers_that_the_trial_gave(real_data, tmp_path):
    whole = real_data / "handwritten62" / "trainPart1.zip"
    if not whole.is_file():
        pytest.skip("trainPart1.zip is not there")
    source = tmp_path / "data" / "handwritten62" / "trainPart1.zip"
    source.parent.mkdir(parents=True)
    _zip_pages(whole, [divmod(k, PER_CLASS) for k in range(62 * PER_CLASS)], source)
    sweep, catalogue = load_sweep(PART1, "quick", SMALLER), DataCatalogue(tmp_path / "data")
    plan = make_plan(sweep, catalogue)
    spec, _ = plan.trials  # its refit has answers of its own
    run = tmp_path / "part1"
    with RunFolder(run) as folder:
        folder.begin(resolved_yaml(sweep), provenance.collect({}), plan)
        context = TrialContext(catalogue, save=sweep.save)
        *_, end = run_trial(spec, folder.trial_folder(spec.id), context)
        assert isinstance(end, Ended)
        folder.publish(spec.id, end.row)
    trial = run / "trials" / spec.id
    assert (trial / "checkpoints" / "epoch-0005.safetensors").is_file()
    assert (trial / "last.safetensors").is_file()
    own = np.load(trial / "predictions.npz")
    assert end.row.test_accuracy > 3 / 62

    later = [divmod(row, PER_CLASS) for row in own["indices"].tolist()]
    _zip_pages(whole, later, tmp_path / "later.zip")
    assert evaluate.main([str(run), "--on", str(tmp_path / "later.zip"), *SELECTED]) == 0
    written = pd.read_parquet(run / "evaluations" / "later-predictions.parquet")
    names = [listed.name for listed in listed_classes()]
    answers = dict(zip(written["file"].map(_row), written["predicted"], strict=True))
    expected = [names[k] for k in own["predicted"]]
    assert [answers[row] for row in own["indices"].tolist()] == expected
    shares = dict(zip(written["file"].map(_row), written["probability"], strict=True))
    given = [shares[row] for row in own["indices"].tolist()]
    assert given == pytest.approx(own["probabilities"].max(axis=1), abs=1e-3)


def _zip_pages(whole: Path, chosen: list[tuple[int, int]], target: Path) -> None:
    """The chosen pages (class, place in its list) as they were scanned, under their own names."""
    with open_tree(whole) as tree, zipfile.ZipFile(target, "w") as archive:
        members = {name.rsplit("/", 1)[-1]: name for name in tree.names}
        for label, place in chosen:
            number = listed_classes()[label].numbers[place]
            file = f"img{label + 1:03d}-{number:03d}.png"
            archive.writestr(f"Sample{label + 1:03d}/{file}", tree.read(members[file]))


def _row(file: str) -> int:
    label, number = int(file[-11:-8]) - 1, int(file[-7:-4])
    return label * PER_CLASS + listed_classes()[label].numbers.index(number)
