"""docs/weights.md: its program in plain torch runs as it stands, its sizes are those of files."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
import torch

from models.build import build_model
from models.delta import Start, save_difference
from models.delta_record import DrawnStart
from models.finetune import layer_groups, resolve_fine_tune
from models.weights import save_weights
from runs import run_here

PAGE = (Path(__file__).resolve().parents[2] / "docs/weights.md").read_text(encoding="utf-8")
SWEEP = """\
name: part2
question: Is the page right?
model: {name: lenet5}
data: {name: glyphs, count: 350, seed: 1, train: 200, validation: 50, test: 100}
train: {epochs: 2, batch_size: 16, learning_rate: 1.0e-3}
arms: {pretrained: {}}
seeds: 1
resources: {gpus: 0}
"""


def test_the_program_in_plain_torch_has_the_accuracy_of_the_trial(tmp_path, monkeypatch, capsys):
    (program,) = (b for b in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "nn.Seq" in b)
    taken = {
        line.split()[1].split(".")[0] for line in re.findall(r"^(?:from|import) .*", program, re.M)
    }
    assert taken == {"json", "pathlib", "numpy", "torch", "safetensors"}
    (tmp_path / "load_weights.py").write_text(program, encoding="utf-8")
    (tmp_path / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    assert run_here(tmp_path / "sweep.yaml", tmp_path / "runs/part2").returncode == 0
    monkeypatch.chdir(tmp_path)
    runpy.run_path("load_weights.py")
    (record,) = (tmp_path / "runs/part2/trials").glob("*/trial.json")
    accuracy = json.loads(record.read_text())["test_accuracy"]
    assert capsys.readouterr().out == f"test accuracy {accuracy:.4f}\n"
    assert 0.2 < accuracy < 1


TABLE = re.findall(r"^\| `(\w+)` (\d+) px, `(\w+)` \| ([\d,]+) \| ([\d,]+) \|$", PAGE, re.MULTILINE)


def sizes(name: str, side: int, fine_tune: str, path: Path) -> tuple[int, int]:
    """Bytes of a file of weights, whole and as a difference, where `fine_tune` was trained."""
    start = DrawnStart(model=name, n_classes=10, image_size=(side, side), channels=3,
                       options={"image_size": side}, init_seed=0, head_seed=0)  # fmt: skip
    given = start.model_dump()
    network = build_model(given.pop("model"), **given)
    groups = layer_groups(network, torch.zeros(2, 3, side, side))
    trained = set(resolve_fine_tune(fine_tune, groups))
    moved = {n for g in groups if g.name in trained for n in (*g.parameters, *g.buffers)}
    state = {n: v + 1 if n in moved else v for n, v in network.state_dict().items()}
    save_weights(state, path)
    whole = path.stat().st_size
    save_difference(state, path, Start(start))
    return whole, path.stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(row[:3]))
def test_the_sizes_of_the_page(row, tmp_path):
    name, side, fine_tune, whole, delta = row
    got = sizes(name, int(side), fine_tune, tmp_path / "w")
    assert got[0] == int(whole.replace(",", ""))
    assert got[1] == pytest.approx(int(delta.replace(",", "")), abs=40)  # digits of versions, seeds


def test_the_page_has_sizes():
    assert len(TABLE) == 4
