"""`model: {head: …}`: which layers it takes the place of, how it is drawn, what it computes."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.errors import ModelError
from models.build import build_model
from models.catalog import model_info, read_options
from models.describe import describe
from models.dropout import set_dropout_generator
from models.finetune import freeze
from models.groups import layer_groups
from models.heads import head_of
from models.own import OwnOptions
from models.split import split_at
from models.weights import load_into

HEAD = {"hidden": [12, 8], "dropout": 0.5}
LAYERS = ["hidden1", "relu1", "dropout1", "hidden2", "relu2", "dropout2", "output"]


def build(name: str, size: int = 32, channels: int = 3, *, head: object = HEAD, **more: Any):
    """A network of seven classes, with its own head where `head` is None."""
    seeds = {"init_seed": more.pop("init", 0), "head_seed": more.pop("seed", 1)}
    options = {**more, **({"head": head} if head else {})}
    if name not in ("lenet5",) and not name.endswith("Net"):
        options |= {"image_size": size, "channels": channels}
    return build_model(
        name, n_classes=7, image_size=(size, size), channels=channels, options=options, **seeds
    )


def images(size: int = 32, channels: int = 3, n: int = 2) -> Tensor:
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(0))


FAMILIES = {  # where the head stands, and how many numbers it takes
    "alexnet": ("classifier", 9216),
    "vgg11": ("classifier", 25088),
    "resnet18": ("fc", 512),
    "squeezenet1_0": ("classifier.head", 512),
    "densenet121": ("classifier", 1024),
    "mobilenet_v2": ("classifier", 1280),
    "mobilenet_v3_small": ("classifier", 576),
    "efficientnet_b0": ("classifier", 1280),
    "convnext_tiny": ("classifier.2", 768),
    "vit_b_16": ("heads", 768),
    "swin_t": ("head", 768),
    "regnet_y_400mf": ("fc", 440),
    "shufflenet_v2_x0_5": ("fc", 1024),
    "mnasnet0_5": ("classifier", 1280),
    "inception_v3": ("fc", 2048),
    "googlenet": ("fc", 1024),
    "maxvit_t": ("classifier.5", 512),
}
SIZE = {"alexnet": 64, "inception_v3": 75, "maxvit_t": 224}
QUICK = ("squeezenet1_0",)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FAMILIES]
)
def test_a_head_is_the_last_group_of_every_family(name: str) -> None:
    size = SIZE.get(name, 32)
    model, x = build(name, size), images(size)
    path, n_features = FAMILIES[name]
    found = head_of(model)
    assert found is not None
    assert found[0] == path
    layers = dict(found[1].named_children())
    assert list(layers) == LAYERS
    assert layers["hidden1"].in_features == n_features
    groups = layer_groups(model, x)
    assert groups[-1].name in (path, path.rpartition(".")[0])
    assert set(groups[-1].parameters) == {f"{path}.{n}" for n, _ in found[1].named_parameters()}
    plain = build(name, size, head=None)
    assert len(plain.state_dict()) > len(model.state_dict()) - 6  # nothing else was added
    for key, tensor in model.state_dict().items():  # the backbone is that of the plain network
        if not key.startswith(f"{path}."):
            assert torch.equal(tensor, plain.state_dict()[key])
    freeze(model, groups, [groups[-1].name])
    model.train()
    set_dropout_generator(model, torch.Generator().manual_seed(0))
    F.cross_entropy(model(x), torch.tensor([0, 1])).backward()
    trained = {n for n, p in model.named_parameters() if p.grad is not None}
    assert trained == set(groups[-1].parameters)
    dropping = [n for n, m in model.named_modules() if m.training and getattr(m, "p", 0)]
    assert dropping == [f"{path}.dropout1", f"{path}.dropout2"]
    model.eval()
    with torch.no_grad():
        prefix, tail = split_at(model, groups, len(groups) - 1)
        assert torch.equal(tail(prefix(x)), model(x))
    report = load_into(model, plain.state_dict(), head="new", groups=groups)
    assert set(report.new) == set(groups[-1].parameters)


def test_layers_of_ours_that_it_takes_the_place_of() -> None:
    lenet, midas = build("lenet5", 28, 1), build("midas_cnn", 28, 1)
    mlp = build("mlp", 28, 1, hidden=[20])
    replaced = [head_of(model) for model in (lenet, midas, mlp)]
    assert [(each[0], each[1].replaced) for each in replaced if each] == [
        ("fc3", ("fc1", "relu3", "fc2", "relu4", "fc3")),
        ("head", ("dense", "relu_dense", "dropout", "head")),
        ("head", ("head",)),  # of a network of linear layers alone only the last
    ]
    for name, model in (("lenet5", lenet), ("midas_cnn", midas), ("mlp", mlp)):
        options = {"head": HEAD, **({"hidden": [20]} if name == "mlp" else {})}
        groups = layer_groups(model, images(28, 1))
        assert model_info(name, options).depth == len(groups)


def test_twenty_steps_are_those_of_a_plain_program() -> None:
    """The same layers put together by hand in torch, trained by Adam: the same bits."""
    from torchvision.models import squeezenet1_0

    from models.dropout import SeededDropout

    model = build("squeezenet1_0", head={"hidden": [16], "dropout": 0.5})
    plain = squeezenet1_0(num_classes=7)
    plain.classifier = nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), head=nn.Sequential(OrderedDict(
                hidden1=nn.Linear(512, 16), relu1=nn.ReLU(), dropout1=SeededDropout(0.5),
                output=nn.Linear(16, 7),
            ))
        )
    )  # fmt: skip
    plain.load_state_dict(model.state_dict())  # the names too
    plain.to(memory_format=torch.channels_last)
    labels = torch.arange(3)
    for network in (model, plain):
        set_dropout_generator(network, torch.Generator().manual_seed(3))
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        network.train()
        for _ in range(20):
            optimizer.zero_grad()
            F.cross_entropy(network(images(n=3)), labels).backward()
            optimizer.step()
    for key, tensor in plain.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key])


def test_it_is_drawn_as_torchs_linear_layers_from_its_own_seed() -> None:
    head = build("lenet5", 28, 1).get_submodule("fc3")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        drawn = [nn.Linear(400, 12), nn.Linear(12, 8), nn.Linear(8, 7)]
    made = [layer for layer in head.children() if isinstance(layer, nn.Linear)]
    for layer, expected in zip(made, drawn, strict=True):
        assert torch.equal(layer.weight, expected.weight)
        assert torch.equal(layer.bias, expected.bias)
    other = build("lenet5", 28, 1, init=5).state_dict()
    assert torch.equal(other["fc3.hidden1.weight"], made[0].weight)
    assert not torch.equal(build("lenet5", 28, 1, seed=2).get_submodule("fc3.output").weight,
                           made[2].weight)  # fmt: skip
    before = torch.get_rng_state()
    build("lenet5", 28, 1)
    assert torch.equal(before, torch.get_rng_state())


def test_a_head_without_hidden_layers_is_one_linear_layer_of_averaged_maps() -> None:
    """Of SqueezeNet it goes without the ReLU, behind which logits below 0 have no gradient."""
    network = build("squeezenet1_0", head={"hidden": []}).eval()
    head = network.get_submodule("classifier.head")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        drawn = nn.Linear(512, 7)
    assert [name for name, _ in head.named_parameters()] == ["output.weight", "output.bias"]
    assert torch.equal(head.get_submodule("output").weight, drawn.weight)
    with torch.no_grad():
        head.get_submodule("output").bias.copy_(drawn.bias - 100)
    features = network.get_submodule("features")(images())
    logits = network(images())
    torch.testing.assert_close(logits, drawn(features.mean((2, 3))) - 100)
    logits.sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in head.parameters())
    assert layer_groups(network, images())[-1].parameters == tuple(
        f"classifier.head.output.{kind}" for kind in ("weight", "bias")
    )


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"hidden": [], "dropout": 0.5}, "head.dropout: 0.5: .*names none: leave dropout out"),
        ({"hidden": [0]}, "head.hidden.0: 0: .*greater than or equal to 1"),
        ({"hidden": [-3]}, "head.hidden.0: -3"),
        ({"hidden": [2.5]}, "head.hidden.0: 2.5"),
        ({"hidden": [True]}, "head.hidden.0: True"),
        ({"hidden": 256}, "head.hidden: 256"),
        ({"hidden": "256"}, "head.hidden: '256'"),
        ({"hidden": [10**6]}, "less than or equal to 65536"),
        ({"hidden": [2] * 17}, "at most 16 items"),
        ({"hidden": [3], "dropout": 1}, "dropout: 1: .*less than 1"),
        ({"hidden": [3], "dropout": -0.1}, "dropout: -0.1"),
        ({"hidden": [3], "dropout": float("nan")}, "dropout: nan"),
        ({"hiden": [3]}, "hiden: is no key here; allowed: hidden, dropout .*'hidden'"),
        ({"dropout": 0.5}, "head.hidden: is missing"),
        ("new", "head: 'new' is not a mapping of keys"),
        ([256], r"head: \[256\] is not a mapping of keys"),
    ],
)
def test_settings_that_are_no_head(head: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_options("lenet5", {"head": head})


def test_a_head_of_more_weights_than_memory_has_is_refused_before_it_is_made() -> None:
    with pytest.raises(ModelError, match="has 4,321,640,448 weights; at most 1,073,741,824"):
        build("lenet5", 28, 1, head={"hidden": [65536, 65536]})


@pytest.mark.parametrize(("name", "option"), [("lenet5", "dropout"), ("midas_cnn", "dense")])
def test_options_of_layers_that_are_gone_are_refused(name: str, option: str) -> None:
    with pytest.raises(ModelError, match=f"{option} is of layers that `head` takes the place of"):
        read_options(name, {option: 0.25 if option == "dropout" else 3, "head": HEAD})


def test_without_a_head_nothing_is_written() -> None:
    for options in ({}, {"head": None}):
        assert read_options("resnet18", options).model_dump(exclude_defaults=True) == {}
    written = read_options("lenet5", {"head": HEAD}).model_dump(mode="json", exclude_defaults=True)
    assert written == {"head": HEAD}


def test_describe_names_its_layers() -> None:
    lines = describe("lenet5", {"head": HEAD}, 10, "last_layer")
    (line,) = [text for text in lines if " fc3 " in text]
    assert line.split("yes")[1].strip() == (
        "Linear, ReLU, SeededDropout, Linear, ReLU, SeededDropout, Linear"
    )


# -- networks of the user's own --------------------------------------------------------------

NETS = """
import torch
import torch.nn.functional as F
from torch import nn

def front(channels):
    return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(2), nn.Flatten())

class AttributesNet(nn.Module):
    def __init__(self, n_classes, channels=3):
        super().__init__()
        self.front, self.mid = front(channels), nn.Linear(16, 9)
        self.drop, self.fc = nn.Dropout(0.4), nn.Linear(9, n_classes)
    def forward(self, x):
        return self.fc(self.drop(F.relu(self.mid(self.front(x)))))

class RowNet(nn.Sequential):
    def __init__(self, n_classes, channels=3):
        super().__init__(*front(channels), nn.Dropout(0.3), nn.Linear(16, 9), nn.ReLU(),
                         nn.Linear(9, n_classes))

class ConvNet(nn.Module):
    def __init__(self, n_classes, channels=3):
        super().__init__()
        self.front = nn.Conv2d(channels, 4, 3, padding=1)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(4, n_classes, 1),
                                  nn.AdaptiveAvgPool2d(1), nn.Flatten())
    def forward(self, x):
        return self.head(self.front(x))

class TupleNet(AttributesNet):
    def forward(self, x):
        return super().forward(x), x.mean()

class TwoHeadsNet(AttributesNet):
    def __init__(self, n_classes, channels=3):
        super().__init__(n_classes, channels)
        self.second = nn.Linear(16, n_classes)
    def forward(self, x):
        return (super().forward(x) + self.second(self.front(x))) / 2

class NormAfterNet(AttributesNet):
    def __init__(self, n_classes, channels=3):
        super().__init__(n_classes, channels)
        self.after = nn.Conv2d(n_classes, n_classes, 1)
    def forward(self, x):
        return self.after(super().forward(x)[:, :, None, None]).flatten(1)

class FunctionNet(AttributesNet):
    def forward(self, x):
        return F.linear(self.mid(self.front(x)), self.fc.weight)

class OwnHeadNet(AttributesNet):
    def __init__(self, n_classes, channels=3, head="linear"):
        super().__init__(n_classes, channels)
        self.kind = head
"""


@pytest.fixture
def nets(tmp_path: Path):
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    return lambda name: f"{tmp_path}/nets.py:{name}"


@pytest.mark.parametrize(
    ("name", "path", "replaced", "n_features"),
    [
        ("AttributesNet", "fc", ("fc",), 9),
        ("RowNet", "8", ("5", "6", "7", "8"), 16),
        ("ConvNet", "head.2.head", ("head.1", "head.2", "head.3", "head.4"), 4),
        ("TupleNet", "fc", ("fc",), 9),
    ],
)
def test_heads_of_networks_of_the_users(nets, name, path, replaced, n_features) -> None:
    model, x = build(nets(name), 8), images(8)
    found = head_of(model)
    assert found is not None
    assert (found[0], found[1].replaced) == (path, replaced)
    assert found[1].get_submodule("hidden1").in_features == n_features
    groups = layer_groups(model, x)
    assert set(groups[-1].parameters) == {f"{path}.{n}" for n, _ in found[1].named_parameters()}
    dropping = [n for n, m in model.named_modules() if getattr(m, "p", 0)]
    assert dropping == [f"{path}.dropout1", f"{path}.dropout2"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        drawn = nn.Linear(n_features, 12)
    assert torch.equal(found[1].get_submodule("hidden1").weight, drawn.weight)
    plain = build(nets(name), 8, head=None)
    report = load_into(model, plain.state_dict(), head="new", groups=groups)
    assert set(report.new) == set(groups[-1].parameters)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TwoHeadsNet", "its logits do not come from second alone"),
        ("NormAfterNet", "its last layer, after, is a convolution, and stands in no Sequential"),
        ("FunctionNet", "its last layer, mid, gives 9 numbers, and there are 7 classes"),
    ],
)
def test_networks_that_take_no_head_say_why_in_one_line(nets, name, message) -> None:
    with pytest.raises(ModelError, match=rf"nets.py:{name}: model.head: {message}") as caught:
        build(nets(name), 8)
    assert "\n" not in str(caught.value)


def test_a_parameter_head_of_the_users_stays_what_it_was(nets) -> None:
    options = read_options(nets("OwnHeadNet"), {"head": "cosine"})
    assert isinstance(options, OwnOptions)
    assert options.model_dump(exclude_defaults=True)["head"] == "cosine"
    model = build(nets("OwnHeadNet"), 8, head="cosine")
    assert model.kind == "cosine"
    assert head_of(model) is None
