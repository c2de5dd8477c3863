"""A run's answers to pictures without labels: the trial's own, whatever the pictures lie in."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from datasets.images import blocks
from harness.predict import pictures as reading
from harness.predict.__main__ import main
from headstart.cli import status_of
from headstart.errors import DataError, InputError
from runs import run_here

SWEEP = """\
name: told
question: Which digit is it?
model: {name: lenet5}
data: {name: glyphs, count: 300, seed: 1, train: 200, validation: 60, test: 40}
train: {learning_rate: 2.0e-3, batch_size: 32, epochs: 1}
arms: {slow: {train: {learning_rate: 5.0e-4}}, fast: {}}
seeds: 2
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    (folder / "sweep.yaml").write_text(SWEEP)
    assert run_here(folder / "sweep.yaml", folder / "run").returncode == 0
    return folder / "run"


@pytest.fixture(scope="module")
def trial(run: Path) -> pd.Series:
    trials = pd.read_parquet(run / "trials.parquet")
    return trials[(trials["arm"] == "fast") & (trials["seed"] == 1)].iloc[0]


@pytest.fixture(scope="module")
def own(run: Path, trial: pd.Series, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test images of that trial as files, half of them in a folder below: ROW.png."""
    folder = tmp_path_factory.mktemp("own") / "pictures"
    (folder / "deep" / "er").mkdir(parents=True)
    [kept] = map(np.load, (run / "images").glob("*.npz"))
    place = {index: k for k, index in enumerate(kept["indices"].tolist())}
    for row in np.load(run / "trials" / trial["trial_id"] / "predictions.npz")["indices"].tolist():
        to = folder / "deep" / "er" if row % 2 else folder
        Image.fromarray(kept["images"][place[row], 0]).save(to / f"{row}.png")
    return folder


def answers_of(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype={"predicted": str})
    return table.assign(row=table["file"].str.extract(r"(\d+)\.png$")[0].astype(int))


def packed(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, f"x/{file.name}")
    return path


def test_own_test_images_get_the_answers_of_the_trial_from_folder_archive_and_files(
    run, trial, own, tmp_path, monkeypatch, capsys
):
    files = sorted(str(path) for path in own.rglob("*.png"))
    given = {"folder": [str(own)], "zip": [str(packed(own, tmp_path / "o.zip"))], "files": files}
    saved = np.load(run / "trials" / trial["trial_id"] / "predictions.npz")
    monkeypatch.setattr(blocks, "_BLOCK_NAMES", 7)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 20_000)  # more pictures than are shown at once
    for name, pictures in given.items():
        out = tmp_path / f"{name}.csv"
        assert main([str(run), *pictures, "--arm", "fast", "--seed", "1", "--out", str(out)]) == 0
        table = answers_of(out).set_index("row").loc[saved["indices"]]
        assert set(table["trial_id"]) == {trial["trial_id"]}
        shares = table[[f"p_{digit}" for digit in range(10)]].to_numpy()
        assert shares == pytest.approx(saved["probabilities"], abs=1e-3)  # which are float16
        assert table["predicted"].astype(int).tolist() == saved["predicted"].tolist()
        assert table["probability"].to_numpy() == pytest.approx(shares.max(axis=1))
    assert answers_of(tmp_path / "files.csv")["file"].tolist() == files
    assert "cropped to the ink" in capsys.readouterr().out


def test_every_network_answers_and_the_ensemble_is_their_mean(run, own, capsys):
    assert main([str(run), str(own)]) == 0
    each = answers_of(run / "predictions" / "pictures.csv")
    assert each.groupby("file").size().unique().tolist() == [4]
    assert each["arm"].tolist()[:4] == ["slow", "slow", "fast", "fast"]
    assert main([str(run), str(own), "--ensemble"]) == 0
    mean = answers_of(run / "predictions" / "pictures.csv")
    assert set(mean["trial_id"]) == {"ensemble"}
    assert mean["seed"].isna().all()
    shares = [f"p_{digit}" for digit in range(10)]
    expected = each.groupby(["arm", "file"])[shares].mean()
    actual = mean.set_index(["arm", "file"]).sort_index()[shares]
    assert actual.to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-5)


def test_best_is_the_seed_that_validation_says(run, own, tmp_path, capsys):
    out = tmp_path / "best.csv"
    main([str(run), str(own), "--seed", "best", "--out", str(out)])
    trials = pd.read_parquet(run / "trials.parquet")
    order = trials.sort_values(
        ["best_val_accuracy", "best_val_loss", "seed"], ascending=[False, True, True]
    )
    best = order.groupby("arm")["trial_id"].first()
    assert answers_of(out).groupby("arm")["trial_id"].unique().str[0].to_dict() == best.to_dict()
    seeds = trials.set_index("trial_id")["seed"][best[["slow", "fast"]]]
    assert f"best on validation: seed {', '.join(map(str, seeds))}" in capsys.readouterr().out


def test_an_arm_without_a_network_is_left_out_unless_it_is_asked_for(run, own, tmp_path, capsys):
    copy, out = shutil.copytree(run, tmp_path / "copy"), tmp_path / "some.csv"
    trials = pd.read_parquet(run / "trials.parquet")
    for trial_id in trials["trial_id"][trials["arm"] == "slow"]:
        (copy / "trials" / trial_id / "trial.json").unlink()
    assert main([str(copy), str(own), "--out", str(out)]) == 0
    assert set(answers_of(out)["arm"]) == {"fast"}
    assert (
        "left out, since no trial of it has finished: slow (see python" in capsys.readouterr().out
    )
    with pytest.raises(InputError, match="no trial of 'slow' has finished"):
        main([str(copy), str(own), "--arm", "slow", "--out", str(out)])


def test_names_of_files_are_no_formulas_and_no_commands_of_a_terminal(
    run, own, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    picture = next(own.rglob("*.png")).read_bytes()
    names = ["=cmd.png", "@x;=y.png", "a\n=b.png", "\x1b[31m.png"]
    for name in names:
        (tmp_path / name).write_bytes(picture)
    assert main([str(run), *names, "--seed", "0", "--arm", "fast", "--out", "x.csv"]) == 0
    cells = pd.read_csv("x.csv")["file"].tolist()
    assert cells == ["'=cmd.png", "'@x;'=y.png", "a\n'=b.png", "\x1b[31m.png"]
    assert "\x1b" not in capsys.readouterr().out


def test_damaged_pictures_are_refused_or_skipped_with_a_note(
    run, own, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(blocks, "_BLOCK_NAMES", 1)  # a block without a good picture
    folder, out = tmp_path / "some", tmp_path / "some.csv"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no picture")
    (folder / "b.png").write_bytes(next(own.rglob("*.png")).read_bytes())
    (folder / "notes.txt").write_text("no picture")
    arguments = [str(run), str(folder), "--arm", "fast", "--seed", "0", "--out", str(out)]
    with pytest.raises(DataError, match=r"a\.png: not an image.*--skip-damaged"):
        main(arguments)
    assert not out.exists()
    assert main([*arguments, "--skip-damaged"]) == 0
    assert pd.read_csv(out)["file"].tolist() == [str(folder / "b.png")]
    shown = capsys.readouterr().out
    assert "1 of 2 image files were damaged" in shown
    assert ".txt (1 file)" in shown


def test_what_is_no_picture_is_one_line(run, own, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.txt").write_text("x")
    (tmp_path / "d.csv").mkdir()
    mistakes = [
        [tmp_path / "none.png"], [tmp_path / "empty"], [tmp_path / "x.txt"],
        [own, "--out", tmp_path / "d.csv"], [own, "--out", "/proc/x/y.csv"],
        [own, "--ensemble", "--seed", "0"], [own, "--arm", "fest"],
    ]  # fmt: skip
    for given in (list(map(str, mistake)) for mistake in mistakes):
        assert status_of(main, [str(run), *given]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1, given


def test_arms_of_different_classes_share_no_table(tmp_path, own):
    counts = "count: 620, seed: 1, train: 310, validation: 155, test: 155"
    text = SWEEP.replace("fast: {}", f"fast: {{data: {{name: glyphs, classes: all, {counts}}}}}")
    (tmp_path / "sweep.yaml").write_text(text.replace("seeds: 2", "seeds: 1"))
    run_here(tmp_path / "sweep.yaml", tmp_path / "run")
    with pytest.raises(InputError, match=r"'slow' and 'fast' have different classes.*--arm"):
        main([str(tmp_path / "run"), str(own)])
