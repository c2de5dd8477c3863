"""Networks of timm and transformers: options, groups, heads, weights, the cut and its bits."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from benchmarks import families
from headstart.errors import InputError, ModelError
from models.build import build_model
from models.catalog import model_info, read_options
from models.describe import describe
from models.dropout import SeededDropout, set_dropout_generator
from models.finetune import freeze
from models.groups import layer_groups
from models.heads import DenseHead
from models.own_build import Findings, Shape, _try
from models.own_forward import OwnModule
from models.own_split import reason_against_split
from models.sources import hub, timm_networks
from models.sources.published import _hub_of_torch
from models.split import split_at
from models.weights import load_into, read_weights

timm = pytest.importorskip("timm", reason="the extra timm is not installed")
transformers = pytest.importorskip("transformers", reason="the extra transformers is missing")

slow = pytest.mark.slow
FAMILIES = ("test_efficientnet", "test_resnet",
            *(pytest.param(name, marks=slow)
              for name in ("test_byobnet", "test_convnext", "test_vit", "levit_128s")))  # fmt: skip
SIDE = 64
CONFIG = {"model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 16,
          "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
          "image_size": 16, "patch_size": 8, "auto_map": {"AutoModel": "evil.Model"}}  # fmt: skip
PROCESSOR = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 16, "width": 16}}


def build(name: str, n_classes: int = 3, side: int = SIDE, seed: int = 1, **options: object):
    network = build_model(
        name, n_classes=n_classes, image_size=(side, side), channels=3, init_seed=seed,
        head_seed=2, options={"image_size": side, **options},
    )  # fmt: skip
    assert isinstance(network, OwnModule)
    return network, layer_groups(network, torch.zeros(2, 3, side, side))


@cache
def family(name: str):
    return build(f"timm/{name}")


@cache
def images(side: int = SIDE) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as transformers saves it, of five classes."""
    folder = tmp_path_factory.mktemp("vit")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.ViTConfig(**{k: v for k, v in CONFIG.items() if k != "auto_map"},
                                        num_labels=5)  # fmt: skip
        transformers.ViTForImageClassification(config).save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text()) | {"auto_map": CONFIG["auto_map"]}
    (folder / "config.json").write_text(json.dumps(written))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_group_is_what_timm_calls_the_classifier(name):
    network, groups = family(name)
    given = network.get_classifier()
    heads = given if isinstance(given, tuple | list) else [given]
    of_timm = {id(p) for head in heads for p in head.parameters()}
    assert {id(network.get_parameter(n)) for n in groups[-1].parameters} == of_timm
    placed = [name for group in groups for name in group.parameters]
    assert sorted(placed) == sorted(n for n, _ in network.named_parameters())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_cut_before_any_group_computes_what_the_whole_does(name):
    network, groups = family(name)
    for k in {len(groups) // 2, len(groups) - 1}:
        freeze(network, groups, [group.name for group in groups[k:]])
        assert reason_against_split(network, groups, k, images()) is None
        tail = split_at(network, groups, k)[1]
        trained = {n for group in groups[k:] for n in group.parameters}
        assert {n for n, _ in tail.named_parameters()} >= trained
        assert set(tail.state_dict()) <= set(network.state_dict())


def test_two_networks_of_one_seed_are_the_same_and_the_head_has_its_own_seed():
    one, groups = family("test_resnet")
    two, _ = build("timm/test_resnet", seed=7)
    of_head = set(groups[-1].parameters)
    same = {
        n: torch.equal(p, two.get_parameter(n)) for n, p in one.named_parameters() if p.dim() > 1
    }
    assert {n for n, is_same in same.items() if is_same} == of_head & set(same)


@slow
def test_a_head_of_two_layers_takes_the_place_of_both_heads_of_a_network_of_two():
    network, groups = build("timm/levit_128s", head={"hidden": [8]})
    heads = [m for m in network.modules() if isinstance(m, DenseHead)]
    assert len(heads) == 2
    in_group = {id(network.get_parameter(n)) for n in groups[-1].parameters}
    assert all(id(p) in in_group for head in heads for p in head.parameters())
    assert not torch.equal(heads[0].hidden1.weight, heads[1].hidden1.weight)
    assert network.eval()(images()).shape == (2, 3)


@slow
def test_stochastic_depth_draws_from_the_generator_that_is_given():
    network, _ = build("timm/test_vit", drop_path_rate=0.5)
    drawn = [m for m in network.modules() if isinstance(m, SeededDropout) and m.unit == "image"]
    assert max(m.p for m in drawn) == 0.5
    outputs = []
    for _ in range(2):
        set_dropout_generator(network, torch.Generator().manual_seed(3))
        before = torch.get_rng_state()
        outputs.append(network.train()(images()))
        assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(*outputs)
    assert not torch.equal(outputs[0], network.eval()(images()))


def test_dropout_as_a_function_draws_from_the_generator_and_is_cut_off():
    """timm's ResNet drops by torch's function before its head, and has no layer of dropout."""
    network, groups = build("timm/test_resnet", drop_rate=0.5)
    assert not network.draws
    freeze(network, groups, [groups[-1].name])
    assert reason_against_split(network, groups, len(groups) - 1, images()) is None
    prefix, tail = split_at(network, groups, len(groups) - 1)
    features = prefix(images())
    logits = []
    for compute in (lambda: network.train()(images()), lambda: tail.train()(features)) * 2:
        freeze(network, groups, [groups[-1].name])
        set_dropout_generator(network, torch.Generator().manual_seed(3))
        before = torch.get_rng_state()
        logits.append(compute())
        assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(logits[0], each) for each in logits[1:])
    assert not torch.equal(logits[0], network.eval()(images()))


@slow
def test_a_call_of_dropout_in_training_alone_stays_a_draw_of_torchs():
    network, _ = build("timm/test_resnet")
    forward = type(network).__mro__[2].forward_head

    def forward_head(self: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.dropout(x, 0.5) if self.training else x
        return forward(self, x)

    network.forward_head = forward_head.__get__(network)
    shape = Shape(3, (SIDE, SIDE), 3)
    assert _try(network, shape, "it") == Findings(None, True, True)
    assert "caught_dropout" not in dict(network.named_modules())


@slow
def test_weights_of_timm_load_at_another_size_and_class_count_as_timm_loads_them():
    theirs = timm.create_model("test_vit", num_classes=7, img_size=96)
    network, groups = family("test_vit")
    report = load_into(network, theirs.state_dict(), head="new", groups=groups)
    ours = timm.create_model("test_vit", num_classes=3, img_size=SIDE)
    changed = timm.models.vision_transformer.checkpoint_filter_fn(theirs.state_dict(), ours)
    ours.load_state_dict({k: v for k, v in changed.items() if not k.startswith("head.")}, False)
    assert set(report.new) == {"head.weight", "head.bias"}
    own = network.state_dict()
    assert all(torch.equal(own[k], v) for k, v in ours.state_dict().items() if k not in report.new)


@slow
def test_twenty_steps_of_adam_have_the_bits_of_a_plain_timm_program():
    network, groups = build("timm/test_efficientnet")
    plain = timm.create_model("test_efficientnet", num_classes=3)
    plain.load_state_dict(network.state_dict())
    plain.to(memory_format=torch.channels_last)
    freeze(network, groups, [group.name for group in groups])
    logits = []
    for model in (network.train(), plain.train()):
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(20):
            loss = nn.functional.cross_entropy(model(images()), torch.tensor([0, 2]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        logits.append(model.eval()(images()))
    assert torch.equal(*logits)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnet19", "'timm/resnet19' is no network of timm .*did you mean"),
        ("timm/resnet18.in1kk", "has no weights 'in1kk' of resnet18.*a1_in1k"),
        ("hf/nowhere", "there is no folder nowhere; a folder or OWNER/NAME"),
        ("hf/", "there is no folder named"),
    ],
)
def test_a_name_that_no_library_has_is_said_in_one_line(name, message):
    with pytest.raises(ModelError, match=message) as raised:
        read_options(name, {})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("name", "package"), [("timm/resnet18", "timm"), ("hf/x", "transformers")])
def test_a_missing_package_is_said_with_the_command_that_installs_it(name, package, monkeypatch):
    monkeypatch.setattr("models.sources.options.find_spec", lambda _: None)
    with pytest.raises(InputError, match=f"{name}: needs a package .*--extra {package}$"):
        read_options(name, {})


def test_timms_size_and_numbers_are_written_out():
    options = read_options("timm/tf_efficientnet_lite0.in1k", {})
    assert (options.image_size, options.normalise.mean) == ((224, 224), (0.5, 0.5, 0.5))
    info = model_info("timm/tf_efficientnet_lite0", {"image_size": 96, "channels": 1})
    assert (info.image_size, info.mean, info.std) == ((96, 96), (0.5,), (0.5,))


@slow
def test_a_folder_of_transformers_gives_its_own_logits(vit):
    name = f"hf/{vit}"
    options = read_options(name, {})
    assert (options.image_size, options.normalise.std) == ((16, 16), (0.25, 0.25, 0.25))
    assert "auto_map" not in options.config
    network, groups = build(name, n_classes=5, side=16)
    assert [g.name for g in groups][-3:] == ["vit.layers.0", "vit.layers.1", "classifier"]
    report = load_into(network, read_weights(vit / "model.safetensors"), head="keep", groups=groups)
    theirs = transformers.ViTForImageClassification.from_pretrained(vit).eval()
    assert report.new == ()
    assert torch.equal(network.eval()(images(16)), theirs(images(16)).logits)
    freeze(network, groups, ["classifier"])
    assert reason_against_split(network, groups, len(groups) - 1, images(16)) is None


@slow
def test_positions_of_transformers_weights_are_fitted_to_larger_images(vit):
    network, groups = build(f"hf/{vit}", side=32, head={"hidden": [4]})
    report = load_into(network, read_weights(vit / "model.safetensors"), head="new", groups=groups)
    assert all(name.startswith("classifier.") for name in report.new)
    assert network.state_dict()["vit.embeddings.position_embeddings"].shape == (1, 17, 16)


@slow
def test_a_networks_configuration_needs_its_folder_no_more_once_it_is_read(vit, tmp_path):
    kept = read_options(f"hf/{vit}", {}).model_dump(mode="json", exclude_defaults=True)
    elsewhere = f"hf/{tmp_path / 'gone'}"
    assert read_options(elsewhere, kept).model_dump(mode="json", exclude_defaults=True) == kept
    build_model(elsewhere, n_classes=2, image_size=(16, 16), channels=3, init_seed=0, head_seed=0,
                options=kept)  # fmt: skip


@slow
@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "[", "config.json: is no configuration"),
        ("config.json", '{"model_type": "bert"}', "bert is no image classifier"),
        ("config.json", '{"model_type": "timm_wrapper"}', "write timm/NAME"),
        ("config.json", '{"quantization_config": {}}', "quantised"),
        ("preprocessor_config.json", '{"do_flip_channel_order": true}', "blue before red"),
        ("preprocessor_config.json", "{}", "has no image_mean"),
        ("preprocessor_config.json", '{"image_mean": "x", "image_std": 1}', "no numbers in 0..1"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(vit, tmp_path, file, content, message):
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((vit / name).read_text())
    (tmp_path / file).write_text(content)
    with pytest.raises(ModelError, match=message) as raised:
        read_options(f"hf/{tmp_path}", {})
    assert "\n" not in str(raised.value)


def test_published_weights_are_looked_for_by_name_and_tag(tmp_path):
    from models.imagenet import locate_imagenet

    name = "timm/test_resnet.r160_in1k"
    path = tmp_path / "test_resnet.r160_in1k.safetensors"
    with pytest.raises(ModelError, match=r"put them at .*test_resnet\.r160_in1k\.safetensors"):
        locate_imagenet(name, weights_dir=tmp_path, cache_dir=tmp_path, allow_download=False)
    save_file({"x": torch.zeros(1)}, path)
    assert locate_imagenet(name, weights_dir=tmp_path, cache_dir=tmp_path) == path


def test_what_timm_says_of_a_network_is_asked_once(tmp_path, monkeypatch):
    """And again of another name or version, and where what was kept is damaged."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    name, asked = "timm/test_resnet.r160_in1k", []
    ask = timm_networks._asked
    monkeypatch.setattr(timm_networks, "_asked", lambda n: asked.append(n) or ask(n))
    first = timm_networks.configuration(name)
    of_timm = timm.get_pretrained_cfg("test_resnet.r160_in1k")
    for key in ("architecture", "tag", "input_size", "mean", "std", "hf_hub_id", "url"):
        assert getattr(first, key) == getattr(of_timm, key)
    assert timm_networks.configuration(name) == first
    assert timm_networks.configuration("timm/test_resnet") == first, "timm's first tag"
    assert asked == [name, "timm/test_resnet"]
    (kept,) = (path for path in tmp_path.glob("timm/*") if f"'{name}'" in path.read_text())
    kept.write_text(kept.read_text().replace("160", "161"))
    assert timm_networks.configuration(name) == first
    assert asked[2:] == [name]
    monkeypatch.setattr(timm_networks, "_version", lambda: "0.0")
    assert timm_networks.configuration(name) == first
    assert asked[3:] == [name]


def test_the_hub_of_torch_is_found_without_torch(monkeypatch):
    for variables in ({}, {"XDG_CACHE_HOME": "/x"}, {"TORCH_HOME": "~/y"}):
        for variable in ("XDG_CACHE_HOME", "TORCH_HOME"):
            monkeypatch.delenv(variable, raising=False)
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        assert str(_hub_of_torch()) == torch.hub.get_dir()


@slow
def test_our_folder_of_data_sets_is_used_by_nothing_of_transformers(vit):
    """transformers takes our folder for the package of that name, which is not installed."""
    from transformers.utils.import_utils import is_datasets_available

    import datasets

    assert is_datasets_available()
    build(f"hf/{vit}", side=16)
    users = [name for name, module in sys.modules.items() if name.startswith("transformers")
             and vars(module).get("datasets") is datasets]  # fmt: skip
    assert users == []


@slow
def test_what_attention_keeps_in_evaluation_does_not_outlive_the_weights():
    network, groups = build("timm/levit_128s", side=32)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "attention_biases" in name:
                parameter.add_(1 + torch.arange(parameter.numel()).view_as(parameter))
    plain = timm.create_model("levit_128s", num_classes=3, img_size=32)
    plain.load_state_dict(network.state_dict())
    plain.to(memory_format=torch.channels_last)
    freeze(network, groups, [groups[-1].name])
    assert torch.equal(network.eval()(images(32)), plain.eval()(images(32)))


def test_a_name_of_the_hub_is_said_to_be_out_of_reach_without_a_network(monkeypatch, tmp_path):
    def refused(*_: object) -> None:
        raise OSError("no network")

    hub._is_reached.cache_clear()
    monkeypatch.setattr(hub.socket, "create_connection", refused)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"not in the hub's cache, and the hub cannot be reached$"):
        read_options("hf/nobody/nothing", {})
    hub._is_reached.cache_clear()


@slow
def test_several_values_that_cross_a_cut_are_kept_as_one():
    """Slow: fourteen blocks of attention are built, traced and cut."""
    network, groups = build("timm/xcit_nano_12_p8_224", side=32)
    k = len(groups) // 2
    freeze(network, groups, [group.name for group in groups[k:]])
    assert reason_against_split(network, groups, k, images(32)) is None
    prefix, tail = split_at(network, groups, k)
    assert prefix.eval()(images(32)).dim() == 2
    assert set(tail.state_dict()) <= set(network.state_dict())
    assert not [name for name in vars(network) if name.startswith(("_kept", "_tensor_constant"))]


@slow
@pytest.mark.parametrize("name", ["test_mambaout", "test_coatnet", "efficientvit_b0", "lcnet_035"])
def test_every_group_of_further_families_is_cut_and_resumed(name):
    """Walks whole networks, a trace and three steps for each group."""
    walked = families.walk(name)
    assert walked.has_head
    assert not walked.refused
    assert walked.reasons == {}
    assert walked.not_resumed == []


@slow
def test_the_share_of_a_large_part_around_the_head_is_said():
    text = "\n".join(describe("timm/efficientvit_b0", {"image_size": SIDE}, 10, "all"))
    plain = timm.create_model("efficientvit_b0", num_classes=10)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (plain.head, plain)]
    assert f"head, in which the head is, holds {sizes[0] / sizes[1]:.0%} of the param" in text
    assert "{from: head.in_conv" in text


@slow
def test_dropout_before_a_head_of_transformers_is_in_the_tail(tmp_path):
    config = transformers.MobileNetV2Config(depth_multiplier=0.35, classifier_dropout_prob=0.5)
    config.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    network, groups = build(f"hf/{tmp_path}", side=32)
    freeze(network, groups, [groups[-1].name])
    assert groups[-1].modules == ("dropout", "classifier")
    assert reason_against_split(network, groups, len(groups) - 1, images(32)) is None
    prefix, tail = split_at(network, groups, len(groups) - 1)
    features = prefix(images(32))
    logits = []
    for compute in (lambda: network.train()(images(32)), lambda: tail.train()(features)):
        freeze(network, groups, [groups[-1].name])
        set_dropout_generator(network, torch.Generator().manual_seed(3))
        logits.append(compute())
    assert torch.equal(*logits)


@pytest.mark.parametrize(
    ("config", "processor", "message"),
    [
        ({"num_hidden_layers": 10**8}, {}, "num_hidden_layers: 100000000 is over 1000"),
        ({"image_size": 60_000}, {}, "has no size of images: 60000"),
        ({}, {"rescale_factor": "x"}, "rescale_factor: 'x' is no number"),
        ({}, {"rescale_factor": 0}, "rescale_factor: 0 is no number"),
    ],
)
def test_hostile_numbers_of_a_folder_are_refused_at_once(
    tmp_path: Path, config: dict[str, object], processor: dict[str, object], message: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"architectures": 5} | config))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR | processor))
    with pytest.raises(ModelError, match=message):
        model_info(f"hf/{tmp_path}", {})


def test_a_configuration_with_wrong_numbers_says_the_reason(vit, tmp_path):
    content = json.loads((vit / "config.json").read_text()) | {"hidden_size": "abc"}
    (tmp_path / "config.json").write_text(json.dumps(content))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    with pytest.raises(ModelError, match=r"cannot be built: .*hidden_size.*(int|str)"):
        build(f"hf/{tmp_path}", side=16)
