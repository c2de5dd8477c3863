"""WebDataset shards: tar files of samples, each an image and its label under one key.

`{name: webdataset, path: DIR}` reads all shards of a folder, one tar file, or
`DIR/train-{000000..000003}.tar`. A sample is the files of one name up to its first dot: `0001.jpg`
with `0001.cls` (or `.json`, `.txt`). Parts come from the names of shards (`train-000.tar`,
`val/000.tar`), names of classes from a `classnames.txt` beside them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from datasets.arrays.classes import NamesSetting
from datasets.base import Dataset, DatasetInfo, Request
from datasets.cache.cached import cached
from datasets.files.peek import has_images, refuse_pointers
from datasets.files.places import Place
from datasets.files.shards import expanded_braces, files_by_part
from datasets.files.trees import Tree, open_tree, walk
from datasets.images.image_set import ImageOptions, dataset_of_files, in_place
from datasets.images.labelled import Labelled, is_number_labels, layout_of, names_are_used
from datasets.images.samples import are_samples, choose
from datasets.locations import user_path, user_paths
from datasets.tables.text import decode, read_bytes
from headstart.errors import DataError
from headstart.settings import key

VERSION = 1
_SHARD = re.compile(r"\.tar$|\d\.(tgz|tar\.gz)$", re.IGNORECASE)
_NAMES = "classnames.txt"
_MOST_NAMES = 4 << 20  # bytes


def _knows(names: Sequence[str]) -> bool:
    """Archives that lie beside class folders are what these were unpacked from."""
    has_shards = any(_SHARD.search(name) for name in names) and not has_images(names)
    return has_shards or are_samples(names)


INFO = DatasetInfo(knows=_knows, reads_archives=True)


class Options(ImageOptions):
    """Where the shards are, and which files of a sample hold what."""

    path: Path = key("A folder of tar files, one of them, or several as "
        "`train-{000000..000003}.tar`.", example="my/shards")  # fmt: skip
    class_names: NamesSetting = key(  # type: ignore[assignment]
        "Which classes, in the order of their labels; names of the labels, where these are "
        "numbers; or for each label its name. Without it all that occur.",
        None, example=["cat", "dog"])  # fmt: skip
    image_key: str | None = key("The ending of the images, where samples have several.", None,
        example="jpg")  # fmt: skip
    label_key: str | None = key("The ending of the files of labels (`cls`, `txt`), or the key of "
        "the label in `.json` files; without it the one there is.", None,
        example="class_name")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """All shards; the folder itself where its samples are unpacked."""
    paths = user_paths(expanded_braces(options.path), request.data_dir)
    if not paths[0].is_dir():
        return paths
    shards = [Path(entry.path) for entry in walk(paths[0]) if _SHARD.search(entry.name)]
    return tuple(sorted(shard for shard in shards if shard.is_file())) or (paths[0],)


def load(options: Options, request: Request) -> Dataset:
    """All samples that have an image and a label, part by part."""
    shards = locate(options, request)
    sources = [*shards, *filter(Path.is_file, {shard.parent / _NAMES for shard in shards})]
    return cached(
        "webdataset",
        VERSION,
        options,
        request,
        sources,
        lambda asked: _decode(shards, options, asked),
        in_place=in_place(options, request),
    )


def _decode(shards: Sequence[Path], options: Options, request: Request) -> Dataset:
    refuse_pointers(shards)
    path = expanded_braces(options.path)[0]
    where = user_path(path, request.data_dir)
    folder = where if where.is_dir() else where.parent
    names = {shard.relative_to(folder).as_posix(): shard for shard in shards}
    by_part, notes = files_by_part(list(names), where)
    part_of = {name: part for part, files in by_part.items() for name in files}
    with ExitStack() as stack:
        trees = {name: stack.enter_context(open_tree(names[name])) for name in part_of}
        tree, shard_of = _joined(where if len(trees) == 1 else folder, trees)
        chosen = choose(tree, options.image_key, options.label_key)
        parts = [part_of[shard_of[image]] for image in chosen.images]
        images = Labelled(chosen.images, chosen.labels, parts)
        images, of_names = _with_names(images, folder)
        layout, order = layout_of(
            images, str(tree.where), options.class_names, [*notes, *chosen.notes, *of_names]
        )
        if names_are_used(images, options.class_names):
            options = options.model_copy(update={"class_names": None})
        return dataset_of_files("webdataset", tree, layout, options, request, order)


def _joined(where: Path, trees: dict[str, Tree]) -> tuple[Tree, dict[str, str]]:
    """One tree of all shards' files, and the shard of each."""
    if len(trees) == 1:
        ((name, tree),) = trees.items()
        return tree, dict.fromkeys(tree.names, name)
    places = {
        f"{shard}/{name}": (shard, name) for shard, tree in trees.items() for name in tree.names
    }

    def read(name: str) -> bytes:
        shard, inside = places[name]
        return trees[shard].read(inside)

    def place(name: str) -> Place:
        shard, inside = places[name]
        of_shard = trees[shard].place
        assert of_shard is not None, "all have places"
        return of_shard(inside)

    have_places = all(tree.place is not None for tree in trees.values())
    tree = Tree(where, tuple(places), frozenset(), read, place if have_places else None)
    return tree, {name: shard for name, (shard, _) in places.items()}


def _with_names(images: Labelled, folder: Path) -> tuple[Labelled, list[str]]:
    """`images` with the names of `classnames.txt`, where it lies beside the shards."""
    numbers = [label for label in images.labels if isinstance(label, int)]
    if not (folder / _NAMES).is_file() or not (numbers and is_number_labels(images)):
        return images, []
    content = read_bytes(folder / _NAMES, _MOST_NAMES)
    lines = decode(content, str(folder / _NAMES)).splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if len(set(names)) != len(names) or not 0 <= min(numbers) <= max(numbers) < len(names):
        raise DataError(
            f"{folder / _NAMES}: names {len(names)} classes, and the labels are {min(numbers)} … "
            f"{max(numbers)}; mend it or take it away"
        )
    labelled = Labelled(images.files, images.labels, images.parts, names)
    return labelled, [f"classes have the names of {_NAMES}"]
