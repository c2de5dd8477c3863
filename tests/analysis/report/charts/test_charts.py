"""Descriptions of charts: valid, repeatable, and true to the numbers that they are given.

What a browser draws of them is tested in `test_page.py`; here they are drawn without one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
from altair.utils import schemapi

from analysis.figures.rows import Tried, in_list, search_rows, setting_axis
from analysis.figures.style import INK, arm_styles
from analysis.findings.ahead import Ahead
from analysis.findings.learning import Learning
from analysis.findings.searches import Decisions, Search
from analysis.report.charts import static_svg
from analysis.report.charts.base import plain
from analysis.report.charts.by_class import f1_chart
from analysis.report.charts.confusion import confusion_chart, confusion_difference_chart
from analysis.report.charts.difference import difference_chart
from analysis.report.charts.finals import finals_chart
from analysis.report.charts.forest import forest_chart
from analysis.report.charts.learning import learning_chart
from analysis.report.charts.reached import reached_chart
from analysis.report.charts.searched import search_chart
from analysis.report.charts.speedup import speedup_chart
from analysis.report.charts.steadiness import steadiness_chart
from analysis.statistics.classes.scores import Confusion
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.band import Band
from analysis.statistics.times.course import ACCURACY, COURSES

HOSTILE = "</script><b>datum.x' \" + alert(1) \\ $"
ARMS = ("scratch", HOSTILE)
STYLES = arm_styles(ARMS)
Spec = dict[str, Any]


def learning(seeds: int = 3) -> Learning:
    steps = np.arange(0, 100, 10)
    runs, bands = [], []
    for arm in ARMS:
        for metric in ("val_accuracy", "train_accuracy", "val_loss"):
            curve = pd.DataFrame({"step": steps, "samples": steps * 8, "mean": steps / 100})
            ends = {"low": curve["mean"] - 0.05, "high": curve["mean"] + 0.05, "n": seeds}
            bands.append(curve.assign(**ends, task="t", arm=arm, metric=metric))
            for seed in range(seeds):
                values = {"step": steps, "value": steps / 100 + 0.01 * seed}
                runs.append(
                    pd.DataFrame(values).assign(task="t", arm=arm, metric=metric, seed=seed)
                )
    return Learning(pd.concat(bands), pd.concat(runs), seeds * 2, seeds * 2)


def speedups() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task": "t",
            "treatment": HOSTILE,
            "control": "scratch",
            "unit": "step",
            "target": [0.8, 0.9, 0.95, 0.97],
            "estimate": [2.5, 2.0, 1.5, 0.7],
            "low": [2.1, 1.8, 1.2, 0.0],
            "high": [2.9, 2.2, np.inf, 0.9],
            "bound": ["", "", "at least", "at most"],
            "n_pairs": 5,
            "n_reached_treatment": [5, 5, 5, 2],
            "n_reached_control": [5, 5, 3, 5],
        }
    )


def survival() -> pd.DataFrame:
    stairs = {"time": [0.0, 10, 200], "share_reached": [0.0, 0.5, 1.0], "n_censored": [0, 0, 0]}
    ends = {"low": [0.0, 0.2, 0.4], "high": [0.0, 0.8, 1.0], "at_risk": [4, 4, 2]}
    parts = [pd.DataFrame({**stairs, **ends}).assign(arm=arm, target=0.9) for arm in ARMS]
    return pd.concat(parts)


def finals() -> Spec:
    evidence = pd.DataFrame(
        {
            "arm": [*ARMS, *ARMS],
            "seed": [0, 0, 1, 1],
            "status": ["done", "done", "done", "failed"],
            "test_accuracy": [0.91234567, 0.95, 0.93, np.nan],
        }
    )
    means = {"score": [0.92, 0.95], "score_low": [0.9, np.nan], "score_high": [0.94, np.nan]}
    arms = pd.DataFrame({"arm": ARMS, **means, "score_n": [2, 1]})
    return finals_chart(evidence, arms, "test_accuracy", STYLES, ACCURACY) or {}


def forest() -> Spec:
    rows = pd.DataFrame(
        {
            "task": "t",
            "treatment": [HOSTILE, "wide [train=10]"],
            "control": ["scratch", "scratch [train=10]"],
            "estimate": [0.01, -0.02],
            "low": [0.005, -0.05],
            "high": [0.015, 0.01],
            "margin": 0.001,
            "verdict": ["better", "inconclusive"],
            "n_pairs": 4,
        }
    )
    return forest_chart(rows, ACCURACY) or {}


def steadiness() -> Spec:
    rows = {"sd": [0.01, 0.02], "sd_low": [0.005, np.nan], "sd_high": [0.05, np.nan]}
    broken = {"broken_share": [0.0, 0.25], "broken_low": [0.0, 0.05], "broken_high": [0.4, 0.7]}
    table = pd.DataFrame({"arm": ARMS, **rows, **broken, "n": 4, "n_trials": 4, "late_sd": 0.001})
    return steadiness_chart(table, STYLES, ACCURACY) or {}


def difference() -> Spec:
    mean = np.array([0.3, 0.1, 0.0])
    band = Band(mean, mean - 0.05, mean + 0.05, 5, 2.5)
    row = Ahead("t", Pair(HOSTILE, "scratch"), np.array([0.0, 10, 20]), band, 0)
    return difference_chart([row], STYLES, ACCURACY) or {}


def f1() -> Spec:
    names = [HOSTILE, "hard"]
    rows = {"class_name": names, "f1": [0.9, 0.2], "f1_low": [0.8, 0.1], "f1_high": [1.0, 0.3]}
    return f1_chart(pd.DataFrame({"arm": "scratch", **rows, "n": 3}), STYLES) or {}


def matrix(wrong: float) -> Confusion:
    mean = np.array([[1 - wrong, wrong], [0.0, 1.0]])
    return Confusion((100 * mean).astype(np.int64), mean, 3)


def mistakes() -> Spec:
    matrices = {"scratch": matrix(0.4), HOSTILE: matrix(0.1)}
    return confusion_chart(matrices, ["a", HOSTILE]) or {}


def moved() -> Spec:
    cells = np.array([[0.3, -0.3], [0.0, 0.0]])
    return confusion_difference_chart({(HOSTILE, "scratch"): cells}, ["a", HOSTILE]) or {}


def tried(score: str = "validation loss") -> Tried:
    """Two arms of a search: one chose the rate with the least loss, the other did not vary it."""
    scratch = {"arm": "scratch", "learning_rate": [1e-4, 1e-2], "augment": ["none", HOSTILE]}
    other = {"arm": HOSTILE, "learning_rate": np.nan, "augment": [HOSTILE, "none"]}
    parts = [
        pd.DataFrame({**part, "seed": [0, 1], "score": [2.0, 0.05], "chosen": [False, True]})
        for part in (scratch, other)
    ]
    rows = pd.concat(parts, ignore_index=True)
    return Tried("s", score, ("learning_rate", "augment"), rows, 1)


CHARTS: dict[str, Callable[[], Spec]] = {
    "learning": lambda: learning_chart(learning(), "t", STYLES) or {},
    "speedup": lambda: speedup_chart(speedups(), "t", STYLES, ACCURACY) or {},
    "reached": lambda: reached_chart(survival(), STYLES, ACCURACY) or {},
    "finals": finals,
    "forest": forest,
    "steadiness": steadiness,
    "difference": difference,
    "f1": f1,
    "mistakes": mistakes,
    "moved": moved,
    "searched rates": lambda: search_chart(tried(), "learning_rate", STYLES) or {},
    "searched texts": lambda: search_chart(tried(), "augment", STYLES) or {},
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_valid_plain_and_the_same_each_time(name: str) -> None:
    with schemapi.debug_mode(False):  # the whole is checked: parts need not be
        spec, again = CHARTS[name](), CHARTS[name]()
    alt.LayerChart.from_dict(spec)  # raises where the schema does not allow it
    text = json.dumps(spec, allow_nan=False)
    assert text == json.dumps(again, allow_nan=False)
    assert not re.search(r"#[0-9a-f]{6}", text)  # colours are the page's variables
    assert spec["description"]
    svg = static_svg(spec)
    assert "var(--" not in svg
    if name not in ("difference", "searched rates"):  # whose arms or texts do not stand there
        assert "/script" in svg.replace("</", "")
    assert "<script" not in svg
    assert "<b>" not in svg


def test_a_letter_that_the_font_lacks_is_a_box_and_long_names_are_cut_between_letters() -> None:
    bees = [f"{'x' * k}{chr(0x1F41D) * 60}" for k in range(2)]
    mark = {"mark": "point", "encoding": {"y": {"field": "arm", "type": "nominal"}}}
    values = [{"arm": name} for name in [*bees, "Bienen \u65e5 üß"]]
    svg = static_svg({"data": {"values": values}, "config": {"axis": {}}, **mark})
    assert ">Bienen \u25a1 üß</text>" in svg
    assert ">x\u25a1\u25a1" in svg
    assert "\u25a1…</text>" in svg
    assert max(svg) < "\uffff"


def test_arms_of_letters_that_the_font_lacks_stay_two_arms() -> None:
    names = ("预训练", "从头训")
    rows = {"seed": [0, 0], "status": "done", "test_accuracy": [0.9, 0.95]}
    means = {"score": [0.9, 0.95], "score_low": [0.8, 0.9], "score_high": [0.95, 0.99]}
    arms = pd.DataFrame({"arm": names, **means, "score_n": [2, 2]})
    styles = arm_styles(names)
    evidence = pd.DataFrame({"arm": names, **rows})
    spec = finals_chart(evidence, arms, "test_accuracy", styles, ACCURACY)
    assert spec is not None
    svg = static_svg(spec)
    for k, style in enumerate(styles.values(), 1):
        assert f">□□□{k}<" in svg
        assert groups(svg, "symbol", style.hex)


def test_the_same_description_gives_the_same_drawing() -> None:
    spec = CHARTS["learning"]()
    for layer in spec["layer"]:
        layer["mark"]["clip"] = True  # the library numbers clips over the whole process
    assert static_svg(spec) == static_svg(spec)


def groups(svg: str, mark: str, color: str) -> list[str]:
    """The paths of marks of one kind in one colour."""
    parts = re.findall(rf'<g class="mark-{mark} role-mark[^"]*"[^>]*>(.*?)</g>', svg)
    return [path for part in parts for path in re.findall(r"<path[^>]*>", part) if color in path]


def test_training_is_dashed_in_the_colour_of_its_arm_and_single_runs_are_faint() -> None:
    svg = static_svg(CHARTS["learning"]())
    for style in STYLES.values():
        lines = groups(svg, "line", style.hex)
        dashes = [re.search(r'stroke-dasharray="([^"]*)"', line) for line in lines]
        assert [d.group(1) for d in dashes if d] == ["1,0", "5,4"]
        assert len([line for line in lines if 'opacity="0.22"' in line]) == 3
        assert len(groups(svg, "area", style.hex)) == 1


def test_a_reader_chooses_what_is_there_and_nothing_else() -> None:
    params = {p["name"]: p for p in CHARTS["learning"]()["params"]}
    assert params["quantity"]["bind"]["labels"] == ["Accuracy", "Loss"]
    assert params["unit"]["bind"]["options"] == ["step", "samples"]
    measured = learning_chart(learning(), "t", STYLES, COURSES["loss"])
    assert measured is not None
    assert {p["name"]: p for p in measured["params"]}["quantity"]["value"] == "loss"
    one_seed = learning_chart(learning(1), "t", STYLES)
    assert one_seed is not None
    assert one_seed["datasets"]["runs"] == []
    assert {p["name"]: p for p in one_seed["params"]}["single"]["value"] is False


def test_many_seeds_are_thinned_and_stay_small() -> None:
    steps = np.arange(100)
    runs = [
        pd.DataFrame({"step": steps, "value": 0.987654321, "seed": seed}).assign(
            task="t", arm=arm, metric="val_accuracy"
        )
        for arm in ARMS
        for seed in range(300)
    ]
    band = {"step": steps, "mean": 0.5, "low": 0.4, "high": 0.6, "n": 300}
    parts = [pd.DataFrame(band).assign(task="t", arm=a, metric="val_accuracy") for a in ARMS]
    spec = learning_chart(Learning(pd.concat(parts), pd.concat(runs), 600, 600), "t", STYLES)
    assert spec is not None
    drawn = spec["datasets"]["runs"]
    assert {row["arm"] for row in drawn} == set(ARMS)
    assert sum(len(row["y"]) for row in drawn) <= 40_000
    assert len(json.dumps(spec)) < 500_000


def test_a_bound_is_an_arrow_and_never_joined() -> None:
    spec = CHARTS["speedup"]()
    rows = spec["datasets"]["speedups"]
    assert [row["kind"] for row in rows] == ["exact", "exact", "bound", "bound"]
    svg = static_svg(spec)
    color = STYLES[HOSTILE].hex
    [joined] = groups(svg, "line", color)
    points = re.findall(r"[ML]", joined.split(' d="')[1].split('"')[0])
    assert len(points) == 2  # of the two exact means
    triangles = [p for p in groups(svg, "symbol", color) if 'fill="' + color in p]
    assert len(triangles) == 2 + 2  # marks of the exact means, heads of an arrow up and one down


def test_an_interval_without_end_does_not_flatten_the_others() -> None:
    def scales(table: pd.DataFrame) -> set[str]:
        spec = speedup_chart(table, "t", STYLES, ACCURACY) or {}
        is_said = "drawn up to 100×" in str(spec["title"])
        assert is_said == (table["high"].iloc[0] > 100)
        return {str(layer["encoding"]["y"].get("scale")) for layer in spec["layer"][2:]}

    [usual] = scales(speedups())
    [wide] = scales(speedups().assign(high=[1e9, 2.2, np.inf, 0.9]))
    assert "domain" not in usual
    assert "'domain': [0.01, 100]" in wide
    assert "'clamp': True" in wide


def test_speedups_that_are_all_1_still_have_an_axis() -> None:
    alike = speedups().assign(estimate=1.0, low=1.0, high=1.0)
    svg = static_svg(speedup_chart(alike, "t", STYLES, ACCURACY) or {})
    _, _, width, height = map(float, re.findall(r'viewBox="([^"]+)"', svg)[0].split())
    assert 0 < height < width
    assert "NaN" not in svg


def test_mistakes_of_all_arms_have_one_scale_and_right_answers_no_colour_of_it() -> None:
    spec = CHARTS["mistakes"]()
    assert "up to 40 %" in spec["title"]["text"]
    texts = json.dumps(spec)
    assert '"domain": [0, 0.4]' in texts
    svg = static_svg(spec)
    rectangles = re.findall(r'<path aria-label="[^"]*"[^>]*>|<path [^>]*fill="#9d2c2c"[^>]*>', svg)
    assert len([r for r in rectangles if "#9d2c2c" in r]) == 1  # one mistake of the first arm


def test_a_forest_has_a_row_a_comparison_and_writes_the_point_of_a_grid_once() -> None:
    rows = forest()["datasets"]["rows"]
    assert [row["verdict"] for row in rows] == ["better", "not known"]
    assert rows[1]["pair"] == "wide − scratch [train=10]"
    assert rows[0]["pair"] == f"{HOSTILE} − scratch"


def test_numbers_have_five_digits_and_nothing_that_json_has_not() -> None:
    assert plain([0.123456789, np.nan, np.inf, 50.0, 1234567.0]) == [
        *(0.12346, None, None),
        *(50, 1234600),
    ]


def test_nothing_to_draw_is_no_chart() -> None:
    empty = Learning(learning().bands.iloc[:0], learning().runs.iloc[:0], 0, 0)
    assert learning_chart(empty, "t", STYLES) is None
    assert speedup_chart(speedups().assign(estimate=np.nan), "t", STYLES, ACCURACY) is None
    assert reached_chart(survival().iloc[:0], STYLES, ACCURACY) is None
    assert difference_chart([], STYLES, ACCURACY) is None
    assert confusion_chart({"scratch": matrix(0.1)}, [str(k) for k in range(71)]) is None


def test_every_seed_that_finished_is_a_dot() -> None:
    spec = finals()
    assert [row["y"] for row in spec["datasets"]["seeds"]] == [[0.91235, 0.93], [0.95]]
    svg = static_svg(spec)
    dots = [groups(svg, "symbol", style.hex) for style in STYLES.values()]
    assert [len([d for d in marks if 'opacity="0.4"' in d]) for marks in dots] == [2, 1]


def test_search_trials_stand_on_logarithms_with_a_ring_around_what_was_chosen() -> None:
    spec = CHARTS["searched rates"]()
    assert [row["x"] for row in spec["datasets"]["tried"]] == [1e-4, 1e-2]
    assert json.dumps(spec["layer"][0]["encoding"]).count('"type": "log"') == 2  # rate and loss
    rings = [r for r in groups(static_svg(spec), "symbol", INK) if 'stroke-width="1.8"' in r]
    assert len(rings) == 1
    texts = CHARTS["searched texts"]()["datasets"]
    assert [row["text"] for row in texts["values"]] == [HOSTILE, "none"]
    assert [row["x"] for row in texts["tried"]] == [1, 0, 0, 1]
    assert texts["tried"][3]["text"] == "augment none"


def test_search_rows_follow_the_score_that_chose_and_the_record_of_it() -> None:
    scores = {"best_val_accuracy": [0.9, 0.8, np.nan], "best_val_loss": [0.5, 0.3, np.nan]}
    own = {"arm": "a", "seed": 0, "trial_id": ["x", "y", "z"], "rate": [1, 2, 3]}
    search = Search("s", "a", pd.DataFrame({**own, **scores}), ("rate",))
    winners = pd.DataFrame({"trial_id": ["y"]})
    decided = Decisions("s", "a", {"metric": "val_loss"}, False, (), ("rate",), winners)
    [by_loss] = search_rows([search], [decided])
    assert (by_loss.score, by_loss.n_without) == ("validation loss", 1)
    assert by_loss.rows["score"].tolist() == [0.5, 0.3]
    assert by_loss.rows["chosen"].tolist() == [False, True]
    [alone] = search_rows([search], [])
    assert alone.rows["chosen"].tolist() == [True, False]


def test_axes_of_settings() -> None:
    kinds = {
        "log": [pd.Series([1e-4, 1e-2]), pd.Series([1, 30.0])],
        "list": [pd.Series([0, 1e-4, 1e-2]), pd.Series([8, 16, 32]), pd.Series([True, False])],
        "linear": [pd.Series(np.linspace(0, 1, 9))],
    }
    for kind, series in kinds.items():
        assert [setting_axis("x", values) for values in series] == [kind] * len(series)
    assert setting_axis("learning_rate", pd.Series([0.001, 0.004])) == "log"
    texts, places = in_list(pd.Series([32, 8, 16, np.nan]))
    assert texts == ["8", "16", "32"]
    assert places.dropna().tolist() == [2, 0, 1]


def test_an_interval_of_two_seeds_is_cut_where_spreads_can_still_be_read() -> None:
    sd = {"sd": [0.002, 0.0], "sd_low": [0.001, 0.0], "sd_high": [0.35, 0.0]}
    rest = {"late_sd": [0.003, np.nan], "broken_share": 0.0, "binomial_sd": 0.0015}
    table = pd.DataFrame({"arm": ARMS, **sd, **rest, "n": 2, "n_trials": 2})
    spec = steadiness_chart(table, STYLES, ACCURACY) or {}
    wide, none, noise = spec["datasets"]["rows"]
    assert (wide["cut_low"], wide["cut_high"]) == (0, 1)
    assert 10 ** wide["to"] == pytest.approx(1.15 * 3.5 * 0.2, rel=1e-3)  # 35 points are not
    assert 10 ** wide["x"] == pytest.approx(0.2, rel=1e-3)
    assert "0.2" in wide["text"]
    assert (none["cut_low"], none["cut_high"]) == (1, 0)  # no logarithm: at the left edge
    assert (noise["cut_low"], noise["cut_high"]) == (0, 0)
    svg = static_svg(spec)
    assert ">0.5<" in svg
    assert ">35<" not in svg


def luminance(color: np.ndarray) -> float:
    """Of WCAG 2.2; color: red, green and blue from 0 to 1, as in sRGB."""
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", ["mistakes", "moved"])
def test_numbers_on_shaded_cells_are_legible_in_light_and_dark(name: str) -> None:
    layers = CHARTS[name]()["layer"]
    [shade] = [e["opacity"]["scale"] for e in (r["encoding"] for r in layers) if "opacity" in e]
    [ink] = [r["encoding"]["color"] for r in layers if r["mark"]["type"] == "text"]
    css = (files("analysis.report") / "templates" / "page.css").read_text()
    themes = re.findall(r"color-scheme: (\w+);(.*?)\}", css, re.S)
    assert {scheme for scheme, _ in themes} == {"light", "dark"}
    for _, body in themes:
        colors = {
            f"var(--{key})": np.array([int(value[k : k + 2], 16) / 255 for k in (0, 2, 4)])
            for key, value in re.findall(r"--([\w-]+): #(\w{6});", body)
        }
        paper, text = colors["var(--paper)"], luminance(colors[ink["value"]])
        for hue in ("var(--good)", "var(--bad)"):
            for opacity in np.linspace(*shade["range"], 20):
                cell = luminance(opacity * colors[hue] + (1 - opacity) * paper)
                low, high = sorted((cell, text))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (hue, opacity)
