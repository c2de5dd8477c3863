"""What a reader must know before the numbers: said at the top of the report, not in a footnote.

In: `Findings`. Out: sentences, the most serious first. Each is a template over computed values.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis import words
from analysis.findings.findings import Findings
from analysis.measures.stopping import stopping_of
from analysis.statistics.pairs.looks import HOPELESS
from analysis.statistics.pairs.until_verdict import is_hopeless
from analysis.statistics.samples.redrawn import seeds_worth
from analysis.statistics.samples.significance import most_without_one
from headstart.metrics import ONLY_OF_TARGETS

FEW_SEEDS = 5
WORTH_SAYING = 0.25  # a share of trials that may fail although none did
LEAST_OVERLAP_S = 1.0  # times are rounded to seconds
MOST_MESSAGE = 160  # characters of an error message
SMALL_TEST = 200  # test images; below, one of them is over half a point


def find_caveats(findings: Findings) -> list[str]:
    """Every caveat that applies to this report."""
    makers = (
        unfinished_line,
        _stand_ins,
        _merged,
        _warnings,
        _bad_trials,
        _errors,
        _few_seeds,
        _none_failed,
        _shared_pretraining,
        _redrawn,
        _unpaired,
        _conditions,
        _fitted,
        _unequal_searches,
        _not_deterministic,
        _side_by_side,
        _no_test,
        _lacking,
        _coarse_test,
        _pairs_by_default,
        _rules,
    )
    return [text for maker in makers for text in maker(findings)]


def _merged(findings: Findings) -> Iterator[str]:
    """What is not alike in the folders that were merged."""
    yield from (words.sentence(text) for text in findings.runs.remarks)


def _fitted(findings: Findings) -> Iterator[str]:
    """That arms whose head was fitted at once have no way that could be compared."""
    trials = findings.runs.trials
    if "probe_l2" in trials and trials["probe_l2"].notna().any():
        arms = sorted(trials["arm"][trials["probe_l2"].notna()].unique())
        heads = "The head of" if len(arms) == 1 else "The heads of"
        was = "was" if len(arms) == 1 else "were"
        yield (
            f"{heads} {words.listed([f'“{arm}”' for arm in arms])} {was} fitted at once (linear "
            "probe), which tables count as one step: what it ends with is compared, and not how it "
            "got there."
        )


def unfinished_line(findings: Findings) -> Iterator[str]:
    """That trials of the plan have not ended, and what such a look is worth."""
    left = findings.runs.unfinished
    if left is not None:
        yield (
            f"Unfinished: {left}. What stands here is of these alone. It is a look before the "
            "number of seeds that was planned, and p-values do not allow for it: they hold if the "
            "run goes on to its end, whatever is read here."
        )


def _stand_ins(findings: Findings) -> Iterator[str]:
    """A sentence for each data set that was used in place of another one."""
    trials = findings.runs.trials
    for (used, wanted), rows in trials[trials["stand_in_for"] != ""].groupby(
        ["dataset", "stand_in_for"]
    ):
        places = zip(rows["stage"], rows["arm"], strict=True)
        noun = {"pretrain": "pretraining stage"}
        stages = words.listed(sorted({f"{noun.get(s, 'arm')} “{arm}”" for s, arm in places}))
        yield (
            f"A stand-in was used: {used} in place of {wanted} ({stages}). The answer is about "
            f"{used}; it need not hold for {wanted}."
        )


def _warnings(findings: Findings) -> Iterator[str]:
    """What data sets warn of, each warning once, with the sets that it is about."""
    remarks = findings.data.remarks
    for text, rows in remarks[remarks["kind"] == "Warning"].groupby("remark", sort=False):
        names = [f"“{name}”" for name in dict.fromkeys(rows["name"])]
        yield words.sentence(f"Data set {words.shortened(names)}: {text}")


def _bad_trials(findings: Findings) -> Iterator[str]:
    arms = findings.arms
    if not len(arms) or not arms["n_done"].sum():
        yield "No trial of any arm finished: there is nothing to compare, and no number below."
    for column, verb in (("n_failed", "failed"), ("n_diverged", "diverged")):
        bad = arms[arms[column] > 0]
        if len(bad):
            where = [f"{arm} {n}" for arm, n in zip(bad["arm"], bad[column], strict=True)]
            yield (
                f"{words.plural(int(bad[column].sum()), 'trial')} {verb} "
                f"({words.shortened(where)}). They count as never reaching a target; they have no "
                "final accuracy, so means of accuracy are over the trials that finished."
            )
    others = arms[["n_done", "n_failed", "n_missing"]].sum(axis=1)
    for arm in arms.loc[(arms["n_diverged"] > 0) & (others == 0), "arm"]:
        yield f"Every trial of “{arm}” diverged: it has no final accuracy and reaches no target."
    missing = arms[arms["n_missing"] > 0]
    if len(missing) and findings.runs.unfinished is None:
        where = [f"{a} {n}" for a, n in zip(missing["arm"], missing["n_missing"], strict=True)]
        yield (
            f"{words.plural(int(missing['n_missing'].sum()), 'planned trial')} not in the tables "
            f"yet ({words.shortened(where)}): the sweep is not complete."
        )
    broken = findings.runs.trials
    broken = broken[(broken["stage"] != "arm") & (broken["status"] != "done")]
    for (stage, arm), rows in broken.groupby(["stage", "arm"]):
        yield f"{words.plural(len(rows), f'{stage} trial')} of “{arm}” did not finish."


def _errors(findings: Findings) -> Iterator[str]:
    """Why trials failed: the different messages, the most frequent first."""
    trials = findings.runs.trials
    messages = trials.loc[trials["error"] != "", "error"].str.slice(0, MOST_MESSAGE)
    counts = messages.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    if len(counts):
        shown = [f"“{text}” ({n})" for text, n in counts.head(3).items()]
        more = f" and {len(counts) - 3} other messages" if len(counts) > 3 else ""
        yield f"Errors of trials that did not finish: {'; '.join(shown)}{more}."


def _few_seeds(findings: Findings) -> Iterator[str]:
    arms = findings.arms
    few = arms[(arms["n_done"] < FEW_SEEDS) & (arms["n_done"] > 0)]
    single = few[few["n_done"] == 1]
    if len(single):
        yield (
            f"One seed only ({words.shortened(list(dict.fromkeys(single['arm'])))}): no interval "
            "and no test is possible, and a difference may be chance."
        )
    rest = few[few["n_done"] > 1]
    if len(rest):
        names = words.shortened(list(dict.fromkeys(rest["arm"])))
        yield (
            f"Fewer than {FEW_SEEDS} seeds finished ({names}): "
            "intervals rest on the assumption that results are near normal."
        )


def _none_failed(findings: Findings) -> Iterator[str]:
    """What so few trials without a failure leave possible; where one failed, that is said above."""
    arms = findings.arms
    if arms.empty or arms[["n_failed", "n_diverged", "n_missing"]].to_numpy().any():
        return
    n = int(arms["n_done"].min())
    most = most_without_one(n)
    if n > 1 and most > WORTH_SAYING:
        yield (
            f"No trial failed or diverged: of {words.plural(n, 'seed')} an arm none did, yet up to "
            f"{words.share(most)} could (95 %)."
        )


def _shared_pretraining(findings: Findings) -> Iterator[str]:
    for asked in findings.asked:
        for name, stage in (asked.sweep.get("pretrain") or {}).items():
            if isinstance(stage, dict) and stage.get("shared"):
                yield (
                    f"Pretraining stage “{name}” ran once and all seeds share its checkpoint: the "
                    "variation of pretraining is not in the intervals."
                )


def _redrawn(findings: Findings) -> Iterator[str]:
    evidence = findings.evidence
    rows = evidence[evidence["overlap"] > 0]
    if rows.empty:
        return
    pool, n = int(rows["n_pool"].max()), int(rows["seed"].nunique())
    worth = seeds_worth(n, float(rows["overlap"].max()))
    finals = {"accuracy": "accuracies"}.get(findings.course.name, findings.course.words)
    yield (
        f"Each seed splits one pool of {pool:,} images anew, so seeds depend on one another: "
        f"{n} are worth about {worth:.1f} independent ones. Intervals of final {finals} and of "
        "differences of them allow for it (corrected resampled t, Nadeau and Bengio 2003); those "
        "of the way there, spreads and single classes do not: they hold for this pool."
    )


def _conditions(findings: Findings) -> Iterator[str]:
    done = findings.evidence[findings.evidence["status"] == "done"]
    for key, noun in (
        ("device", "devices"),
        ("n_workers", "numbers of workers"),
        ("ran_as", "ways of running"),
        ("gpu_share", "shares of a GPU"),
        ("gpu_workers", "numbers of workers on a GPU"),
        ("gpu_sharing", "ways of sharing a GPU"),
        ("cuda", "versions of CUDA"),
        ("cudnn", "versions of cuDNN"),
        ("driver", "versions of the GPU's driver"),
        ("host", "machines"),
    ):
        values = sorted(map(_shown, done[key].dropna().unique())) if key in done else []
        if len(values) > 1:
            yield (
                f"Trials ran under different {noun} ({words.shortened(values)}): seconds are "
                "compared only between trials that ran alike."
            )


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _unequal_searches(findings: Findings) -> Iterator[str]:
    """Compared arms whose settings were searched with unlike budgets."""
    budgets = {(decided.sweep, decided.arm): decided.budget for decided in findings.decisions}
    evidence = findings.evidence
    untrained = set(evidence.loc[evidence["fine_tune"].eq("none"), "arm"])
    said: dict[str, None] = {}
    for asked in findings.asked:
        for pair in asked.pairs:
            mine, other = (budgets.get((asked.name, arm)) for arm in (pair.treatment, pair.control))
            if mine != other and not untrained & {pair.treatment, pair.control}:
                sides = [
                    f"“{arm}” {'got ' + budget if budget else 'was not searched'}"
                    for arm, budget in ((pair.treatment, mine), (pair.control, other))
                ]
                said[" where ".join(sides)] = None
    if said:
        yield (
            f"The searches for settings were not alike: {'; '.join(said)}. A longer "
            "search finds better settings, so such a comparison is of searches too."
        )


def _not_deterministic(findings: Findings) -> Iterator[str]:
    trials = findings.runs.trials
    if "deterministic" not in trials:
        return
    rows = trials[trials["deterministic"].eq(False)]
    for operation, alike in rows.groupby("nondeterministic_operation"):
        arms = words.shortened([f"“{arm}”" for arm in dict.fromkeys(alike["arm"])])
        yield (
            f"{words.plural(len(alike), 'trial')} ({arms}) used an operation that has no "
            f"deterministic kernel on their device ({operation}): the same trial, run again, gives "
            "other bits, and so slightly other numbers."
        )


def _unpaired(findings: Findings) -> Iterator[str]:
    apart = [row for row in findings.pairs.comparisons if row.n and not row.paired]
    names = list(dict.fromkeys(f"“{row.treatment}” and “{row.control}”" for row in apart))
    if names:
        yield (
            f"Seeds do not pair for {words.shortened(names, 3)}: they are compared as independent "
            "groups, which needs more seeds for the same certainty."
        )


CLOCKED = ("train_time_s", "eval_time_s", "setup_time_s", "state_time_s")


def _side_by_side(findings: Findings) -> Iterator[str]:
    """Trials of one machine whose times overlap, by when they ended and how long they took."""
    trials = findings.runs.trials
    if not {"finished_at", *CLOCKED} <= set(trials):
        return
    end = pd.to_datetime(trials["finished_at"], errors="coerce", utc=True, format="ISO8601")
    start = end - pd.to_timedelta(trials[list(CLOCKED)].sum(axis=1), unit="s")
    host = trials["host"] if "host" in trials else pd.Series("", index=trials.index)
    times = pd.DataFrame({"start": start, "end": end, "host": host.fillna("")}).dropna()
    if times.empty:
        return
    times = times.sort_values(["host", "start"], kind="stable")
    before = times.groupby("host")["end"].transform(lambda ends: ends.cummax().shift())
    overlap = (before - times["start"]).dt.total_seconds()
    if (overlap > LEAST_OVERLAP_S).any():
        yield (
            "Trials ran side by side on one machine, so their seconds include each other’s load; "
            "steps and images do not."
        )


def _no_test(findings: Findings) -> Iterator[str]:
    what = findings.course.words
    if findings.score != findings.course.finals[0] and findings.arms["n_done"].sum():
        too = "low" if findings.course.lower_is_better else "high"
        trains = [asked.sweep.get("train") or {} for asked in findings.asked]
        of = f"of the chosen checkpoint, which validation chose: it is too {too}"
        if trains and all(train.get("select") == "last" for train in trains):
            of = "of the last step, which nothing chose"
        yield (
            f"Nothing was tested: no trial has a test {what}. Final {what} below is the validation "
            f"{what} {of}."
        )


def _lacking(findings: Findings) -> Iterator[str]:
    """Trials of a version that did not record what is measured."""
    if findings.n_unmeasured:
        yield (
            f"{words.plural(findings.n_unmeasured, 'finished trial')} left no record of "
            f"{findings.course.words}: a version before wrote them. They are in no comparison."
        )


def _coarse_test(findings: Findings) -> Iterator[str]:
    """A test part so small that one image is a large step."""
    if findings.course.name in ONLY_OF_TARGETS:  # no share of images is measured
        return
    done = findings.evidence[findings.evidence["test_accuracy"].notna()]
    if done.empty or "n_test" not in done:
        return
    least = int(done["n_test"].min())
    if 0 < least < SMALL_TEST:
        yield (
            f"The test part has {words.plural(least, 'image')}: one image is "
            f"{100 / least:.2g} points of test accuracy."
        )


def _pairs_by_default(findings: Findings) -> Iterator[str]:
    for asked in findings.asked:
        if not asked.pairs_named and asked.pairs:
            yield (
                f"Sweep “{asked.name}” names no comparison: every arm is set against "
                f"“{asked.pairs[0].control}”, the first."
            )


def _rules(findings: Findings) -> Iterator[str]:
    for asked in findings.asked:
        if asked.rule:
            yield f"The number of seeds was not fixed in advance: {asked.rule}."
    yield from _given_up(findings)
    for sweep, then, planned, now in findings.lowered:
        yield (
            f"A report of “{sweep}” was made at {words.plural(then, 'seed')}, when {planned} were "
            f"planned, and the number was lowered to {now} afterwards. A run that ends because of "
            "what a report showed has p-values that are too small."
        )
    for sweep, then, now in findings.raised:
        yield (
            f"A report of “{sweep}” was made at {words.plural(then, 'seed')}, and its number of "
            f"seeds was raised to {now} afterwards. P-values and intervals hold for a number that "
            "was chosen before anybody looked; `seeds: {until: verdict}` plans such looks."
        )


def _given_up(findings: Findings) -> Iterator[str]:
    """Comparisons of a sweep with planned looks that were ended as hopeless."""
    for asked in findings.asked:
        looks = stopping_of(asked.sweep.get("seeds")).looks
        rows = [
            row
            for row in findings.pairs.comparisons
            if row.metric == findings.score and row.task in asked.tasks
        ]
        given_up = [
            f"“{row.treatment}” against “{row.control}” after {row.n} seeds"
            for row in rows
            if looks and row.verdict == "inconclusive" and is_hopeless(row, looks, len(rows))
        ]
        if given_up:
            yield (
                f"Given up, because a verdict by {looks[-1]} seeds has a chance under "
                f"{words.share(HOPELESS)}: {words.shortened(given_up)}."
            )


def n_seeds_text(arms: pd.DataFrame) -> str:
    """`8 seeds an arm`, or `3 to 8 seeds an arm`."""
    low, high = int(arms["n_done"].min()), int(arms["n_done"].max())
    n = words.plural(high, "seed") if low == high else f"{low} to {high} seeds"
    return f"{n} an arm"
