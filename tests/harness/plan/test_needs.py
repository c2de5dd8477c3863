"""What a sweep needs from outside: named without fetching, and fetched beforehand."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from data_files import class_folders, serving, write_handwritten62, write_mnist, write_tree

from harness.sweep import main
from headstart.errors import InputError, SpecError
from models import imagenet
from models.build import build_model
from runs import run_here

SWEEP = """\
name: needs
question: What does it need?
model: {name: lenet5}
data: {name: glyphs, count: 300, train: 200, validation: 50, test: 50}
train: {epochs: 1}
arms:
  drawn: {}
  again: {train: {epochs: 2}}
  several:
    data: {first_of: [{name: folder, path: not/there, optional: true}, {name: glyphs, count: 400}]}
"""
MORE = """\
  digits: {data: {name: mnist, source: 'http://127.0.0.1:9'}}
  photos: {data: {name: folder, path: photos}}
  started: {model: {name: squeezenet1_1, image_size: 32}, initialize: imagenet}
"""


@pytest.fixture
def sweep(tmp_path, monkeypatch) -> Path:
    """The sweep file, on a machine without data, and without a way to any public source."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HEADSTART_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(imagenet, "_address", lambda _: "http://127.0.0.1:9/weights.pth")
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP + MORE)
    return path


def asked(sweep: Path, option: str, capsys) -> tuple[int, list[str]]:
    """The exit status of the command with this option, and the lines that it prints."""
    capsys.readouterr()
    status = main([str(sweep), "--out", "run", option])
    assert not Path("run").exists()
    return status, capsys.readouterr().out.splitlines()


def test_a_dry_run_names_all_that_is_missing_and_fetches_nothing(sweep, tmp_path, capsys):
    status, lines = asked(sweep, "--dry-run", capsys)
    assert [line[: line.index(": ", line.index(": ") + 2)] for line in lines[:-1]] == [
        "mnist: would be fetched", "folder photos: missing",
        "ImageNet weights of squeezenet1_1: would be fetched",
    ]  # fmt: skip
    assert "15 MB, or put its four files" in lines[0]
    assert "give the path of your data" in lines[1]
    assert str(tmp_path / "data" / "weights" / "squeezenet1_1_imagenet.safetensors") in lines[2]
    assert status == 2
    assert not (tmp_path / "cache").exists()


def test_a_dry_run_of_what_a_run_would_fetch_is_no_mistake(sweep, capsys):
    sweep.write_text(SWEEP + MORE.splitlines()[0] + "\n")
    status, lines = asked(sweep, "--dry-run", capsys)
    assert (status, len(lines)) == (0, 2)
    assert lines[-1] == "Fetch it beforehand with --fetch; the plan is shown when it is here."


def test_what_cannot_be_fetched_is_said_with_the_reason_and_the_rest_is_gone_through(sweep, capsys):
    status, lines = asked(sweep, "--fetch", capsys)
    assert status == 2
    assert lines[0] == "glyphs: here: it needs no files"
    assert lines[1].startswith("folder there: replaced: glyphs stands in for it; not/there: no")
    mnist, photos, weights = lines[2:]
    assert mnist.startswith("mnist: missing: not on this machine: put its four files")
    assert "fetching it failed: http://127.0.0.1:9/train-images" in mnist
    assert photos.startswith("folder photos: missing: ")
    assert "fetching http://127.0.0.1:9/weights.pth failed" in weights


def test_what_is_fetched_is_said_in_bytes_once_and_is_then_here(
    sweep, tmp_path, capsys, monkeypatch
):
    served, data = tmp_path / "served", tmp_path / "data"
    served.mkdir()
    archive = served / "EnglishHnd.tgz"
    write_handwritten62(archive)
    (served / "weights.pth").write_bytes(b"w" * 1234)
    write_mnist(data / "mnist")
    write_tree(data / "photos", class_folders(20))
    with serving(served) as address:
        monkeypatch.setattr(imagenet, "_address", lambda _: f"{address}/weights.pth")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        letters = f"{{name: handwritten62, source: '{address}/EnglishHnd.tgz', sha256: {digest}}}"
        sweep.write_text(f"{SWEEP}{MORE}  letters: {{data: {letters}}}\n")
        status, lines = asked(sweep, "--fetch", capsys)
    assert status == 0
    cache, n_bytes = tmp_path / "cache", archive.stat().st_size
    assert lines[2:] == [
        f"mnist: here: {data / 'mnist'}",
        f"folder photos: here: {data / 'photos'}",
        f"ImageNet weights of squeezenet1_1: fetched: 1,234 bytes, into {cache / 'weights'}",
        f"handwritten62: fetched: {n_bytes:,} bytes, into {cache / 'downloads' / 'handwritten62'}",
    ]
    status, again = asked(sweep, "--fetch", capsys)  # the server is gone
    assert status == 0
    assert again[5] == f"handwritten62: here: {cache / 'downloads' / 'handwritten62'}"
    assert "here" in again[4]


def test_a_set_that_cannot_be_used_is_no_set_that_is_here(sweep, tmp_path, capsys):
    sweep.write_text(SWEEP + MORE.splitlines()[1] + "\n")
    write_tree(tmp_path / "data" / "photos", {"a/1.png": b"no image", "b/1.png": b"nor this"})
    status, lines = asked(sweep, "--fetch", capsys)
    assert status == 2
    assert lines[-1].startswith("folder photos: missing: it cannot be used: ")


def test_to_fetch_and_to_fetch_nothing_is_refused(sweep):
    with pytest.raises(InputError, match="give one of them"):
        run_here(sweep, Path("run"), "--fetch", "--dry-run")


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("option", ["--dry-run", "--fetch", "--engine=here"])
def test_no_other_data_stand_in_for_files_that_are_named_and_missing(sweep, option, place, capsys):
    both = ["{name: folder, path: not/there}", "{name: glyphs, count: 400}"]
    choices = ", ".join(both if place == "first" else both[::-1])
    old = SWEEP[SWEEP.index("{first_of") :].strip()
    sweep.write_text(SWEEP.replace(old, f"{{first_of: [{choices}]}}"))
    try:
        status, said = main([str(sweep), "--out", "run", option]), capsys.readouterr().out
    except InputError as err:
        status, said = err.exit_status, str(err)
    assert status == 2
    (line,) = [line for line in said.splitlines() if "not/there" in line]
    assert "arms.several.data.first_of" in line
    assert "no such file or folder" in line
    assert line.count("`optional: true` beside it would let the next of first_of stand in") == 1
    assert not Path("run").exists()


def test_too_few_images_are_told_by_a_dry_run_where_other_data_are_to_be_fetched(
    sweep, tmp_path, capsys
):
    images = class_folders(9)
    del images["a/0.png"]
    write_tree(tmp_path / "photos", images)
    counts = "per_class: true, train: 5, validation: 2, test: 2"
    few = f"  few: {{data: {{name: folder, path: photos, {counts}}}}}\n"
    sweep.write_text(SWEEP + MORE.splitlines()[0] + "\n" + few)
    assert main([str(sweep), "--out", "run", "--dry-run"]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("mnist: would be fetched")
    (line,) = said.err.splitlines()
    assert line.startswith("needs: few: data set 'folder'")
    assert "needed of each class: 9 (5 train + 2 validation + 2 test), found: 'a' 8;" in line


MISTAKEN = """\
name: mistaken
question: Which mistakes are there?
model: {name: lenet5, dropuot: 0.5}
data: {name: folder, path: photos}
arms:
  scratch: {}
  started: {initialize: weights.pth}
  other: {data: {path: others}}
  drawn:
    data: {first_of: [{name: folder, path: not/there, optional: true}, {name: glyphs, count: 400}]}
"""


def test_missing_data_are_told_with_the_other_mistakes_each_once_with_its_line(sweep):
    sweep.write_text(MISTAKEN)
    with pytest.raises(SpecError) as err:
        main([str(sweep), "--dry-run"])
    lines = [line.removeprefix(f"{sweep}:").split(": ")[:3] for line in err.value.mistakes]
    assert [line[:2] for line in lines] == [
        ["3", "model.dropuot"],
        ["7", "arms.started.initialize"],
        ["4", "data.path"],
        ["8", "arms.other.data.path"],
    ]
    assert [line[2] for line in lines[2:]] == ["folder photos", "folder others"]


@pytest.mark.parametrize("option", ["--dry-run", "--engine=here"])
def test_data_that_are_missing_are_told_with_the_line_that_names_them(sweep, option, capsys):
    text = MISTAKEN.replace(", dropuot: 0.5", "")
    sweep.write_text(text.replace("initialize: weights.pth", "train: {epochs: 2}"))
    try:
        status, said = main([str(sweep), option]), capsys.readouterr().out
    except InputError as err:
        status, said = err.exit_status, str(err)
    assert status == 2
    assert said.count(f"{sweep}:4: data.path") == 1
    assert said.count(f"{sweep}:8: arms.other.data.path") == 1


@pytest.mark.parametrize("fits", [False, True])
def test_weights_that_do_not_fit_are_told_with_missing_data(sweep, tmp_path, capsys, fits):
    own = build_model("lenet5", n_classes=10, image_size=(28, 28), channels=1,
                      init_seed=0, head_seed=0)  # fmt: skip
    tensors = own.state_dict() if fits else {"conv9.weight": torch.zeros(3, 3)}
    torch.save(tensors, tmp_path / "weights.pth")
    sweep.write_text(MISTAKEN.replace(", dropuot: 0.5", ""))
    assert main([str(sweep), "--dry-run"]) == 2
    said = capsys.readouterr()
    assert said.out.count(": missing: ") == 2
    line = f"{sweep}:7: arms.started.initialize: {tmp_path / 'weights.pth'}: the weights do not fit"
    assert said.err.count(line) == (0 if fits else 1)
