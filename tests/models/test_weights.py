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


def network(
    n_classes: int = 10, seed: int = 0, channels: int = 1
) -> tuple[nn.Module, tuple[LayerGroup, ...]]:
    model = build_model(
        "midas_cnn",
        n_classes=n_classes,
        image_size=(28, 28),
        channels=channels,
        init_seed=seed,
        head_seed=seed,
        options={"width": 4, "dense": 8, "channels": channels},
    )
    return model, layer_groups(model, torch.zeros(1, channels, 28, 28))


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
    assert "conv9.weight [1] of the file is not in the network" in message
    assert "15 of whose 17 tensors do" in message
    assert all(torch.equal(v, before[k]) for k, v in target.state_dict().items())


def test_many_mismatches_are_counted() -> None:
    target, groups = network()
    with pytest.raises(ModelError, match=r"conv1_1.weight is not in the file; .* and 15 more"):
        load_into(target, {}, head="new", groups=groups)


def test_a_first_layer_over_colour_is_summed_for_a_network_over_grey() -> None:
    target, groups = network()
    colour = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    state = {**target.state_dict(), "conv1_1.weight": colour}
    report = load_into(target, state, head="new", groups=groups)
    assert report.summed == ("conv1_1.weight",)
    assert report.notes == ("conv1_1.weight was added up over its three colours",)
    torch.testing.assert_close(target.state_dict()["conv1_1.weight"][:, 0], colour.sum(1))


def test_colours_of_half_precision_are_added_up_in_single() -> None:
    target, groups = network()
    colour = torch.tensor([1.0, 2**-11, 2**-11]).half().view(1, 3, 1, 1).expand(4, 3, 3, 3)
    load_into(target, {**target.state_dict(), "conv1_1.weight": colour}, head="new", groups=groups)
    assert (target.state_dict()["conv1_1.weight"] == 1 + 2**-10).all()


def test_a_first_layer_over_grey_says_how_the_network_takes_it() -> None:
    grey, _ = network()
    target, groups = network(channels=3)
    with pytest.raises(ModelError, match=r"\[4, 1, 3, 3\] in the file.*takes grey.*channels: 1"):
        load_into(target, grey.state_dict(), head="new", groups=groups)


def test_a_twin_that_is_not_meant_is_left_out_by_its_prefix() -> None:
    target, groups = network()
    twins = {before + key: tensor for before in ("q.", "k.")
             for key, tensor in target.state_dict().items()}  # fmt: skip
    with pytest.raises(ModelError, match=r"2 times, behind q\., k\.: choose one by .*prefix: q\."):
        load_into(target, twins, head="new", groups=groups)
    report = load_into(target, twins, head="new", groups=groups, prefix="k")
    assert report.notes[0] == "the prefix k. was taken off its names"
    assert report.notes[1].startswith("left out, since they do not lie behind k.: q.")


def test_the_right_network_under_other_names_says_what_to_do() -> None:
    lenet = build_model(
        "lenet5", n_classes=10, image_size=(28, 28), channels=1, init_seed=0, head_seed=0
    )
    renamed = {f"layer{n}": tensor for n, tensor in enumerate(lenet.state_dict().values())}
    with pytest.raises(ModelError, match="network lenet5, under other names; rename its tensors"):
        load_into(lenet, renamed, head="new", groups=layer_groups(lenet, torch.zeros(1, 1, 28, 28)))


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


def test_a_prefix_of_all_names_is_taken_off_and_said() -> None:
    source, _ = network(seed=1)
    target, groups = network(seed=2)
    state = {f"module._orig_mod.backbone.{k}": v for k, v in source.state_dict().items()}
    state["module._orig_mod.projector.0.weight"] = torch.zeros(3)
    state["n_averaged"] = torch.tensor(1)
    report = load_into(target, state, head="keep", groups=groups)
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in target.state_dict().items())
    assert report.notes[0] == "the prefix module._orig_mod.backbone. was taken off its names"
    assert "they do not lie behind module._orig_mod.backbone.: module._or" in report.notes[1]
    assert report.notes[1].endswith("projector.0.weight, n_averaged")


def test_a_name_of_a_million_dots_takes_no_time() -> None:
    target, groups = network()
    with pytest.raises(ModelError, match=r"0 of whose \d+ tensors do"):
        load_into(target, {"." * (1 << 20): torch.zeros(1)}, head="keep", groups=groups)


def test_a_file_that_has_the_network_twice_is_a_question() -> None:
    source, groups = network(seed=1)
    target, _ = network(seed=2)
    state = {f"encoder_q.{k}": v for k, v in source.state_dict().items()}
    state |= {f"encoder_k.{k}": v + 1 for k, v in source.state_dict().items()}
    with pytest.raises(ModelError, match=r"2 times, behind encoder_q\., encoder_k\.: choose"):
        load_into(target, state, head="keep", groups=groups)
    load_into(target, state, head="keep", groups=groups, prefix="encoder_k")
    assert torch.equal(target.state_dict()["head.bias"], source.state_dict()["head.bias"] + 1)
    with pytest.raises(ModelError, match=r"begins with 'encoder\.'; they begin with encoder_q"):
        load_into(target, state, head="keep", groups=groups, prefix="encoder")


def test_counters_of_batch_norm_may_be_missing() -> None:
    source, groups = network(seed=1)
    target, _ = network(seed=2)
    state = {k: v for k, v in source.state_dict().items() if "num_batches" not in k}
    report = load_into(target, state, head="keep", groups=groups)
    assert set(report.new) == set(source.state_dict()) - set(state)


@pytest.mark.parametrize("name", ["fc", "classifier.2", "projector.0"])
def test_a_head_of_another_name_is_left_out_under_a_new_one(name: str) -> None:
    source, groups = network(seed=1)
    target, _ = network(seed=2)
    state = {k: v for k, v in source.state_dict().items() if not k.startswith("head.")}
    state |= {f"{name}.weight": torch.zeros(5, 8), f"{name}.bias": torch.zeros(5)}
    report = load_into(target, state, head="new", groups=groups)
    assert report.left_out == (f"{name}.weight", f"{name}.bias")
    with pytest.raises(ModelError, match=r"head\.weight is not in the file"):
        load_into(target, state, head="keep", groups=groups)


@pytest.mark.slow
def test_a_deeper_network_is_not_taken_for_this_one() -> None:
    """Slow: two networks of torchvision are built."""
    deep = build_model("resnet34", n_classes=5, image_size=(64, 64), channels=3, init_seed=0,
                       head_seed=0)  # fmt: skip
    shallow = build_model("resnet18", n_classes=2, image_size=(64, 64), channels=3, init_seed=0,
                          head_seed=0)  # fmt: skip
    groups = layer_groups(shallow, torch.zeros(1, 3, 64, 64))
    state = {f"module.{k}": v for k, v in deep.state_dict().items()}
    with pytest.raises(ModelError) as caught:
        load_into(shallow, state, head="new", groups=groups)
    text = str(caught.value)
    assert "layer1.2.conv1.weight [64, 64, 3, 3]" in text
    assert "its shapes are those of torchvision's resnet34" in text
    assert "the prefix module. was taken off" in text


def test_other_types_of_numbers_are_turned_with_a_word() -> None:
    source, groups = network(seed=1)
    target, _ = network(seed=2)
    state = source.state_dict()
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    report = load_into(target, halves, head="keep", groups=groups)
    assert report.notes == ("19 of its tensors were turned from float16 into float32",)
    assert torch.equal(target.state_dict()["head.bias"], halves["head.bias"].float())
    large = {**state, "head.bias": torch.full((10,), 1e300, dtype=torch.float64)}
    with pytest.raises(ModelError, match=r"head.bias holds values .*, 10 of 10"):
        load_into(target, large, head="keep", groups=groups)
    quantised = {**state, "conv1_1.weight": state["conv1_1.weight"].to(torch.int8)}
    with pytest.raises(ModelError, match=r"conv1_1.weight is of int8 in the file \(quantised"):
        load_into(target, quantised, head="keep", groups=groups)


def test_values_that_are_not_finite_are_counted_by_tensor() -> None:
    target, groups = network()
    state = {k: v.clone() for k, v in target.state_dict().items()}
    state["conv1_1.weight"][0] = float("nan")
    with pytest.raises(ModelError, match=r"conv1_1.weight holds values .*, 9 of 36"):
        load_into(target, state, head="new", groups=groups)


def test_tied_tensors_of_which_the_file_has_one_name() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)
            self.b = nn.Linear(3, 3)
            self.b.weight = self.a.weight
            self.head = nn.Linear(3, 2)

    model = Tied()
    groups = (LayerGroup("a", ("a", "b"), (), ()), LayerGroup("head", ("head",), (), ()))
    state = {k: v + 1 for k, v in model.state_dict().items() if k != "b.weight"}
    load_into(model, state, head="keep", groups=groups)
    assert torch.equal(model.b.weight, state["a.weight"])
