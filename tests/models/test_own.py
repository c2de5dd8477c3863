"""A network of a user's own file: its options, what its data decide, and how it is built."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from headstart.errors import InputError, ModelError
from models.build import build_model
from models.catalog import model_info, read_options
from models.describe import describe
from models.groups import layer_groups
from models.own import OwnOptions
from models.own_forward import OwnModule
from models.own_split import reason_against_split

HEAD = """
import torch
import torch.nn.functional as F
from torch import nn

class Base(nn.Module):
    def __init__(self, n_classes, channels=1, width: int = 4):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.mid = nn.Linear(width * 16, 8)
        self.fc = nn.Linear(8, n_classes)
    def features(self, x):
        return F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
    def forward(self, x):
        return self.fc(F.relu(self.mid(self.features(x).flatten(1))))
"""
OPTIONS = """
class Net:
    def __init__(self, num_classes, in_channels=3, width: int = 64, *,
                 rates: tuple[float, ...] = (0.1, 0.2), pretrained=False, act="relu", copy=1): ...
def anything(n_classes, **more): ...
def needs(n_classes, depth: int): ...
"""


@pytest.fixture
def nets(tmp_path: Path):
    def write(text: str, name: str = "Net") -> str:
        (tmp_path / "my_nets.py").write_text(HEAD + text, encoding="utf-8")
        return f"{tmp_path}/my_nets.py:{name}"

    return write


def build(reference: str, n_classes: int = 3, channels: int = 1, **seeds: int) -> OwnModule:
    network = build_model(
        reference, n_classes=n_classes, image_size=(8, 8), channels=channels,
        init_seed=seeds.get("init", 1), head_seed=seeds.get("head", 2),
    )  # fmt: skip
    assert isinstance(network, OwnModule)
    return network


def example(channels: int = 1) -> torch.Tensor:
    return torch.randn(2, channels, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {}),
        ({"width": 32}, {"width": 32}),
        ({"width": 64}, {}),  # the default
        ({"rates": [0.1, 0.2], "copy": 1}, {}),
        ({"rates": [0.5], "copy": 2}, {"rates": [0.5], "copy": 2}),
        ({"channels": 3, "image_size": 32}, {"channels": 3, "image_size": [32, 32]}),
        ({"image_size": [32, 24]}, {"image_size": [32, 24]}),
    ],
)
def test_options_are_kept_without_defaults(nets, given, kept) -> None:
    options = read_options(nets(OPTIONS), given)
    assert isinstance(options, OwnOptions)
    written = options.model_dump(mode="json", exclude_defaults=True)
    assert len(written.pop("code")) == 32
    assert written == kept
    assert pickle.loads(pickle.dumps(options)) == options


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("Net", {"widht": 3}, r"widht: is no option .*did you mean 'width'"),
        ("Net", {"width": "a"}, r"width: 'a': Input should be a valid integer"),
        ("Net", {"pretrained": "no"}, r"pretrained: 'no': Input should be a valid boolean"),
        ("Net", {"num_classes": 3}, "num_classes is left out: the data's classes decide it"),
        ("Net", {"in_channels": 1}, "in_channels is written as channels"),
        ("Net", {"code": "0" * 32}, "the code has changed: 00000000 is written"),
        ("needs", {}, r"depth.*Field required"),
    ],
)
def test_options_that_do_not_fit(nets, name, given, message) -> None:
    with pytest.raises(ModelError, match=message):
        read_options(nets(OPTIONS, name), given)


def test_further_keys_where_the_signature_takes_them(nets) -> None:
    options = read_options(nets(OPTIONS, "anything"), {"depth": [1, 2]})
    assert options.model_dump(exclude_defaults=True)["depth"] == [1, 2]


def test_without_a_size_the_data_decide(nets) -> None:
    info = model_info(nets(OPTIONS), {})
    assert (info.image_size, info.channels, info.depth) == (None, None, None)


def test_a_record_runs_no_code_and_builds_nothing(tmp_path, monkeypatch) -> None:
    (tmp_path / "my_nets.py").write_text("raise RuntimeError('run')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    options = read_options("my_nets.py:Net", {"code": "0" * 32, "width": 3})
    assert options.model_dump(exclude_defaults=True) == {"code": "0" * 32, "width": 3}
    with pytest.raises(InputError, match="never taken from a run folder"):
        build_model("my_nets.py:Net", n_classes=2, image_size=(8, 8), channels=1, init_seed=0,
                    head_seed=0, options=options)  # fmt: skip


def test_seeds_decide_the_backbone_and_the_head_apart(nets) -> None:
    reference = nets("class Net(Base): pass\n")
    first, other_head, other_init = (
        build(reference, init=i, head=h).state_dict() for i, h in ((1, 2), (1, 3), (4, 2))
    )
    assert torch.equal(first["conv.weight"], other_head["conv.weight"])
    assert not torch.equal(first["fc.weight"], other_head["fc.weight"])
    assert torch.equal(first["fc.weight"], other_init["fc.weight"])
    assert not torch.equal(first["conv.weight"], other_init["conv.weight"])


def test_the_authors_own_initialisation_of_the_head_stays(nets) -> None:
    network = build(nets("""
class Net(Base):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        nn.init.constant_(self.fc.weight, 0.5)
"""))  # fmt: skip
    assert bool((network.fc.weight == 0.5).all())  # type: ignore[union-attr]


def test_global_generators_are_left_as_they_were(nets) -> None:
    before = torch.get_rng_state()
    build(nets("class Net(Base): pass\n"))
    assert torch.equal(torch.get_rng_state(), before)


def test_groups_and_description_are_as_of_the_catalogue(nets) -> None:
    reference = nets("class Net(Base): pass\n")
    groups = layer_groups(build(reference), example())
    assert [group.name for group in groups] == ["conv", "mid", "fc"]
    assert groups[0].modules == ("conv", "norm")


def test_describe_shows_it_without_its_folder(nets) -> None:
    reference = nets("class Net(Base): pass\n")
    lines = describe(reference, {"image_size": 8}, 3, "last_2")
    assert lines[0] == "my_nets.py:Net: images of 3×8×8, 3 classes, fine_tune: last_2"


@pytest.mark.parametrize(
    ("forward", "is_last"),
    [("self.features(x).view(len(x), -1)", False), ("self.features(x).reshape(len(x), -1)", True)],
)
def test_view_is_given_contiguous_activations(nets, forward, is_last) -> None:
    network = build(nets(f"""
class Net(Base):
    def forward(self, x):
        return self.fc(self.mid({forward}))
"""))  # fmt: skip
    assert network.channels_last is is_last
    images = example()
    lying_both_ways = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.equal(network.eval()(images), network(lying_both_ways))


@pytest.mark.parametrize(
    "output",
    [
        '{"logits": y, "loss": None}', "y", "(y, h)", "[h, y]",
        'type("Output", (), {"logits": y})()', "(y, h) if self.training else y",
    ],
)  # fmt: skip
def test_logits_are_found_among_outputs(nets, output) -> None:
    network = build(nets(f"""
class Net(Base):
    def forward(self, x):
        h = self.mid(self.features(x).flatten(1))
        y = self.fc(h)
        return {output}
"""))  # fmt: skip
    assert network.train()(example()).shape == (2, 3)
    assert network.eval()(example()).shape == (2, 3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return self.mid(self.features(x).flatten(1))", "gives 2×8 for 2 images, and 2×3 is "
         "needed: the data have 3 classes"),
        ("return self.fc(self.mid(self.features(x).flatten(1)))[:, :, None, None]",
         r"gives 2×3×1×1 .*flatten\(1\)"),
        ("y = super().forward(x); return y, y", "2 of these could be the logits"),
        ("return {'a': 1}", "a dict with a for 2 images, and none of these are"),
        ("return x.nothing", r"my_nets\.py:\d+: AttributeError"),
        ("raise KeyError('odd\\n')", r"my_nets\.py:\d+: KeyError"),
        ("return self.fc(self.features(x).flatten(1))", "image_size: …"),
    ],
)  # fmt: skip
def test_a_forward_that_does_not_fit_is_one_line(nets, body, message) -> None:
    reference = nets(f"class Net(Base):\n    def forward(self, x):\n        {body}\n")
    with pytest.raises(ModelError, match=message) as caught:
        build(reference)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Net = Base(3)\n", "is a network that is built already"),
        ("def Net(n_classes): return 3\n", "gives int, and no torch.nn.Module"),
        ("class Net(Base):\n    def __init__(self, n_classes): raise OSError('no')\n",
         r"cannot be built: .*my_nets\.py:\d+: OSError: no"),
        ("class Net(nn.Module):\n    def __init__(self, n_classes): super().__init__()\n"
         "    def forward(self, x): return x\n", "has no parameters that train"),
        ("Net = 3\n", "is int, and no class or function"),
        ("THE = Base(3)\ndef Net(n_classes): return THE\n", "gives the same network again"),
        ("def Net(n_classes, model_config=1): return Base(3)\n", "called `model_config`"),
        ("class Net(Base):\n    def __init__(self, **kw): super().__init__(kw['n_classes'])\n",
         "KeyError: 'n_classes'; its signature names no n_classes"),
        ("class Net(Base):\n    def __init__(self, n_classes): super().__init__(n_classes, 3)\n",
         r"model: \{channels: 3\}"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_one_line(nets, text, message) -> None:
    with pytest.raises(ModelError, match=message):
        build(nets(text))


def test_lazy_unused_shared_and_fixed_layers(nets) -> None:
    network = build(nets("""
class Net(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.conv, self.fc = nn.LazyConv2d(4, 3), nn.LazyLinear(n_classes)
        self.a, self.b, self.unused = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(2, 2)
        self.b.weight = self.a.weight
        self.fixed = nn.Parameter(torch.ones(4), requires_grad=False)
    def forward(self, x):
        x = self.conv(x).mean((2, 3)) + self.fixed
        return self.fc(self.b(self.a(x)))
"""))  # fmt: skip
    groups = layer_groups(network, example())
    assert [group.name for group in groups] == ["conv", "a", "b", "fc"]
    assert "unused.weight" in groups[0].parameters
    assert "fixed" in dict(network.named_buffers())
    assert "fixed" in network.state_dict()
    placed = [name for group in groups for name in group.parameters]
    assert sorted(placed) == sorted(name for name, _ in network.named_parameters())


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        ("return super().forward(x)", None),
        ("x = F.dropout(self.features(x).flatten(1), 0.5, self.training)\n"
         "        return self.fc(self.mid(x))", "draws from global random generators"),
        ("x = self.features(x).flatten(1)\n        if self.training: x = x * 2\n"
         "        return self.fc(self.mid(x))", r"self\.training"),
        ("if x.mean() > 5: x = x * 2\n        return super().forward(x)", "cannot trace it"),
    ],
)  # fmt: skip
def test_whether_a_frozen_front_can_be_computed_once(nets, forward, reason) -> None:
    network = build(nets(f"class Net(Base):\n    def forward(self, x):\n        {forward}\n"))
    groups = layer_groups(network, example())
    said = reason_against_split(network, groups, 2, example())
    assert network.training
    if reason is None:
        assert said is None
    else:
        assert said is not None
        assert reason.replace("\\", "") in said


@pytest.mark.parametrize(
    ("given", "channels", "mean"),
    [
        ({}, 3, (0.5, 0.5, 0.5)),
        ({}, 1, (0.5,)),
        ({"normalise": "imagenet"}, 3, (0.485, 0.456, 0.406)),
        ({"normalise": {"mean": [0.1, 0.2, 0.3], "std": 0.5}}, 1, (0.2,)),
    ],
)
def test_normalisation_is_of_the_datas_channels(nets, given, channels, mean) -> None:
    info = model_info(nets(OPTIONS), given).for_channels(channels)
    assert info.mean == pytest.approx(mean)
    assert len(info.std) == channels
