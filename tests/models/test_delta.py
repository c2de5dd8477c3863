"""Files that hold what differs from a start: exact, and refused where the start is another one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from headstart.errors import ModelError
from models.build import build_model
from models.delta import Start, open_whole, save_difference, whole_content
from models.delta_record import KEY, DrawnStart, FileStart, digest_of_weights, read_record
from models.weights import read_weights, save_weights

DRAWN = DrawnStart(
    model="lenet5", n_classes=3, image_size=(28, 28), channels=1, init_seed=1, head_seed=2
)


def state_of(start: DrawnStart = DRAWN) -> dict[str, Tensor]:
    given = start.model_dump()
    return build_model(given.pop("model"), **given).state_dict()


def from_file(path: Path) -> Start:
    return Start(FileStart(path=str(path), digest=""), path)


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    def raw(tensor: Tensor) -> bytes:
        return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())

    return one.keys() == other.keys() and all(
        one[n].dtype == other[n].dtype
        and one[n].shape == other[n].shape
        and raw(one[n]) == raw(other[n])
        for n in one
    )


@pytest.fixture
def trained(tmp_path: Path) -> dict[str, Tensor]:
    """A start in `start.safetensors`, and a state whose batch norm and last bias have moved."""
    start = {
        "conv.weight": torch.randn(4, 1, 3, 3).to(memory_format=torch.channels_last),
        "norm.running_mean": torch.zeros(4),
        "norm.num_batches_tracked": torch.tensor(0),
        "frozen.num_batches_tracked": torch.tensor(7),
        "head.bias": torch.tensor([0.0, float("nan"), 1.0]),
        "odd.weight": torch.tensor([float("nan"), -0.0, float("inf")]),
    }
    save_weights(start, tmp_path / "start.safetensors")
    state = {name: value.clone() for name, value in start.items()}
    state["norm.running_mean"] += 1e-7
    state["norm.num_batches_tracked"] += 1
    state["head.bias"][0] = -0.0  # equal to 0, and other bits
    return state


def test_only_what_differs_is_stored_and_all_comes_back(tmp_path, trained):
    path = tmp_path / "model.safetensors"
    assert save_difference(trained, path, from_file(tmp_path / "start.safetensors")) == 3
    assert set(load_file(path)) == {"norm.running_mean", "norm.num_batches_tracked", "head.bias"}
    assert same_bits(read_weights(path), trained)
    save_weights(trained, tmp_path / "whole.safetensors")
    assert digest_of_weights(path) == digest_of_weights(tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    assert whole_content(path) == whole_content(tmp_path / "whole.safetensors") == whole


def test_of_a_file_of_another_kind_names_and_types_are_looked_through(tmp_path, trained):
    """A checkpoint with an entry, a prefix and half precision is a start like any other."""
    state = {**trained, "conv.weight": trained["conv.weight"].half().float()}
    content = {f"module.{name}": value for name, value in state.items()}
    content["module.conv.weight"] = state["conv.weight"].half()
    torch.save({"ema": content, "model": {"a": torch.ones(2)}}, tmp_path / "start.pth")
    start = Start(FileStart(path=str(tmp_path / "start.pth"), entry="ema", digest=""),
                  tmp_path / "start.pth")  # fmt: skip
    assert save_difference(state, tmp_path / "w.safetensors", start) == len(state)
    assert load_file(tmp_path / "w.safetensors") == {}
    assert same_bits(read_weights(tmp_path / "w.safetensors"), state)


def test_random_weights_are_drawn_again(tmp_path):
    state, path = state_of(), tmp_path / "w.safetensors"
    name = next(reversed(state))
    state[name] = state[name] + 1
    before = torch.get_rng_state()
    assert save_difference(state, path, Start(DRAWN)) == len(state) - 1
    assert same_bits(read_weights(path), state)
    assert torch.get_rng_state().equal(before)


def test_where_all_differs_the_file_is_a_plain_one(tmp_path):
    state = {name: value + 1 for name, value in state_of().items()}
    assert save_difference(state, tmp_path / "w.safetensors", Start(DRAWN)) == 0
    assert read_record(tmp_path / "w.safetensors") is None
    assert same_bits(load_file(tmp_path / "w.safetensors"), state)


def test_a_start_may_be_a_difference_itself_and_lies_in_the_run_folder(tmp_path, trained):
    """Trials of a run name each other from the run folder on: so it can be moved."""
    run, places = tmp_path / "run", [tmp_path / "run/trials" / name for name in "ab"]
    for place in places:
        place.mkdir(parents=True)
    first, second = (place / "model.safetensors" for place in places)
    save_difference(trained, first, from_file(tmp_path / "start.safetensors"))
    record = FileStart(path="trials/a/model.safetensors", digest="")
    state = {**trained, "head.bias": torch.ones(3)}
    save_difference(state, second, Start(record, first))
    assert set(load_file(second)) == {"head.bias"}
    run.rename(tmp_path / "moved")
    link = tmp_path / "link.safetensors"
    link.symlink_to(tmp_path / "moved/trials/b/model.safetensors")
    assert same_bits(read_weights(link), state)
    # the first trial kept whole is the same start
    save_weights(trained, tmp_path / "moved/trials/a/model.safetensors")
    assert same_bits(read_weights(link), state)


def test_a_start_that_is_gone_or_another_is_one_line(tmp_path, trained):
    start, path = tmp_path / "start.safetensors", tmp_path / "w.safetensors"
    save_difference(trained, path, from_file(start))
    copy = start.rename(tmp_path / "kept")
    with pytest.raises(ModelError, match=r"w\.safetensors: holds only .*start\.safetensors \("
                       r"BLAKE2b \w{12}…\), which is not there; put it back"):  # fmt: skip
        read_weights(path)
    save_weights({**trained, "head.bias": torch.ones(3)}, start)
    with pytest.raises(ModelError, match=r"is another file now .* put the earlier one back"):
        read_weights(path)
    (tmp_path / "starts").mkdir()
    os.rename(copy, tmp_path / "starts/start.safetensors")
    assert same_bits(read_weights(path), trained)


def changed(path: Path, **changes: Any) -> None:
    """The file with another record, as a stranger may write it."""
    record = read_record(path)
    assert record is not None
    content = json.loads(record.model_dump_json())
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    from safetensors.torch import save_file

    save_file(load_file(path), path, {KEY: json.dumps(content)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"whole": "0" * 32}, "other ones here than torch"),
        ({"same": {"conv.weight": ["nowhere", "float32"]}}, "no tensor nowhere"),
        ({"same": {"fc3.weight": ["fc3.weight", "load"]}}, "of type load"),
        ({"start": {"n_classes": -1}}, "damaged"),
        ({"start": {"model": "no_such"}}, "its random start cannot be drawn"),
        ({"start": {"model": "/evil.py:Net"}}, "damaged"),
        ({"start": 5}, "damaged"),
        ({"same": []}, "damaged"),
        ({"start": {"path": "/dev/zero", "digest": "0"}}, "damaged"),
    ],
)
def test_a_record_that_somebody_changed_is_refused(tmp_path, changes, message):
    state, path = state_of(), tmp_path / "w.safetensors"
    state["more"] = torch.ones(1)
    save_difference(state, path, Start(DRAWN))
    changed(path, **changes)
    with pytest.raises(ModelError, match=message):
        read_weights(path)


@pytest.mark.parametrize("start", ["/dev/zero", "pipe", "../up.safetensors", "w.safetensors", "\0"])
def test_no_start_is_opened_that_is_no_file_of_weights(tmp_path, trained, start):
    """Devices and pipes are not read, no path leads up, and a file is not its own start."""
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "w.safetensors"
    save_difference(trained, path, from_file(tmp_path / "start.safetensors"))
    record = read_record(path)
    changed(path, start={"path": start, "digest": record.whole})
    with pytest.raises(ModelError):
        open_whole(path)


@given(st.data())
@settings(max_examples=8, deadline=None)
def test_any_tensors_come_back_bit_for_bit(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    kinds = st.sampled_from(
        [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool]
    )
    shapes = st.lists(st.integers(0, 3), max_size=3)

    def tensors() -> dict[str, Tensor]:
        names = data.draw(st.lists(st.sampled_from("abc"), unique=True))
        return {
            n: torch.randint(-1, 2, data.draw(shapes)).to(data.draw(kinds)) * -1.0 for n in names
        }

    start, state = tensors(), tensors()
    save_weights(start, folder / "start")
    save_difference(state, folder / "w", from_file(folder / "start"))
    assert same_bits(read_weights(folder / "w"), state)
