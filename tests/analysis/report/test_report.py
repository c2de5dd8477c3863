"""The whole report of made-up runs: what it says, and that it says the same again."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from synthetic_runs import HOSTILE, Arm, Made, write_run

from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.report import (
    Content,
    _contact_sheets,
    compose,
    own_code,
    page_text,
    write_report,
)

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Collects text, and checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for key, value in attrs if key == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for key, value in attrs if key == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def content_of(*folders: Path) -> Content:
    """Everything but the drawn figures, which are slow."""
    findings = find(load_runs(folders))
    return compose(findings, arm_styles(findings.arm_names))


def words_of(content: Content) -> str:
    texts = [*content.caveats, *(p.text for p in content.top)]
    return " ".join(texts + [answer.words.text for answer in content.answers])


@pytest.fixture(scope="module")
def report(hostile_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole report of the hostile run."""
    folder = tmp_path_factory.mktemp("report") / "one"
    written = write_report([hostile_run], folder, "Assignment 4 Results.xlsx")
    assert written.glance.stand_in.startswith("Made with stand-in data: made in place of")
    return folder


def sums_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_contact_sheets_beside_the_report_are_shown_under_data(tmp_path: Path) -> None:
    """Slow: it writes whole reports."""
    run = write_run(tmp_path / "run", Made(arms=(Arm("a", 0.9, 300),), seeds=2, images=False))
    content = content_of(run)
    assert "Contact sheets" not in page_text(content)
    folder = tmp_path / "contact-sheets"
    folder.mkdir()
    for name in ("02-b.jpg", '01-"><b>&.jpg', "03-c.png"):
        (folder / name).touch()
    sheets = _contact_sheets(tmp_path)
    assert sheets == ('01-"><b>&.jpg', "02-b.jpg")
    page = page_text(replace(content, contact_sheets=sheets))
    Reader().feed(page)  # every element is closed
    section = page[page.index('id="data"') : page.index('id="methods"')]
    assert section.count('<img src="contact-sheets/') == 2
    assert '<a href="contact-sheets/01-%22%3E%3Cb%3E%26.jpg">' in section
    assert "01-&#34;&gt;&lt;b&gt;&amp;.jpg</a>" in section
    many = page_text(replace(content, contact_sheets=[f"{k:03d}.jpg" for k in range(50)]))
    assert many.count('<img src="contact-sheets/') == 48
    assert "2 more pictures in contact-sheets/." in many


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(report: Path, hostile_run: Path, tmp_path: Path) -> None:
    """Slow because every figure is drawn once more, in each of its formats."""
    write_report([hostile_run], tmp_path / "two", "Assignment 4 Results.xlsx")
    assert sums_of(tmp_path / "two") == sums_of(report)


@pytest.mark.slow
def test_every_form_is_written(report: Path) -> None:
    """Slow: it needs a whole report, with its figures."""
    names = set(sums_of(report))
    assert {"index.html", "report.pdf", "results.xlsx", "report.json"} <= names
    assert "Assignment 4 Results.xlsx" in names
    assert {"figures/learning_curves.png", "figures/learning_curves.svg"} <= names
    assert {"tables/by_arm.csv", "tables/by_arm.tex"} <= names


@pytest.mark.slow
def test_a_run_that_was_moved_gives_the_same_page(
    made_run: Path, made_content: Content, tmp_path: Path
) -> None:
    """Slow: it writes whole reports."""
    moved = shutil.copytree(made_run, tmp_path / "elsewhere")
    assert page_text(content_of(moved)) == page_text(made_content)


@pytest.mark.slow
def test_the_page_is_whole_and_needs_nothing(report: Path) -> None:
    """Slow: it needs a whole report, with its figures."""
    text = (report / "index.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert "default-src &#39;none&#39;;" in text
    text = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    outside = re.findall(r"(?:src|href)=\"(?!#|data:)([^\"]+)\"", text)
    assert outside
    assert [target for target in outside if not (report / target).exists()] == []
    assert not re.search(r"@import|url\((?!#)", text)


@pytest.mark.slow
def test_hostile_names_stay_text(report: Path) -> None:
    """Slow: it needs a whole report, with its figures."""
    page = (report / "index.html").read_text()
    assert "<script>alert" not in page
    assert "a&lt;b&gt;&amp;&#34;c_%$#" in page
    data = re.search(r'id="report-data">(.*?)</script>', page, re.S)
    assert data is not None
    charts = json.loads(data.group(1))["charts"]
    names = charts["chart-learning_curves"]["usermeta"]["legend"]
    assert names == ["=1+1", HOSTILE, "<script>alert(1)</script>"]
    latex = (report / "tables" / "by_arm.tex").read_text()
    assert r"a\textless{}b\textgreater{}\&''c\_\%\$\#" in latex


@pytest.mark.slow
def test_every_figure_file_has_a_safe_name(report: Path) -> None:
    """Slow: it needs a whole report, with its figures."""
    names = [path.name for path in (report / "figures").iterdir()]
    assert names
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)


def test_failures_and_stand_ins_are_said_at_the_top(hostile_content: Content) -> None:
    caveats = " ".join(hostile_content.caveats)
    assert "A stand-in was used: made in place of the <b>real</b> one" in caveats
    assert f"1 trial failed ({HOSTILE} 1)" in caveats
    assert "1 trial diverged (<script>alert(1)</script> 1)" in caveats
    assert "1 planned trial not in the tables yet (<script>alert(1)</script> 1)" in caveats
    assert "Fewer than 5 seeds finished" in caveats


@pytest.mark.slow
def test_what_data_sets_warn_of_is_said_at_the_top_and_the_rest_in_their_section(
    report: Path, hostile_content: Content
) -> None:
    """Slow: it needs a whole report, with its figures."""
    warning = f"half of {HOSTILE} was not read"
    caveats = hostile_content.caveats
    assert caveats[1] == f"Data set “folder {HOSTILE}”: {warning}."
    page = Reader()
    page.feed((report / "index.html").read_text())
    page.close()
    text = " ".join(" ".join(page.texts).split())
    section = text[text.index("Data sets") : text.index("Trial, seed, pair")]
    for part in (warning, f"=2+2 {HOSTILE}", "the <b>real</b> one is not used: it is on the moon",
                 "397", "31", "f" * 32, "made up", "“=1+1”", "123", "121"):  # fmt: skip
        assert part in section, part
    tables = json.loads((report / "report.json").read_text())["tables"]
    assert [row["class"] for row in tables["data_classes"]] == ["=1+1", "<script>alert(2)</script>"]


@pytest.mark.slow
def test_json_has_what_the_page_says(report: Path) -> None:
    """Slow: it needs a whole report, with its figures."""
    content = json.loads((report / "report.json").read_text())
    assert content["sweeps"][0]["question"].startswith("Is a<b")
    assert content["stamp"] == "2026-01-02T05:04:05Z"
    rows = content["tables"]["comparisons"]
    assert {row["verdict"] for row in rows} <= {"better", "worse", "equivalent", "inconclusive"}


@pytest.mark.slow
def test_csv_has_full_precision(report: Path) -> None:
    """Slow: it needs a whole report, with its figures."""
    with open(report / "tables" / "by_arm.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    # An apostrophe comes before what a spreadsheet would take for a formula.
    assert [row["arm"] for row in rows] == ["'=1+1", HOSTILE, "<script>alert(1)</script>"]
    assert int(rows[1]["n_failed"]) == 1


def test_answer_names_direction_size_and_doubt(made_content: Content) -> None:
    [paragraph] = made_content.top
    assert paragraph.lead.startswith("“pretrained” learns faster than “scratch”")
    assert "8 paired seeds" in paragraph.rest
    row = next(c for c in made_content.findings.pairs.comparisons if c.metric == "test_accuracy")
    assert f"{100 * row.estimate:+.2f} points" in paragraph.rest
    assert "at least" in paragraph.rest
    assert "5 of 8 of “scratch” did not get there in 1,000 steps" in paragraph.rest
    assert "95 % intervals of one comparison alone" in paragraph.rest
    area, *targets = paragraph.rest.split("The way there")[1].split("steps to ")
    assert "mean validation accuracy over training +" in area, "the area stands first"
    assert len(targets) == 3


def test_a_ratio_without_spread_has_an_interval_of_its_rounding(run_of) -> None:
    arms = (Arm("scratch", 0.975, 450), Arm("pretrained", 0.98, 100))
    content = content_of(run_of(Made(arms=arms, evaluations=2, targets=(0.8,))))
    assert "steps to 80 %: 2.00× fewer (1.53 to 2.62; p 0.008)" in content.top[0].rest


def test_one_seed_allows_no_interval_and_says_so(run_of) -> None:
    said = words_of(content_of(run_of(Made(seeds=1))))
    assert "One seed only" in said
    assert "allows no interval and no test" in said
    assert "95 % interval" not in said


def test_that_none_of_few_failed_is_no_promise(run_of) -> None:
    said = words_of(content_of(run_of(Made(seeds=5, predictions=False))))
    assert "of 5 seeds an arm none did, yet up to 45 % could" in said
    broken = (Arm("scratch", failed=(2,)), Arm("pretrained"))
    said = words_of(content_of(run_of(Made(seeds=5, predictions=False, arms=broken))))
    assert "none did" not in said


def test_one_arm_is_not_compared(run_of) -> None:
    content = content_of(run_of(Made(arms=(Arm("only"),))))
    assert "Nothing was compared" in content.top[0].text
    assert content.answers == []


def test_nothing_finished_has_no_answer(run_of) -> None:
    arms = (Arm("a", failed=(0, 1)), Arm("b", failed=(0, 1)))
    content = content_of(run_of(Made(arms=arms, seeds=2)))
    assert content.top[0].text == "There is no answer: no trial of any arm finished."
    assert "nothing to compare" in content.caveats[0]
    assert "There is no answer" in page_text(content)


@pytest.mark.slow
def test_a_target_nobody_reaches_is_no_number(run_of) -> None:
    """Slow: it writes whole reports."""
    arms = (Arm("scratch", 0.7), Arm("pretrained", 0.75))
    content = content_of(run_of(Made(arms=arms, targets=(0.9,))))
    assert "steps to 90 %: no trial of either got there in 1,000 steps" in content.top[0].rest
    page = page_text(content)
    assert "not reached (0 of 8)" in page
    steps = [c for c in content.findings.pairs.comparisons if c.metric == "steps_to_target"]
    assert [c.verdict for c in steps] == ["inconclusive"]


@pytest.mark.slow
def test_many_classes_and_arms(run_of) -> None:
    """Slow: it writes whole reports."""
    arms = tuple(Arm(f"arm {k}", 0.9 + 0.005 * k, 300 - 12 * k) for k in range(16))
    made = Made(arms=arms, seeds=2, n_classes=62, n_test=124, evaluations=6, images=False)
    content = content_of(run_of(made))
    assert content.top[0].lead.startswith("Of 15 comparisons in final accuracy")
    assert len(content.answers) == 15
    reader = Reader()
    reader.feed(page_text(content))
    assert reader.open == []
    assert any("8 of 16" in text or "arm 15" in text for text in reader.texts)


@pytest.mark.slow
def test_several_sweeps_are_tasks(tmp_path: Path) -> None:
    """Slow: it writes whole reports."""
    small = write_run(tmp_path / "small", Made(name="small", seeds=5))
    large = write_run(tmp_path / "large", Made(name="large", seeds=5, root=3))
    content = content_of(small, large)
    assert content.findings.tasks == ["large", "small"]
    assert {answer.task for answer in content.answers} == {"large", "small"}
    aggregates = content.findings.over_tasks.aggregates
    assert set(aggregates["arm"]) == {"scratch", "pretrained"}
    assert set(aggregates["n_tasks"]) == {2}
    together = content.findings.over_tasks.together
    assert together["question"].tolist() == ["final", "way", "stability"]
    assert (together["p_question"] <= 2 * together["p_value"]).all()  # one pair: half of 5 %
    assert together["verdict"].tolist()[1] == "better"
    assert "All tasks together" in page_text(content)
    table = content.findings.pairs.table
    final = table[table["question"] == "final"]
    assert len(final) == 2
    assert (final["p_question"] >= final["p_value"]).all()
    assert (final["p_question"] <= (4 * final["p_value"] + 0.02).clip(upper=1)).all()


def test_a_sweep_that_names_no_pair_says_what_was_compared(run_of) -> None:
    content = content_of(run_of(Made(compare=(), seeds=3)))
    assert any("names no comparison" in text for text in content.caveats)
    assert [(a.treatment, a.control) for a in content.answers] == [("pretrained", "scratch")]


def test_a_pair_without_trials_is_not_tested(run_of) -> None:
    folder = run_of(Made(compare=(("pretrained", "scratch"), ("ghost", "scratch")), seeds=3))
    content = content_of(folder)
    assert "“ghost” against “scratch” (made): not tested" in words_of(content)


@pytest.mark.slow
def test_no_margin_and_no_targets_claim_nothing_of_either(run_of) -> None:
    """Slow: it writes whole reports."""
    made = Made(seeds=4, extra={"measure": {"targets": []}})
    content = content_of(run_of(made))
    assert "nor is equivalence tested: no margin is set" in content.top[0].rest
    assert "target" not in content.top[0].text
    assert content.findings.pairs.seeds_needed.empty
    reader = Reader()
    reader.feed(page_text(content))
    assert reader.open == []


@pytest.mark.slow
def test_trials_that_ran_side_by_side_are_said_to_share_the_clock(run_of) -> None:
    """Slow: it writes whole reports."""
    side_by_side = "ran side by side"
    together = Made(name="together", seeds=3, together=True)
    apart = Made(name="apart", seeds=3)
    assert side_by_side in " ".join(content_of(run_of(together)).caveats)
    assert side_by_side not in " ".join(content_of(run_of(apart)).caveats)


@pytest.mark.slow
def test_seeds_that_do_not_pair_are_said_at_the_top(run_of) -> None:
    """Slow: it writes whole reports."""
    arms = (Arm("scratch", absent=(0, 1, 2)), Arm("pretrained", absent=(3, 4, 5)))
    content = content_of(run_of(Made(arms=arms, seeds=6)))
    assert any("Seeds do not pair" in text for text in content.caveats)
    assert "Welch" in page_text(content)


def test_a_rule_for_the_number_of_seeds_is_said(run_of) -> None:
    rule = {"until": {"metric": "test_accuracy", "half_width": 0.0005}, "at_most": 60}
    content = content_of(run_of(Made(seeds=3, extra={"seeds": rule})))
    said = " ".join(content.caveats)
    assert "not fixed in advance" in said
    assert "± 0.0005 or narrower (at most 60)" in said


def test_why_trials_failed_is_said(hostile_content: Content) -> None:
    caveats = " ".join(hostile_content.caveats)
    assert "Errors of trials that did not finish: “RuntimeError: made to fail <b>” (1)." in caveats


@pytest.mark.slow
def test_search_and_its_winner(run_of) -> None:
    """Slow: it writes whole reports."""
    content = content_of(run_of(Made(search=12, seeds=3)))
    [search] = content.findings.searches
    assert (search.arm, search.settings) == ("scratch", ("learning_rate", "batch_size"))
    best = search.trials["best_val_accuracy"].max()
    assert f"{100 * best:.2f} % on validation data" in page_text(content).replace("\u00a0", " ")


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from analysis.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('pandas', 'matplotlib', 'torch', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_the_analysis_imports_neither_torch_nor_ray_nor_the_harness() -> None:
    code = (
        "import importlib, pkgutil, sys, analysis\n"
        "names = [m.name for m in pkgutil.walk_packages(analysis.__path__, 'analysis.')]\n"
        "assert 'analysis.report.report' in names\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "heads = ('torch', 'ray', 'slurm', 'harness')\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in heads]\n"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_code_of_the_users_own_is_named_with_its_digest_whatever_its_file_is_called():
    lines = "my nets.py:Net 3f2a8c01d9c5456f\nparts.py:Signs 80326f5fa8dc9e55"
    findings = SimpleNamespace(evidence=pd.DataFrame({"code": [lines, lines, None]}))
    assert [*own_code(findings)] == [
        "my nets.py:Net (digest 3f2a8c01)",
        "parts.py:Signs (digest 80326f5f)",
    ]
