"""Image data sets: `load_dataset(name, …)` gives images, labels, class names and a fingerprint.

One module is one data set (see `datasets.catalog` for what makes it one), and each is written so
that it can be copied to add another. Nothing here imports `harness`, `models` or torch.
"""

from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request
from datasets.catalog import (
    checked_options,
    class_alias,
    dataset_for_path,
    dataset_info,
    dataset_names,
    load_dataset,
    locate_dataset,
    options_model,
    remote_address,
    right_labels,
)
from datasets.split import Split, SplitSettings, split_dataset

__all__ = [
    "Dataset",
    "DatasetInfo",
    "DatasetOptions",
    "Request",
    "Split",
    "SplitSettings",
    "checked_options",
    "class_alias",
    "dataset_for_path",
    "dataset_info",
    "dataset_names",
    "load_dataset",
    "locate_dataset",
    "options_model",
    "remote_address",
    "right_labels",
    "split_dataset",
]
