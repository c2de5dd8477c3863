"""Where the code lies that a sweep file names, and that a run folder's is never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.sweepfile.reader import load_run, load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.trials.spec import DataUse, trial_id
from headstart.digests import sealed_text
from headstart.errors import InputError, SpecError

NETS = "def Net(n_classes, width: int = 4): ...\ndef Other(n_classes): ...\n"
SWEEP = """\
name: own
question: Where does its code lie?
model: {name: nets/my_nets.py:Net, width: 8}
data: {name: optdigits}
arms: {one: {}, two: {model: {width: 4}}}
"""
EVIL = "raise SystemExit('code of a run folder was run')\n"


def write(folder: Path, text: str = SWEEP, nets: str = NETS) -> Path:
    (folder / "nets").mkdir(parents=True)
    (folder / "nets" / "my_nets.py").write_text(nets, encoding="utf-8")
    (folder / "sweep.yaml").write_text(text, encoding="utf-8")
    return folder / "sweep.yaml"


def make_run(folder: Path, text: str) -> Path:
    """A run folder with code in it that must not be run, wherever a name could lead."""
    (folder / "nets").mkdir(parents=True)
    for file in (folder / "my_nets.py", folder / "nets" / "my_nets.py"):
        file.write_text(EVIL, encoding="utf-8")
    (folder / "plan.json").write_text("{}", encoding="utf-8")
    (folder / "sweep.yaml").write_text(sealed_text(text), encoding="utf-8")
    return folder


def test_a_name_is_relative_to_the_sweep_file(tmp_path: Path, monkeypatch) -> None:
    path = write(tmp_path / "project")
    monkeypatch.chdir(tmp_path)
    one, two = load_sweep(Path("project/sweep.yaml")).arms.values()
    assert one.model.name == f"{path.parent}/nets/my_nets.py:Net"
    assert one.model.shown == "my_nets.py:Net"
    assert one.model.hashed()["options"] == {"code": one.model.code, "width": 8}
    assert two.model.hashed()["options"] == {"code": one.model.code}
    assert one.own_code == (f"my_nets.py:Net {one.model.code}",)


def test_grid_set_and_arms_name_code_too(tmp_path: Path) -> None:
    text = SWEEP + "grid: {model.name: [nets/my_nets.py:Net, nets/my_nets.py:Other]}\n"
    text = text.replace(", width: 8", "").replace(", two: {model: {width: 4}}", "")
    arms = load_sweep(write(tmp_path / "a", text), None, ["train.epochs=2"]).arms
    assert [arm.model.shown for arm in arms.values()] == ["my_nets.py:Net", "my_nets.py:Other"]
    assert all(str(tmp_path) not in name for name in arms)


def test_the_id_does_not_know_the_folder(tmp_path: Path) -> None:
    ids = []
    for name in ("a", "b"):
        condition = load_sweep(write(tmp_path / name)).arms["one"]
        data = DataUse(condition.data[0], "f", 10, ("0", "1"), "", True, (8, 8), 1)
        ids.append(trial_id(condition, data, {}, None))
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nets/my_nets.py:Net", "my_nets.py:Net", r"sweep\.yaml:3: model\.name: .*no such file"),
        ("py:Net", "py:Nett", r"has no 'Nett' \(did you mean 'Net'\?\)"),
        ("py:Net", "py", r"as in nets/my_nets\.py:NAME"),
        ("width: 8", "widht: 8", r"sweep\.yaml:3: model\.widht: is not a key here.*'width'"),
        ("width: 8", "width: big", r"model\.width: 'big' should be a valid integer"),
    ],
)
def test_a_mistake_has_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        load_sweep(write(tmp_path / "a", SWEEP.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_code_of_a_run_folder_is_never_run(tmp_path: Path) -> None:
    sweep = load_sweep(write(tmp_path / "mine"))
    run = make_run(tmp_path / "run", resolved_yaml(sweep).replace("mine", "run"))
    recorded = load_run(run).arms["one"].model
    assert (recorded.name, recorded.code) == ("my_nets.py:Net", sweep.arms["one"].model.code)
    with pytest.raises(InputError, match="never taken from a run folder: give the file"):
        load_sweep(run / "sweep.yaml")


def test_what_the_user_gives_stands_in_where_its_digest_is_the_runs(tmp_path: Path) -> None:
    sweep = load_sweep(write(tmp_path / "mine"))
    run = make_run(tmp_path / "run", resolved_yaml(sweep))
    nets = tmp_path / "mine" / "nets"
    for given in (nets, nets / "my_nets.py"):
        for read in (load_run(run, [given]), load_sweep(run / "sweep.yaml", code=[given])):
            assert read.arms["one"] == sweep.arms["one"]
    (nets / "my_nets.py").write_text(NETS + "# changed\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"with the digest .* is needed"):
        load_run(run, [nets])


def test_the_run_folder_itself_is_no_place_to_give(tmp_path: Path) -> None:
    sweep = load_sweep(write(tmp_path / "mine"))
    run = make_run(tmp_path / "run", resolved_yaml(sweep))
    (run / "my_nets.py").write_text(NETS, encoding="utf-8")  # even with the run's digest
    with pytest.raises(SpecError, match="lies in a run folder, and code is never taken from there"):
        load_run(run, [run])


def test_a_sweep_file_in_a_run_folder_is_one_of_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "")
    (run / "copy.yaml").write_text(SWEEP, encoding="utf-8")
    with pytest.raises(InputError, match="never taken from a run folder"):
        load_sweep(run / "copy.yaml")
    nets = write(tmp_path / "mine").parent / "nets"
    assert load_sweep(run / "copy.yaml", code=[nets]).arms["one"].model.code


def test_a_sweep_file_that_names_a_run_folders_code_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "")
    path = write(tmp_path / "mine", SWEEP.replace("nets/my_nets.py", f"{run}/my_nets.py"))
    with pytest.raises(SpecError, match="lies in a run folder, and code is never taken from there"):
        load_sweep(path)


def test_a_link_into_a_run_folder_is_its_code_too(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "")
    (tmp_path / "link").symlink_to(run / "nets")
    path = write(tmp_path / "mine", SWEEP.replace("nets/my_nets.py", "../link/my_nets.py"))
    with pytest.raises(SpecError, match="lies in a run folder, and code is never taken from there"):
        load_sweep(path)
    (run / "nets" / "copy.yaml").write_text(SWEEP, encoding="utf-8")
    with pytest.raises(InputError, match="never taken from a run folder"):
        load_sweep(tmp_path / "link" / "copy.yaml")


def test_a_searched_run_opens_without_its_code(tmp_path: Path) -> None:
    search = "search: {width: {choice: [4, 8]}, samples: 2}\n"
    sweep = load_sweep(write(tmp_path / "mine", SWEEP + search))
    run = make_run(tmp_path / "run", resolved_yaml(sweep))
    assert load_run(run).searches == sweep.searches
    with pytest.raises(SpecError, match=r"an option of my_nets\.py:Net \(.*width\)"):
        load_sweep(write(tmp_path / "other", SWEEP + search.replace("width", "widht")))
