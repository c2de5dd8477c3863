"""Finding ImageNet weights, and reading them under the network's own names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from headstart.errors import ModelError
from models import imagenet
from models.build import build_model
from models.finetune import layer_groups
from models.imagenet import locate_imagenet, read_imagenet
from models.weights import load_into, save_weights


def test_the_data_folder_comes_first(tmp_path: Path) -> None:
    (tmp_path / "resnet18_imagenet.pth").touch()
    found = locate_imagenet("resnet18", weights_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert found == tmp_path / "resnet18_imagenet.pth"


def test_what_was_fetched_before_is_found_unless_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = tmp_path / f"net-{hashlib.sha256(b'weights').hexdigest()[:8]}.pth"
    served.write_bytes(b"weights")
    monkeypatch.setattr(imagenet, "_address", lambda _: served.as_uri())
    cache = tmp_path / "cache"

    def locate(allow_download: bool = False) -> Path:
        return locate_imagenet(
            "resnet18", weights_dir=tmp_path, cache_dir=cache, allow_download=allow_download
        )

    fetched = locate(allow_download=True)
    assert locate() == fetched
    fetched.write_bytes(b"weighty")
    with pytest.raises(ModelError, match="not on this machine"):
        locate()
    said = f"{fetched}: damaged: it has not the checksum that its name says\n"
    assert capsys.readouterr().err == said
    assert locate(allow_download=True).read_bytes() == b"weights"


def test_without_a_download_the_message_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"put the weights at .*resnet18_imagenet.safetensors"):
        locate_imagenet("resnet18", weights_dir=tmp_path, cache_dir=tmp_path, allow_download=False)


def test_a_download_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "_address", lambda _: "http://127.0.0.1:9/resnet18-00000000.pth")
    with pytest.raises(
        ModelError, match=r"fetching http.* failed .*; put the weights at"
    ) as caught:
        locate_imagenet("resnet18", weights_dir=tmp_path, cache_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_checksum_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "served-00000000.pth").write_bytes(b"other bytes")
    address = (tmp_path / "served-00000000.pth").as_uri()
    monkeypatch.setattr(imagenet, "_address", lambda _: address)
    with pytest.raises(ModelError, match="invalid hash value"):
        locate_imagenet("resnet18", weights_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache" / "weights").iterdir())


def test_our_networks_have_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lenet5: there are no ImageNet weights"):
        locate_imagenet("lenet5", weights_dir=tmp_path, cache_dir=tmp_path)


def test_old_names_are_renamed_and_auxiliary_heads_dropped(tmp_path: Path) -> None:
    one = torch.zeros(1)
    old = "features.denseblock1.denselayer1.norm.1.running_mean"
    save_weights({old: one, "AuxLogits.fc.bias": one, "fc.bias": one}, tmp_path / "w.safetensors")
    read = read_imagenet("densenet121", tmp_path / "w.safetensors", (64, 64))
    new = "features.denseblock1.denselayer1.norm1.running_mean"
    assert set(read) == {new, "fc.bias"}


def test_squeezenets_weights_load_under_a_new_head(real_data: Path, tmp_path: Path) -> None:
    path = locate_imagenet(
        "squeezenet1_0", weights_dir=real_data / "weights", cache_dir=tmp_path, allow_download=False
    )
    model = build_model(
        "squeezenet1_0",
        n_classes=10,
        image_size=(64, 64),
        channels=1,
        init_seed=0,
        head_seed=0,
        options={"image_size": 64, "channels": 1, "channels_mode": "sum"},
    )
    groups = layer_groups(model, torch.zeros(1, 1, 64, 64))
    state = read_imagenet("squeezenet1_0", path, (64, 64))
    report = load_into(model, state, head="new", groups=groups)
    assert report.new == ("classifier.1.weight", "classifier.1.bias")
    assert report.summed == ("features.0.weight",)
    assert len(report.loaded) == 50
    stem = state["features.0.weight"].sum(1, keepdim=True)
    assert torch.equal(model.state_dict()["features.0.weight"], stem)
