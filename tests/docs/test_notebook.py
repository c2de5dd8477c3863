"""The page on notebooks: its lines are run, and print what stands there."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import sys
from pathlib import Path

import pytest
from matplotlib import pyplot

from harness.notebook import run_sweep

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "analysis"))
from synthetic_runs import Made, write_run  # noqa: E402

PAGE = ROOT / "docs" / "notebook.md"


def test_the_lines_of_the_page_print_what_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(name="part2", n_test=2000, predictions=False, images=False)
    write_run(tmp_path / "runs" / "part2", made)
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8").replace("```\n", "\n")  # no fence is output
    examples = doctest.DocTestParser().get_doctest(text, {}, "notebook.md", str(PAGE), 0)
    assert len(examples.examples) > 8
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    runner.run(examples, out=said.append)
    pyplot.close("all")
    assert not runner.failures, "".join(said)
    assert (tmp_path / "curves.pdf").exists()


def test_the_call_that_runs_a_sweep_is_one_that_the_function_takes() -> None:
    [block] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    [call] = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    bound = inspect.signature(run_sweep).bind(*map(ast.literal_eval, call.args), **given)
    assert (ROOT / bound.arguments["sweep"]).is_file()
