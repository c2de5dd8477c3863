"""A network of a run as a folder that transformers, timm and the Hugging Face hub read.

In: a `SavedModel` of transformers or timm. Out: config.json, model.safetensors and, for
transformers, preprocessor_config.json; and what the model card says of them. It stands alone
because these layouts are of other programs, and only networks of these two libraries have them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.evaluate.models import SavedModel, network_of
from harness.evaluate.report import prepare
from headstart.errors import InputError
from headstart.files import write_json
from models.delta import to_bytes, write_content
from models.info import NewHead
from models.sources.options import HF, TIMM, is_source
from models.sources.timm_networks import configuration

RESIZED = ("resize", "centre_crop")  # ways of preparing pictures that both libraries know
_BILINEAR = 2  # as Pillow numbers it, and transformers with it


def needs_source(model: SavedModel) -> None:
    """Raises InputError where the network has no such folder."""
    choice = model.condition.model
    if not is_source(choice.name):
        raise InputError(
            f"--format huggingface: {choice.name} is no network of transformers or timm, which "
            "alone have such a folder; it can be written as state_dict or onnx"
        )
    if isinstance(choice.options.head, NewHead):
        raise InputError(
            "--format huggingface: model.head gives the network layers that its library does not "
            "know; it can be written as state_dict or onnx"
        )


PROBLEMS = {"labels": "multi_label_classification", "number": "regression"}  # by kind of target


def write_huggingface(model: SavedModel, folder: Path) -> None:
    """Write the folder's files: configuration, weights, and how pictures are prepared."""
    network = network_of(model)
    if model.condition.model.name.startswith(HF):
        write_json(folder / "config.json", _of_transformers(model, network))
        write_json(folder / "preprocessor_config.json", _processor(model))
    else:
        write_json(folder / "config.json", _of_timm(model, network))
    write_content(to_bytes(network.state_dict(), {"format": "pt"}), folder / "model.safetensors")


def _of_transformers(model: SavedModel, network: Any) -> dict[str, Any]:
    names = dict(enumerate(model.class_names))
    content: dict[str, Any] = network.config.to_dict()
    return content | {
        "architectures": [type(network).__name__],
        "id2label": {str(index): name for index, name in names.items()},
        "label2id": {name: index for index, name in names.items()},
        "problem_type": PROBLEMS.get(model.row.target, "single_label_classification"),
        "dtype": "float32",
    }


def _processor(model: SavedModel) -> dict[str, Any]:
    """Of `CLIPImageProcessor`, which alone has steps for both ways of preparing pictures."""
    (height, width), (kept_height, kept_width) = model.image_size, model.kept_size
    is_cropped = prepare(model, None).preprocess == "centre_crop" and kept_height == kept_width
    size = {"shortest_edge": kept_height} if is_cropped \
        else {"height": kept_height, "width": kept_width}  # fmt: skip
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": model.channels == 3,
        "do_resize": True,
        "size": size,
        "resample": _BILINEAR,
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(model.info.mean),
        "image_std": list(model.info.std),
    }


def _of_timm(model: SavedModel, network: Any) -> dict[str, Any]:
    of_timm = model.condition.model.name.removeprefix(TIMM)
    given = configuration(model.condition.model.name)
    size = [model.channels, *model.image_size]
    is_cropped = prepare(model, None).preprocess == "centre_crop"
    return {
        "architecture": of_timm.partition(".")[0],
        "num_classes": len(model.class_names),
        "num_features": network.num_features,
        "label_names": list(model.class_names),
        "model_args": {**network.made_with, "num_classes": len(model.class_names)},
        "pretrained_cfg": {
            "tag": model.id,
            "custom_load": False,
            "input_size": size,
            "fixed_input_size": "img_size" in network.made_with,
            "interpolation": "bilinear",
            "crop_pct": model.image_size[0] / (model.kept_size[0] + 1e-6),  # timm rounds down
            "crop_mode": "center" if is_cropped else "squash",
            "mean": list(model.info.mean),
            "std": list(model.info.std),
            "num_classes": len(model.class_names),
            "first_conv": getattr(given, "first_conv", None),
            "classifier": getattr(given, "classifier", None),
        },
    }


def front_matter(model: SavedModel) -> list[str]:
    """What the hub reads at the head of a model card."""
    library = "transformers" if model.condition.model.name.startswith(HF) else "timm"
    if model.row.target == "number":  # of which the hub has no kind of task
        return ["---", f"library_name: {library}", "tags:", "- image-regression", f"- {library}",
                "---", ""]  # fmt: skip
    return ["---", f"library_name: {library}", "pipeline_tag: image-classification",
            "tags:", "- image-classification", f"- {library}", "---", ""]  # fmt: skip


def use(model: SavedModel) -> list[str]:
    """The card's section on how the folder is read."""
    if model.condition.model.name.startswith(HF):
        lines = ["from transformers import AutoImageProcessor, AutoModelForImageClassification", "",
                 'processor = AutoImageProcessor.from_pretrained("FOLDER")',
                 'network = AutoModelForImageClassification.from_pretrained("FOLDER")']  # fmt: skip
    else:
        lines = ["import timm", "",
                 'network = timm.create_model("local-dir:FOLDER", pretrained=True).eval()',
                 "data = timm.data.resolve_data_config(model=network)",
                 "transform = timm.data.create_transform(**data)"]  # fmt: skip
    return ["## How it is read", "", "```python", *lines, "```", "", *_pictures(model)]


def _pictures(model: SavedModel) -> list[str]:
    prepared = prepare(model, None)
    height, width = model.kept_size
    is_known = prepared.preprocess in RESIZED and prepared.invert == "never" and not (
        prepared.preprocess == "centre_crop" and height != width)  # fmt: skip
    if not is_known:
        return ["These steps resize and normalise, no more. The network was trained on pictures "
                f"prepared so: {prepared.words()}. Prepare them first."]  # fmt: skip
    return ["Pictures of the network's own size give the trial's answers. Others are made smaller "
            "by other programs in ways of their own, which moves answers a little."]  # fmt: skip
