"""Every reader of files that a stranger may have made: valid samples of each, and how it is read.

In: bytes and an empty folder. Out: nothing, where a reader takes them or refuses them in words
(`HeadstartError`); any other exception is a find. The fuzzer runs these targets for hours, each in
a process of its own; the property tests run the same targets for a second each. Samples are made
when they are asked for, by the project's own writers where it has one.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath
from random import Random
from unittest import mock

import numpy as np

from benchmarks.fuzz_mutations import (
    Change,
    change_array,
    change_bytes,
    change_gzip,
    change_json,
    change_png,
    change_table,
    change_tar,
    change_text,
    change_yaml,
    change_zip,
)
from headstart.errors import DataError, HeadstartError

Read = Callable[[bytes, Path], None]
NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: as `--target` names it.
        samples: makes valid files.
        read: gives a file's bytes to the reader; the folder is empty and may be written to.
        changes: of structure, beside the changes of bytes that every target gets.
        tokens: words of the format.
    """

    name: str
    samples: Callable[[], Sequence[bytes]]
    read: Read
    changes: tuple[Change, ...] = ()
    tokens: tuple[bytes, ...] = ()

    def make(self, rng: Random, corpus: Sequence[bytes]) -> bytes:
        """A new input from one of the corpus; a change of structure needs a file that is whole."""
        content = rng.choice(corpus)
        for _ in range(rng.choice((1, 1, 2, 3))):
            if self.changes and rng.random() < 0.7:
                try:
                    content = rng.choice(self.changes)(rng, content)
                    continue
                except Exception:  # broken by an earlier change: only its bytes can be changed
                    pass
            content = change_bytes(rng, content, corpus, self.tokens)
        return content


class NotInWordsError(Exception):
    """A refusal that nobody can read: several lines, none at all, or a control character."""


def check(target: Target, content: bytes, folder: Path) -> HeadstartError | None:
    """Give `content` to the target's reader; the refusal, or None where it was taken.

    Raises:
        NotInWordsError: a refusal that is not one line for each mistake.
        Exception: what escaped from the reader.
    """
    try:
        target.read(content, folder)
    except HeadstartError as err:
        lines = str(err).split("\n")
        if not all(line.strip() and len(line) < 20_000 for line in lines) or len(lines) > 200:
            raise NotInWordsError(f"{len(lines)} lines, {len(str(err))} characters") from err
        if any(not line.isprintable() for line in lines):
            raise NotInWordsError(f"not printable: {str(err)!r}") from err
        return err
    return None


def read_changed(name: str, seed: int) -> None:
    """One changed input to one target, for property tests; raises as `check` does."""
    target = TARGETS[name]
    content = target.make(Random(seed), _samples(name))
    with tempfile.TemporaryDirectory(prefix="headstart-property-") as folder:
        check(target, content, Path(folder))


@cache
def _samples(name: str) -> tuple[bytes, ...]:
    return tuple(TARGETS[name].samples())


# -- sweep files and settings ------------------------------------------------------------------


def _sweep_files() -> list[bytes]:
    files = sorted((Path(__file__).resolve().parents[1] / "sweeps").glob("*.yaml"))
    return [_OPTDIGITS, *(path.read_bytes() for path in files)]


_OPTDIGITS = b"""\
name: small
question: Does it help?
model: {name: lenet5}
data: {name: optdigits, train: 600, validation: 200, test: 200}
train: {optimizer: adam, learning_rate: 1.0e-3, epochs: 3, evaluate_every: {steps: 4}}
pretrain:
  digits: {data: {name: glyphs, count: 300, train: 200, validation: 50}, train: {epochs: 2}}
arms: {scratch: {}, pretrained: {initialize: digits, fine_tune: last_2}}
seeds: 2
compare: [{treatment: pretrained, control: scratch}]
measure: {targets: [0.3, 0.5], equivalence: 0.01}
grid: {train.batch_size: [16, 32]}
profiles: {longer: {train: {epochs: 12}}}
"""


def _read_sweep(content: bytes, folder: Path) -> None:
    from harness.plan.planner import make_plan
    from harness.sweepfile.reader import load_sweep
    from harness.sweepfile.resolved import resolved_yaml
    from harness.trials.catalogue import DataCatalogue

    path = _written(content, folder / "sweep.yaml")
    sweep = load_sweep(path)
    resolved_yaml(sweep)
    if all(c.data[0].name == "optdigits" for c in sweep.arms.values()):
        make_plan(sweep, DataCatalogue(folder))


def _slurm_settings() -> list[bytes]:
    profiles = Path(__file__).resolve().parents[1] / "slurm" / "profiles"
    return [
        *(path.read_bytes() for path in sorted(profiles.glob("*.yaml"))),
        b"mode: array\nnodes: 2\nshards: 8\nat_once: 2\ntime: 1-12\nmemory: 64G\npartition: p\n"
        b"sbatch: {constraint: a100, exclusive: true}\nmodules: [cuda, py]\nsetup: [ulimit -n 9]\n"
        b"lead_s: 60\nengine: ray\nscratch: $SLURM_TMPDIR\nactivate: source env/bin/activate\n",
    ]


def _read_slurm_settings(content: bytes, folder: Path) -> None:
    from slurm.render import Work, parts_of, render_batch_script
    from slurm.settings import load_settings

    settings = load_settings(_written(content, folder / "site.yaml"), {})
    work = Work("n", folder / "s.yaml", folder / "run", (), folder, "command", has_stages=True)
    for part in parts_of(settings, work):
        render_batch_script(settings, work, part)


_QUEUE = b"""\
7|7|RUNNING|1:00|2:00:00|2|n[1-2]|None
8_0|8|RUNNING|0:10|1:00:00|1|n1|None
8_[1-4,9%2]|8|PENDING|0:00|1:00:00|1||Resources
"""


def _read_queue(content: bytes, folder: Path) -> None:
    from slurm import jobs, status

    text = content.decode("utf-8", "replace").rstrip("\n")  # as subprocess gives it
    of_run = [jobs.Job(i, "7", "ray", 1, n, "log", "", "") for i, n in (("7", 1), ("8", 6))]
    with mock.patch.object(jobs, "call_slurm", return_value=text):
        entries = jobs.queue_entries(of_run)
    for job in of_run:
        status._describe_job(job, entries)


# -- data --------------------------------------------------------------------------------------


def _load(kind: str, folder: Path, **options: object) -> None:
    from datasets import load_dataset

    given = {"data_dir": folder, "cache_dir": folder / "cache", "allow_download": False}
    load_dataset(kind, options, **given)  # type: ignore[arg-type]


def _pixels(n: int = 6, side: int = 8, channels: int | None = None) -> np.ndarray:
    shape = (n, side, side) if channels is None else (n, side, side, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _tables() -> list[bytes]:
    rows = [[k % 3, *image.ravel()] for k, image in enumerate(_pixels(6, 3))]
    plain = "\n".join(",".join(map(str, row)) for row in rows)
    header = "label;" + ";".join(f"p{k}" for k in range(9))
    texts = [plain, "\n".join([header, *(line.replace(",", ";") for line in plain.splitlines())])]
    texts.append(
        "\n".join(f'"cat{k % 2}"\t' + "\t".join("0.5" * 1 for _ in range(9)) for k in range(4))
    )
    return [text.encode() for text in texts]


def _read_csv(content: bytes, folder: Path) -> None:
    _load("csv", folder, path=str(_written(content, folder / "t.csv")))


def _read_csv_gz(content: bytes, folder: Path) -> None:
    _load("csv", folder, path=str(_written(content, folder / "t.csv.gz")))


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def _idx_files() -> list[bytes]:
    return [_idx(_pixels()), _idx(np.arange(6, dtype=np.uint8) % 3)]


def _read_idx(content: bytes, folder: Path) -> None:
    """As the images, as the labels, and packed."""
    images, labels = _idx_files()
    for name, pair in (("i", (content, labels)), ("l", (images, content))):
        for part, data in zip(("images-idx3", "labels-idx1"), pair, strict=True):
            _written(data, folder / name / f"train-{part}-ubyte")
    refusals = [_refusal(partial(_load, "idx", folder, path=str(folder / name))) for name in "il"]
    for refusal in filter(None, refusals):
        raise refusal


def _refusal(read: Callable[[], None]) -> HeadstartError | None:
    try:
        read()
    except HeadstartError as err:
        return err
    return None


def _npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _npz_sets() -> list[bytes]:
    labels = np.arange(6) % 3
    return [
        _npz(images=_pixels(), labels=labels),
        _npz(x=_pixels(channels=3).astype(np.float32) / 255, y=labels.astype(str)),
        _npz(
            x_train=_pixels(), y_train=np.eye(3)[labels], x_test=_pixels(), y_test=np.eye(3)[labels]
        ),
        _npz(images=_pixels().reshape(6, 64), labels=labels[:, None] + 1),
    ]


def _read_npz(content: bytes, folder: Path) -> None:
    _load("npz", folder, path=str(_written(content, folder / "a.npz")))


# -- containers ----------------------------------------------------------------------------------


def _parquet_sets() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [{"bytes": _pictures()[k % 3], "path": None} for k in range(6)]
    says = {"huggingface": json.dumps({"info": {"features": {
        "label": {"names": ["a", "b"], "_type": "ClassLabel"}}}})}  # fmt: skip
    made = []
    for columns, metadata, options in (
        ({"image": files, "label": [0, 1] * 3}, says, {}),
        ({"image": files, "label": ["a", "b"] * 3}, None, {"compression": "zstd"}),
        ({"image": [f["bytes"] for f in files], "label": [0, 1] * 3}, None,
         {"use_dictionary": False, "data_page_version": "2.0"}),
    ):  # fmt: skip
        buffer = io.BytesIO()
        table = pa.table(columns).replace_schema_metadata(metadata)
        pq.write_table(table, buffer, **options)
        made.append(buffer.getvalue())
    return made


def _shards() -> list[bytes]:
    files = {f"{k}.{end}": content for k in range(4) for end, content in
             (("png", _pictures()[0]), ("cls", b"%d" % (k % 2)), ("json", b"{}"))}  # fmt: skip
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return [buffer.getvalue(), gzip.compress(buffer.getvalue())]


def _matlab_arrays() -> list[bytes]:
    from scipy.io import savemat

    labels = np.arange(6) % 3
    part = {"images": _pixels().reshape(6, 64), "labels": labels[:, None]}
    emnist = {"dataset": {"train": part, "test": part, "mapping": [[0, 65], [1, 66], [2, 67]]}}
    made = []
    for arrays, options in (
        ({"X": _pixels(channels=3).transpose(1, 2, 3, 0), "y": labels[:, None] + 1}, {}),
        ({"X": _pixels(), "y": np.array(["a", "b"] * 3, object)}, {"do_compression": True}),
        (emnist, {}),
        ({"x": _pixels().reshape(6, 64), "y": labels}, {"format": "4"}),
    ):
        buffer = io.BytesIO()
        savemat(buffer, arrays, **options)
        made.append(buffer.getvalue())
    return made


def _hdf5_arrays() -> list[bytes]:
    import h5py

    made = []
    for options in ({}, {"compression": "gzip", "shuffle": True, "fletcher32": True}):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file.create_dataset("train/images", data=_pixels(), **options)
            file["train/labels"] = np.array(["a", "b"] * 3, "S")
        made.append(buffer.getvalue())
    return made


def _npy_arrays() -> list[bytes]:
    made = []
    for array in (_pixels(), _pixels(channels=3).astype(np.float32) / 255):
        buffer = io.BytesIO()
        np.save(buffer, array)
        made.append(buffer.getvalue())
    return made


def _pickled() -> list[bytes]:
    import pickle

    labels = np.arange(6) % 3
    held = {"features": _pixels(), "labels": labels}
    return [pickle.dumps(each, protocol) for each in (held, (_pixels(), labels.tolist()))
            for protocol in (2, 5)]  # fmt: skip


def _batches() -> list[bytes]:
    import pickle

    rows = _pixels(6, 32, 3).reshape(6, -1)
    return [pickle.dumps({"data": rows, "labels": [0, 1, 2] * 2}, protocol) for protocol in (2, 5)]


def _read_container(name: str, file: str, content: bytes, folder: Path) -> None:
    _load(name, folder, path=str(_written(content, folder / file)))


def _read_npy(content: bytes, folder: Path) -> None:
    (folder / "set").mkdir()
    np.save(folder / "set/y.npy", np.arange(6) % 3)
    _written(content, folder / "set/x.npy")
    _load("npy", folder, path=str(folder / "set"))


def _read_batches(content: bytes, folder: Path) -> None:
    (folder / "set").mkdir()
    _written(content, folder / "set/data_batch_1")
    _load("cifar", folder, path=str(folder / "set"))


@cache
def _pictures() -> tuple[bytes, ...]:
    from PIL import Image

    made = []
    gray, colour = _pixels(1, 12)[0], _pixels(1, 12, 3)[0]
    as_png: list[tuple[Image.Image, dict[str, object]]] = [
        (Image.fromarray(gray), {}),
        (Image.fromarray(colour), {}),
        (Image.fromarray(_pixels(1, 12, 4)[0]), {}),
        (Image.fromarray(gray.astype(np.uint16) * 257), {}),
        (Image.fromarray(colour).convert("P"), {"transparency": 3}),
        (Image.fromarray(gray > 99), {}),
    ]
    for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP"):
        for image, options in as_png if kind == "PNG" else as_png[:2]:
            buffer = io.BytesIO()
            exif = Image.Exif()
            exif[0x0112] = 6
            extra = {"exif": exif} if kind in ("JPEG", "WEBP") else {}
            if kind == "TIFF":
                extra["compression"] = "tiff_lzw"  # type: ignore[assignment]
            image.save(buffer, kind, **options, **extra)
            made.append(buffer.getvalue())
    return (*made, *_odd_pictures(gray, colour))


def _odd_pictures(gray: np.ndarray, colour: np.ndarray) -> list[bytes]:
    """Of 16 bits and of floats, with several frames, of kinds that few have."""
    import cv2
    from PIL import Image

    made = [
        cv2.imencode(f".{kind}", colour.astype(np.uint16) * 257)[1].tobytes()
        for kind in ("png", "tif", "ppm")
    ]
    deep = [gray.astype(np.uint16) * 257, gray.astype(np.float32) / 255]
    plain = b"P3\n12 12\n255\n" + b" ".join(b"%d" % value for value in colour.ravel())
    for image, kind in [
        *[(Image.fromarray(samples), "TIFF") for samples in deep],
        *[(Image.fromarray(samples), "PPM") for samples in (gray, colour, deep[0], gray > 99)],
        (Image.fromarray(colour), "AVIF"),
        (Image.fromarray(colour).convert("CMYK"), "TIFF"),
    ]:
        buffer = io.BytesIO()
        image.save(buffer, kind)
        made.append(buffer.getvalue())
    for kind in ("GIF", "PNG", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        frames = [Image.fromarray(gray), Image.fromarray(255 - gray)]
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
        made.append(buffer.getvalue())
    return [*made, plain]


def _read_image(content: bytes, folder: Path) -> None:
    from datasets.images.decode import decode_image, read_image_size

    readings = (
        partial(decode_image, content, "x.png"),
        partial(decode_image, content, "x.png", as_gray=True),
        partial(read_image_size, content, "x.png"),
    )
    for refusal in [_refusal(reading) for reading in readings]:
        if refusal is not None:
            raise refusal


def _read_samples(content: bytes, folder: Path) -> None:
    from datasets.images.decode import decode_image

    decode_image(content, "x.tif", value_range=(0, 65535))


def _deep_pictures() -> list[bytes]:
    gray, colour = _pixels(1, 12)[0], _pixels(1, 12, 3)[0]
    return [data for data in _odd_pictures(gray, colour) if b"IEND" not in data[-12:]]


def _class_folders() -> dict[str, bytes]:
    pictures = _pictures()
    return {
        f"set/{part}/{name}/{k}.png": pictures[(k + ord(name)) % 2]
        for part in ("train", "test")
        for name in "ab"
        for k in range(2)
    }


def _zips() -> list[bytes]:
    plain = {f"{name}/{k}.png": _pictures()[k % 2] for name in "ab" for k in range(2)}
    return [_zipped(_class_folders()), _zipped(plain)]


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _read_zip(content: bytes, folder: Path) -> None:
    _load("folder", folder, path=str(_written(content, folder / "s.zip")))


def _tars() -> list[bytes]:
    made = []
    for mode in ("w", "w:gz"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
            for name, content in _class_folders().items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        made.append(buffer.getvalue())
    return made


def _read_tar(content: bytes, folder: Path) -> None:
    _load("folder", folder, path=str(_written(content, folder / "s.tgz")))


@cache
def _photos() -> tuple[bytes, ...]:
    """Two rows of three digits, dark on light: a photo of 240 × 160 pixels as PNG and JPEG."""
    import cv2

    page = np.full((160, 240), 235, np.uint8)
    for row, text in enumerate("12"):
        for place in range(3):
            at = (30 + 70 * place, 60 + 70 * row)
            cv2.putText(page, text, at, cv2.FONT_HERSHEY_SIMPLEX, 1.6, 20, 4)
    return tuple(cv2.imencode(kind, page)[1].tobytes() for kind in (".png", ".jpg"))


def _change_photo(rng: Random, content: bytes) -> bytes:
    """Another picture: cut, stretched, turned over, in strips, spotted, or of one colour."""
    import cv2

    page = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    kind = rng.randrange(9)
    if kind == 0:
        page = page[: rng.randrange(1, len(page) + 1), : rng.randrange(1, page.shape[1] + 1)]
    elif kind == 1:
        size = (rng.choice((1, 2, 5, 50, 900)), rng.choice((1, 2, 5, 50, 900)))
        page = cv2.resize(page, size)
    elif kind == 2:
        page = 255 - page
    elif kind == 3:
        page = np.full_like(page, rng.choice((0, 20, 128, 255)))
    elif kind == 4:
        page = page.copy()
        page[:: rng.randrange(2, 30)] = rng.choice((0, 255))
    elif kind == 5:
        noise = np.random.default_rng(rng.randrange(1 << 30))
        page = np.where(noise.random(page.shape) < rng.choice((0.01, 0.3)), 0, page).astype(
            np.uint8
        )
    elif kind == 6:
        page = np.rot90(page, rng.randrange(1, 4))
    elif kind == 7:
        page = np.tile(page, (rng.choice((1, 3)), rng.choice((1, 4))))
    else:
        at = (rng.randrange(page.shape[1]), rng.randrange(page.shape[0]))
        page = cv2.circle(page.copy(), at, rng.choice((1, 9, 40)), rng.choice((0, 255)), -1)
    return bytes(cv2.imencode(rng.choice((".png", ".jpg")), page)[1].tobytes())


_PHOTO_LABELS = ("12", "3", {"columns": "123"}, {"text": ["111", "222"]})


def _read_photo(content: bytes, folder: Path) -> None:
    """With labels that the content decides: reading a photo takes a second."""
    labels = _PHOTO_LABELS[sum(content) % len(_PHOTO_LABELS)]
    _load("sheets", folder, photos={str(_written(content, folder / "sheet.png")): labels})


def _labels_files() -> list[bytes]:
    return [
        b"a.jpg: 1234567890\nb.jpg: 3\nc.jpg: {columns: 0123456789}\n",
        b"a.jpg: {text: [31415, 92653]}\nb.jpg: {rows: 0123}\nc.jpg: {class: 7}\n",
    ]


def _read_labels_file(content: bytes, folder: Path) -> None:
    from datasets.sheet.labels_file import read_labels_file

    photos = [folder / name for name in ("a.jpg", "b.jpg", "c.jpg")]
    read_labels_file(_written(content, folder / "labels.yaml"), photos)


def _corrections() -> list[bytes]:
    return [
        f"a.jpg:\n  sha256: {'a' * 64}\n  drop: [[0, 0, 9, 9]]\n"
        f"  digits:\n    - {{box: [10, 10, 9, 9], label: 1}}\n    - {{box: [30, 10, 9, 9]}}\n"
        f"b.jpg: {{sha256: {'b' * 64}, digits: [{{box: [1, 1, 8, 8], label: 2}}]}}\n".encode()
    ]


def _read_corrections(content: bytes, folder: Path) -> None:
    """Corrections of two blank photographs, and what they make of a sheet with two digits."""
    from datasets.sheet.hand.by_hand import corrected
    from datasets.sheet.hand.corrections import read_corrections
    from datasets.sheet.labels import by_row
    from datasets.sheet.paper.ink import Ink
    from datasets.sheet.photos import Photo
    from datasets.sheet.reading.read import Reading
    from datasets.sheet.strokes.marks import find_marks

    blank, mask = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), bool)
    mask[11:18, 11:14] = mask[11:18, 31:34] = True
    ink = Ink(mask.astype(np.float32), mask, 1.0, 1.0, False, ~mask, blank, False)
    labels = by_row("12", "target")
    photos = [Photo(Path(f"{c}.jpg"), c, blank, labels, c * 64) for c in "ab"]
    file = _written(content, folder / "corrections.yaml")
    for correction in read_corrections(file, photos).values():
        for quarters in range(4):
            turned = ink.turned(quarters)
            rows = (tuple(find_marks(turned.mask)),)
            corrected(Reading(quarters, turned, rows, None), photos[0], correction)


def _listings() -> list[bytes]:
    return [b"a/0.png,a\nb/1.png,b\n", b"file;label\n0.png;a\n1.png;b\n", b"a/0.png\tSample001\n"]


def _read_listing(content: bytes, folder: Path) -> None:
    """A table of file names and labels, whose labels are then names of classes."""
    from datasets.files.trees import open_tree
    from harness.evaluate.labels import labels_of, listed_files

    _written(b"", folder / "a" / "0.png")
    _written(b"", folder / "b" / "1.png")
    table = _written(content, folder / "labels.csv")
    with open_tree(folder) as tree:
        _, given, _ = listed_files(tree, str(table))
    labels_of(given, ("a", "b", "1"), str(table))


_LABELS = {
    "labels.csv": (b"id,label,group,set\n0,a,x,train\n1,b,y,train\n2,a,z,test\n",
                   b"f;a;b\n0.png;1;0\n1.png;0;1\n2.png;1;0\n", b"0 a\n1 b\n2 a\n"),
    "labels.json": (b'{"0.png": "a", "1.png": "b", "2.png": "a"}',
                    b'[{"f": "0", "label": 1}, {"f": "1", "label": 2}, {"f": "2", "label": 1}]',
                    b'{"images": [{"id": 1, "file_name": "0"}, {"id": 2, "file_name": "1"}],'
                    b' "categories": [{"id": 3, "name": "a"}, {"id": 4, "name": "b"}],'
                    b' "annotations": [{"image_id": 1, "category_id": 3}]}'),
}  # fmt: skip


def _matlab_tables() -> list[bytes]:
    """Labels in order, names with labels, and structures; plain and packed."""
    from scipy.io import savemat

    names = np.array([["0.png"], ["1.png"], ["2.png"]], dtype=object)
    records = np.array([[(k, f"{k}.png") for k in range(3)]], dtype=[("class", "O"), ("f", "O")])
    tables = ({"labels": [[1, 2, 1]]}, {"files": names, "labels": [[1], [2], [1]]}, {"a": records})
    files = []
    for table, is_packed in itertools.product(tables, (False, True)):
        file = io.BytesIO()
        savemat(file, table, do_compression=is_packed)
        files.append(file.getvalue())
    return files


def _read_labels(name: str, content: bytes, folder: Path) -> None:
    """A table of three images' labels, named and lying there unasked."""
    from datasets.base import Request
    from datasets.files.trees import Tree
    from datasets.labels.settings import LabelOptions, labelled_layout
    from datasets.layout.layout import read_layout

    files = {"a/0.png": b"", "a/1.png": b"", "b/2.png": b"", name: content}
    tree = Tree(Path("t"), tuple(sorted(files)), frozenset({"a", "b"}), files.__getitem__)
    refusals = []
    for keys in ({"labels": name}, {"labels": name, "label_column": 2, "group": 1}, {}):
        options = LabelOptions.model_validate({"path": tree.where, **keys})
        try:
            labelled_layout(tree, options, Request(folder, folder), lambda: read_layout(tree))
        except HeadstartError as err:
            refusals.append(str(err))
    if refusals:
        raise DataError("\n".join(refusals))


# -- networks ----------------------------------------------------------------------------------


@cache
def _weights() -> dict[str, tuple[bytes, ...]]:
    """State dicts of a small network: as .safetensors, and as torch saves them."""
    import torch

    from models.weights import save_weights

    state = _network().state_dict()
    pickled = []
    for content in (state, {"state_dict": state, "epoch": 3}):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        pickled.append(buffer.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        save_weights(state, Path(folder) / "w")
        return {".safetensors": ((Path(folder) / "w").read_bytes(),), ".pt": tuple(pickled)}


def _network():
    from models.build import build_model

    return build_model("lenet5", n_classes=3, image_size=(28, 28), channels=1, init_seed=0,
                       head_seed=0)  # fmt: skip


def _read_weights(suffix: str, content: bytes, folder: Path) -> None:
    import torch

    from models import finetune
    from models.weights import load_into, read_weights

    state = read_weights(_written(content, folder / f"w{suffix}"))
    network = _network()
    groups = finetune.layer_groups(network, torch.zeros(2, 1, 28, 28))
    for head in ("keep", "new"):
        refusal = _refusal(partial(load_into, network, dict(state), head=head, groups=groups))
    if refusal is not None:
        raise refusal


def _change_safetensors(rng: Random, content: bytes) -> bytes:
    """A value of the header changed, and its length right."""
    (length,) = struct.unpack_from("<Q", content)
    header = change_json(rng, content[8 : 8 + length])
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


# -- run folders -------------------------------------------------------------------------------


@cache
def run_folder() -> dict[str, bytes]:
    """The files of a small finished run, as this version's writers leave them: name → content."""
    from harness.runfolder.tables import as_table
    from headstart.rows import EvaluationRow, TrialRow

    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        rows, curves = [], []
        for number, trial_id in enumerate(_plan().by_id):
            row, curve = _trial(run, trial_id, number)
            rows.append(row)
            curves += curve
        _pack(run, rows[3].trial_id)
        _write_run_files(run, rows)
        _write_parquet(as_table(rows, TrialRow), run / "trials.parquet")
        _write_parquet(as_table(curves, EvaluationRow), run / "curves.parquet")
        files = (path for path in sorted(run.rglob("*")) if path.is_file())
        return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


_RUN_SWEEP = b"""\
name: small
question: Does it help?
model: {name: lenet5}
data: {name: optdigits, train: 600, validation: 200, test: 200}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 1}
arms: {scratch: {}, pretrained: {train: {learning_rate: 0.01}}}
seeds: 2
compare: [{treatment: pretrained, control: scratch}]
measure: {targets: [0.3, 0.5], equivalence: 0.01}
"""


@cache
def _plan():
    """Four trials, two arms at two seeds."""
    from harness.plan.planner import make_plan
    from harness.sweepfile.reader import load_sweep
    from harness.trials.catalogue import DataCatalogue

    with tempfile.TemporaryDirectory() as folder:
        sweep = load_sweep(_written(_RUN_SWEEP, Path(folder) / "sweep.yaml"))
        return make_plan(sweep, DataCatalogue(Path(folder)))


def _trial(run: Path, identity: str, number: int):
    from harness.runfolder.folder import write_curve
    from headstart.files import write_json
    from headstart.rows import EvaluationRow, TrialRow

    arm, seed = _plan().by_id[identity].arm, _plan().by_id[identity].seed
    same = {"trial_id": identity, "arm": arm, "seed": seed}
    curve = [
        EvaluationRow(**same, step=step, epoch=step / 4, samples=32 * step, train_time_s=step * 0.1,
                      learning_rate=0.01, train_loss=1.0, val_loss=1.0,
                      val_accuracy=0.2 * step + 0.01 * number)
        for step in range(4)
    ]  # fmt: skip
    row = TrialRow(
        **same, sweep="small", stage="arm", status="done", model="lenet5", dataset="optdigits",
        dataset_fingerprint="f" * 32, initialize="random", fine_tune="all", n_parameters=100,
        n_trainable=100, n_classes=3, n_train=90, n_validation=30, n_test=12, learning_rate=0.01,
        batch_size=32, epochs=1, steps=3, best_step=3, best_val_accuracy=0.6 + 0.01 * number,
        final_val_accuracy=0.6, test_accuracy=0.5, test_loss=1.0, train_time_s=0.3, eval_time_s=0.1,
        setup_time_s=0.1, images_per_s=300.0, device="cpu", host="h", n_workers=1, ran_as="solo",
        attempts=1, finished_at="2026-01-02T03:04:05+00:00", class_names=("0", "1", "2"),
        versions={"torch": "2"}, files=("curve.parquet", "predictions.npz", "trial.json"),
    )  # fmt: skip
    folder = run / "trials" / identity
    folder.mkdir(parents=True)
    labels = np.arange(12) % 3
    chance = np.full((12, 3), 0.25, np.float16)
    chance[np.arange(12), (labels + (np.arange(12) > 5)) % 3] = 0.5
    np.savez(folder / "predictions.npz", indices=np.arange(12), labels=labels,
             predicted=chance.argmax(1), probabilities=chance)  # fmt: skip
    write_curve(folder / "curve.parquet", curve)
    write_json(folder / "trial.json", row.to_json())
    return row, curve


def _pack(run: Path, trial_id: str) -> None:
    from headstart.archives import Archives

    Archives(run).write("pack", run / "trials", [trial_id])


_DATA_RECORD = {
    "name": "optdigits", "dataset": "optdigits", "fingerprint": "f" * 32, "source": "scikit-learn",
    "image_size": [28, 28], "channels": 1, "class_names": ["0", "1"],
    "counts": {"train": [3, 4], "test": [1, 2]}, "n_groups": 2,
    "not_used": [{"name": "mnist", "reason": "not here"}], "notes": ["a note"], "warnings": ["!"],
}  # fmt: skip


def _write_run_files(run: Path, rows) -> None:
    from harness.runfolder.provenance import collect
    from headstart.files import write_json
    from headstart.lock import Holder
    from slurm.jobs import Job, record_jobs

    (run / "sweep.yaml").write_bytes(_RUN_SWEEP)
    trials = [{"id": r.trial_id, "stage": r.stage, "arm": r.arm, "seed": r.seed} for r in rows]
    write_json(run / "plan.json", {"sweep": "small", "trials": trials})
    write_json(run / "provenance.json", {**collect(()), "data": [_DATA_RECORD]})
    at = "2026-01-02T03:04:05+00:00"
    holder = Holder("h", "m", 1, "1", "g", at, at)
    write_json(run / ".lock-1-of-1.json", asdict(holder))
    (run / "images").mkdir()
    np.savez(run / "images" / f"{'f' * 32}.npz", indices=np.arange(12), images=_pixels(12)[:, None])
    (run / "slurm" / ".job-7").mkdir(parents=True)
    record_jobs(run, [Job("7", "7", "ray", 1, 1, "log", at, "command")])
    beat = {"node": "n1", "at": NOW - 5, "every_s": 5.0, "load": 0.5}
    write_json(run / "slurm" / ".job-7" / "node-0.json", beat)


def _write_parquet(table: object, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path)


@contextmanager
def _run_with(name: str, content: bytes, folder: Path) -> Iterator[Path]:
    """The run folder, one of its files replaced; without its lock, unless that is the file."""
    run = folder / "run"
    name = _one_of_run(name)
    for other, whole in run_folder().items():
        if other == name or not other.startswith(".lock"):
            _written(content if other == name else whole, run / other)
    yield run


def _one_of_run(pattern: str) -> str:
    """The first file of this name."""
    return next(name for name in run_folder() if PurePosixPath(name).match(pattern))


def _read_run(name: str, content: bytes, folder: Path) -> None:
    """Everything that looks at a run folder, one after the other; the last refusal is raised."""
    with _run_with(name, content, folder) as run:
        looks = (_status, _analysis, _models, _reused, _continued)
        refusals = [_refusal(partial(look, run)) for look in looks]
    for refusal in filter(None, refusals):
        raise refusal


def _status(run: Path) -> None:
    from harness.status import describe
    from slurm.jobs import read_jobs
    from slurm.status import count_trials, describe_trials, read_nodes

    for _ in describe(run):
        pass
    read_jobs(run)
    read_nodes(run, NOW)
    describe_trials(count_trials(run, NOW))


def _analysis(run: Path) -> None:
    from analysis.findings.asked import read_asked
    from analysis.findings.load import load_runs

    runs = load_runs([run])
    read_asked(runs)
    for trial_id in runs.trials["trial_id"]:
        runs.predictions(trial_id)
        runs.record(trial_id)
    runs.images("f" * 32)


def _models(run: Path) -> None:
    from harness.evaluate.models import find_models, own_answers, read_run

    for model in find_models(run, read_run(run)):
        own_answers(model)


def _reused(run: Path) -> None:
    """As `--reuse RUN` and `--dry-run` read it."""
    from harness.plan.dry_run import describe_plan
    from harness.runfolder.folder import RunFolder

    for _ in describe_plan(_plan(), run):
        pass
    with RunFolder(run.with_name("other")) as folder:
        folder.take_from(run, _plan().by_id)


def _continued(run: Path) -> None:
    """What the same command does before it trains and after it."""
    from harness.runfolder import folder as of_folder

    with mock.patch.object(of_folder, "LAG_S", 0.0), of_folder.RunFolder(run) as folder:
        folder.finished(_plan().by_id)
        folder.adopt(_plan().by_id)
        folder.begin("name: small\n", dict.fromkeys(("command", "started_at", "host")), _plan())
        folder.write_tables(_plan())
        for _ in folder.new_curves(_plan()):
            pass


def _of_run(name: str) -> list[bytes]:
    return [run_folder()[_one_of_run(name)]]


def _read_findings(content: bytes, folder: Path) -> None:
    """All numbers of the report, from a table of trials; takes a second and more."""
    from analysis.findings.findings import find
    from analysis.findings.load import load_runs

    with _run_with("trials.parquet", content, folder) as run:
        find(load_runs([run]))


def _answers() -> list[bytes]:
    labels = np.arange(12) % 3
    chance = np.full((12, 3), 1 / 3, np.float32)
    about = json.dumps({"name": "a", "data": "d", "by": "b"})
    return [
        _npz(indices=np.arange(12), given=labels, probabilities=chance, trusted_given=labels,
             trusted_probabilities=chance, class_names=np.array(["0", "1", "2"]),
             image_indices=np.arange(12), images=_pixels(12)[:, None], about=np.array(about))
    ]  # fmt: skip


def _read_answers(content: bytes, folder: Path) -> None:
    from analysis.audit.report import read_answers

    read_answers(_written(content, folder / "a.npz"))


def _written(content: bytes, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _run_target(name: str, file: str, *changes: Change, tokens: tuple[bytes, ...] = ()) -> Target:
    return Target(name, partial(_of_run, file), partial(_read_run, file), changes, tokens)


_YAML = (
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"!!",
    b"? ",
    b"{",
    b"[",
    b"|\n",
    b"<<: ",
    b"\xef\xbb\xbf",
    b"\x85",
)
_JSON = (b"{", b"[", b'"', b"\\u0000", b"\\ud800", b"NaN", b"1e999", b"null", b"\xef\xbb\xbf")
_PICKLE = (b"c", b"R", b".", b"(", b"\x80\x02", b"Q")
_CSV = (b",", b'"', b"\r", b"\x00", b"\xff\xfe", b"nan", b"inf", b"1e999", b"\n\n", b"\x1f")
_ZIP = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7")
_PICTURE = (
    b"IEND",
    b"IDAT",
    b"tRNS",
    b"eXIf",
    b"\xff\xd8",
    b"\xff\xd9",
    b"RIFF",
    b"VP8X",
    b"II*\0",
)
_TRIAL = "trials/*"

TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("yaml", _sweep_files, _read_sweep, (change_yaml, change_yaml, change_text), _YAML),
        Target("csv", _tables, _read_csv, (change_text,), _CSV),
        Target("csv_gz", lambda: [gzip.compress(t, 1) for t in _tables()], _read_csv_gz,
               (change_gzip(change_text),)),
        Target("idx", _idx_files, _read_idx),
        Target("npz", _npz_sets, _read_npz, (change_zip(change_array),), (*_ZIP, b"descr", b"|O")),
        Target("images", lambda: list(_pictures()), _read_image, (change_png,), _PICTURE),
        Target("samples", _deep_pictures, _read_samples, (), (*_PICTURE, b"P6", b"II*\0")),
        Target("zip", _zips, _read_zip, (change_zip(change_png),), _ZIP),
        Target("tar", _tars, _read_tar, (change_tar(change_png),), (b"ustar", b"\0" * 512)),
        Target("parquet", _parquet_sets, partial(_read_container, "parquet", "a.parquet")),
        Target("webdataset", _shards, partial(_read_container, "webdataset", "a.tar"),
               (change_tar(change_png),), (b"ustar", b".cls", b".json")),
        Target("mat", _matlab_arrays, partial(_read_container, "mat", "a.mat")),
        Target("hdf5", _hdf5_arrays, partial(_read_container, "hdf5", "a.h5")),
        Target("npy", _npy_arrays, _read_npy, (change_array,), (b"descr", b"|O")),
        Target("pickle", _pickled, partial(_read_container, "pickle", "a.pkl"), (), _PICKLE),
        Target("batches", _batches, _read_batches, (), _PICKLE),
        Target("photos", lambda: list(_photos()), _read_photo, (_change_photo,)),
        Target("photo_labels", _labels_files, _read_labels_file, (change_yaml, change_text), _YAML),
        Target("corrections", _corrections, _read_corrections, (change_yaml, change_text), _YAML),
        Target("labels.csv", lambda: _LABELS["labels.csv"], partial(_read_labels, "labels.csv"),
               (change_text,), _CSV),
        Target("labels.json", lambda: _LABELS["labels.json"], partial(_read_labels, "labels.json"),
               (change_json,), _JSON),
        Target("labels.mat", _matlab_tables, partial(_read_labels, "labels.mat")),
        Target("class_names", _listings, _read_listing, (change_text,), _CSV),
        Target("safetensors", lambda: _weights()[".safetensors"],
               partial(_read_weights, ".safetensors"), (_change_safetensors,)),
        Target("checkpoints", lambda: _weights()[".pt"], partial(_read_weights, ".pt"),
               (change_zip(partial(change_bytes, others=(), tokens=_PICKLE)),),
               _ZIP),
        Target("slurm_settings", _slurm_settings, _read_slurm_settings,
               (change_yaml, change_text), _YAML),
        Target("slurm_queue", lambda: [_QUEUE], _read_queue, (change_text,), (b"|", b"_[", b"%")),
        Target("answers", _answers, _read_answers, (change_zip(change_array),), _ZIP),
        Target("findings", partial(_of_run, "trials.parquet"), _read_findings, (change_table,)),
        _run_target("trial.json", f"{_TRIAL}/trial.json", change_json, tokens=_JSON),
        _run_target("predictions.npz", f"{_TRIAL}/predictions.npz", change_zip(change_array)),
        _run_target("archives", "packs/pack.zip", change_zip(change_json), change_zip(change_table),
                    change_zip(change_zip(change_array)), tokens=_ZIP),
        _run_target("trials.parquet", "trials.parquet", change_table),
        _run_target("curves.parquet", "curves.parquet", change_table),
        _run_target("plan.json", "plan.json", change_json, tokens=_JSON),
        _run_target("provenance.json", "provenance.json", change_json, tokens=_JSON),
        _run_target("run_sweep", "sweep.yaml", change_yaml, change_text, tokens=_YAML),
        _run_target("lock", ".lock-1-of-1.json", change_json, tokens=_JSON),
        _run_target("slurm_jobs", "slurm/jobs.json", change_json, tokens=_JSON),
        _run_target("slurm_node", "slurm/.job-7/node-0.json", change_json, tokens=_JSON),
        _run_target("run_images", f"images/{'f' * 32}.npz", change_zip(change_array)),
        _run_target("curve.parquet", f"{_TRIAL}/curve.parquet", change_table),
    )
}  # fmt: skip
