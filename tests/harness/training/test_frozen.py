"""The frozen front computed once: the same computation, the same bits each time, nothing else."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from datasets.base import Dataset
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile import frozen
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Condition, ModelChoice, Train
from harness.training import features
from harness.training.context import TrialContext
from harness.training.feature_file import TableShape
from harness.training.feature_store import FeatureStore
from harness.training.streaming import ReadAhead
from harness.training.trial import run_trial
from harness.trials.events import Ended, Stopped
from headstart.errors import InputError, ModelError, StorageError
from runs import fingerprints

SWEEP = """\
name: frozen
question: Is a frozen front computed once the same as in every step?
model: {name: midas_cnn, width: 4, dense: 30}
data: {name: glyphs, count: 900, seed: 1, train: 500, validation: 150, test: 250}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 3, evaluate_every: {steps: 5}}
pretrain:
  drawn:
    data: {name: glyphs, count: 300, seed: 2, train: 200, validation: 50}
    train: {epochs: 2}
arms:
  last: {initialize: drawn, fine_tune: last_layer}
  two: {initialize: drawn, fine_tune: last_2}
  slow: {initialize: drawn, fine_tune: last_2, train: {cache_frozen: false}}
seeds: 2
"""


@pytest.fixture
def run(tmp_path, write_sweep, context):
    """Run the arms (with the stages before them) into a folder; rows by arm."""

    def go(out, *arms, text=SWEEP, context=context, seeds=(0,)):
        plan = make_plan(load_sweep(write_sweep(text=text)), context.catalogue, seeds)
        rows = {}
        with RunFolder(tmp_path / out) as folder:
            for spec in plan.trials:
                if spec.stage == "pretrain" or spec.arm in arms:
                    rows[spec.arm] = finish(spec, folder, context)
        return rows

    return go


def finish(spec, folder, context):
    *_, last = run_trial(spec, folder.trial_folder(spec.id), context)
    assert isinstance(last, Ended)
    folder.publish(spec.id, last.row)
    return last.row


def condition(fine_tune="last_layer", model="lenet5", **train):
    return Condition(
        model=ModelChoice(name=model), data=(), train=Train(**train),
        fine_tune=fine_tune,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (condition(), None),
        (condition({"from": "fc1"}), None),
        (condition("last_4"), None),
        (condition("all"), "nothing before"),
        (condition("last_5"), "nothing before"),  # LeNet-5 has five groups
        (condition("gradual"), "moves the border"),
        (condition({"gradual": {"every": 2}}), "moves the border"),
        (condition(cache_frozen=False), "train.cache_frozen is false"),
        (condition(augment={"rotate": 15.0}), "augments its images anew"),
        (condition(augment={"rotate": 15.0}, frozen_views=3), None),
    ],
)
def test_the_sweep_alone_decides(given, reason):
    answer = frozen.reason_against(given)
    assert answer is None if reason is None else reason in answer


def test_the_dry_run_says_why_a_frozen_part_is_computed_in_every_step(write_sweep, context):
    plan = make_plan(load_sweep(write_sweep(text=SWEEP)), context.catalogue)
    assert list(frozen.notes(plan.sweep)) == [
        "slow: the frozen part is computed in every step: train.cache_frozen is false"
    ]
    views = SWEEP.replace("epochs: 3,", "epochs: 3, augment: {rotate: 15}, frozen_views: 3,", 1)
    sweep = load_sweep(write_sweep(text=views))
    none = {line for line in frozen.notes(sweep) if "frozen_views has no effect" in line}
    assert "slow: train.frozen_views has no effect: train.cache_frozen is false" in none
    assert not any(line.startswith("two:") for line in none)


def weights(tmp_path, out, row):
    return load_file(tmp_path / out / "trials" / row.trial_id / "model.safetensors")


def test_cached_and_uncached_are_the_same_computation(run, tmp_path):
    rows = run("run", "two", "slow")
    assert rows["two"].frozen == {
        "cached": True, "features": [16 * 9], "precision": "float32", "views": 1,
        "groups": ["conv1_1", "conv2_1", "conv3_1"],
    }  # fmt: skip
    assert rows["slow"].frozen == {"cached": False, "reason": "train.cache_frozen is false"}
    assert 0 < rows["two"].prefix_time_s <= rows["two"].setup_time_s
    cached, uncached = (weights(tmp_path, "run", rows[arm]) for arm in ("two", "slow"))
    for name, tensor in uncached.items():
        difference = (cached[name] - tensor).double().norm() / tensor.double().norm()
        assert difference < 1e-3, name
    predicted = [
        np.load(tmp_path / "run" / "trials" / rows[arm].trial_id / "predictions.npz")
        for arm in ("two", "slow")
    ]
    assert np.mean(predicted[0]["predicted"] == predicted[1]["predicted"]) >= 0.99  # near ties


def test_frozen_parameters_and_buffers_do_not_move(run, tmp_path):
    rows = run("run", "two")
    before, after = (weights(tmp_path, "run", rows[name]) for name in ("drawn", "two"))
    held = [name for name in before if not name.startswith(("dense", "head"))]
    assert any("running_mean" in name for name in held)
    assert all(torch.equal(before[name], after[name]) for name in held)
    assert not torch.equal(before["head.weight"], after["head.weight"])


@pytest.mark.slow
def test_the_same_bits_each_time_from_memory_file_or_anew_and_after_stops(
    run, tmp_path, write_sweep, context
):
    """Slow: the same trials are run six times."""
    run("first", "two")
    run("from_memory", "two")
    other = TrialContext(context.catalogue, features=FeatureStore(tmp_path / "features", 1.0))
    run("from_file", "two", context=other)
    anew = TrialContext(context.catalogue, features=FeatureStore(tmp_path / "anew", 1.0))
    run("anew", "two", context=anew)
    plan = make_plan(load_sweep(write_sweep(text=SWEEP)), context.catalogue, (0,))
    with RunFolder(tmp_path / "stopped") as folder:
        for spec in plan.trials:
            if spec.stage == "pretrain":
                finish(spec, folder, context)
            elif spec.arm == "two":
                finish_with_stops(spec, folder, context)
    first = fingerprints(tmp_path / "first")
    for out in ("from_memory", "from_file", "anew", "stopped"):
        assert fingerprints(tmp_path / out) == first, out


def finish_with_stops(spec, folder, context, every=4):
    n_stops = 0
    while True:
        steps = iter(range(10**9))
        stopping = TrialContext(
            context.catalogue, features=context.features,
            should_stop=lambda steps=steps: next(steps) >= every,
        )  # fmt: skip
        *_, last = run_trial(spec, folder.trial_folder(spec.id), stopping)
        if isinstance(last, Ended):
            folder.publish(spec.id, last.row)
            assert n_stops >= 2
            return
        assert isinstance(last, Stopped)
        n_stops += 1


def test_seeds_with_the_same_weights_and_images_share_tables(run, tmp_path):
    text = SWEEP.replace("pretrain:\n", "pretrain:\n", 1).replace(
        "  drawn:\n", "  drawn:\n    shared: true\n"
    )
    run("run", "last", text=text, seeds=(0, 1, 2))
    # all 900 images are used, whatever the split: one table for three trials
    assert len(list((tmp_path / "features").glob("*.npy"))) == 1


def test_the_images_of_a_front_are_read_before_their_turn(run, monkeypatch):
    """By a thread, each chunk once, where images lie on the device in any case."""
    read, by_thread = ReadAhead._read, []

    def seen(self, rows, memory):
        if threading.current_thread() is not threading.main_thread():
            by_thread.extend(rows.tolist())
        return read(self, rows, memory)

    monkeypatch.setattr(ReadAhead, "_read", seen)
    monkeypatch.setattr(features, "CHUNK", 100)
    run("run", "last")
    assert sorted(by_thread) == list(range(900))


def test_early_stopping_keeps_what_validation_chose(run, tmp_path):
    stopping = "epochs: 40, select: val_loss, early_stopping: {patience: 3, minimum_change: 0.02}"
    row = run("run", "two", text=SWEEP.replace("epochs: 3,", f"{stopping},", 1))["two"]
    folder = tmp_path / "run" / "trials" / row.trial_id
    curve = pq.read_table(folder / "curve.parquet").to_pylist()
    assert row.steps == curve[-1]["step"] < 40 * 16
    best = min(curve, key=lambda point: point["val_loss"])
    assert row.best_step == best["step"]
    since, watched = 0, np.inf
    for n, point in enumerate(curve[1:], start=1):
        better = point["val_loss"] < watched - 0.02
        watched, since = (point["val_loss"], 0) if better else (watched, since + 1)
        assert (since == 3) == (n == len(curve) - 1)


def test_early_stopping_is_the_same_after_stops(run, tmp_path, write_sweep, context):
    stopping = "epochs: 40, early_stopping: {patience: 3, minimum_change: 0.01},"
    text = SWEEP.replace("epochs: 3,", stopping, 1)
    assert run("straight", "last", text=text)["last"].steps < 40 * 16
    plan = make_plan(load_sweep(write_sweep(text=text)), context.catalogue, (0,))
    with RunFolder(tmp_path / "stopped") as folder:
        for spec in plan.trials:
            if spec.stage == "pretrain":
                finish(spec, folder, context)
            elif spec.arm == "last":
                finish_with_stops(spec, folder, context, every=6)
    assert fingerprints(tmp_path / "straight") == fingerprints(tmp_path / "stopped")


def test_fixed_views_are_views_of_the_training_images_alone(run, tmp_path):
    text = SWEEP.replace("epochs: 3,", "epochs: 3, augment: {rotate: 15}, frozen_views: 3,", 1)
    rows = run("run", "two", text=text)
    assert rows["two"].frozen["views"] == 3
    shapes = sorted(np.load(f).shape[0] for f in (tmp_path / "features").glob("*.npy"))
    assert shapes == [400, 3 * 500]  # validation and test images; views of the training images
    plain = run("plain", "two")
    assert rows["two"].trial_id != plain["two"].trial_id
    run("again", "two", text=text)
    assert fingerprints(tmp_path / "run") == fingerprints(tmp_path / "again")


def test_a_view_is_the_augmented_image(write_sweep, context):
    """Three views, the identity among the settings: each view's features are the image's own."""
    from harness.training.trial import Trial

    text = SWEEP.replace("epochs: 3,", "epochs: 3, augment: {erase: 1.0e-9}, frozen_views: 2,", 1)
    text = text.replace("initialize: drawn, ", "")
    plan = make_plan(load_sweep(write_sweep(text=text)), context.catalogue, (0,))
    spec = next(t for t in plan.trials if t.arm == "last")
    with RunFolder(write_sweep().parent / "run") as folder:
        part = Trial(spec, folder.trial_folder(spec.id), context).parts.train
    everywhere = torch.arange(len(part))
    first, second = (part.take(everywhere, torch.full((len(part),), v)) for v in (0, 1))
    torch.testing.assert_close(first, second)
    assert first.unique(dim=0).shape[0] > len(part) / 2


def test_bf16_features_take_half_the_room(run, tmp_path):
    run("run", "two")
    (float32,) = (tmp_path / "features").glob("*.npy")
    run("half", "two", text=SWEEP.replace("epochs: 3,", "epochs: 3, cache_precision: bf16,", 1))
    (bf16,) = set((tmp_path / "features").glob("*.npy")) - {float32}
    a, b = (np.load(path) for path in (float32, bf16))
    assert b.nbytes * 2 == a.nbytes
    back = torch.from_numpy(b).view(torch.bfloat16).float().numpy()
    np.testing.assert_allclose(back, a, rtol=2**-8, atol=1e-6)


def test_which_images_a_table_holds():
    n = 100
    parts = {"train": np.arange(80), "test": np.arange(80, 100)}
    images = np.zeros((n, 1, 2, 2), np.uint8)
    dataset = Dataset("x", images, np.zeros(n, np.int64), ("a",), parts, "0" * 32, "")
    few, most, test = np.array([7, 3]), np.arange(60)[::-1], np.arange(80, 100)
    assert [t.tolist() for t in features.table_indices(dataset, [few, test])] == [
        [3, 7], list(range(80, 100)),
    ]  # fmt: skip
    assert [len(t) for t in features.table_indices(dataset, [most, test])] == [80, 20]
    across = np.array([79, 80])
    assert [len(t) for t in features.table_indices(dataset, [across, most])] == [100]


def test_a_network_that_cannot_be_cut_says_what_to_set(write_sweep, context, monkeypatch):
    def refuse(*_):
        raise ModelError("this network cannot be cut in two")

    monkeypatch.setattr(features, "split_at", refuse)
    text = SWEEP.replace("initialize: drawn, ", "")
    plan = make_plan(load_sweep(write_sweep(text=text)), context.catalogue, (0,))
    spec = next(t for t in plan.trials if t.arm == "last")
    with (
        RunFolder(write_sweep().parent / "run") as folder,
        pytest.raises(ModelError, match=r"cannot be cut in two.*set train: {cache_frozen: false}"),
    ):
        list(run_trial(spec, folder.trial_folder(spec.id), context))


# -- the store -----------------------------------------------------------------------------

SHAPE = TableShape((10, 25))  # 1,000 bytes, and 128 of header
CPU = torch.device("cpu")


def fill_with(value, calls):
    def chunks():
        calls.append(value)
        yield torch.full((6, 25), value)
        yield torch.full((4, 25), value)

    return chunks


def test_a_table_is_computed_once_and_read_by_others(tmp_path):
    calls: list[float] = []
    first, other = FeatureStore(tmp_path), FeatureStore(tmp_path)
    for store in (first, first, other):
        table = store.get("a", SHAPE, fill_with(2.5, calls), CPU)
        assert table.shape == (10, 25)
        assert (table == 2.5).all()
    assert calls == [2.5]


def test_what_was_used_longest_ago_makes_room(tmp_path):
    calls: list[float] = []
    for number, name in enumerate("abca"):  # a store each, as by workers one after another
        FeatureStore(tmp_path, 2300e-9).get(name, SHAPE, fill_with(number, calls), CPU)
        stamp = 10**9 * (number + 1)
        os.utime(tmp_path / f"{name}.npy", ns=(stamp, stamp))
    assert calls == [0, 1, 2, 3]  # a was removed for c, and made again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "c.npy"]


HEADER = 128  # bytes of the .npy file before the numbers


def damaged(content):
    """What may lie under the table's name and is not what was written."""
    table, record = content[: HEADER + 1000], content[HEADER + 1000 :]
    return {
        "shorter": content[:-5],
        "half of it": content[:500],
        "a number": table[:-3] + b"x" + table[-2:] + record,
        "rolled": table[:HEADER] + table[HEADER + 100 :] + table[HEADER : HEADER + 100] + record,
        "a checksum": table + record.replace(b'"blocks": [[', b'"blocks": [[1'),
        "nothing": b"",
    }


@pytest.mark.parametrize(
    "what", ["shorter", "half of it", "a number", "rolled", "a checksum", "nothing"]
)
def test_a_damaged_table_is_computed_again_and_that_is_said(tmp_path, capsys, what):
    rows = torch.arange(250.0).reshape(SHAPE.shape)
    path = tmp_path / "a.npy"
    FeatureStore(tmp_path).get("a", SHAPE, lambda: iter([rows[:3], rows[3:]]), CPU)
    path.write_bytes(damaged(path.read_bytes())[what])
    again = FeatureStore(tmp_path).get("a", SHAPE, lambda: iter([rows]), CPU)
    assert torch.equal(again, rows)
    said = f"{path}: the features kept here are damaged; they are computed anew\n"
    assert capsys.readouterr().err == said


def test_another_table_of_the_same_shape_is_none(tmp_path):
    calls = []
    FeatureStore(tmp_path).get("b", SHAPE, fill_with(2.0, calls), CPU)
    (tmp_path / "b.npy").rename(tmp_path / "a.npy")
    assert (FeatureStore(tmp_path).get("a", SHAPE, fill_with(1.0, calls), CPU) == 1.0).all()


def test_more_than_the_limit_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_FEATURES_GB", "0.0000005")
    with pytest.raises(InputError, match="HEADSTART_FEATURES_GB allows 5e-07; raise it, or set"):
        FeatureStore(tmp_path).get("a", SHAPE, fill_with(1.0, []), CPU)
    monkeypatch.setenv("HEADSTART_FEATURES_GB", "much")
    with pytest.raises(InputError, match="HEADSTART_FEATURES_GB='much': a number of gigabytes"):
        FeatureStore(tmp_path).get("a", SHAPE, fill_with(1.0, []), CPU)


def test_a_full_disk_is_one_message_and_leaves_nothing(small_disk):
    """With a map of a file with holes, which was used before, the process was killed (SIGBUS)."""
    folder = small_disk / "features"
    FeatureStore(folder).get("small", SHAPE, fill_with(1.0, []), CPU)
    large = TableShape((10_000, 25))  # 1 MB

    def chunks():
        yield from (torch.ones(1000, 25) for _ in range(10))

    with pytest.raises(StorageError) as info:
        FeatureStore(folder).get("large", large, chunks, CPU)
    said = str(info.value)
    assert said.startswith(f"{folder}/large.npy: cannot be written: No space left")
    assert f"the cache folder {small_disk}: HEADSTART_CACHE names another one" in said
    assert [path.name for path in folder.iterdir()] == ["small.npy"]
    assert (FeatureStore(folder).get("small", SHAPE, fill_with(2.0, []), CPU) == 1.0).all()


def test_a_folder_that_is_a_file_is_one_message(tmp_path):
    (tmp_path / "features").write_text("")
    with pytest.raises(StorageError, match=r"features: File exists; .*HEADSTART_CACHE"):
        FeatureStore(tmp_path / "features").get("a", SHAPE, fill_with(1.0, []), CPU)


def test_computed_rows_lie_in_the_file_as_they_are(tmp_path):
    rows = torch.randn(10, 25, generator=torch.Generator().manual_seed(0))
    store = FeatureStore(tmp_path)
    for precision, kept in (("float32", rows), ("bf16", rows.to(torch.bfloat16))):
        shape = TableShape((10, 25), precision)
        table = store.get(precision, shape, lambda: iter([rows[:7], rows[7:]]), CPU)
        assert torch.equal(table, kept)


def test_other_weights_have_another_hash():
    state = {"w": torch.zeros(3), "b": torch.zeros(2)}
    same = {"b": torch.zeros(2), "w": torch.zeros(3)}
    assert features.weights_hash(state) == features.weights_hash(same)
    for other in ({"w": torch.zeros(3)}, {**state, "b": torch.tensor([0.0, -0.0])},
                  {"v": torch.zeros(3), "b": torch.zeros(2)}):  # fmt: skip
        assert features.weights_hash(state) != features.weights_hash(other)


def test_the_record_is_in_trial_json(run, tmp_path):
    row = run("run", "last")["last"]
    written = json.loads((tmp_path / "run" / "trials" / row.trial_id / "trial.json").read_text())
    assert written["frozen"]["cached"] is True
    assert written["prefix_time_s"] > 0
