"""Two runs of a sweep: what changed, and that nothing is claimed where nothing did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from synthetic_runs import Arm, Made, write_run

from analysis.__main__ import main
from analysis.diff import diff_runs, write_diff
from analysis.findings.load import load_runs
from analysis.gate import gate_runs
from analysis.report.exports import names_of
from headstart.errors import InputError, RunFolderError


def test_a_run_against_itself_has_no_difference(made_run: Path) -> None:
    found = diff_runs(made_run, made_run)
    assert (found.n_both, found.n_same, found.only_old, found.only_new) == (16, 16, 0, 0)
    assert not any(row.verdict in ("better", "worse") for row in found.comparisons)
    assert "No difference is shown" in found.text
    assert found.settings == ()


def test_a_worse_arm_and_a_new_version_are_found(made_run: Path, tmp_path: Path) -> None:
    arms = (Arm("scratch", 0.90), Arm("pretrained", 0.98, 200, 0.4, initialize="digits"))
    new = write_run(tmp_path / "new", Made(arms=arms, root=4))
    record = json.loads((new / "provenance.json").read_text())
    record["versions"]["torch"] = "2.16"
    (new / "provenance.json").write_text(json.dumps(record))
    found = diff_runs(made_run, new)
    accuracy = found.table.query("metric == 'test_accuracy'").set_index("arm")["verdict"]
    assert accuracy["scratch"] == "worse"
    assert found.provenance == ("versions.torch: 2.15 → 2.16",)
    assert "versions.torch: 2.15 → 2.16" in write_diff(found, tmp_path / "out").read_text()


def test_runs_without_a_common_arm_are_refused(made_run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", Made(arms=(Arm("else"),), seeds=1))
    with pytest.raises(RunFolderError, match="no arm in common"):
        diff_runs(made_run, other)


def test_plan_prints_a_line_for_each_pair(made_run: Path, capsys) -> None:
    main(["plan", str(made_run), "--detect", "0.001"])
    [line] = capsys.readouterr().out.strip().splitlines()
    assert line.startswith("pretrained against scratch, test_accuracy:")
    assert "cannot tell how many: to detect 0.001 with 80 % power between" in line


def test_plan_asks_for_a_question(made_run: Path) -> None:
    with pytest.raises(InputError, match="detect"):
        main(["plan", str(made_run)])


def test_a_workbook_name_is_a_file_name(made_run: Path) -> None:
    with pytest.raises(InputError, match=r"\.xlsx"):
        main([str(made_run), "--workbook", "../x.xlsx"])


def test_an_arm_of_which_one_run_has_a_label_is_one_arm(made_run: Path, tmp_path: Path) -> None:
    new = write_run(tmp_path / "new", Made())
    sweep = yaml.safe_load((new / "sweep.yaml").read_text())
    sweep["arms"]["scratch"]["label"] = "From scratch"
    (new / "sweep.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False))
    changes = diff_runs(made_run, new)
    assert changes.n_both == 16
    assert set(changes.table["arm"]) == {"From scratch", "pretrained"}
    assert changes.settings == ()  # a label changes nothing
    for name in ("scratch", "From scratch"):
        (arm,) = gate_runs(made_run, new, 0.5, arms=[name]).arms
        assert arm.place == "“From scratch”"
    names = names_of(load_runs([new, made_run]).trials)
    assert names == {"From scratch": "scratch", "pretrained": "pretrained"}
