"""The networks as text: built from it alone they hold the same tensors and say the same."""

from __future__ import annotations

import subprocess
import sys

import pytest
from safetensors.torch import save_file

from harness.hand_in.evaluated import evaluations_of
from harness.hand_in.network_code import CODE, write_networks
from harness.training.network import build_network
from headstart.errors import InputError

OWN = """
import numpy as np
import wide
from torch import nn

class Net(nn.Module):
    def __init__(self, n_classes, width=4):
        super().__init__()
        self.body = wide.body(width)
        self.head = nn.Linear(width * 196, n_classes)

    def forward(self, x):
        return {"logits": self.head(self.body(x).flatten(1))}
"""
WIDE = """
from torch import nn

def body(width):
    return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.MaxPool2d(2), nn.Dropout(0.2))
"""
TRIES = """
import network, torch
from safetensors.torch import load_file
for name in ("pretrained", "not_tuned", "last_layer", "last_2"):
    model = getattr(network, name)()
    model.load_state_dict(load_file(name + ".safetensors"))
    model.train()(torch.zeros(2, 1, 28, 28))
"""


@pytest.mark.parametrize(
    "model",
    [
        "{name: lenet5, dropout: 0.5}",
        "{name: mlp}",
        "{name: lenet5, head: {hidden: [32], dropout: 0.5}}",
        "{name: midas_cnn, dense: 20, width: 4}",
        "{name: squeezenet1_1, image_size: 40, channels: 1}",
        pytest.param(
            "{name: resnet18, image_size: 28, channels: 1, channels_mode: sum}",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_network_of_ours_or_of_torchvision_is_written_and_compared(plan_of, model):
    code = write_networks(evaluations_of(plan_of(("{name: lenet5}", model)), 0))
    compile(code.text, "network.py", "exec")
    assert "headstart" not in code.text
    assert "models.build" not in code.text
    assert not code.files
    assert all(code.channels_last.values())


@pytest.mark.slow  # a process of its own that imports PyTorch
def test_the_users_files_are_carried_and_run_with_nothing_of_ours(plan_of, tmp_path):
    (tmp_path / "my_nets.py").write_text(OWN)
    (tmp_path / "wide.py").write_text(WIDE)
    plan = plan_of(("{name: lenet5}", "{name: my_nets.py:Net, width: 3, image_size: 28}"))
    evaluations = evaluations_of(plan, 0)
    code = write_networks(evaluations)
    assert set(code.files) == {"own_network/my_nets.py", "own_network/wide.py"}
    assert code.packages == {"numpy", "torch"}
    place = tmp_path / "Code"
    (place / "own_network").mkdir(parents=True)
    (place / "layers.py").write_bytes((CODE / "layers.py").read_bytes())
    (place / "network.py").write_text(code.text)
    for name, content in code.files.items():
        (place / name).write_bytes(content)
    for each in evaluations:
        state = build_network(each.trial)[0].state_dict()
        save_file({k: v.contiguous() for k, v in state.items()}, place / f"{each.key}.safetensors")
    done = subprocess.run(
        [sys.executable, "-E", "-c", TRIES], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_file_of_the_users_that_has_a_name_of_ours_is_refused(plan_of, tmp_path):
    (tmp_path / "training.py").write_text(
        OWN.replace("import wide", "").replace(
            "wide.body(width)", "nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.MaxPool2d(2))"
        )
    )
    plan = plan_of(("{name: lenet5}", "{name: training.py:Net, image_size: 28}"))
    with pytest.raises(InputError, match=r"training\.py has the name of a file of the hand-in"):
        write_networks(evaluations_of(plan, 0))
