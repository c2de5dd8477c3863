"""Figures: one look for an arm everywhere, intervals where they belong, files that repeat."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.figures import arms, classes, comparisons, curves, rows, search, tasks
from analysis.figures.style import arm_styles, drawing, new_figure, save_figure, short
from analysis.statistics.times.course import COURSES

STYLES = arm_styles(["scratch", "pretrained"])


@pytest.fixture(autouse=True)
def _drawing():
    with drawing():
        yield


def axes():
    return new_figure(4, 3)[1][0, 0]


def test_eighty_four_arms_differ_in_colour_and_mark() -> None:
    styles = arm_styles([str(k) for k in range(84)])
    assert len({(s.color, s.marker) for s in styles.values()}) == 84


def test_points_of_a_grid_have_the_colour_of_their_arm_and_a_mark_of_their_own() -> None:
    names = [f"{arm} [train={n}]" for n in range(12) for arm in ("scratch", "pretrained")]
    styles = arm_styles(names)
    assert [styles[name].color for name in names[:4]] == [0, 1, 0, 1]
    assert len({(s.color, s.marker) for s in styles.values()}) == 24
    assert {s.color for s in arm_styles(names[::2]).values()} == {0, 1, 2, 3, 4, 5, 6}


def test_an_arm_keeps_its_style_whatever_is_drawn_with_it() -> None:
    assert arm_styles(["a", "b", "c"])["b"] == arm_styles(["a", "b"])["b"]


def test_forest_draws_the_interval_where_it_is() -> None:
    rows = pd.DataFrame(
        {
            "task": "t",
            "treatment": ["pretrained"],
            "control": ["scratch"],
            "estimate": [0.01],
            "low": [0.002],
            "high": [0.03],
            "margin": [0.001],
            "verdict": ["better"],
        }
    )
    ax = comparisons.forest(axes(), rows, STYLES)
    bars = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2]
    assert any(np.allclose(bar, [0.002, 0.03]) for bar in bars)
    assert ax.get_yticklabels()[0].get_text() == "pretrained − scratch"


def test_a_single_pair_gets_no_whisker() -> None:
    rows = pd.DataFrame(
        {
            "task": "t",
            "treatment": ["pretrained"],
            "control": ["scratch"],
            "estimate": [0.01],
            "low": [np.nan],
            "high": [np.nan],
            "margin": [np.nan],
            "verdict": ["inconclusive"],
        }
    )
    ax = comparisons.forest(axes(), rows, STYLES, replace(COURSES["mae"], measured_in="years"))
    widths = [np.ptp(line.get_xdata()) for line in ax.lines if line.get_xdata()[0] > 0]
    assert widths == [0]
    assert ax.texts[0].get_text().endswith("not known")
    assert ax.get_xlabel() == "Difference in mean absolute error (years), treatment minus control"


def test_a_bound_is_an_arrow_and_never_joined() -> None:
    table = pd.DataFrame(
        {
            "treatment": "pretrained",
            "control": "scratch",
            "target": [0.8, 0.9, 0.95, 0.97, 0.98],
            "unit": "step",
            "estimate": [2.5, 2.0, 1.5, 1.4, 0.7],
            "low": [2.1, 1.8, 1.2, 1.1, 0.0],
            "high": [2.9, 2.2, np.inf, 1.9, 0.9],
            "bound": ["", "", "at least", "", "at most"],
            "n_pairs": 5,
            "n_reached_treatment": [5, 5, 5, 4, 2],
            "n_reached_control": [5, 5, 3, 3, 5],
        }
    )
    ax = comparisons.speedup_against_target(axes(), table, STYLES)
    arrows = [text for text in ax.texts if text.arrow_patch is not None]
    assert [(arrow.xy[1], np.sign(arrow.xyann[1])) for arrow in arrows] == [(1.5, 1), (0.7, -1)]
    [joined] = [line for line in ax.lines if line.get_label().startswith("pretrained")]
    np.testing.assert_array_equal(joined.get_ydata(), [2.5, 2.0, np.nan, np.nan, np.nan])
    bars = [sorted(line.get_ydata()) for line in ax.lines if line.get_linewidth() == 1.4]
    assert bars == [[2.1, 2.9], [1.8, 2.2], [1.2, 1.5], [1.1, 1.9], [0.7, 0.9]]
    assert ax.get_yscale() == "log"


def test_training_is_dashed_in_the_colour_of_its_arm() -> None:
    bands = pd.DataFrame(
        {
            "arm": "scratch",
            "metric": ["val_accuracy"] * 3 + ["train_accuracy"] * 3,
            "step": [0, 10, 20] * 2,
            "mean": [0.1, 0.5, 0.8, 0.2, 0.6, 0.9],
            "low": 0.1,
            "high": 0.9,
        }
    )
    runs = pd.DataFrame(columns=["arm", "metric", "seed", "step", "value"])
    ax = curves.learning_curves(axes(), bands, runs, STYLES, "accuracy")
    dashed, solid = ax.lines
    assert dashed.get_ydata().tolist() == [0.2, 0.6, 0.9]
    assert (dashed.get_linestyle(), solid.get_linestyle()) == ("--", "-")
    assert dashed.get_color() == solid.get_color()
    assert len(ax.collections) == 1  # the band, of validation alone


def test_confusions_of_all_arms_have_one_scale_and_no_colour_where_they_are_right() -> None:
    scratch, pretrained = np.array([[0.8, 0.2], [0.1, 0.9]]), np.array([[0.9, 0.1], [0.4, 0.6]])
    most = rows.largest_mistake([scratch, pretrained])
    assert most == 0.4
    ax = classes.confusion(axes(), scratch, ["a", "b"], "", most)
    drawn = ax.collections[0]
    shown = np.ma.filled(drawn.get_array().reshape(2, 2).astype(float), np.nan)
    np.testing.assert_allclose(shown, [[np.nan, 20.0], [10.0, np.nan]])
    assert drawn.get_clim() == (0, 40)
    assert [t.get_text() for t in ax.texts if t.get_text()] == ["20.0", "10.0", "80.0", "90.0"]


def test_f1_puts_the_hardest_class_first() -> None:
    scores = pd.DataFrame(
        {
            "arm": "scratch",
            "class_name": ["easy", "hard"],
            "f1": [0.9, 0.2],
            "f1_low": [0.8, 0.1],
            "f1_high": [1.0, 0.3],
        }
    )
    ax = classes.f1_by_class(axes(), scores, STYLES)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["hard", "easy"]


def test_survival_marks_what_was_censored() -> None:
    curve = pd.DataFrame(
        {
            "arm": "scratch",
            "target": 0.9,
            "time": [0.0, 10, 20],
            "share_reached": [0.0, 0.5, 0.5],
            "low": [0.0, 0.1, 0.1],
            "high": [0.0, 0.9, 0.9],
            "n_censored": [0, 0, 1],
        }
    )
    ax = curves.survival_curves(axes(), curve, STYLES, 0.9)
    [marks] = [line for line in ax.lines if line.get_marker() == "|"]
    assert marks.get_xdata().tolist() == [20]
    assert ax.get_title("left") == "Validation accuracy of 90 %"
    years = replace(COURSES["mae"], measured_in="years")
    ax = curves.survival_curves(axes(), curve, STYLES, 0.9, years)
    assert ax.get_title("left") == "Validation mean absolute error of\n0.9 years"  # of two panels


@pytest.mark.filterwarnings("error")
def test_survival_of_networks_that_did_not_train_is_drawn_without_a_warning() -> None:
    numbers = {"time": [0.0], "share_reached": [0.0], "low": [0.0], "high": [0.0]}
    curve = pd.DataFrame({"arm": ["scratch"], "target": [0.9], **numbers, "n_censored": [1]})
    ax = curves.survival_curves(axes(), curve, STYLES, 0.9)
    assert ax.get_xlim() == (0, 1)


def test_every_seed_is_a_dot() -> None:
    evidence = pd.DataFrame(
        {
            "arm": ["scratch"] * 3,
            "status": ["done", "done", "failed"],
            "test_accuracy": [0.9, 0.8, 0],
        }
    )
    means = pd.DataFrame(
        {"arm": ["scratch"], "score": [0.85], "score_low": [0.7], "score_high": [1.0]}
    )
    ax = arms.final_accuracy(axes(), means, evidence, "test_accuracy", STYLES)
    assert sum(len(c.get_offsets()) for c in ax.collections) == 2


def test_a_spread_of_two_seeds_is_read_although_its_interval_is_wide() -> None:
    table = pd.DataFrame(
        {
            "arm": ["scratch"],
            "sd": [0.002],
            "sd_low": [0.001],
            "sd_high": [0.35],
            "binomial_sd": [0.0015],
        }
    )
    ax = arms.spread(axes(), table, STYLES)
    assert ax.get_xscale() == "log"
    assert 0.002 < ax.get_xlim()[1] < 0.02
    assert [line.get_marker() for line in ax.lines][-2:] == [">", "|"]


def test_spreads_that_rounding_leaves_of_equal_values_are_drawn_as_none() -> None:
    table = pd.DataFrame({"value": [1e-17, 0.0], "low": [1e-18, 0.0], "high": [1e-15, 0.0]})
    assert rows.spread_frame(table.assign(noise=np.nan)) is None
    more = pd.DataFrame({"value": [0.01], "low": [0.005], "high": [0.02]})
    frame = rows.spread_frame(pd.concat([table, more]).assign(noise=np.nan))
    assert frame is not None
    assert frame[0] > 0.001
    spreads = table.rename(columns={"value": "sd", "low": "sd_low", "high": "sd_high"})
    ax = arms.spread(axes(), spreads.assign(arm=["scratch", "scratch"], binomial_sd=np.nan), STYLES)
    assert ax.get_xlim() == (0, 0.01)


def test_settings_over_several_decades_are_drawn_on_logarithms() -> None:
    trials = pd.DataFrame(
        {"learning_rate": [1e-5, 1e-3, 1e-1], "best_val_accuracy": [0.1, 0.9, 0.2]}
    )
    both = trials.assign(arm="scratch", seed=0, score=[0.1, 0.9, 0.2], chosen=[False, True, False])
    tried = rows.Tried("s", "validation accuracy", ("learning_rate",), both, 0)
    ax = search.score_against(axes(), tried, "learning_rate", STYLES)
    assert ax.get_xscale() == "log"
    ring = ax.lines[-1]
    assert (ring.get_xdata().tolist(), ring.get_ydata().tolist()) == ([1e-3], [0.9])
    ax = search.parallel_coordinates(axes(), trials, ["learning_rate"])
    starts = {round(float(line.get_ydata()[0]), 6) for line in ax.lines}
    assert 0.5 in starts


def test_a_forest_keeps_the_surest_comparisons_in_their_order_and_says_where_others_are() -> None:
    nothing = [float("nan")] * 5
    table = pd.DataFrame(
        {
            "p_question": [1.0, 1.0, 0.01, 1.0, float("nan")],
            "p_equivalence_holm": [*nothing[:3], 0.001, float("nan")],
            "p_value": [0.8, 0.2, 0.005, 0.9, float("nan")],
            "p_equivalence": nothing,
            "estimate": [0.3, 0.1, 0.2, 0.0, 0.9],
        },
        index=[4, 9, 12, 20, 30],
    )
    kept, said = rows.surest_rows(table, 3)
    assert kept.index.tolist() == [9, 12, 20]
    assert "the 3 of 5 comparisons that are surest; 2 more are in the table" in said
    kept, said = rows.surest_rows(table, 5)
    assert (len(kept), said) == (5, "")


def test_points_of_a_grid_are_told_apart_where_their_names_are_cut() -> None:
    names = [f"pretrained [train={n}, width={w}]" for n in (1000, 25000) for w in (1, 2)]
    assert len({short(name) for name in names}) == 4
    assert {len(short(name)) for name in names} == {28}
    assert short("a" * 30) == "a" * 27 + "…"


def test_a_dollar_sign_in_a_name_is_no_formula(tmp_path: Path) -> None:
    figure, ax = new_figure(3, 2)
    ax[0, 0].set_title(r"$\frac{broken_% & <b>")
    assert "<svg" in save_figure(figure, tmp_path, "odd")


def test_a_letter_that_the_font_lacks_is_no_warning(tmp_path: Path) -> None:
    figure, ax = new_figure(3, 2)
    ax[0, 0].set_title("\N{HONEYBEE}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "<svg" in save_figure(figure, tmp_path, "bee")


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        figure, ax = new_figure(3, 2)
        ax[0, 0].plot([1, 2], [3, 4])
        (tmp_path / name).mkdir()
        save_figure(figure, tmp_path / name, "figure")
        written.append(
            [(tmp_path / name / f"figure.{e}").read_bytes() for e in ("png", "svg", "pdf")]
        )
    assert written[0] == written[1]


def test_ranks_stand_where_they_are_and_the_bar_is_as_long_as_the_difference() -> None:
    names = ["a", "b", "c"]
    table = pd.DataFrame({"arm": names, "rank": [1.5, 1.0, 3.0]})
    _, axes = new_figure(4, 2)
    ax = tasks.ranks(axes[0, 0], table, 1.25, arm_styles(names))
    *dots, bar = ax.lines
    assert [float(dot.get_xdata()[0]) for dot in dots] == [3.0, 1.5, 1.0]
    assert list(bar.get_xdata()) == [1.0, 2.25]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c", "a", "b"]
