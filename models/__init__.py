"""Networks by name: building them, their layer groups, freezing, and weights in and out.

Importing this package is cheap: torch is imported by what builds or reads networks
(`models.build`, `models.finetune`, `models.weights`), not by the catalogue that is offered here.
"""

from __future__ import annotations

from models.catalog import (
    is_users,
    kept_options,
    model_info,
    model_names,
    options_model,
    torchvision_names,
)
from models.info import ModelInfo
from models.sources.options import SOURCES, is_source

__all__ = [
    "SOURCES",
    "ModelInfo",
    "is_source",
    "is_users",
    "kept_options",
    "model_info",
    "model_names",
    "options_model",
    "torchvision_names",
]
