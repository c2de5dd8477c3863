"""Weights to disk, from disk, into a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from headstart.errors import ModelError
from models.build import build_model
from models.finetune import LayerGroup, layer_groups
from models.weights import load_into, read_weights, save_weights


def network(n_classes: int = 10, seed: int = 0) -> tuple[nn.Module, tuple[LayerGroup, ...]]:
    model = build_model(
        "midas_cnn",
        n_classes=n_classes,
        image_size=(28, 28),
        channels=1,
        init_seed=seed,
        head_seed=seed,
        options={"width": 4, "dense": 8},
    )
    return model, layer_groups(model, torch.zeros(1, 1, 28, 28))


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_what_is_written_is_read_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    model, _ = network()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": model.state_dict()}, path)
    else:
        save_weights(model, path)
    read = read_weights(path)
    assert set(read) == set(model.state_dict())
    for key, tensor in model.state_dict().items():
        assert torch.equal(read[key], tensor)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_tensors_that_share_memory_are_written(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    save_weights(
        {"a": whole[:3], "b": whole, "c": whole.view(2, 3).t()}, tmp_path / "w.safetensors"
    )
    read = read_weights(tmp_path / "w.safetensors")
    assert read["a"].tolist() == [0, 1, 2]
    assert read["c"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_from_62_classes_to_10_with_a_new_head() -> None:
    source, _ = network(62, seed=1)
    target, groups = network(10, seed=2)
    drawn = {k: v.clone() for k, v in target.state_dict().items()}
    report = load_into(target, source.state_dict(), head="new", groups=groups)
    assert report.new == report.left_out == ("head.weight", "head.bias")
    assert set(report.loaded) == set(drawn) - {"head.weight", "head.bias"}
    for key, tensor in target.state_dict().items():
        expected = drawn if key in report.new else source.state_dict()
        assert torch.equal(tensor, expected[key])


def test_a_kept_head_is_loaded_too() -> None:
    source, _ = network(seed=1)
    target, groups = network(seed=2)
    report = load_into(target, source.state_dict(), head="keep", groups=groups)
    assert report.new == report.left_out == ()
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in target.state_dict().items())


def test_a_kept_head_of_other_classes_is_refused_with_advice() -> None:
    source, _ = network(62)
    target, groups = network(10)
    with pytest.raises(ModelError, match=r"head.weight is \[62, 8\] in the file.*head: new"):
        load_into(target, source.state_dict(), head="keep", groups=groups)


def test_weights_that_do_not_fit_are_one_line_and_change_nothing() -> None:
    target, groups = network()
    before = {k: v.clone() for k, v in target.state_dict().items()}
    state = {k: v + 1 for k, v in target.state_dict().items()}
    del state["norm1_1.bias"]
    state["conv2_1.weight"] = torch.zeros(2, 2, 3, 3)
    state["conv9.weight"] = torch.zeros(1)
    with pytest.raises(ModelError) as caught:
        load_into(target, state, head="new", groups=groups)
    message = str(caught.value)
    assert "\n" not in message
    assert "norm1_1.bias is not in the file" in message
    assert "conv2_1.weight is [2, 2, 3, 3] in the file, [8, 4, 3, 3] in the network" in message
    assert "conv9.weight is not in the network" in message
    assert all(torch.equal(v, before[k]) for k, v in target.state_dict().items())


def test_many_mismatches_are_counted() -> None:
    target, groups = network()
    with pytest.raises(ModelError, match=r"conv1_1.weight is not in the file; .* and 17 more"):
        load_into(target, {}, head="new", groups=groups)


def test_a_first_layer_over_colour_is_summed_for_a_network_over_grey() -> None:
    target, groups = network()
    colour = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    state = {**target.state_dict(), "conv1_1.weight": colour}
    report = load_into(target, state, head="new", groups=groups)
    assert report.summed == ("conv1_1.weight",)
    torch.testing.assert_close(target.state_dict()["conv1_1.weight"][:, 0], colour.sum(1))


class Hostile:
    """Runs a command when it is unpickled carelessly."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def test_a_hostile_pickle_is_refused_in_one_line_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"conv1.weight": Hostile(f"touch {mark}")}, tmp_path / "w.pth")
    with pytest.raises(ModelError) as caught:
        read_weights(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)
    assert "nothing in it was run" in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.npz"])
def test_a_damaged_or_strange_file_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(ModelError, match=name) as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such weights file"):
        read_weights(tmp_path / "none.safetensors")


def test_a_pickle_of_other_things_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(ModelError, match="holds a list, not a state dict"):
        read_weights(tmp_path / "w.pth")
