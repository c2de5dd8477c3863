"""What a plan takes of a machine: decoded bytes exact, memory within a factor; what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.plan import disk, room
from harness.plan.planner import make_plan
from harness.plan.room import Needed, There
from harness.sweepfile.reader import load_sweep
from harness.training.cards import Cards
from harness.training.machine import CONTEXT_BYTES, PROCESS_BYTES
from harness.trials.catalogue import DataCatalogue
from headstart.errors import InputError
from runs import ROOT, environment, run_here

SMALL = "midas_cnn, width: 8, dense: 100"
FACTOR = 1.5  # within which the memory of a worker is told
SWEEP = """\
name: room
question: Does it fit?
model: {name: midas_cnn, width: 8, dense: 100}
data: {name: glyphs, count: 120, seed: 1, train: 64, validation: 20, test: 20}
train: {batch_size: 32, epochs: 2}
arms:
  a: {}
  b: {train: {optimizer: sgd}}
seeds: 1
resources: {gpus: 0}
"""


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    return tmp_path / "sweep.yaml"


def needed(path, *settings, resources=None, **there):
    plan = make_plan(load_sweep(path, None, settings), DataCatalogue())
    resources = plan.sweep.resources.settled(resources or 0)
    return room.needed(plan, resources, plan.by_id, There(**there))


def test_decoded_bytes_are_those_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(10):
            pixels = rng.integers(0, 255, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{k}.png")
    path = tmp_path / "sweep.yaml"
    photos = f"{{name: folder, path: {tmp_path}/photos, train: 10, validation: 4, test: 6}}"
    text = re.sub(r"\{name: glyphs[^}]*\}", photos, SWEEP)
    path.write_text(text.replace(SMALL, "resnet18"), encoding="utf-8")
    (use,) = make_plan(load_sweep(path), DataCatalogue()).data
    expected = room.decoded_bytes(use)
    assert use.is_mapped
    (entry,) = (tmp_path / "cache" / "decoded").glob("folder-*")
    arrays = [np.load(entry / name, mmap_mode="r") for name in ("images.npy", "crc32.npy")]
    assert expected == sum(array.nbytes for array in arrays)
    assert expected == 20 * 3 * 224 * 224 + 20 * 4


def test_gray_images_that_are_shown_in_three_channels_lie_there_in_one(sweep):
    sweep.write_text(SWEEP.replace(SMALL, "resnet18"), encoding="utf-8")
    counts = ("data.count=20", "data.train=10", "data.validation=5", "data.test=5")
    (use,) = make_plan(load_sweep(sweep, None, counts), DataCatalogue()).data
    assert use.channels == 3
    assert room.decoded_bytes(use) == 20 * 224 * 224 + 20 * 4


def test_what_two_arms_take(sweep):
    """By hand: 120 images of 28² in a file that is mapped, one network of 36,000 weights or so."""
    need = needed(sweep)
    assert need.decoded == 120 * 28 * 28 + 120 * 4
    assert (need.images, need.shared, need.streamed) == (0, 120 * 28 * 28, 0)
    plan = make_plan(load_sweep(sweep, None, []), DataCatalogue())
    sizes = disk.bytes_of_plan(plan)
    assert need.weights == need.fewest == sum(each.weights for each in sizes.values())
    assert need.state == max(each.state for each in sizes.values())
    network = max(each.network for each in sizes.values())
    assert need.least == PROCESS_BYTES + network
    assert need.card == 0
    assert need.least < need.process < need.least + 50_000_000


def test_a_pack_holds_one_copy_of_the_images_and_each_network(sweep):
    one, eight = (needed(sweep, f"resources.pack={n}", resources=0) for n in (1, 8))
    (network,) = {t.network for t in disk.bytes_of_plan(
        make_plan(load_sweep(sweep, None, []), DataCatalogue())).values()}  # fmt: skip
    assert eight.least - one.least == 7 * network
    assert eight.images == one.images


def test_images_that_the_cache_does_not_keep_lie_in_each_process(sweep):
    plan = make_plan(load_sweep(sweep, None, []), DataCatalogue())
    for trial in plan.by_id.values():
        object.__setattr__(trial.data, "is_mapped", False)
    need = room.needed(plan, plan.sweep.resources.settled(0), plan.by_id, There())
    assert (need.images, need.shared) == (120 * 28 * 28, 0)
    assert need.least > PROCESS_BYTES + need.images
    assert "images take 94.1 kB of its memory; nothing is streamed" in room.line(need, There())


ON_GPU = ("resources.gpus=0.5", "resources.pack=1")


def test_on_a_card_the_set_lies_whole_and_the_context_beside_it(sweep):
    need = needed(sweep, *ON_GPU, resources=1)
    assert need.images == 120 * 28 * 28
    assert need.card > CONTEXT_BYTES + need.least + need.images


@pytest.mark.parametrize(
    ("card", "images", "streamed"),
    [
        (2 * 120 * 28 * 28, 120 * 28 * 28, 0),
        (2 * 104 * 28 * 28, 104 * 28 * 28, 0),  # what trials use fits, the whole set does not
        (2 * 104 * 28 * 28 - 1, 0, 120 * 28 * 28),
    ],
)
def test_a_set_that_does_not_fit_on_a_card_streams_and_the_line_says_why(
    sweep, card, images, streamed
):
    need = needed(sweep, *ON_GPU, resources=1, card=card)
    assert (need.images, need.streamed) == (images, streamed)
    line = room.line(need, There(card=card))
    if streamed:
        assert "a set of 94.1 kB streams from disk, because images may take 81.5 kB of" in line
    else:
        assert line.endswith("of its card; nothing is streamed).")


def test_a_file_larger_than_the_memory_streams_and_the_line_says_so(sweep):
    n = 104 * 28 * 28
    assert needed(sweep, memory=n).streamed == 0
    need = needed(sweep, memory=n - 1)
    assert (need.images, need.streamed) == (0, 120 * 28 * 28)
    line = room.line(need, There(memory=n - 1))
    assert line.endswith("(a set of 94.1 kB streams from disk, because the memory has 81.5 kB).")
    line = room.line(needed(sweep), There())
    assert line.endswith("read the images in one file of 94.1 kB together; nothing is streamed).")


def test_ended_trials_take_no_more(sweep):
    plan = make_plan(load_sweep(sweep, None, []), DataCatalogue())
    resources = plan.sweep.resources.settled(0)
    first, second = plan.by_id
    left = [
        room.needed(plan, resources, ids, There()).weights
        for ids in ([first], [second], plan.by_id)
    ]
    assert left[0] + left[1] == left[2]
    assert room.needed(plan, resources, [], There()).process == 0


def test_early_stopping_may_leave_one_file(sweep):
    need = needed(sweep, "save.every=1", "train.early_stopping.patience=1")
    assert need.weights == 3 * need.fewest


NEED = Needed(1000, 2000, 1500, 300, images=400, process=900, card=0, least=600)
ON_CARD = replace(NEED, card=900)


@pytest.mark.parametrize(
    ("need", "there", "message"),
    [
        (NEED, There(disk=1499), r"disk is too small: weights take 1.5 kB, and 1.5 kB are free"),
        (NEED, There(10_000, 1199, None, 2), r"2 workers at once take 1.2 kB .*give --slots 1"),
        (NEED, There(10_000, 599, None, 2), r"600 bytes each, 400 bytes of it.*fewer or smaller"),
        (NEED, There(10_000, 1800, None, 2, workers=2), r"4 workers .*give --slots 1$"),
        (
            ON_CARD,
            There(10_000, 1, 599, 2),
            r"card is too small.* take 600 bytes, .* part of the card is 599 bytes; raise",
        ),
    ],
)
def test_what_cannot_fit_is_one_line_with_the_number_and_what_to_do(need, there, message):
    with pytest.raises(InputError, match=message):
        room.check(need, there)


@pytest.mark.parametrize(
    ("need", "there"),
    [
        (NEED, There(1500, 1200, None, 2)),
        (NEED, There()),
        (NEED, There(1500, 10, None, None)),  # they run elsewhere
        (ON_CARD, There(1500, 10, 600, 2)),
        (ON_CARD, There(1500, 10, None, 2)),
    ],
)
def test_what_just_fits_runs(need, there):
    room.check(need, there)


@pytest.mark.parametrize(
    ("gpus", "card"), [(1, 4_000_000_000), (0.5, 2_000_000_000 - CONTEXT_BYTES), (0.1, 0)]
)
def test_the_share_of_the_smallest_card_counts(sweep, tmp_path, gpus, card):
    cards = Cards(("A", "B"), memory=(8_000_000_000, 4_000_000_000))
    sweep.write_text(SWEEP.replace("gpus: 0", f"gpus: {gpus}"), encoding="utf-8")
    resources = load_sweep(sweep, None, []).resources.settled(2)
    assert room.there(tmp_path, resources, cards, 8).card == card
    unknown = room.there(tmp_path / "not/yet", resources, Cards(("A",)), 4)
    assert unknown.card is None
    assert unknown.disk > 0


def test_a_command_that_cannot_fit_writes_nothing(sweep, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "memory_here", lambda: PROCESS_BYTES)
    with pytest.raises(InputError, match="memory is too small: 1 workers at once"):
        run_here(sweep, tmp_path / "run")
    with pytest.raises(InputError, match="memory is too small"):
        run_here(sweep, tmp_path / "run", "--dry-run")
    assert not (tmp_path / "run").exists()


def test_a_run_says_it_once_and_a_finished_one_not(sweep, tmp_path):
    assert run_here(sweep, tmp_path / "run").stderr.count("Needs about: on disk") == 1
    assert "Needs about" not in run_here(sweep, tmp_path / "run").stderr


@pytest.mark.slow
def test_sizes_are_looked_at_in_a_process_that_ends(sweep, tmp_path):
    """A command that trains nothing itself never holds PyTorch. Slow: two processes start."""
    code = (
        "import sys; from pathlib import Path; from harness.plan import disk;"
        "from harness.plan.planner import make_plan;"
        "from harness.sweepfile.reader import load_sweep;"
        "from harness.trials.catalogue import DataCatalogue\n"
        "if __name__ == '__main__':\n"
        "    plan = make_plan(load_sweep(Path(sys.argv[1]), None, []), DataCatalogue())\n"
        "    sizes = disk.bytes_of_plan(plan, is_apart=True)\n"
        "    assert 'torch' not in sys.modules\n"
        "    print(sorted((key, each.file) for key, each in sizes.items()))\n"
    )
    (tmp_path / "look.py").write_text(code, encoding="utf-8")
    alone = {**environment(), "HEADSTART_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, tmp_path / "look.py", sweep],
        env=alone, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plan = make_plan(load_sweep(sweep, None, []), DataCatalogue())
    here = disk.bytes_of_plan(plan)
    assert done.stdout.strip() == str(sorted((key, each.file) for key, each in here.items()))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet18", SMALL])
def test_the_memory_of_a_worker_is_told_within_a_factor(tmp_path, model):
    """Slow: a worker trains 224² images while its memory is looked at."""
    text = SWEEP.replace(SMALL, model).replace("epochs: 2", "epochs: 1")
    path = tmp_path / "sweep.yaml"
    path.write_text(text.replace("  b: {train: {optimizer: sgd}}\n", ""), encoding="utf-8")
    command = [sys.executable, "-m", "harness.sweep", path, "--engine", "local", "--no-report"]
    with subprocess.Popen(
        [*command, "--out", tmp_path / "run"], cwd=ROOT, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        peak = 0
        while process.poll() is None:
            peak = max(peak, _largest_child(process.pid))
            time.sleep(0.02)
    assert process.returncode == 0
    assert peak / FACTOR < needed(path).process < peak * FACTOR


def _largest_child(pid: int) -> int:
    """Bytes of anonymous memory of the largest process that `pid` has started."""
    sizes = [0]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split():
        try:
            status = Path(f"/proc/{child}/status").read_text("utf-8")
        except OSError:
            continue
        if size := re.search(r"RssAnon:\s+(\d+)", status):
            sizes.append(1024 * int(size[1]))
    return max(sizes)
