"""Networks by name, without torch."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
import torch

import models
from headstart.errors import ModelError
from models.build import build_model
from models.catalog import read_options
from models.finetune import layer_groups


def test_the_catalogue_needs_no_torch() -> None:
    code = (
        "import sys, models; models.model_info('midas_cnn', {}); "
        "models.model_info('resnet18', {'image_size': 64}); "
        "print([m for m in ('torch', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_our_networks_are_found() -> None:
    assert models.model_names() == ("lenet5", "midas_cnn", "mlp")


def test_the_names_read_from_torchvisions_sources_are_those_it_registers() -> None:
    import torchvision.models as torchvision_models

    registered = torchvision_models.list_models(module=torchvision_models)
    assert models.torchvision_names() == tuple(sorted(registered))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lenet5", {}),
        ("midas_cnn", {}),
        ("midas_cnn", {"blocks": 2, "convolutions": 2, "width": 4, "dense": 10}),
        ("midas_cnn", {"blocks": 1, "convolutions": 3, "width": 4, "channels": 3}),
    ],
)
def test_depth_is_the_number_of_groups_that_a_walk_finds(name: str, options: dict) -> None:
    info = models.model_info(name, options)
    model = build_model(
        name,
        n_classes=10,
        image_size=info.image_size,
        channels=info.channels,
        init_seed=0,
        head_seed=0,
        options=options,
    )
    groups = layer_groups(model, torch.zeros(1, info.channels, *info.image_size))
    assert info.depth == len(groups)


@pytest.mark.parametrize(("given", "size"), [(32, (32, 32)), ([36, 48], (36, 48))])
def test_image_size_is_a_side_or_height_and_width(given: object, size: tuple[int, int]) -> None:
    assert models.model_info("midas_cnn", {"image_size": given}).image_size == size
    assert models.model_info("resnet18", {"image_size": given}).image_size == size


def test_normalisation_has_an_entry_for_each_channel() -> None:
    for name in ("midas_cnn", "resnet18", "googlenet"):
        for channels in (1, 3):
            info = models.model_info(name, {"channels": channels})
            assert len(info.mean) == len(info.std) == info.channels == channels


def test_an_unknown_network_is_one_line_with_the_nearest_name() -> None:
    with pytest.raises(ModelError, match=r"'resnt18' is no network \(did you mean 'resnet18'\?\)"):
        models.options_model("resnt18")


def test_wrong_options_are_a_line_each() -> None:
    with pytest.raises(ModelError) as caught:
        models.model_info("midas_cnn", {"dens": 500, "dropout": 1.5})
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert any("midas_cnn.dens: is no option" in x and "did you mean 'dense'" in x for x in lines)
    assert any("midas_cnn.dropout: 1.5" in x for x in lines)


def test_lenet5_takes_dropout_and_no_width() -> None:
    assert models.model_info("lenet5", {"dropout": 0.5}).depth == 5
    with pytest.raises(ModelError, match=r"lenet5\.width: is no option"):
        models.model_info("lenet5", {"width": 3})


def test_options_that_were_validated_come_back_as_they_are() -> None:
    for name, keys in (("lenet5", {"dropout": 0.5}), ("resnet18", {"image_size": 64})):
        options = read_options(name, keys)
        assert read_options(name, options) is options
        assert pickle.loads(pickle.dumps(options)) == options  # a trial carries them to its worker
        assert models.model_info(name, options) == models.model_info(name, keys)
