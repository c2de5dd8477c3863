"""What searches decided, read from the records of a run and told in words and tables."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from synthetic_runs import Made, write_run

from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.findings.searches import describe_search, find_searches, read_decisions, setting_text
from analysis.report.displays_arms import search_tables
from analysis.report.essay import write_essay
from headstart.errors import RunFolderError


def search_record(seed: int, rate: float) -> dict:
    values = {"train.learning_rate": rate, "train.augment": {"rotate": 10} if seed else {}}
    entry = {"sample": 1, "values": values, "val_accuracy": 0.9, "val_loss": 0.3}
    return {
        "key": "k",
        "seeds": [seed],
        "winner": entry,
        "reason": "the lowest validation loss of 2 configurations (0.3)",
        "n_trials": 6,
        "rungs": [{"epochs": 4, "ranking": [entry] * 4}, {"epochs": 20, "ranking": [entry] * 2}],
    }


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """A run whose first arm was searched at two seeds, with the record of it."""
    folder = write_run(tmp_path / "run", Made(search=12))
    arm = load_runs([folder]).trials.query("stage == 'search'")["arm"].iloc[0]
    record = {
        "format": 1,
        "arm": arm,
        "search": {"metric": "val_loss", "samples": 4},
        "one_search_for": "each seed",
        "searches": {"0": search_record(0, 0.001), "1": search_record(1, 0.004)},
    }
    (folder / "search").mkdir()
    (folder / "search" / f"{arm}.json").write_text(json.dumps(record))
    return folder


def test_the_winner_of_each_search_with_its_reason(searched: Path) -> None:
    findings = find(load_runs([searched]))
    (one,) = findings.decisions
    assert one.for_each_seed
    assert one.rungs == ((4, 4), (20, 2))
    assert list(one.winners["learning_rate"]) == [0.001, 0.004]
    assert list(one.winners["augment"]) == ["none", "rotate 10"]
    tables = search_tables(findings)
    assert [t.name for t in tables] == ["chosen_1", "search_1"]
    cells = [[cell.text for cell in row] for row in tables[0].rows()]
    assert cells[1][0] == "1"
    assert "rotate 10" in cells[1]
    assert cells[1][-1] == "the lowest validation loss of 2 configurations (0.3)"


def test_the_text_says_budget_winner_and_why(searched: Path) -> None:
    findings = find(load_runs([searched]))
    text = describe_search(findings.decisions[0])
    for part in (
        "2 searches, each inside one seed’s split, 12 trials",
        "4 for 4 epochs then 2 for 20 epochs",
        "learning rate 0.001 (1) and 0.004 (1)",
        "Each winner has the best validation loss of its last rung",
    ):
        assert part in text
    essay = " ".join(p for passage in write_essay(findings, (), (), 4) for p in passage.paragraphs)
    assert text in essay


def test_how_configurations_were_drawn_is_said(searched: Path) -> None:
    (path,) = (searched / "search").glob("*.json")
    whole = path.read_text()
    for more, part in (
        ('"sampler": "sobol"', "then 2 for 20 epochs, drawn as scrambled Sobol points), scored"),
        ('"sampler": "tpe", "rounds": 3', "epochs, drawn in 3 rounds by a tree-structured Parzen"),
    ):
        path.write_text(whole.replace('"samples": 4', f'"samples": 4, {more}'))
        runs = load_runs([searched])
        (decided,) = read_decisions(runs.trials, runs.folders)
        assert part in describe_search(decided)
        assert decided.budget == "4 configurations for 4 then 20 epochs"


@pytest.mark.slow
def test_a_damaged_record_is_one_line_and_one_of_another_arm_is_left_alone(searched: Path) -> None:
    """Slow: a search is run for it."""
    (path,) = (searched / "search").glob("*.json")
    (searched / "search" / "gone.json").write_text(path.read_text().replace("scratch", "gone"))
    assert len(find(load_runs([searched])).decisions) == 1
    path.write_text('{"format": 1, "arm": "scratch", "searches": {"0": {}}}')
    with pytest.raises(RunFolderError, match="is no record of a search"):
        find(load_runs([searched]))
    path.write_text("{")
    with pytest.raises(RunFolderError, match="cannot be read"):
        find(load_runs([searched]))


def test_settings_that_are_mappings_are_told_apart_as_text() -> None:
    grids = ['{"train.augment": {}}', '{"train.augment": {"rotate": 10, "scale": [0.9, 1.1]}}']
    trials = pd.DataFrame(
        {
            "stage": "search",
            "sweep": "s",
            "arm": "a",
            "grid": grids,
            "best_val_accuracy": [0.5, 0.6],
        }
    )
    (search,) = find_searches(trials)
    assert search.settings == ("augment",)
    assert list(search.trials["augment"]) == ["none", "rotate 10 + scale 0.9 to 1.1"]
    assert setting_text(0.00312345) == "0.00312"


def test_settings_of_stages_are_told_from_the_arms_own() -> None:
    def settings(*drawn: str) -> tuple[str, ...]:
        keys = [f"pretrain.{name}" for name in drawn]
        grids = [json.dumps({"train.epochs": n, **dict.fromkeys(keys, n)}) for n in (1, 2)]
        common = {"stage": "search", "sweep": "s", "arm": "a", "best_val_accuracy": [0.5, 0.6]}
        (search,) = find_searches(pd.DataFrame({**common, "grid": grids}))
        return search.settings

    assert settings("digits.train.epochs") == ("epochs", "pretraining_epochs")
    assert settings("digits 1.train.epochs", "b.train.learning_rate") == (
        "epochs", "pretraining_digits_1_epochs", "pretraining_b_learning_rate",
    )  # fmt: skip


def test_an_arm_with_a_label_keeps_its_search(searched: Path) -> None:
    arm = json.loads(next((searched / "search").glob("*.json")).read_text())["arm"]
    path = searched / "sweep.yaml"
    sweep = yaml.safe_load(path.read_text())
    sweep["arms"][arm]["label"] = "Searched"
    path.write_text(yaml.safe_dump(sweep, sort_keys=False))
    runs = load_runs([searched])
    (decided,) = read_decisions(runs.trials, runs.folders)
    assert decided.arm == "Searched"
