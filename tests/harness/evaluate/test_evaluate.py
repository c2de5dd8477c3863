"""A run's models on images met later: folders, archives, flat files with a table, and mistakes."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load, save_file

from datasets.files.trees import open_tree
from datasets.images.decode import decode_image
from datasets.preprocess import resize
from harness.evaluate import __main__ as evaluate
from harness.evaluate.confusable import case_merged, confusable_pairs, look_alikes
from harness.evaluate.labels import labels_of
from harness.evaluate.test_sets import Preparation, preparation, read_test_set
from harness.plan.planner import make_plan
from harness.runfolder import provenance
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.sweepfile.settings import DataChoice
from harness.training.context import TrialContext
from harness.training.trial import run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended
from headstart.errors import DataError, InputError, ModelError, RunFolderError
from runs import run_here, sign_again

SWEEP = """\
name: read
question: How well are drawn characters read?
model: {name: lenet5}
data: {name: glyphs, classes: all, count: 1240, seed: 1, per_class: true, train: 14, validation: 3, test: 3}
train: {learning_rate: 2.0e-3, batch_size: 32, epochs: 3}
arms: {cnn: {}}
seeds: 2
vary: [order, init, head]
"""  # noqa: E501
DIGITS = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two seeds that share their test images; its folder, plan and data set."""
    path = tmp_path_factory.mktemp("finished")
    (path / "sweep.yaml").write_text(SWEEP)
    sweep, catalogue = load_sweep(path / "sweep.yaml"), DataCatalogue()
    plan = make_plan(sweep, catalogue)
    with RunFolder(path / "run") as folder:
        folder.begin(resolved_yaml(sweep), provenance.collect(()), plan)
        for spec in plan.trials:
            *_, end = run_trial(spec, folder.trial_folder(spec.id), TrialContext(catalogue))
            assert isinstance(end, Ended)
            folder.publish(spec.id, end.row)
        folder.write_tables(plan)
    return path / "run", plan, catalogue.open(plan.trials[0].data)


@pytest.fixture(scope="module")
def pages(finished, tmp_path_factory):
    """The run's own test images as files: DIR/CLASS/ROW.png, capitals under SampleNNN."""
    run, plan, dataset = finished
    folder = tmp_path_factory.mktemp("pages") / "later"
    rows = np.load(run / "trials" / plan.trials[0].id / "predictions.npz")["indices"]
    for row in rows.tolist():
        label = int(dataset.labels[row])
        name = dataset.class_names[label] if label < 10 else f"Sample{label + 1:03d}"
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[row, 0]).save(folder / name / f"{row}.png")
    return folder


def predictions_of(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{name}-predictions.parquet")


def test_own_test_images_as_files_get_the_answers_of_the_trial(finished, pages, capsys):
    run, plan, dataset = finished
    assert evaluate.main([str(run), "--on", str(pages), "--ensemble"]) == 0
    written = predictions_of(run / "evaluations", "later")
    for spec in plan.trials:
        own = np.load(run / "trials" / spec.id / "predictions.npz")
        mine = written[written["trial_id"] == spec.id]
        row = mine["file"].str.extract(r"/(\d+)\.png")[0].astype(int)
        answers = dict(zip(row, mine["predicted"], strict=True))
        expected = [dataset.class_names[k] for k in own["predicted"]]
        assert [answers[k] for k in own["indices"].tolist()] == expected
    table = pd.read_parquet(run / "evaluations" / "later.parquet")
    trials = pd.read_parquet(run / "trials.parquet")
    assert set(trials.columns) <= set(table.columns)
    merged = table.merge(trials, on="trial_id")
    assert merged["test_accuracy_x"].tolist() == pytest.approx(merged["test_accuracy_y"].tolist())
    assert merged["test_loss_x"].tolist() == pytest.approx(merged["test_loss_y"].tolist(), rel=1e-4)
    assert set(table["dataset"]) == {"later"}
    assert set(table["n_test"]) == {186}
    shown = capsys.readouterr().out
    summary = json.loads((run / "evaluations" / "later.json").read_text())["arms"]["cnn"]
    mean = trials["test_accuracy"].mean()
    assert summary["over_seeds"]["estimate"] == pytest.approx(mean)
    assert summary["over_seeds"]["low"] <= mean <= summary["over_seeds"]["high"]
    assert f"{100 * mean:.1f} %" in shown


def test_the_ensemble_is_the_mean_of_the_probabilities(finished, pages):
    run, *_ = finished
    evaluate.main([str(run), "--on", str(pages), "--ensemble"])
    written = predictions_of(run / "evaluations", "later")
    of_label = written.pivot_table(index="file", columns="trial_id", values="probability_of_label")
    together = of_label.pop("ensemble")
    assert together.to_numpy() == pytest.approx(of_label.mean(axis=1).to_numpy(), rel=1e-5)
    ensemble = written[written["trial_id"] == "ensemble"]
    summary = json.loads((run / "evaluations" / "later.json").read_text())["arms"]["cnn"]
    share = (ensemble["predicted"] == ensemble["label"]).mean()
    assert summary["ensemble"]["estimate"] == pytest.approx(share)
    assert summary["ensemble"]["method"] == "Wilson"
    assert summary["case_merged"]["estimate"] >= summary["over_seeds"]["estimate"]


@pytest.mark.slow
def test_a_zip_and_flat_files_with_a_table_give_the_same_answers(finished, pages, tmp_path):
    """Slow: it evaluates many networks."""
    run, *_ = finished
    evaluate.main([str(run), "--on", str(pages), "--out", str(tmp_path / "a")])
    with zipfile.ZipFile(tmp_path / "later.zip", "w") as archive:
        for path in sorted(pages.rglob("*.png")):
            archive.write(path, f"later/{path.parent.name}/{path.name}")
    flat = tmp_path / "flat"
    flat.mkdir()
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["filename", "label"])
        for path in sorted(pages.rglob("*.png")):
            (flat / path.name).write_bytes(path.read_bytes())
            table.writerow([path.name, path.parent.name])
    evaluate.main([str(run), "--on", str(tmp_path / "later.zip"), "--out", str(tmp_path / "b")])
    evaluate.main(
        [str(run), "--on", str(flat), "--csv", str(tmp_path / "labels.csv"),
         "--out", str(tmp_path / "c")]
    )  # fmt: skip
    seen = []
    for folder, name in (("a", "later"), ("b", "later"), ("c", "flat")):
        written = predictions_of(tmp_path / folder, name)
        written["row"] = written["file"].str.extract(r"(\d+)\.png")[0].astype(int)
        written = written.sort_values(["trial_id", "row"])
        seen.append(written[["row", "label", "predicted", "probability"]].to_numpy().tolist())
    assert seen[0] == seen[1] == seen[2]


def test_classes_that_the_network_does_not_know_are_one_line(finished, pages, tmp_path):
    run, *_ = finished
    (tmp_path / "odd" / "ä").mkdir(parents=True)
    (tmp_path / "odd" / "7").mkdir()
    for name in ("ä", "7"):
        Image.new("L", (28, 28)).save(tmp_path / "odd" / name / "1.png")
    with pytest.raises(InputError, match=r"1 of 2 images have labels .* know: 'ä'; it knows 0, 1"):
        evaluate.main([str(run), "--on", str(tmp_path / "odd")])


@pytest.mark.slow
def test_the_runs_own_test_part_gives_the_same_scores_as_its_files(finished, pages, tmp_path):
    """Slow: it evaluates many networks."""
    run, *_ = finished
    for on in ("own", str(pages)):
        evaluate.main([str(run), "--on", on, "--ensemble", "--out", str(tmp_path)])
    own, later = (
        json.loads((tmp_path / f"{name}.json").read_text())["arms"]["cnn"]
        for name in ("own", "later")
    )
    assert sorted(own["accuracies"]) == pytest.approx(sorted(later["accuracies"]))
    assert own["ensemble"]["estimate"] == pytest.approx(later["ensemble"]["estimate"], abs=0.006)


def test_seeds_with_test_images_of_their_own_have_no_common_part(finished, tmp_path):
    run, plan, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    path = copy / "trials" / plan.trials[0].id / "predictions.npz"
    kept = dict(np.load(path))
    np.savez_compressed(path, **{**kept, "indices": kept["indices"][::-1] + 1})
    sign_again(path.parent)
    with pytest.raises(InputError, match="tested on different images"):
        evaluate.main([str(copy), "--on", "own"])


@pytest.mark.parametrize(
    ("on", "says"),
    [
        ("nowhere", "--on 'nowhere' is no data set and no file or folder"),
        ("handwriten62", "did you mean 'handwritten62'"),
        ("optdigits", "no test part of its own"),
    ],
)
def test_what_is_no_test_set_is_one_line(finished, on, says):
    with pytest.raises(InputError, match=says) as caught:
        evaluate.main([str(finished[0]), "--on", on])
    assert "\n" not in str(caught.value)


def test_hostile_archives_are_refused_before_anything_is_read(finished, tmp_path):
    for name in ("../../7/a.png", "/7/a.png"):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
            archive.writestr(name, b"x")
        with pytest.raises(DataError, match="outside its folder"):
            evaluate.main([str(finished[0]), "--on", str(tmp_path / "bad.zip")])
    link = zipfile.ZipInfo("7/a.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(DataError, match="is a link"):
        evaluate.main([str(finished[0]), "--on", str(tmp_path / "link.zip")])


def test_mistakes_about_the_run_are_one_line(finished, pages, tmp_path):
    run, *_ = finished
    with pytest.raises(InputError, match=r"no such arm or stage .did you mean 'cnn'"):
        evaluate.main([str(run), "--on", str(pages), "--arm", "cn"])
    with pytest.raises(RunFolderError, match="no run folder"):
        evaluate.main([str(tmp_path), "--on", str(pages)])
    with pytest.raises(InputError, match="no such folder"):
        evaluate.main([str(run), "--on", str(pages), "--data", str(tmp_path / "none")])


def test_weights_that_are_damaged_are_one_line(finished, pages, tmp_path):
    run, plan, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    path = copy / "trials" / plan.trials[0].id / "model.safetensors"
    weights = load(path.read_bytes())
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"model\.safetensors: damaged, or changed since"):
        evaluate.main([str(copy), "--on", str(pages)])
    path.write_bytes(b"no weights")
    sign_again(path.parent)
    with pytest.raises(ModelError, match="damaged"):
        evaluate.main([str(copy), "--on", str(pages)])
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    broken = {**weights, name: torch.full_like(weights[name], float("nan"))}
    huge = {name: torch.full_like(tensor, 1e30) for name, tensor in weights.items()}
    for changed, says in (
        (broken, f"{name} holds values that are not finite"),
        (huge, "logits that are not finite"),
    ):
        save_file(changed, path)
        sign_again(path.parent)
        with pytest.raises(ModelError, match=rf"model\.safetensors: .*{says}") as caught:
            evaluate.main([str(copy), "--on", str(pages)])
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(RunFolderError, match=r"model\.safetensors: cannot be read"):
        evaluate.main([str(copy), "--on", str(pages)])
    (copy / "trials" / plan.trials[0].id / "trial.json").unlink()
    (copy / "trials" / plan.trials[1].id / "trial.json").unlink()
    with pytest.raises(InputError, match="no trial of 'cnn' has finished"):
        evaluate.main([str(copy), "--on", str(pages)])


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("", "empty"),
        ("file,label\n", "only a header"),
        ("1.png,7\nmissing.png,7\n", "labels.csv:2: 'missing.png' is no image"),
        ("1.png,7\n./1.png,7\n", "labels.csv:2: './1.png' is listed twice"),
        ("1.png\n", "labels.csv:1: 1 fields"),
    ],
)
def test_tables_of_labels_that_do_not_fit_are_one_line(tmp_path, table, says):
    prepare = Preparation((28, 28), 1, "resize", "never", True)
    (tmp_path / "flat").mkdir()
    Image.new("L", (28, 28)).save(tmp_path / "flat" / "1.png")
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(DataError) as caught:
        read_test_set(str(tmp_path / "flat"), DIGITS, prepare, csv=str(tmp_path / "labels.csv"))
    assert says in str(caught.value)


def test_only_the_test_part_of_a_folder_with_parts_is_read(tmp_path):
    prepare = Preparation((4, 4), 1, "resize", "never", True)
    for part, grey in (("train", 10), ("test", 200)):
        (tmp_path / "own" / part / "7").mkdir(parents=True)
        Image.new("L", (4, 4), grey).save(tmp_path / "own" / part / "7" / f"{part}.png")
    found = read_test_set(str(tmp_path / "own"), DIGITS, prepare)
    assert found.files == ("test/7/test.png",)
    assert (found.images == 200).all()
    assert found.labels.tolist() == [7]
    assert "1 images of other parts" in found.notes[0]


def test_of_two_levels_of_folders_the_one_that_the_network_knows_is_read(tmp_path):
    prepare = Preparation((4, 4), 1, "resize", "never", True)
    for writer in ("ann", "bob"):
        for digit in ("3", "Sample008"):
            folder = tmp_path / "own" / writer / digit
            folder.mkdir(parents=True)
            Image.new("L", (4, 4), 9).save(folder / "1.png")
    assert read_test_set(str(tmp_path / "own"), DIGITS, prepare).labels.tolist() == [3, 7, 3, 7]
    (tmp_path / "own" / "bob" / "3").rename(tmp_path / "own" / "bob" / "three")
    (tmp_path / "own" / "ann" / "3").rename(tmp_path / "own" / "ann" / "three")
    with pytest.raises(DataError, match=r"2 readings .*; with --on such a setting is --set"):
        read_test_set(str(tmp_path / "own"), DIGITS, prepare)


def test_preparation_follows_the_trials_data():
    def of(name, **options):
        return preparation(DataChoice(name=name, **options), (28, 28), 1)

    assert of("handwritten62") == Preparation((28, 28), 1, "resize", "paper", True)
    assert of("glyphs").preprocess == of("mnist").preprocess == "mnist_style"
    assert of("folder", path="x").invert == "never"
    assert of("folder", path="x", invert=True).invert == "always"
    assert of("folder", path="x", preprocess="mnist_style").invert == "paper"
    assert of("folder", path="x", value_range=[0, 4095]).value_range == (0, 4095)
    of_arrays = of("npz", path="x", value_range=[0, 4095])
    assert of_arrays.value_range is None
    assert of_arrays.range_for(are_files=True) == (0, 4095)
    assert of("npz", path="x", value_range=[0, 16]).range_for(are_files=True) is None  # a scale


def test_labels_are_names_or_sample_folders():
    names = [*DIGITS, "A", "a"]
    assert labels_of(["7", "Sample011", "sample_037", "a"], names, "x").tolist() == [7, 10, 11, 11]
    with pytest.raises(DataError, match=r"2 of 3 images .*'B', 'Sample063'"):
        labels_of(["B", "7", "Sample063"], names, "x")


def test_confusable_classes_by_hand():
    names = ["0", "O", "o", "x"]
    counts = np.array([[5, 2, 3, 0], [1, 8, 1, 0], [0, 4, 6, 0], [0, 0, 0, 0]])
    most = confusable_pairs(counts, names)[0]
    assert (most.first, most.second, most.n_swapped, most.n_images) == ("o", "O", 5, 20)
    (group,) = look_alikes(counts, names)
    assert (group.classes, group.n_images, group.n_right, group.n_inside) == (
        ("0", "O", "o"), 30, 19, 11,
    )  # fmt: skip
    assert case_merged(names).tolist() == [0, 1, 1, 3]
    assert case_merged(DIGITS) is None


def test_real_pages_are_prepared_as_the_set_prepares_its_own(real_data, tmp_path):
    """Bit for bit: the page turned over, then shrunk, whatever archive it comes in."""
    source = real_data / "handwritten62" / "trainPart1.zip"
    if not source.is_file():
        pytest.skip("trainPart1.zip is not there")
    prepare = preparation(DataChoice(name="handwritten62"), (36, 48), 1)
    with open_tree(source) as tree, zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        names = [n for n in tree.names if n.endswith(("-001.png", "-002.png"))][::9]
        for name in names:
            archive.writestr(name, tree.read(name))
        expected = [
            resize(np.invert(decode_image(tree.read(n), n, as_gray=True)), (36, 48)) for n in names
        ]
    classes = [*DIGITS, *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *"abcdefghijklmnopqrstuvwxyz"]
    found = read_test_set(str(tmp_path / "some.zip"), classes, prepare)
    assert (found.images[:, 0] == np.stack(expected)).all()
    assert [f"Sample{k + 1:03d}" for k in found.labels] == [n.split("/")[-2] for n in found.files]


@pytest.fixture(scope="module")
def refitted(tmp_path_factory):
    """A run of one seed whose network was trained once more, on all images."""
    path = tmp_path_factory.mktemp("refitted")
    text = SWEEP.replace("seeds: 2", "seeds: 2\nrefit: true").replace("epochs: 3", "epochs: 1")
    (path / "sweep.yaml").write_text(text)
    assert run_here(path / "sweep.yaml", path / "run").returncode == 0
    return path / "run"


@pytest.mark.slow
def test_the_refitted_networks_are_scored_on_sets_met_later(refitted, capsys):
    """Slow: it evaluates many networks."""
    on = ["--on", "{name: glyphs, classes: all, count: 620, seed: 2}", "--part", "all"]
    evaluate.main([str(refitted), *on, "--ensemble"])
    said = capsys.readouterr().out
    assert said.startswith("networks: refitted on the images of all parts (1,240 images)\n")
    (table,) = (refitted / "evaluations").glob("*glyphs.parquet")
    rows = pd.read_parquet(table)
    assert list(rows["stage"]) == ["refit"] * 2
    assert rows["test_accuracy"].notna().all()
    evaluate.main([str(refitted), *on, "--networks", "selected"])
    said = capsys.readouterr().out
    assert "networks: those of the trials, trained on 868 images" in said


@pytest.mark.slow
def test_no_refitted_network_is_tested_on_what_it_was_trained_on(refitted, tmp_path, capsys):
    """Slow: it evaluates many networks."""
    evaluate.main([str(refitted), "--on", "own"])
    assert "not the refitted ones\n" in capsys.readouterr().out
    with pytest.raises(InputError, match="--on own: the refitted networks were trained on these"):
        evaluate.main([str(refitted), "--on", "own", "--networks", "refitted"])
    same = ["--on", "{name: glyphs, classes: all, count: 1240, seed: 1}", "--part", "all"]
    with pytest.raises(InputError, match="1,240 of 1,240 images are among those that 'cnn' was re"):
        evaluate.main([str(refitted), *same])
    plan = make_plan(load_sweep(refitted.parent / "sweep.yaml"), DataCatalogue())
    known = DataCatalogue().open(plan.trials[0].data)
    images = np.concatenate([known.images[:124, 0], np.rot90(known.images[:186, 0], axes=(1, 2))])
    labels = np.concatenate([known.labels[:124], known.labels[:186]])
    np.savez(tmp_path / "some.npz", images=images, labels=np.array(known.class_names)[labels])
    evaluate.main([str(refitted), "--on", str(tmp_path / "some.npz")])
    assert "warning: 124 of 310 images are among those that 'cnn'" in capsys.readouterr().out


def test_refitted_networks_are_asked_of_a_sweep_that_has_them(finished):
    with pytest.raises(InputError, match="its sweep refits no network"):
        evaluate.main([str(finished[0]), "--on", "optdigits", "--networks", "refitted"])
