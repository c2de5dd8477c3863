"""What a report prints agrees with itself: intervals, p-values, verdicts, wherever they stand."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from synthetic_runs import Arm, Made, write_run

from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.console import console_text
from analysis.report.displays_pairs import seeds_table
from analysis.report.document import Content
from analysis.report.exports import report_json
from analysis.report.report import compose, page_text
from analysis.report.workbook.write import write_workbook

ROOT = Path(__file__).parents[3]
STRUCK = ("settle it", "the same in all", "never reached it", "keep their promise")
_END = r"([+−]?[\d,.]+(?:e[−+]?\d+)?|−?∞)"
_ROW = re.compile(
    r"(×?)(?: fewer| points| that of “[^”]*”)? \((?:95 % interval of this comparison alone )?"
    rf"{_END} to {_END}((?:[^()]|\([^()]*\))*)\)(: a hint alone| *: equivalent)?"
)


def value(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-").replace("∞", "inf"))


def rows_of(text: str) -> Iterator[tuple[float, float, float, str, str]]:
    """Null, both ends, the rest of the brackets and the claim of every row that a text prints."""
    for sign, low, high, inside, claim in _ROW.findall(text):
        yield (1.0 if sign else 0.0), value(low), value(high), inside, claim.strip(": ")


def check_text(text: str) -> int:
    """That each interval excludes no difference exactly where its words say so; how many it has."""
    n = 0
    for null, low, high, inside, claim in rows_of(text):
        n += 1
        assert low < high or inside.endswith("p 1.000"), text  # losses are not counted in images
        excludes = not low <= null <= high
        p = [float(each) for each in re.findall(r"p (?:<)?(0\.\d+|1\.000)", inside)]
        if claim == "a hint alone":
            assert excludes, text
            assert not p
        elif claim != "equivalent":
            assert p
            assert excludes == (p[0] <= 0.05), text
    return n


def check_numbers(row: dict[str, object]) -> None:
    """A row of report.json: both intervals against both p-values, and the state against them."""
    alone, among = row["p_value"], row["p_question"]
    if alone is None:
        assert row["state"] == "not shown"
        return
    null = 1.0 if row["scale"] == "speedup" else 0.0
    for p, key in ((alone, ""), (among, "_question")):
        ends = [row[f"{end}{key}"] for end in ("low", "high")]
        low, high = (np.inf if end == "infinity" else float(str(end)) for end in ends)
        assert (not low <= null <= high) == (float(str(p)) <= 0.05), row
    state = "shown" if among <= 0.05 else "by itself" if alone <= 0.05 else "not shown"  # type: ignore[operator]
    assert row["state"] in (state, "equivalent")


def check(content: Content, folder: Path) -> int:
    """All forms of a report, but for the PDF, which has the page's texts; how many intervals."""
    console, glance = console_text(content.glance), content.glance
    page = " ".join(html.unescape(re.sub("<[^>]+>", " ", page_text(content))).split())
    saved = json.loads(json.dumps(report_json(content)))
    write_workbook(folder / "results.xlsx", content)
    book = openpyxl.load_workbook(folder / "results.xlsx", read_only=True)
    sheets = (book["Answer"], book["In words"])
    cells = [str(cell) for sheet in sheets for row in sheet.values for cell in row if cell]
    page = page.replace("\u00a0", " ")
    at_a_glance = (glance.question, glance.stand_in, glance.sentence, glance.more)
    for text in (*at_a_glance, *glance.reservations):
        assert text in page
        assert text in console
        assert text in ("", *cells)
    told_of = [row["text"] for row in saved["comparisons_in_words"]]
    for answer in content.answers:
        assert " ".join(answer.words.text.split()) in page
        assert answer.words.text in cells
        assert answer.words.text in told_of
    head, *rows = [row for row in book["Comparisons"].values if row[-1] or row[0]][2:]
    told = [str(row[head.index("In words")]) for row in rows]
    assert told == [row["verdict_words"] for row in saved["tables"]["comparisons"]]
    for row in saved["tables"]["comparisons"]:
        check_numbers(row)
    texts = [*cells, *told, *saved["answer"]]
    for text in (*texts, page, console):
        for word in STRUCK:
            assert word not in text
    return sum(map(check_text, texts))


def content_of(*folders: Path) -> Content:
    findings = find(load_runs(folders))
    return compose(findings, arm_styles(findings.arm_names))


def write(folder: Path, **changes: object) -> Path:
    return write_run(folder, Made(predictions=False, **changes))  # type: ignore[arg-type]


BASE = Arm("scratch", 0.975, 300)
FOLDERS: dict[str, dict[str, object]] = {
    "at the target before the first step": {
        "seeds": 5, "at_zero": True, "arms": (BASE, Arm("pretrained", 0.98, 200, 0.92)),
    },
    "arms of different lengths": {
        "seeds": 6,
        "arms": (Arm("long", 0.975, 500, steps=2000), Arm("short", 0.97, 400, steps=600)),
    },
    "4 of 10 diverged": {
        "seeds": 10, "arms": (BASE, Arm("pretrained", 0.985, 200, 0.4, diverged=(0, 3, 5, 8))),
    },
    "targets that nobody reaches": {"targets": (0.99, 0.999)},
    "accuracy 1 everywhere": {"arms": (Arm("a", 1.0, 1, 1.0), Arm("b", 1.0, 1, 1.0)), "noise": 0.0},
    "two seeds": {"seeds": 2},
    "redrawn splits": {"pool": 200, "n_train": 150, "n_test": 30, "extra": {"vary": ["split"]}},
    "loss": {"seeds": 6, "extra": {
        "measure": {"metric": "loss", "targets": [0.5, 0.2], "equivalence": 0.01}}},
    "equal arms": {"seeds": 10, "arms": (BASE, Arm("pretrained", 0.975, 300)), "equivalence": 0.02},
    "unpaired seeds": {
        "seeds": 8, "arms": (Arm("a", absent=(0, 1, 2, 3)), Arm("b", absent=(4, 5, 6, 7))),
    },
}  # fmt: skip


@pytest.mark.slow
def test_a_report_of_two_sweeps_agrees_with_itself(tmp_path: Path) -> None:
    """Slow: it writes whole reports and reads all of them again."""
    arms = (BASE, Arm("pretrained", 0.98, 290, diverged=(1,)), Arm("early", 0.975, 200, 0.93))
    folders = [
        write(
            tmp_path / name,
            name=name,
            arms=arms,
            at_zero=True,
            seeds=5,
            root=root,
            noise=0.004,
            evaluations=8,
        )
        for name, root in (("one", 1), ("two", 7))
    ]
    assert check(content_of(*folders), tmp_path) > 40


@pytest.mark.parametrize("margin", [0.001, pytest.param(0.0015, marks=pytest.mark.slow)])
def test_missing_seeds_are_one_range_in_sentence_table_and_record(
    tmp_path: Path, margin: float
) -> None:
    """Where the difference that was seen is larger than the margin, and where it is not."""
    arms = (Arm("scratch", 0.975, 300), Arm("pretrained", 0.9765, 290))
    changes = {"seeds": 5, "n_test": 2000, "noise": 0.004, "equivalence": margin, "arms": arms}
    content = content_of(write(tmp_path / "run", **changes))
    findings = content.findings
    (row,) = [c for c in findings.pairs.comparisons if c.metric == findings.score]
    assert row.state == "not shown"
    table = seeds_table(findings)
    (line,) = table.frame.to_dict("records")
    assert [column.key for column in table.columns][-1:] == ["more_words"]
    assert (line["more_low"], line["more_high"]) == (row.n_more_low, row.n_more_high)
    said = f"between {row.n_more_low:,.0f} and {row.n_more_high:,.0f} more"
    page = " ".join(html.unescape(re.sub("<[^>]+>", " ", page_text(content))).split())
    assert f"5 seeds cannot tell how many: for an 80 % chance of a verdict {said}" in page
    (record,) = [
        r for r in report_json(content)["tables"]["comparisons"] if r["metric"] == row.metric
    ]
    assert (record["n_more_low"], record["n_more_high"]) == (row.n_more_low, row.n_more_high)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_reports_of_all_kinds_agree_with_themselves(name: str, tmp_path: Path) -> None:
    assert check(content_of(write(tmp_path / "run", **FOLDERS[name])), tmp_path) > 1


@pytest.mark.slow
@pytest.mark.parametrize("root", range(12))
def test_reports_of_equal_or_almost_equal_arms_agree_with_themselves(
    root: int, tmp_path: Path
) -> None:
    """Where p-values lie near 5 % and intervals end near no difference."""
    rng = np.random.default_rng(root)
    arms = tuple(
        Arm(f"arm {k}", 0.975 + 0.002 * rng.normal(), 300 * float(np.exp(0.1 * rng.normal())))
        for k in range(3)
    )
    made = {"seeds": int(rng.integers(3, 9)), "arms": arms, "root": root,
            "evaluations": int(rng.choice([4, 20])), "noise": 0.003}  # fmt: skip
    assert check(content_of(write(tmp_path / "run", **made)), tmp_path) > 10


def test_words_that_a_referee_strikes_are_in_no_source_of_words() -> None:
    files = [
        *(ROOT / "analysis").rglob("*.py"), *(ROOT / "analysis/report/templates").iterdir(),
        *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/results").glob("*.md"), ROOT / "README.md",
    ]  # fmt: skip
    assert len(files) > 100
    bad = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in files
        for word in STRUCK
        if word in path.read_text(encoding="utf-8")
    ]
    assert not bad
