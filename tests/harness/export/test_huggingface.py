"""A folder for transformers or timm, read by that library offline, answers as the trial did."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from harness.export.__main__ import main
from headstart.cli import status_of
from runs import run_here

timm = pytest.importorskip("timm", reason="the extra timm is not installed")
transformers = pytest.importorskip("transformers", reason="the extra transformers is missing")

SIDE = 32
SWEEP = """\
name: given
question: Which character is it?
model: {name: hf/vit}
data: {name: glyphs, classes: digits, count: 120, seed: 1, train: 80, validation: 20, test: 20}
train: {learning_rate: 2.0e-3, batch_size: 40, epochs: 1}
arms:
  vit: {}
  timm: {model: {name: timm/test_vit, image_size: 32, channels: 1}}
  other: {model: {name: timm/test_resnet, image_size: 32}}
  head: {model: {name: timm/test_resnet, image_size: 32, head: {hidden: [8]}}}
  own: {model: {name: lenet5}}
seeds: 1
resources: {pack: 1}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("huggingface")
    transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=SIDE, patch_size=8, architectures=["ViTForImageClassification"],
    ).save_pretrained(folder / "vit")  # fmt: skip
    (folder / "vit" / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3})
    )
    (folder / "sweep.yaml").write_text(SWEEP.replace("hf/vit", f"hf/{folder / 'vit'}"))
    done = run_here(folder / "sweep.yaml", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def export(run: Path, arm: str, out: Path) -> Path:
    assert main([str(run), "--arm", arm, "--out", str(out), "--format", "huggingface"]) == 0
    return out


def own_answers(run: Path, arm: str) -> tuple[list[Image.Image], np.ndarray]:
    """The test images that the trial saw, and its probabilities (float16 on disk)."""
    trials = pd.read_parquet(run / "trials.parquet").set_index("arm")
    saved = np.load(run / "trials" / trials.loc[arm, "trial_id"] / "predictions.npz")
    for path in (run / "images").glob("*.npz"):
        kept = np.load(path)
        place = {index: k for k, index in enumerate(kept["indices"].tolist())}
        images = kept["images"][[place[index] for index in saved["indices"].tolist()]]
        if images.shape[-1] == SIDE:
            return [Image.fromarray(image[0]) for image in images], saved["probabilities"]
    raise AssertionError("the run has no images of this size")


def test_transformers_reads_the_folder_and_gives_the_answers(run, tmp_path):
    out = export(run, "vit", tmp_path / "out")
    network, report = transformers.AutoModelForImageClassification.from_pretrained(
        out, local_files_only=True, output_loading_info=True
    )
    assert not any(report.values())
    processor = transformers.AutoImageProcessor.from_pretrained(out, local_files_only=True)
    images, expected = own_answers(run, "vit")
    with torch.no_grad():
        logits = network.eval()(**processor(images, return_tensors="pt")).logits
    assert logits.softmax(1).numpy() == pytest.approx(expected, abs=1e-3)
    assert network.config.id2label == {k: str(k) for k in range(10)}
    assert str(run.parent) not in (out / "config.json").read_text()


@pytest.mark.parametrize("arm", ["timm", pytest.param("other", marks=pytest.mark.slow)])
def test_timm_reads_the_folder_and_gives_the_answers(run, tmp_path, arm):
    out = export(run, arm, tmp_path / "out")
    network = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    data = timm.data.resolve_data_config(model=network)
    transform = timm.data.create_transform(**data)
    images, expected = own_answers(run, arm)
    mode = "L" if arm == "timm" else "RGB"
    with torch.no_grad():
        logits = network(torch.stack([transform(image.convert(mode)) for image in images]))
    assert logits.softmax(1).numpy() == pytest.approx(expected, abs=1e-3)
    assert network.pretrained_cfg["label_names"] == [str(k) for k in range(10)]


@pytest.mark.parametrize("arm", ["vit", pytest.param("timm", marks=pytest.mark.slow)])
def test_onnx_runtime_gives_the_answers_too(run, tmp_path, arm):
    onnxruntime = pytest.importorskip("onnxruntime")
    arguments = [str(run), "--arm", arm, "--out", str(tmp_path / "out"), "--format", "onnx"]
    assert main(arguments) == 0
    images, expected = own_answers(run, arm)
    channels = 1 if arm == "timm" else 3
    pixels = np.stack([np.asarray(image, np.float32) for image in images])[:, None]
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    [answered] = session.run(["probabilities"], {"pixels": pixels.repeat(channels, 1)})
    assert answered == pytest.approx(expected, abs=1e-3)


def test_the_card_has_what_the_hub_reads_and_the_intervals(run, tmp_path):
    card = (export(run, "vit", tmp_path / "out") / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: image-classification\n")
    assert "| test accuracy |" in card
    assert "AutoModelForImageClassification.from_pretrained" in card
    assert "cropped to the ink and centred at 32×32" in card  # as glyphs are


@pytest.mark.parametrize(
    ("arm", "words"), [("own", "lenet5 is no network of transformers"), ("head", "model.head")]
)
def test_what_has_no_such_folder_is_one_line(run, tmp_path, capsys, arm, words):
    out = tmp_path / "out"
    arguments = [str(run), "--arm", arm, "--out", str(out), "--format", "huggingface"]
    assert status_of(main, arguments) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()
