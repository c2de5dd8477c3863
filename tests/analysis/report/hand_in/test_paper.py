"""The report that is handed in: two pages of text, the named seed's numbers, nothing from outside.

Read back by another library (pdftotext, where it is installed).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic_runs import HOSTILE, Arm, Made, write_run

from analysis import words
from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.hand_in.compared import evaluated, insights, layers
from analysis.report.hand_in.given import data_set, tuning
from analysis.report.hand_in.handed import Handed
from analysis.report.hand_in.paper import MOST_PAGES, TEMPLATE, _fitted, write_paper
from analysis.report.hand_in.pretrained import network
from analysis.report.hand_in.sources import SOURCES, cite, mark, network_name
from analysis.report.pdf.typeset import stamp_time, text_pages
from analysis.report.report import compose


def made(run_of, name: str = "last_2", seeds: int = 4) -> Path:
    arms = (
        Arm("mnist", 0.985, stage="pretrain"),
        Arm("as_is", 0.75, 100, 0.7, initialize="mnist", fine_tune="none"),
        Arm("last_layer", 0.8, 100, 0.7, initialize="mnist", fine_tune="last_layer"),
        Arm(name, 0.85, 100, 0.7, initialize="mnist", fine_tune="last_2"),
        Arm("scratch", 0.6, 500),
    )
    compare = ((name, "last_layer"), (name, "as_is"))
    return run_of(Made(arms=arms, seeds=seeds, n_test=20, targets=(0.5,), compare=compare))


def said(run: Path, seed: int) -> tuple[Handed, dict[str, str]]:
    findings = find(load_runs([run]))
    handed, content = Handed(findings, seed), compose(findings, {})
    parts = {
        "data": data_set(handed), "network": network(handed), "tuning": tuning(handed),
        "evaluated": evaluated(handed), "layers": layers(handed, content.answers),
        "insights": insights(handed),
    }  # fmt: skip
    return handed, {name: " ".join(texts) for name, texts in parts.items()}


@pytest.fixture(scope="module")
def of_seed_2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    return said(made(lambda run: write_run(folder / run.name, run)), seed=2)


def test_each_part_speaks_of_the_named_seed_and_of_all_of_them(of_seed_2):
    handed, texts = of_seed_2
    trials = handed.findings.runs.trials
    rows = trials[(trials["seed"] == 2) & (trials["stage"] == "arm")].set_index("arm")
    assert "seed 2" in texts["data"]
    assert "Not compared: this run pretrained 1 network" in texts["network"]
    for arm in ("last_layer", "last_2"):
        assert f"“{arm}” was taken from epoch" in texts["tuning"]
        assert f"“{arm}” {int(rows.loc[arm, 'n_trainable']):,}" in texts["layers"].replace(
            " trains", ""
        )
    means = trials[trials["stage"] == "arm"].groupby("arm")["test_accuracy"].mean()
    gain = words.points(means["last_2"] - means["as_is"])
    assert f"“last_2” {gain}" in texts["evaluated"]
    assert "“scratch”" in texts["insights"]
    everything = " ".join(texts.values())
    for outside in ("index.html", "results.xlsx", "figures/", "tables/", "docs/"):
        assert outside not in everything
    for text in filter(None, everything.replace("?", ".").split(". ")):
        assert "nan" not in text.split()


def test_last_layer_against_last_n_leads_with_the_final_accuracy(of_seed_2):
    handed, texts = of_seed_2
    final = next(
        row
        for row in handed.findings.pairs.comparisons
        if row.metric == handed.findings.score
        and {row.treatment, row.control} == {"last_2", "last_layer"}
    )
    performance = texts["layers"].partition("Performance, ")[2]
    assert words.points(final.estimate) in performance.split(";")[0]
    assert "mean validation accuracy over training" in performance


def test_one_seed_has_no_mean_and_no_verdict(run_of):
    handed, texts = said(made(run_of, seeds=1), seed=0)
    apart = abs(handed.of_seed(handed.tuned[1]) - handed.of_seed(handed.tuned[0]))
    assert f"{words.points_plain(apart)} points, or {round(20 * apart)} image" in texts["layers"]
    assert "which of the 2 does better is not known" in texts["layers"]
    everything = " ".join(texts.values())
    assert "mean of 1 seed" not in everything
    assert "Over 1 seed" not in everything


@pytest.mark.slow  # typeset with its charts, three times
@pytest.mark.parametrize(("name", "seeds"), [("last_2", 4), (HOSTILE, 4), ("last_2", 1)])
def test_the_text_takes_two_pages_and_images_come_with_it(run_of, tmp_path, name, seeds):
    findings = find(load_runs([made(run_of, name, seeds)]))
    for label in "01":
        folder = tmp_path / "Training Set" / label
        folder.mkdir(parents=True)
        for k in range(4):
            cv2.imwrite(str(folder / f"image-{k}.jpg"), np.full((28, 28), 60 * k, np.uint8))
    path = tmp_path / "paper.pdf"
    composed = compose(findings, arm_styles(findings.arm_names))
    write_paper(path, composed, 0, "Seed 0", tmp_path)
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    write_paper(path, composed, 0, "Seed 0", tmp_path)
    assert path.read_bytes() == content
    if shutil.which("pdftotext"):
        text = subprocess.run(
            ["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True
        ).stdout
        pages = text.split("\f")
        assert any("Sources." in page for page in pages[:MOST_PAGES])
        row = findings.runs.trials.query("stage == 'arm' and arm == 'last_layer' and seed == 0")
        assert words.percent(row["test_accuracy"].iloc[0]) in text


def test_a_long_text_is_made_smaller_and_then_shorter_until_it_fits():
    stamp = stamp_time("2026-01-02T03:04:05Z")
    paragraphs = [f"{k} " + "words of a sentence. " * 45 for k in range(6)]
    passages = [
        {"heading": f"{k}", "paragraphs": paragraphs, "samples": False, "table": False}
        for k in range(4)
    ]
    data = {
        "title": "t", "question": "q", "footer": "f", "stand_in": "", "samples": [],
        "sample_rows": 0, "sample_caption": "",
        "evaluations": {"head": ["", "a", "b", "c"], "rows": []},
    }  # fmt: skip
    fitted = _fitted(data, passages, stamp)
    assert text_pages(fitted, stamp, TEMPLATE) <= MOST_PAGES
    assert all(0 < len(each["paragraphs"]) < 6 for each in fitted["passages"])
    assert json.dumps(fitted["passages"]).count("0 words") == 4


def test_sources_are_those_that_the_text_names_in_the_order_of_their_mention():
    passages = [[f"Adam{mark('adam')} and dropout{mark('dropout')}.", "⟦my_arm⟧"], ["none"]]
    texts, sources = cite([*passages, [f"Adam{mark('adam')} again"]])
    assert texts == [["Adam [1] and dropout [2].", "⟦my_arm⟧"], ["none"], ["Adam [1] again"]]
    assert sources == f"[1] {SOURCES['adam']}. [2] {SOURCES['dropout']}."


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("lenet5", "LeNet-5"),
        ("resnet18", "ResNet-18"),
        ("squeezenet1_0", "SqueezeNet 1.0"),
        ("vgg16_bn", "VGG-16 with batch normalisation"),
        ("my_nets.py:Net", "my_nets.py:Net"),
        ("resnet18_of_mine", "resnet18_of_mine"),
    ],
)
def test_networks_are_named_as_papers_write_them(model, name):
    assert network_name(model).partition(" ⟦")[0] == name


def test_a_network_that_is_behind_another_is_not_taken_without_a_word(run_of):
    arms = (
        Arm("mnist", 0.96, stage="pretrain"),
        Arm("other", 0.98, stage="pretrain"),
        Arm("as_is", 0.75, 100, 0.7, initialize="mnist", fine_tune="none"),
        Arm("last_layer", 0.8, 100, 0.7, initialize="mnist", fine_tune="last_layer"),
        Arm("last_2", 0.85, 100, 0.7, initialize="mnist", fine_tune="last_2"),
    )
    _, texts = said(run_of(Made(arms=arms, seeds=3, n_test=20, targets=(0.5,))), seed=0)
    assert "points behind it. It was taken all the same: on 20 own test images" in texts["network"]
    assert "not fine-tuned, so whether it would read the own digits better" in texts["network"]
