"""An exported network answers as the trial did, and its card has the report's intervals."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from harness.export import onnx
from harness.export.__main__ import main
from harness.export.card import _outputs, _tested_on, _unit
from headstart.cli import status_of
from headstart.rows import TrialRow
from runs import run_here

SWEEP = """\
name: given
question: Which digit is it?
model: {name: lenet5}
data: {name: glyphs, count: 300, seed: 1, train: 200, validation: 60, test: 40}
train: {learning_rate: 2.0e-3, batch_size: 32, epochs: 1}
arms: {"a|<b>": {}}
seeds: 3
"""
ARM = "a|<b>"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    (folder / "sweep.yaml").write_text(SWEEP)
    assert run_here(folder / "sweep.yaml", folder / "run").returncode == 0
    return folder / "run"


def test_the_state_dict_is_the_trials_and_the_card_has_the_intervals(run, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(run), "--arm", ARM, "--out", str(out)]) == 0
    trials = pd.read_parquet(run / "trials.parquet").sort_values(
        ["best_val_accuracy", "best_val_loss", "seed"], ascending=[False, True, True]
    )
    best = trials.iloc[0]
    assert f"seed {best['seed']}, the best on validation" in capsys.readouterr().out
    written = load_file(out / "model.safetensors")
    expected = load_file(run / "trials" / best["trial_id"] / "model.safetensors")
    assert written.keys() == expected.keys()
    assert all(np.array_equal(written[name], expected[name]) for name in expected)
    about = json.loads((out / "network.json").read_text())
    assert about["class_names"] == [str(digit) for digit in range(10)]
    card = (out / "README.md").read_text()
    assert "the 40 test images of glyphs, and no others" in card
    mean, own = trials["test_accuracy"].mean(), best["test_accuracy"]
    row = next(line for line in card.splitlines() if line.startswith("| test accuracy |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert [cells[1], *cells[3:]] == [f"{100 * mean:.2f} %", "3", f"{100 * own:.2f} %"]
    low, high = (float(text.split()[0]) for text in cells[2].split(" to "))
    assert low - 0.01 <= 100 * mean <= high + 0.01
    assert "<b>" not in card.replace(r"\<b\>", "")


def test_onnx_runtime_gives_the_answers_of_the_trial(run, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "out"
    arguments = [str(run), "--arm", ARM, "--seed", "1", "--out", str(out), "--format", "onnx"]
    assert main(arguments) == 0
    trials = pd.read_parquet(run / "trials.parquet").set_index("seed")
    saved = np.load(run / "trials" / trials.loc[1, "trial_id"] / "predictions.npz")
    [kept] = map(np.load, (run / "images").glob("*.npz"))
    place = {index: k for k, index in enumerate(kept["indices"].tolist())}
    images = kept["images"][[place[index] for index in saved["indices"].tolist()]]
    session = onnxruntime.InferenceSession(str(out / "model.onnx"))
    [answered] = session.run(["probabilities"], {"pixels": images.astype(np.float32)})
    assert answered == pytest.approx(saved["probabilities"], abs=1e-3)  # which are float16


def test_other_answers_of_onnx_runtime_leave_no_folder(run, tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(onnx, "MOST_APART", -1.0)
    arguments = [str(run), "--arm", ARM, "--out", str(tmp_path / "out"), "--format", "onnx"]
    assert status_of(main, arguments) == 2
    assert "differ from PyTorch's" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_one_line(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx, "find_spec", lambda _: None)
    arguments = [str(run), "--arm", ARM, "--out", str(tmp_path / "out"), "--format", "onnx"]
    assert status_of(main, arguments) == 2
    assert "--extra onnx" in capsys.readouterr().err


def test_what_is_there_is_never_replaced(run, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    assert status_of(main, [str(run), "--arm", ARM, "--out", str(tmp_path / "mine")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert not list((tmp_path / "mine").iterdir())


def test_the_card_says_what_the_outputs_of_each_format_stand_for():
    scale = {"kind": "number", "unit": "mg", "mean": 25.0, "sd": 8.0}
    number = TrialRow(target="number", target_scale=scale, class_names=("mg",))
    [plain, _], [onnx, _] = (_outputs(number, kind) for kind in ("state_dict", "onnx"))
    assert plain == "The number in mg: its output times 8.0 plus 25.0."
    assert onnx == "Its output `numbers` is the number in mg: `logits` times 8.0 plus 25.0."
    labels = TrialRow(target="labels", class_names=("cat", "dog"))
    [text, _] = _outputs(labels, "onnx")
    assert text.startswith("Labels, in the order of the outputs: cat, dog. The output `prob")
    assert "the sigmoid of its own output, and from 0.5 on the label holds" in text
    grades = TrialRow(target="ordered", class_names=("soft", "sharp"))
    assert "Classes, the lowest first" in _outputs(grades, "state_dict")[0]
    assert [_unit(row) for row in (number, labels, grades)] == [" (mg)", "", " (places)"]


def test_a_refitted_network_was_tested_as_the_trials_of_its_arm():
    trials = pd.DataFrame({"n_test": [40.0, float("nan")]})
    row = TrialRow(refits="0123456789abcdef", n_test=None)
    model = SimpleNamespace(row=row, data=SimpleNamespace(label="glyphs"))
    said = _tested_on(trials, model)
    assert said == ("The images that the trials of its arm were tested on are the 40 test images "
                    "of glyphs, and no others")  # fmt: skip
    assert "tested on no images" in _tested_on(trials[1:], model)
