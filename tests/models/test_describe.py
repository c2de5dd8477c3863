"""The command that describes a network."""

from __future__ import annotations

import pytest
import torch

from headstart.errors import InputError
from models.build import build_model
from models.describe import count_cost, main
from models.finetune import freeze, layer_groups

# LeNet-5 by hand: two operations for each weight at each place where it is used.
CONV1 = 2 * 28 * 28 * 6 * 25
CONV2 = 2 * 10 * 10 * 16 * 6 * 25
DENSE = (2 * 400 * 120, 2 * 120 * 84, 2 * 84 * 10)
FORWARD = CONV1 + CONV2 + sum(DENSE)


@pytest.mark.parametrize(
    ("trainable", "backward"),
    [
        # Each layer's weights, and the inputs of all but the first.
        (("conv1", "conv2", "fc1", "fc2", "fc3"), CONV1 + 2 * CONV2 + 2 * sum(DENSE)),
        (("fc2", "fc3"), DENSE[1] + 2 * DENSE[2]),
        (("fc3",), DENSE[2]),
        ((), 0),
    ],
)
def test_cost_counted_by_hand(trainable: tuple[str, ...], backward: int) -> None:
    model = build_model(
        "lenet5", n_classes=10, image_size=(28, 28), channels=1, init_seed=0, head_seed=0
    )
    freeze(model, layer_groups(model, torch.zeros(1, 1, 28, 28)), trainable)
    cost = count_cost(model, 1, (28, 28))
    assert cost.forward == FORWARD
    assert cost.training == FORWARD + backward


def test_the_table_says_what_trains(capsys: pytest.CaptureFixture[str]) -> None:
    main(["lenet5", "--fine-tune", "last_2", "--classes", "62"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "lenet5: images of 1×28×28, 62 classes, fine_tune: last_2"
    trains = {line.split()[1]: line.split()[3] for line in lines[3:8]}
    assert trains == {"conv1": "-", "conv2": "-", "fc1": "-", "fc2": "yes", "fc3": "yes"}
    assert lines[8].split()[:3] == ["all", "66,126", "15,434"]
    assert "a multiply-add as 2 FLOP" in lines[-1]


@pytest.mark.parametrize(
    ("form", "trains", "n_trained"),
    [
        ("{only: bias}", ("6", "16", "120", "84", "yes"), "1,076"),
        ("{lora: {rank: 2, targets: [fc1]}}", ("-", "-", "1,040", "-", "yes"), "1,890"),
        ("surgical", ("yes", "yes", "yes", "yes", "yes"), "61,706"),
    ],
)
def test_the_table_says_how_much_of_a_group_trains(capsys, form, trains, n_trained) -> None:
    main(["lenet5", "--fine-tune", form])
    lines = capsys.readouterr().out.splitlines()
    assert tuple(line.split()[3] for line in lines[3:8]) == trains
    assert lines[8].split()[:3] == ["all", "61,706", n_trained]
    assert "Parametrized" not in "".join(lines)
    assert ("1 will train" in lines[9]) == (form == "surgical")


def test_options_and_mappings_are_read_as_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    main(["midas_cnn", "--option", "image_size=[16, 24]", "--fine-tune", "{from: dense}"])
    assert "1×16×24" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet6"], "did you mean 'lenet5'"),
        (["timm/test_resnet", "--option", "image_size=1000000"], "at most 4096 pixels"),
        (["midas_cnn", "--option", "image_size=[28, 5000]"], "at most 4096 pixels"),
        (["lenet5", "--option", "width"], "KEY=VALUE"),
        (["lenet5", "--option", "width=3"], "width: is no option"),
        (["lenet5", "--fine-tune", "{from: "], "is not a YAML value"),
        (["lenet5", "--fine-tune", "last_9"], "deeper than the network"),
    ],
)
def test_mistakes_are_one_message(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        main(arguments)


@pytest.mark.parametrize(
    ("hidden", "side", "said"),
    [
        # 4·40 + 40 parameters before a head of 40·10 + 10; 784·40 + 40 before the same one.
        (40, 2, ["the head, head, holds 67% of the parameters: last_layer trains all of them"]),
        (40, 28, []),
    ],
)
def test_the_share_of_a_large_head_is_said(
    hidden: int, side: int, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["mlp", "--option", f"hidden=[{hidden}]", "--option", f"image_size={side}"])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("the head")] == said
