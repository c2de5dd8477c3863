"""Weights that arms start from: tried before any trial runs, all mistakes at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from harness.plan.planner import make_plan
from harness.plan.starts import check_starts
from harness.sweepfile.reader import load_run, load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.training import network as training
from harness.training.network import prepare_network
from harness.trials.catalogue import DataCatalogue
from headstart.errors import ModelError, SpecError
from models.build import build_model
from tests.harness.runs import run_here


def lenet(n_classes: int = 5) -> dict[str, torch.Tensor]:
    model = build_model("lenet5", n_classes=n_classes, image_size=(28, 28), channels=1,
                        init_seed=1, head_seed=1)  # fmt: skip
    return model.state_dict()


@pytest.fixture
def planned(write_sweep, tmp_path):
    """A plan of arms as the test writes them, each a line."""

    def plan(*arms: str, replace=()):
        text = "".join(f"\n  arm{n}: {arm}" for n, arm in enumerate(arms))
        path = write_sweep(("  scratch: {}", f"  scratch: {{}}{text}"), *replace)
        return make_plan(load_sweep(path), DataCatalogue(tmp_path))

    return plan


def test_what_became_of_a_file_is_said_once(planned, tmp_path):
    state = {f"module.{key}": tensor for key, tensor in lenet().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w.pth.tar")
    arm = f"{{initialize: {tmp_path}/w.pth.tar, fine_tune: "
    plan = planned(f"{arm}all}}", f"{arm}last_layer}}")
    assert check_starts(plan) == [
        f"{tmp_path}/w.pth.tar: its entry state_dict was taken; left out: epoch",
        f"{tmp_path}/w.pth.tar: the prefix module. was taken off its names",
    ]


def test_weights_that_fit_are_tried_again_where_their_file_changed(planned, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    tried, path, read = [], tmp_path / "w.pth", training.read_start
    monkeypatch.setattr(training, "read_start", lambda *a: tried.append(a) or read(*a))

    def notes(end="}"):
        return check_starts(planned(f"{{initialize: {path}, head: keep{end}"))

    torch.save(lenet(n_classes=10), path)
    first, before = notes(), path.stat()
    assert len(first) == 1
    assert [notes(), notes(", train: {epochs: 9}}")] == [first, first]
    assert len(tried) == 1, "another number of epochs is no other network"
    for kept in (tmp_path / "cache" / "starts").iterdir():
        kept.write_text(kept.read_text().replace("its head", "a head"))
    assert notes() == first
    assert len(tried) == 2, "what was kept was damaged"
    content = path.read_bytes()
    path.write_bytes(content[:-50] + bytes(50))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # of one size and time
    for _ in range(2):  # what is wrong is not kept
        with pytest.raises(SpecError, match=r"w\.pth"):
            notes()
    torch.save(lenet(n_classes=3), path)
    with pytest.raises(SpecError, match=r"\[3, 84\] in the file"):
        notes()


def test_all_that_does_not_fit_is_said_with_its_line(planned, tmp_path):
    torch.save(lenet(), tmp_path / "five.pth")
    torch.save({"a.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    (tmp_path / "page.bin").write_text("<html><title>Not found</title>")
    plan = planned(
        f"{{initialize: {tmp_path}/five.pth, head: keep}}",
        f"{{initialize: {tmp_path}/other.pth}}",
        f"{{initialize: {tmp_path}/page.bin}}",
        f"{{initialize: {tmp_path}/five.pth}}",
    )
    with pytest.raises(SpecError) as caught:
        check_starts(plan)
    first, second, third = caught.value.mistakes
    assert ".yaml:12: arms.arm0.initialize: " in first
    assert "[5, 84] in the file" in first
    assert "head: new gives it a fresh one" in first
    assert ".yaml:13: arms.arm1.initialize: " in second
    assert "the weights do not fit the network lenet5" in second
    assert "a.weight [2, 2]" in second
    assert "arms.arm2.initialize: " in third
    assert "is a web page (Not found)" in third


def test_a_stage_of_another_network_is_tried_too(planned):
    plan = planned(replace=[("drawn:\n", "drawn:\n    model: {name: midas_cnn, dense: 8}\n")])
    with pytest.raises(SpecError, match=r"pretrained.*stage drawn: the weights do not fit"):
        check_starts(plan)
    assert check_starts(planned()) == []
    of_data = ("count: 600, seed: 1,", "count: 600, seed: 1, normalise: {mean: 0.2, std: 0.4},")
    assert check_starts(planned(replace=[of_data])) == [
        "pretrained is normalised by 0.2, 0.4, and its stage drawn by 0.131, 0.308"
    ]


def test_a_command_ends_before_it_makes_its_folder(write_sweep, tmp_path):
    (tmp_path / "w.ckpt").write_bytes(b"")
    arm = f"{{initialize: {tmp_path}/w.ckpt}}"
    path = write_sweep(("{initialize: drawn}", arm))
    for options in ((), ("--dry-run",)):
        with pytest.raises(SpecError, match=r":12: arms.pretrained.initialize: .*w.ckpt: is empty"):
            run_here(path, tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_a_part_of_a_file_is_in_the_id_only_where_it_is_named(planned, tmp_path):
    torch.save({"model": lenet(), "ema": lenet()}, tmp_path / "two.pth")
    torch.save(lenet(), tmp_path / "w.pth")
    plan = planned(
        f"{{initialize: {tmp_path}/w.pth}}",
        f"{{initialize: {{file: {tmp_path}/w.pth}}, head: new}}",
        f"{{initialize: {{file: {tmp_path}/two.pth, entry: ema}}}}",
        f"{{initialize: {{file: {tmp_path}/two.pth, entry: model}}}}",
    )
    ids = {trial.arm: trial.id for trial in plan.trials}
    assert len(set(ids.values())) == 7
    assert check_starts(plan)[0].endswith("two.pth: its entry ema was taken; left out: model")
    as_text = planned(f"{{initialize: {{file: {tmp_path}/w.pth}}}}")
    assert {trial.arm: trial.id for trial in as_text.trials}["arm0"] == ids["arm0"]


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("weights", r"'weights': is a folder; give the file of weights in it: a\.pth"),
        ("run", r"is a run folder: write \{run: run, arm: NAME\}"),
        ("sub/none", "'sub/none': no such file"),
        ("unpacked", "a file of torch that was unpacked; pack it: zip -0 -r w.pth unpacked"),
        ("{file: none.bin}", r"arms.arm0.initialize.file: 'none.bin': no such file"),
        ("{file: w, entri: a}", r"entri: is not a key here; .*did you mean 'entry'"),
    ],
)
def test_what_is_no_file_is_told_by_what_it_is(planned, tmp_path, monkeypatch, start, says):
    monkeypatch.chdir(tmp_path)
    for name in ("weights/a.pth", "run/trials.parquet", "unpacked/data.pkl", "w"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(SpecError, match=says):
        planned(f"{{initialize: {start}}}")


@pytest.mark.parametrize("start", ["nonsense", "{file: w, entri: a}", "{run: a}"])
def test_an_arm_whose_start_is_a_mistake_is_not_called_the_same_as_another(planned, start):
    with pytest.raises(SpecError) as caught:
        planned(f"{{initialize: {start}}}")
    assert "same condition" not in str(caught.value)


def test_which_classes_a_kept_head_is_taken_for_is_said(planned, tmp_path):
    torch.save(lenet(n_classes=10), tmp_path / "w.pth")
    (note,) = check_starts(planned(f"{{initialize: {tmp_path}/w.pth, head: keep}}"))
    assert note == (f"{tmp_path}/w.pth: its head is kept: its outputs are taken for 0, 1, 2, 3 "
                    "and 6 more, in this order")  # fmt: skip
    assert check_starts(planned(f"{{initialize: {tmp_path}/w.pth, head: new}}")) == []


def test_a_file_that_was_exchanged_after_the_plan_is_not_loaded(planned, tmp_path):
    torch.save(lenet(), tmp_path / "w.pth")
    plan = planned(f"{{initialize: {tmp_path}/w.pth}}")
    spec = next(trial for trial in plan.trials if trial.arm == "arm0")
    prepare_network(spec, tmp_path, torch.device("cpu"))
    torch.save(lenet(n_classes=3), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"w\.pth: is another file than when the trials were pl"):
        prepare_network(spec, tmp_path, torch.device("cpu"))


def test_a_file_with_more_than_the_network_is_told_to_leave_it_out(planned, tmp_path):
    torch.save({**lenet(), "project\nion.weight": torch.zeros(2, 84)}, tmp_path / "w.pth")
    with pytest.raises(SpecError) as caught:
        check_starts(planned(f"{{initialize: {tmp_path}/w.pth}}"))
    (line,) = caught.value.mistakes
    assert r"project\nion.weight [2, 84] of the file is not in the network; where" in line
    assert line.endswith("save the file without it")


def test_the_users_folder_is_written_as_a_tilde(planned, tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path))
    torch.save(lenet(), tmp_path / "mine")
    plan = planned("{initialize: ~/mine}")
    arm = next(trial for trial in plan.trials if trial.arm == "arm0")
    assert arm.start_file == Path(tmp_path / "mine")
    assert arm.condition.start.written() == "~/mine"


def test_a_configuration_that_says_otherwise_is_named(planned, tmp_path):
    torch.save(lenet(), tmp_path / "w.bin")
    (tmp_path / "config.json").write_text('{"mean": [0.5], "std": [0.5]}')
    given = f"{{initialize: {tmp_path}/w.bin, model: {{normalise: weights}}}}"
    assert check_starts(planned(given)) == []
    (note,) = check_starts(planned(f"{{initialize: {tmp_path}/w.bin}}"))
    assert "config.json beside it says mean 0.5, deviation 0.5, and the network is given" in note
    assert "0.131, 0.308; model: {normalise: weights} takes the file's" in note


def test_a_run_is_read_where_its_start_is_gone(write_sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").touch()
    sweep = load_sweep(write_sweep(("{initialize: drawn}", "{initialize: w}")))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "sweep.yaml").write_text(resolved_yaml(sweep))
    (tmp_path / "w").unlink()
    assert load_run(tmp_path / "run") == sweep


ONE, TWO = "head: {hidden: [8]}", "head: {hidden: [9, 7], dropout: 0.5}"


@pytest.mark.parametrize(
    ("stage", "arm", "of_head", "takes_head"),
    [
        ("", ONE, "auto", False),  # the layers of the network without it
        (TWO, ONE, "auto", False),  # others
        (ONE, ONE, "auto", True),
        (ONE, ONE, "new", False),
        (ONE, "", "new", None),  # fc1 and fc2 are gone: the rest does not fit
    ],
)
def test_a_head_of_other_layers_is_drawn_anew(planned, tmp_path, stage, arm, of_head, takes_head):
    of_stage = stage or "head: null"
    plan = planned(
        replace=[
            ("{name: lenet5}", f"{{name: lenet5, {arm}}}" if arm else "{name: lenet5}"),
            ("drawn:\n", f"drawn:\n    model: {{{of_stage}}}\n"),
            ("{initialize: drawn}", f"{{initialize: drawn, head: {of_head}}}"),
        ]
    )
    if takes_head is None:
        with pytest.raises(SpecError, match=r"fc1\.bias is not in the file"):
            check_starts(plan)
        return
    said = any("its head is not of the layers of model.head" in note for note in check_starts(plan))
    assert said == (of_head == "auto" and not takes_head)
