"""The folders of images that are handed in: the first seed's split, and no image twice."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from datasets.split import split_dataset
from harness.plan.planner import make_plan
from harness.runfolder.deliver import write_contact_sheets, write_folders
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue

PARTS = ("Training Set", "Validation Set", "Test Set")


def test_three_folders_hold_the_first_seeds_split_pixel_by_pixel(write_sweep, tmp_path):
    catalogue = DataCatalogue(allow_download=False)
    per_class = "per_class: true, train: 8, validation: 2, test: 2"
    path = write_sweep(
        ("count: 600, seed: 1, train: 300, validation: 100, test: 100", f"count: 300, {per_class}")
    )
    plan = make_plan(load_sweep(path), catalogue)
    (tmp_path / "Test Set").mkdir()
    (tmp_path / "Test Set" / "of an earlier call").write_text("")
    write_folders(plan, catalogue, tmp_path)
    trial = next(t for t in plan.trials if t.stage == "arm")
    dataset = catalogue.open(trial.data)
    split = split_dataset(
        dataset, trial.data.choice.split, np.random.default_rng(trial.streams["split"])
    )
    seen = set()
    for part, indices in zip(PARTS, (split.train, split.validation, split.test), strict=True):
        files = sorted((tmp_path / part).rglob("*"))
        images = [f for f in files if f.is_file()]
        assert {f.name for f in files if f.is_dir()} == set(dataset.class_names)
        assert {int(f.stem.split("-")[1]) for f in images} == set(indices.tolist())
        for file in images:
            index = int(file.stem.split("-")[1])
            assert file.parent.name == dataset.class_names[dataset.labels[index]]
            pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(pixels, dataset.images[index, 0])
        seen |= {f.name for f in images}
    assert len(seen) == 120


def test_contact_sheets_lie_beside_the_report_and_old_ones_go(write_sweep, tmp_path):
    catalogue = DataCatalogue(allow_download=False)
    plan = make_plan(load_sweep(write_sweep()), catalogue)
    old = tmp_path / "contact-sheets" / "01-old.jpg"
    old.parent.mkdir()
    old.touch()
    use = next(t.data for t in plan.trials if t.stage == "arm")
    pictures = {"01-sheet.jpg": b"boxes", "02-../../x.jpg": b"more"}
    catalogue._opened[use.fingerprint] = replace(catalogue.open(use), pictures=pictures)
    write_contact_sheets(plan, catalogue, tmp_path)
    files = sorted((tmp_path / "contact-sheets").iterdir())
    assert [file.name for file in files] == ["01-sheet.jpg", "02-..-..-x.jpg"]
    assert [file.read_bytes() for file in files] == [b"boxes", b"more"]
    catalogue._opened[use.fingerprint] = replace(catalogue.open(use), pictures={})
    write_contact_sheets(plan, catalogue, tmp_path)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("contact")]
