"""Low-rank adaptation: against a sum by hand, against peft, and as a plain state dict."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.errors import ModelError
from models import finetune
from models.build import build_model
from models.lora import LowRank, merged

SIDE = 64  # the smallest that timm's test_vit and ResNets take without a remark


def network(name: str, options: dict[str, object] | None = None) -> nn.Module:
    return build_model(
        name,
        n_classes=3,
        image_size=(SIDE, SIDE),
        channels=3,
        init_seed=0,
        head_seed=1,
        options=options or {},
    )


def adapted(model: nn.Module, rank: int = 2, **settings: object) -> finetune.Tuned:
    groups = finetune.layer_groups(model, torch.zeros(1, 3, SIDE, SIDE))
    form = finetune.read({"lora": {"rank": rank, **settings}})
    tuned = finetune.tune(model, groups, form, epochs=1, seed=5)
    tuned.freeze(model, 0)
    return tuned


def adapted_paths(model: nn.Module) -> list[str]:
    return [p.partition(".parametrizations")[0] for p, m in model.named_modules()
            if isinstance(m, LowRank)]  # fmt: skip


def test_a_weight_is_itself_and_the_scaled_product() -> None:
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    low = LowRank(weight, rank=1, scale=0.5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(low(weight), weight)  # B is 0: the start is the start
    with torch.no_grad():
        low.a.copy_(torch.tensor([[1.0, -1.0]]))
        low.b.copy_(torch.tensor([[2.0], [4.0]]))
    assert low(weight).tolist() == [[2.0, 1.0], [5.0, 2.0]]


def test_a_is_drawn_within_the_bounds_of_he_and_by_its_generator_alone() -> None:
    weight = torch.zeros(8, 4, 3, 3)
    one, again, other = (
        LowRank(weight, 16, 1.0, torch.Generator().manual_seed(seed)).a for seed in (0, 0, 1)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert 0.9 / 6 < one.abs().max() <= 1 / 6  # 4·3·3 inputs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("timm/test_vit", "auto", ["qkv"]),
        ("timm/test_resnet", ["conv2", "downsample.1"], ["conv2", "downsample.1"]),
    ],
)
def test_gradients_and_trained_weights_are_those_of_peft(name, ours, theirs) -> None:
    """Slow: importing peft takes seconds; the sum by hand is its small sibling."""
    import peft

    model = network(name)
    plain = copy.deepcopy(model)
    head = list(adapted(model, alpha=4, targets=ours).groups[-1].modules)
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=theirs, modules_to_save=head)
    reference = peft.get_peft_model(plain, config)
    pairs = _pairs(model, reference.base_model.model)
    with torch.no_grad():
        for own, other in pairs:
            other.copy_(own.view(other.shape))
    draws = torch.Generator().manual_seed(0)
    images, labels = torch.randn(6, 3, SIDE, SIDE, generator=draws), torch.arange(6) % 3
    networks = (model.eval(), reference.eval())
    optimizers = [
        torch.optim.SGD([p for p in each.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
        for each in networks
    ]
    n_trained = [sum(p.numel() for p in each.parameters() if p.requires_grad) for each in networks]
    assert n_trained[0] == n_trained[1]
    for step in range(20):
        for each, optimizer in zip(networks, optimizers, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(each(images), labels).backward()
        if step < 2:  # at step 0 the gradient of A is 0, as B is
            for own, other in pairs:
                torch.testing.assert_close(own.grad.view(other.shape), other.grad,
                                           atol=1e-6, rtol=1e-5)  # fmt: skip
        for optimizer in optimizers:
            optimizer.step()
    expected = reference.merge_and_unload().state_dict()
    state = merged(model)
    assert state.keys() == expected.keys()
    for key, value in state.items():
        torch.testing.assert_close(value, expected[key], atol=2e-5, rtol=1e-4, msg=key)


def _pairs(model: nn.Module, reference: nn.Module) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """Our A and B beside peft's."""
    pairs = []
    for path, low in model.named_modules():
        if isinstance(low, LowRank):
            layer = reference.get_submodule(path.partition(".parametrizations")[0])
            pairs += [(low.a, layer.lora_A["default"].weight),
                      (low.b, layer.lora_B["default"].weight)]  # fmt: skip
    return pairs


@pytest.mark.parametrize("name", ["timm/test_vit", "resnet18", "squeezenet1_0"])
def test_the_plain_state_dict_computes_the_same_bits(name: str) -> None:
    model = network(name)
    start = {key: value.clone() for key, value in model.state_dict().items()}
    tuned = adapted(model)
    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    _move(model)
    state = merged(model)
    moved = {key for key, value in state.items() if not torch.equal(value, start[key])}
    weights = {f"{path}.weight" for path in adapted_paths(model)}
    assert state.keys() == start.keys()
    assert moved == weights | set(tuned.groups[-1].parameters)
    fresh = network(name)
    fresh.load_state_dict(state)
    with torch.no_grad():
        assert torch.equal(fresh.eval()(images), model.eval()(images))


def _move(model: nn.Module) -> None:
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.01 * torch.randn(parameter.shape, generator=draws)


def test_auto_takes_attention_else_convolutions() -> None:
    vit, cnn = network("timm/test_vit"), network("squeezenet1_0")
    adapted(vit)
    adapted(cnn)
    assert {path.rpartition(".")[2] for path in adapted_paths(vit)} == {"qkv"}
    assert len(adapted_paths(cnn)) == 25  # of 26 convolutions the last one is the head


def test_attention_of_pytorch_is_adapted_where_it_keeps_its_weight() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 16, 16)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, images: Tensor) -> Tensor:
            tokens = self.stem(images).flatten(2).transpose(1, 2)
            return self.head(self.attention(tokens, tokens, tokens)[0].mean(dim=1))

    model = Net()
    adapted(model)
    assert adapted_paths(model) == ["attention"]
    _move(model)
    assert merged(model).keys() == Net().state_dict().keys()


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["qvk"], r"no layer before the head .* 'qvk' \(did you mean 'qkv'\?\); there are "),
        (["head"], "is called 'head'"),
        (["norm1"], "is called 'norm1'"),
    ],
)
def test_targets_that_match_nothing_are_one_line(targets: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        adapted(network("timm/test_vit"), targets=targets)
    assert "\n" not in str(caught.value)


def test_what_is_adapted_alone_trains_and_batch_norm_keeps_its_statistics() -> None:
    model = network("resnet18")
    tuned = adapted(model, targets=["layer4.1.conv2"])
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    between = "layer4.1.conv2.parametrizations.weight.0"
    assert trained == {f"{between}.a", f"{between}.b", "fc.weight", "fc.bias"}
    assert tuned.schedule.names == ("layer4.1", "fc")
    model.train()
    assert not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))
