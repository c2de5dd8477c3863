"""`python -m datasets`: which data sets are on this machine, where, and how to get the others.

With `--get NAME` a set that has a public source is fetched and decoded. `make data` calls this.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from datasets.catalog import (
    dataset_module,
    dataset_names,
    load_dataset,
    locate_dataset,
    options_model,
)
from datasets.files.remote import address_of
from datasets.locations import data_folder, user_path
from headstart.caches import cache_folder, expanded
from headstart.cli import run_command, to_path
from headstart.errors import DataError, DataNotFoundError, InputError
from headstart.yaml12 import Node, parse_yaml


def main(argv: Sequence[str]) -> None:
    """Print the table, or fetch one set."""
    args = _parser().parse_args(argv)
    if args.get is not None:
        dataset = load_dataset(args.get, data_dir=args.data)
        print(f"{args.get}: {len(dataset.labels):,} images from {dataset.source}")
        return
    print(f"Looking in {data_folder(args.data)} (--data, HEADSTART_DATA or ./data)")
    print(f"Decoded arrays and downloads: {cache_folder()} (HEADSTART_CACHE)\n")
    for name in dataset_names():
        print(describe_place(name, args.data))
    for sweep in sorted(Path("sweeps").glob("*.yaml")):  # of the checkout, where this runs in one
        for line in describe_named(sweep, args.data):
            print(line)


def describe_place(name: str, data_dir: Path | None) -> str:
    """Lines for set `name`: what it is, whether it is here, and else the line that gets it."""
    headline = (dataset_module(name).__doc__ or "").strip().splitlines()[0]
    return f"{name:<15}{headline}\n{'':<15}{_place(name, data_dir)}\n"


def describe_named(sweep: Path, data_dir: Path | None) -> Iterator[str]:
    """A line for each file of data that a sweep file names by `path`, here or missing."""
    try:
        root = parse_yaml(sweep.read_text("utf-8"), str(sweep))
    except (InputError, OSError, UnicodeDecodeError):
        return  # the sweep's own command says what is wrong with it
    for path in dict.fromkeys(_paths_in(root)):
        if address_of(path) is not None:
            continue  # of a remote store: it is fetched
        try:
            place = f"here:    {user_path(path, data_folder(data_dir))}"
        except DataNotFoundError:
            put = expanded(path) if path.is_absolute() else data_folder(data_dir) / path
            place = f"missing: put it at {put}; {sweep} says where it is from"
        except DataError as err:
            place = f"not to be read: {err}"
        yield f"{sweep.name}: {path}\n{'':<15}{place}\n"


def _paths_in(node: Node) -> Iterator[Path]:
    """Values of `path` beside a `name` at and below a node: data sets, also of stages and lists."""
    if isinstance(node.value, list):
        for item in node.value:
            yield from _paths_in(item)
    if not isinstance(node.value, Mapping):
        return
    path = node.get("path")
    if node.get("name") is not None and path is not None and isinstance(path.value, str):
        yield Path(path.value)
    for _, child in node.items():
        yield from _paths_in(child)


def _place(name: str, data_dir: Path | None) -> str:
    fields = options_model(name).model_fields
    needed = [key for key, field in fields.items() if field.is_required()]
    if needed:
        return f"yours:   data: {{name: {name}, {', '.join(f'{key}: …' for key in needed)}}}"
    try:
        paths = locate_dataset(name, data_dir)
    except DataNotFoundError as missing:
        return f"missing: {missing.put or missing}"
    folders = dict.fromkeys(str(path if path.suffix == ".zip" else path.parent) for path in paths)
    return f"here:    {', '.join(folders)}" if paths else "here:    needs no files"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m datasets", description=__doc__)
    parser.add_argument("--data", type=to_path, help="where to look for data sets")
    parser.add_argument("--get", metavar="NAME", help="fetch this set, if it is not here")
    return parser


if __name__ == "__main__":
    run_command(main)
