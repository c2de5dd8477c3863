"""Many JPEGs of 224² as a set: rate in memory and streamed, bits, memory, open files, reading.

    python benchmarks/streaming.py [--images 200000] [--in-memory 50000] [--epochs 2] [--kills 2]
                                   [--folder DIR] [--keep DIR] [--batch 32] [--reads 1.0]

It makes the JPEGs in a scratch folder (`--folder` names where; about 8 kB of disk each, decoded
150 kB), and removes all of it in the end. `--keep DIR` works in DIR instead and leaves images and
decoded files there: the next command with it takes them up and makes what is missing. `--in-memory
0` leaves the first part out, `--images 0` the second. Then, with a small network of our own on one
thread:

1. Rates: one trial on the first `--in-memory` images three times: all of them in a process's own
   memory; as rows of the decoded file that is mapped; and read ahead as a set that is larger than
   the memory is. Each in a process of its own. On a machine that does other work the rates by
   processor time compare (of all threads; evaluations included). The weights of the three must be
   the same bits. Beside them stands how fast images are read ahead where nothing is trained: the
   first time that a process reads them, compared with their checksums, and after that.
2. The command on all images: planned (which decodes them), trained without a pause, and trained
   again in another folder with `--kills` kills of all its processes. The weights of both must be
   the same bits. Beside each stands how many images a second it trained on, in seconds of steps
   alone, and what share that is of the rate in memory of part 1. All the while the processes of
   the command are looked at: anonymous memory (RssAnon) of the largest and of all together, files
   that they have open, and bytes that they read from the disk.

3. `--reads GB` makes one file of that size and nothing else, and prints what the kernel reads from
   the disk for ten batches of 32 rows of 150 kB at random places: as it guesses, and told which
   rows (`datasets/cache/exact_reads.py`). The file is taken out of the page cache before each.

Prints a table. Nothing is claimed of a GPU, nor of a disk whose files are not in the page cache:
the read rate says how much came from the disk itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SIZE, N_CLASSES = 224, 10
WAYS = ("in memory", "mapped", "streamed")
LOOK_S = 0.2  # between two looks at the processes
NETWORK = """\
from torch import nn


class Net(nn.Module):
    def __init__(self, n_classes, in_channels=3):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 8, 8, stride=4), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        )
        self.head = nn.Linear(256, n_classes)

    def forward(self, images):
        return self.head(self.features(images))
"""
SWEEP = """\
name: streaming
question: How fast is a set that does not fit into memory?
model: {{name: "net.py:Net", image_size: {size}, channels: 3}}
data: {{name: folder, path: {images}, split: {{train: 0.9, validation: 0.05, test: 0.05}}}}
train: {{learning_rate: 1.0e-3, batch_size: {batch}, epochs: {epochs}}}
arms: {{net: {{}}}}
seeds: 1
resources: {{gpus: 0, workers: 1, pack: 1}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--in-memory", type=int, default=50_000, help="of these, for the rates")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--folder", type=Path, help="where the scratch folder is made")
    parser.add_argument("--keep", type=Path, help="a folder to work in, which stays")
    parser.add_argument("--reads", type=float, metavar="GB", help="measure reading alone")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # a sweep file and a way
    given = parser.parse_args()
    if given.one:
        train_once(Path(given.one[0]), given.one[1])
        return
    if given.reads is not None and given.reads < 0.1:
        parser.error("--reads: 0.1 GB or more, of which 48 MB are asked for")
    with scratch_folder(given.folder, given.keep) as scratch:
        if given.reads is not None:
            show_reads(scratch, round(given.reads * 1e9 / (3 * SIZE * SIZE)))
            return
        (scratch / "net.py").write_text(NETWORK, encoding="utf-8")
        in_memory = None
        n_few = min(given.images or given.in_memory, given.in_memory)
        if n_few:
            os.environ["HEADSTART_CACHE"] = str(scratch / "cache-few")
            make_images(scratch / "few", n_few)
            in_memory = show_rates(written_sweep(scratch, "few", given), n_few)
            if given.keep is None:
                shutil.rmtree(scratch / "cache-few")
        if given.images:
            os.environ["HEADSTART_CACHE"] = str(scratch / "cache-all")
            make_images(scratch / "all", given.images)
            for earlier in ("whole", "killed"):
                shutil.rmtree(scratch / earlier, ignore_errors=True)
            sweep = written_sweep(scratch, "all", given)
            show_command(sweep, given.images, given.kills, in_memory)


@contextmanager
def scratch_folder(where: Path | None, keep: Path | None) -> Iterator[Path]:
    """A folder below `where` that is removed in the end, or `keep`, which stays."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(dir=where, prefix="streaming-") as name:
        yield Path(name)


def written_sweep(scratch: Path, images: str, given: argparse.Namespace) -> Path:
    path = scratch / f"{images}.yaml"
    settings = {"images": scratch / images, "batch": given.batch, "epochs": given.epochs}
    path.write_text(SWEEP.format(size=SIZE, **settings), encoding="utf-8")
    return path


def make_images(folder: Path, n: int) -> None:
    """`n` different JPEGs in a folder for each class: a slope of the class's own under noise.

    Those of an earlier command stay, and those beyond `n` go; each is a function of its number.
    """
    started = time.monotonic()
    ramp = np.linspace(0, 1, SIZE, dtype=np.float32)
    for label in range(N_CLASSES):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
    earlier = {int(path.stem): path for path in folder.glob("class*/*.jpg")}
    for k in range(n):
        if k in earlier:
            continue
        label = k % N_CLASSES
        coarse = np.random.default_rng(k).integers(0, 256, (7, 7, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        slope = (20 * label * (ramp if label % 2 else ramp[:, None])).astype(np.uint8)
        image[..., label % 3] = np.maximum(image[..., label % 3], slope)
        path = folder / f"class{label}" / f"{k:07d}.jpg"
        begun = path.with_suffix(".part")  # one that a killed command left is no image
        begun.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])
        begun.rename(path)
    for k in earlier.keys() - range(n):
        earlier[k].unlink()
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*.jpg"))
    n_made, seconds = n - len(earlier.keys() & set(range(n))), time.monotonic() - started
    say(f"{n_made:,} of {n:,} JPEGs made, {n_bytes / 1e6:,.0f} MB, {seconds:.0f} s")


# -- reading ------------------------------------------------------------------------------------


def show_reads(scratch: Path, n_rows: int) -> None:
    """What comes from the disk for rows at random places of a file that no memory keeps."""
    sys.path.insert(0, str(ROOT))
    from datasets.cache.exact_reads import ExactReads

    path = scratch / "reads.npy"
    shape = (n_rows, 3, SIZE, SIZE)
    rng = np.random.default_rng(0)
    with open(path, "wb") as file:
        for _ in range(n_rows):
            file.write(rng.bytes(int(np.prod(shape[1:]))))
        file.flush()
        os.fsync(file.fileno())
    batches = [np.sort(rng.choice(n_rows, 32, replace=False)) for _ in range(10)]
    asked = sum(map(len, batches)) * int(np.prod(shape[1:]))
    say(f"{asked / 1e6:.0f} MB of a file of {path.stat().st_size / 1e9:.2f} GB are asked for:")
    say(f"{'':24} {'from the disk':>14} {'of what was asked':>18} {'seconds':>8}")
    for is_told in (False, True):
        with open(path, "rb") as file:  # nothing of it stays in the page cache
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        rows = np.memmap(path, np.uint8, "r", shape=shape)
        reads = ExactReads(rows) if is_told else None
        before, started = read_from_disk(), time.perf_counter()
        for batch in batches:
            if reads is not None:
                reads.announce(batch)
            rows[batch].sum()
        seconds, n_read = time.perf_counter() - started, read_from_disk() - before
        name = "told which rows" if is_told else "as the kernel guesses"
        say(f"{name:24} {n_read / 1e6:11,.0f} MB {n_read / asked:18.2f} {seconds:8.2f}")
        del rows, reads


def read_from_disk() -> int:
    """Bytes that this process has read from the disk, and not from the page cache."""
    return _number(r"read_bytes: (\d+)", Path("/proc/self/io").read_text("utf-8"))


# -- rates --------------------------------------------------------------------------------------


def show_rates(sweep: Path, n: int) -> float:
    """Prints the table of three ways; returns images a second in memory."""
    run_sweep(sweep, "--dry-run")  # decodes
    n_bytes = n * 3 * SIZE * SIZE
    say(f"\nOne trial on {n:,} images ({n_bytes / 1e9:.2f} GB decoded), one thread:")
    say(f"{'':12} {'images/s':>9} {'ratio':>6} {'by cpu':>7} {'ratio':>6} {'RssAnon':>9}  weights")
    first = None
    for way in WAYS:
        command = [sys.executable, __file__, "--one", str(sweep), way]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        first = first or row
        ratio, by_cpu = (row[name] / first[name] for name in ("rate", "by_cpu"))
        bits = "the same bits" if row["weights"] == first["weights"] else "OTHER BITS"
        say(
            f"{way:12} {row['rate']:9,.0f} {ratio:6.2f} {row['by_cpu']:7,.0f} {by_cpu:6.2f} "
            f"{row['anonymous'] / 1e9:6.2f} GB  {bits}"
        )
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(sweep), "read"], check=True, capture_output=True
    )
    first_time, later = json.loads(done.stdout.splitlines()[-1])
    say(f"read alone, images/s: {first_time:,.0f} with their checksums, {later:,.0f} after that")
    assert first is not None
    return float(first["rate"])


def train_once(sweep: Path, way: str) -> None:
    """One trial in this process; prints its rate, its memory and the digest of its weights."""
    sys.path.insert(0, str(ROOT))
    import torch

    from harness.plan.planner import make_plan
    from harness.runfolder.folder import RunFolder
    from harness.sweepfile.reader import load_sweep
    from harness.training import shared_images
    from harness.training.context import TrialContext
    from harness.training.trial import run_trial
    from harness.trials.catalogue import DataCatalogue
    from harness.trials.events import Ended

    class InMemory(shared_images.SharedImages):
        def _keep(self, dataset):  # type: ignore[no-untyped-def]
            super()._keep(dataset)
            self.images = torch.from_numpy(np.array(dataset.images))

    if way == "streamed":
        shared_images.memory_here = lambda: 0  # type: ignore[attr-defined]
    images = InMemory() if way == "in memory" else shared_images.SharedImages()
    catalogue = DataCatalogue()
    plan = make_plan(load_sweep(sweep), catalogue)
    (spec,) = plan.trials
    if way == "read":
        print(json.dumps(read_alone(catalogue.open(spec.data).images)))
        return
    watch = Watch(os.getpid())
    context = TrialContext(catalogue, images=images)
    folder = Path(tempfile.mkdtemp(dir=sweep.parent))
    started = time.process_time()
    with watch.watching(), RunFolder(folder / "run") as run:
        *_, last = run_trial(spec, run.trial_folder(spec.id), context)
    assert isinstance(last, Ended), last
    row = last.row
    n_trained = spec.data.n_train * row.epochs
    answer = {
        "rate": n_trained / row.train_time_s,
        "by_cpu": n_trained / (time.process_time() - started),
        "anonymous": watch.largest,
        "weights": row.digests["model.safetensors"],
    }
    print(json.dumps(answer))


def read_alone(images: np.ndarray) -> list[float]:
    """Images a second, in two epochs of random order, batches of 256."""
    import torch

    from harness.training.streaming import ReadAhead

    source, rates = ReadAhead(images, torch.device("cpu")), []
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(len(images))
        batches = np.array_split(order, -(-len(images) // 256))
        started = time.perf_counter()
        source.follow(batches)
        for rows in batches:
            source.at(rows)
        rates.append(len(images) / (time.perf_counter() - started))
    return rates


# -- the command --------------------------------------------------------------------------------


def show_command(sweep: Path, n: int, kills: int, in_memory: float | None) -> None:
    say(f"\nThe command on {n:,} images ({n * 3 * SIZE * SIZE / 1e9:.1f} GB decoded):")
    say(f"{'':22} {'seconds':>8} {'largest':>9} {'together':>9} {'files':>6} {'from disk':>12}")
    plan = watched(sweep, "planned and decoded", "--dry-run")
    whole = watched(sweep, "trained", "--out", str(sweep.parent / "whole"))
    at = [whole * (k + 1) / (kills + 1) for k in range(kills)]
    again = str(sweep.parent / "killed")
    for k, seconds in enumerate(at):
        after = seconds - (at[k - 1] if k else 0)
        watched(sweep, f"killed after {after:.0f} s", "--out", again, kill_after=after)
    watched(sweep, "continued to its end", "--out", again)
    digests = [weights_of(sweep.parent / name, in_memory) for name in ("whole", "killed")]
    same = "the same bits" if digests[0] == digests[1] else "OTHER BITS"
    say(f"weights after {kills} kills and without: {same}; planned in {plan:.0f} s")


def weights_of(run: Path, in_memory: float | None) -> str:
    """Prints what the run's trial reached, and how fast; its weights."""
    (record,) = run.glob("trials/*/trial.json")
    row = json.loads(record.read_text("utf-8"))
    rate = row["images_per_s"]
    ratio = "" if in_memory is None else f", {rate / in_memory:.2f} of the rate in memory"
    say(
        f"   {run.name}: attempts {row['attempts']}, test accuracy {row['test_accuracy']:.3f}, "
        f"{rate:,.0f} images/s{ratio}"
    )
    (weights,) = run.glob("trials/*/model.safetensors")
    return str(weights.read_bytes())


def watched(sweep: Path, what: str, *more: str, kill_after: float | None = None) -> float:
    """Run the command, kill all its processes after some seconds; prints a row of the table."""
    started = time.monotonic()
    command = command_of(sweep, *more)
    with subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        watch = Watch(process.pid)
        with watch.watching():
            try:
                _, said = process.communicate(timeout=kill_after)
            except subprocess.TimeoutExpired:
                for pid in watch.pids():
                    os.kill(pid, signal.SIGKILL)
                _, said = process.communicate()
    if process.returncode != (0 if kill_after is None else -signal.SIGKILL):
        raise SystemExit(f"{what}: exit status {process.returncode}\n{said.decode()[-2000:]}")
    seconds = time.monotonic() - started
    rate = watch.n_read / seconds / 1e6
    say(
        f"{what:22} {seconds:8.0f} {watch.largest / 1e9:6.2f} GB {watch.together / 1e9:6.2f} GB "
        f"{watch.n_files:6} {watch.n_read / 1e9:4.1f} GB {rate:4.0f} MB/s"
    )
    return seconds


def command_of(sweep: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "harness.sweep", str(sweep), "--no-report"]
    return [*command, "--engine", "local", "--slots", "1", *more]


def run_sweep(sweep: Path, *more: str) -> None:
    subprocess.run(command_of(sweep, *more), cwd=ROOT, check=True, capture_output=True)


@dataclass
class Watch:
    """What a process and all that it has started take, looked at every `LOOK_S` seconds."""

    root: int
    largest: int = 0  # bytes of anonymous memory
    together: int = 0
    n_files: int = 0
    _read: dict[int, int] = field(default_factory=dict)

    @property
    def n_read(self) -> int:
        """Bytes that came from the disk, and not from the page cache."""
        return sum(self._read.values())

    @contextmanager
    def watching(self) -> Iterator[None]:
        is_over = threading.Event()

        def look() -> None:
            while not is_over.wait(LOOK_S):
                self.look()

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def look(self) -> None:
        sizes, n_files = [0], 0
        for pid in self.pids():
            try:
                status = Path(f"/proc/{pid}/status").read_text("utf-8")
                io = Path(f"/proc/{pid}/io").read_text("utf-8")
                n_files += len(os.listdir(f"/proc/{pid}/fd"))
            except OSError:  # it has ended
                continue
            sizes.append(1024 * _number(r"RssAnon:\s+(\d+)", status))
            self._read[pid] = _number(r"read_bytes: (\d+)", io)
        self.largest = max(self.largest, *sizes)
        self.together = max(self.together, sum(sizes))
        self.n_files = max(self.n_files, n_files)

    def pids(self) -> Sequence[int]:
        """The process and what it has started, at any remove."""
        pids = [self.root]
        for pid in pids:
            for path in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    pids += map(int, path.read_text("ascii").split())
                except OSError:
                    continue
        return pids


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    return int(match[1]) if match else 0


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
