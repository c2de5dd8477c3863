"""Archives by themselves: what goes in, what is found, what is damaged. No harness."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart import archives
from headstart.archives import Archives
from headstart.errors import RunFolderError
from headstart.rows import TrialRow


def write_trial(
    run: Path, trial_id: str, *, weights=False, predictions=True, curve=True
) -> TrialRow:
    """A finished trial's small files, its seed the length of its id."""
    folder = run / "trials" / trial_id
    folder.mkdir(parents=True)
    row = TrialRow(trial_id=trial_id, status="done", seed=len(trial_id))
    (folder / "trial.json").write_text(json.dumps(row.to_json()))
    if predictions:
        (folder / "predictions.npz").write_bytes(b"predictions of " + trial_id.encode())
    if curve:
        points = [{"trial_id": trial_id, "step": k, "val_accuracy": 0.5} for k in range(3)]
        pq.write_table(pa.Table.from_pylist(points), folder / "curve.parquet")
    if weights:
        (folder / "model.safetensors").write_bytes(b"weights")
    return row


def write(run: Path, name: str, *trial_ids: str) -> Archives:
    opened = Archives(run)
    opened.write(name, run / "trials", trial_ids)
    return opened


def steps(table: pa.Table) -> list:
    return list(zip(table["trial_id"].to_pylist(), table["step"].to_pylist(), strict=True))


def test_small_files_move_and_weights_stay(tmp_path):
    rows = {n: write_trial(tmp_path, n, weights=n == "bb") for n in ("a", "bb", "ccc")}
    written = write(tmp_path, "first", "a", "bb")
    trials = tmp_path / "trials"
    assert sorted(os.listdir(trials)) == ["bb", "ccc"]
    assert os.listdir(trials / "bb") == ["model.safetensors"]
    assert len(os.listdir(trials / "ccc")) == 3
    for opened in (written, Archives(tmp_path)):
        assert sorted(opened) == ["a", "bb"]
        assert ("a" in opened, "bb" in opened, "ccc" in opened) == (True, True, False)
        assert dict(opened.rows(["bb", "nobody", "a"])) == {n: rows[n] for n in ("a", "bb")}
        assert opened.read("bb", "predictions.npz") == b"predictions of bb"
        assert json.loads(opened.read("bb", "trial.json")) == json.loads(
            json.dumps(rows["bb"].to_json())
        )
        assert opened.read("bb", "model.safetensors") is None
        assert opened.read("nobody", "trial.json") is None
        assert steps(pq.read_table(io.BytesIO(opened.read("bb", "curve.parquet")))) == [
            ("bb", s) for s in range(3)
        ]
        (table,) = opened.curves()
        assert steps(table) == [(n, s) for n in ("a", "bb") for s in range(3)]


def test_rows_come_archive_by_archive(tmp_path):
    for name in ("a", "b", "c"):
        write_trial(tmp_path, name)
    write(tmp_path, "first", "a", "c")
    write(tmp_path, "second", "b")
    assert [i for i, _ in Archives(tmp_path).rows(["b", "c", "a"])] == ["b", "c", "a"]
    assert [i for i, _ in Archives(tmp_path).rows(["c", "b", "a"])] == ["c", "a", "b"]
    assert [steps(t)[0][0] for t in Archives(tmp_path).curves()] == ["a", "b"]


def test_each_archive_is_opened_once_for_all_of_its_rows(tmp_path, monkeypatch):
    for name in ("a", "b"):
        write_trial(tmp_path, name)
    opened = write(tmp_path, "first", "a", "b")
    n_opened = []
    zip_file = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda *a: n_opened.append(a) or zip_file(*a))
    assert len(list(opened.rows(["a", "b"]))) == 2
    opened.refresh()
    assert len(n_opened) == 1, "and what is known is not opened again"


def test_archives_that_others_write_are_seen_after_a_new_look(tmp_path):
    ours = Archives(tmp_path)
    assert list(ours) == list(ours.curves()) == []
    write_trial(tmp_path, "a")
    write(tmp_path, "theirs", "a")
    assert "a" not in ours
    ours.refresh()
    assert "a" in ours


def test_a_file_of_a_writer_that_is_not_done_is_left_out(tmp_path):
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / ".half.zip").write_bytes(b"not whole")
    (tmp_path / "packs" / "notes.txt").write_text("")
    assert list(Archives(tmp_path)) == []


@pytest.mark.parametrize("name", ["trial.json", "indices.npy", "/trial.json", "a/model.pt"])
def test_an_archive_of_other_things_is_damaged(tmp_path, name):
    (tmp_path / "packs").mkdir()
    with zipfile.ZipFile(tmp_path / "packs" / "x.zip", "w") as archive:
        archive.writestr("a/trial.json", "{}")
        archive.writestr(name, "{}")
    with pytest.raises(RunFolderError, match=rf"x\.zip: damaged .*'{name}' is no file of a trial"):
        Archives(tmp_path)


@pytest.mark.parametrize("names", [(), ("curves.parquet",), ("a/predictions.npz",)])
def test_an_archive_without_a_record_is_damaged(tmp_path, names):
    (tmp_path / "packs").mkdir()
    with zipfile.ZipFile(tmp_path / "packs" / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    with pytest.raises(RunFolderError, match=r"x\.zip: damaged \(it holds no trial\)"):
        Archives(tmp_path)


def test_an_archive_of_a_version_before_digests_is_read(tmp_path):
    (tmp_path / "packs").mkdir()
    with zipfile.ZipFile(tmp_path / "packs" / "x.zip", "w") as archive:
        for name in ("a/trial.json", "b/predictions.npz"):
            archive.writestr(name, "{}")
    assert list(Archives(tmp_path)) == ["a"]
    assert list(Archives(tmp_path).curves()) == []
    with pytest.raises(RunFolderError, match=r"x\.zip: damaged"):
        Archives(tmp_path).read("a", "curve.parquet")


def test_what_an_archive_holds_is_not_archived_again_and_is_removed(tmp_path):
    for name in ("a", "b"):
        write_trial(tmp_path, name)
    write(tmp_path, "first", "a")
    again = write_trial(tmp_path, "a")  # as if the command was killed before it removed them
    opened = write(tmp_path, "second", "a")
    assert os.listdir(tmp_path / "packs") == ["first.zip"]
    assert os.listdir(tmp_path / "trials") == ["b"]
    assert dict(opened.rows(["a"])) == {"a": again}
    write_trial(tmp_path, "a")
    opened.write("third", tmp_path / "trials", ["a", "b"])
    assert dict(opened.rows(["a", "b"])).keys() == {"a", "b"}
    with zipfile.ZipFile(tmp_path / "packs" / "third.zip") as archive:
        assert "a/trial.json" not in archive.namelist()
    assert os.listdir(tmp_path / "trials") == []


def test_trials_without_a_curve_or_predictions_can_be_archived(tmp_path):
    write_trial(tmp_path, "a", curve=False, predictions=False)
    opened = write(tmp_path, "first", "a")
    with zipfile.ZipFile(tmp_path / "packs" / "first.zip") as archive:
        assert archive.namelist() == ["a/trial.json", "digests.json"]
        assert archive.getinfo("a/trial.json").compress_type == zipfile.ZIP_DEFLATED
    assert list(opened.curves()) == []


def test_curves_of_versions_with_fewer_columns_go_together(tmp_path):
    for name in ("a", "b"):
        write_trial(tmp_path, name)
    more = [{"trial_id": "b", "step": 0, "val_accuracy": 0.5, "val_loss": 0.5}]
    pq.write_table(pa.Table.from_pylist(more), tmp_path / "trials" / "b" / "curve.parquet")
    (table,) = write(tmp_path, "first", "a", "b").curves()
    assert table["val_loss"].to_pylist() == [None, None, None, 0.5]


def test_the_record_goes_last(tmp_path, monkeypatch):
    write_trial(tmp_path, "a")
    removed = []
    unlink = Path.unlink

    def noting(path, **options):
        removed.append(path.name)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", noting)
    write(tmp_path, "first", "a")
    assert removed == ["curve.parquet", "predictions.npz", "trial.json"]


def test_a_member_may_have_just_the_limit(tmp_path, monkeypatch):
    assert archives.MAX_BYTES == 1024**3
    content = b"predictions of a".ljust(1000)
    write_trial(tmp_path, "a")
    (tmp_path / "trials" / "a" / "predictions.npz").write_bytes(content)
    opened = write(tmp_path, "first", "a")
    size = len(content)
    monkeypatch.setattr(archives, "MAX_BYTES", size)
    assert opened.read("a", "predictions.npz") == content
    monkeypatch.setattr(archives, "MAX_BYTES", size - 1)
    with pytest.raises(
        RunFolderError, match=rf"damaged \('a/predictions.npz' unpacks to {size:,} "
    ):
        opened.read("a", "predictions.npz")


@pytest.mark.parametrize("damage", ["cut", "changed", "removed"])
def test_damage_is_one_line_that_names_the_archive(tmp_path, damage):
    write_trial(tmp_path, "a")
    opened = write(tmp_path, "first", "a")
    path = tmp_path / "packs" / "first.zip"
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:100])
    elif damage == "changed":
        path.write_bytes(content.replace(b"predictions of a", b"predictions of x"))
    else:
        path.unlink()
    with pytest.raises(RunFolderError, match=r"first\.zip: damaged .*makes its trials anew"):
        opened.read("a", "predictions.npz")
