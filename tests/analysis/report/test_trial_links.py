"""Links from a report to the files of trials: relative, inside the run folder, and private."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.report.links import Link, Links


def run_folder(folder: Path) -> Path:
    trial = folder / "trials" / "0a"
    trial.mkdir(parents=True)
    (trial / "trial.json").write_text("{}")
    return folder


def test_links_are_relative_to_where_the_report_lies(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "runs" / "a b#?")
    assert Links(run / "report").of_trial(run, "0a") == [Link("record", "../trials/0a/trial.json")]
    [link] = Links(tmp_path / "out").of_trial(run, "0a")
    assert link.href == "../runs/a%20b%23%3F/trials/0a/trial.json"
    assert Links(None).of_trial(run, "0a") == []


def test_a_file_that_a_link_puts_outside_the_run_folder_is_not_linked(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    (tmp_path / "secret.parquet").write_text("")
    (run / "trials" / "0a" / "curve.parquet").symlink_to(tmp_path / "secret.parquet")
    assert [link.label for link in Links(run / "report").of_trial(run, "0a")] == ["record"]
    assert Links(run / "report").of_trial(run, "../../elsewhere") == []


def test_no_link_names_a_folder_above_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "users" / "anna"
    monkeypatch.setenv("HOME", str(home))
    run = run_folder(home / "runs" / "a")
    assert Links(tmp_path / "users" / "report").of_trial(run, "0a") == []
    assert len(Links(home / "report").of_trial(run, "0a")) == 1


def test_epochs_are_linked_where_people_look_for_them(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    (run / "trials/0a/last.safetensors").write_text("")
    seed = run / "checkpoints/an arm/seed-0"
    seed.mkdir(parents=True)
    rows = [
        "weights,link,file",
        "epoch,checkpoints/an arm/seed-0/epoch-001.safetensors,trials/0a/checkpoints/epoch-1",
        "epoch,,trials/0b/checkpoints/epoch-0001.safetensors",
        "epoch,../../elsewhere/x,trials/0c/checkpoints/epoch-0001.safetensors",
    ]
    (tmp_path / "elsewhere").mkdir()
    (run / "checkpoints/checkpoints.csv").write_text("\n".join(rows))
    links = Links(run / "report")
    shown = {link.label: link.href for link in links.of_trial(run, "0a")}
    assert shown["last weights"] == "../trials/0a/last.safetensors"
    assert shown["checkpoints"] == "../checkpoints/an%20arm/seed-0"
    assert links.of_trial(run, "0b") == links.of_trial(run, "0c") == []
