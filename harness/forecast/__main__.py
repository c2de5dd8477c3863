"""`python -m harness.forecast SWEEP.yaml`: cheap scores of each start, and how right they were.

In: a sweep file, and its run folder where there is one. Out: a table of starts and scores with
ranks and seconds, the files of `RUN/forecast/`, and, where the run has results, how well each score
ordered the starts. Thin: `starts` groups the arms, `extract` makes features, `scores` has the
formulas, `files` writes, the analysis judges.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.forecast.files import write_forecast
from harness.forecast.options import SEEDS, Options, parse
from harness.forecast.scores import SCORES, NoScore, load
from harness.forecast.starts import Start, check_stages, starts_of
from harness.forecast.table import describe
from harness.plan.needs import why_missing
from harness.plan.planner import make_plan
from harness.runfolder.provenance import collect
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import Plan, TrialSpec
from headstart.cli import run_command
from headstart.errors import EXIT_DONE, InputError, ModelError
from headstart.records import check_run_folder, read_plan
from headstart.rows import ForecastRow

if TYPE_CHECKING:
    from harness.training.context import TrialContext


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    sweep = load_sweep(
        options.sweep, options.profile, options.assignments, options.code,
        partial(why_missing, data_dir=options.data),
    )  # fmt: skip
    run = options.out or Path("runs") / sweep.name
    check_run_folder(run, must_exist=False)
    of_run = read_plan(run)
    if of_run is not None and of_run.sweep != sweep.name:
        raise InputError(
            f"--out {run}: it is the run of the sweep {of_run.sweep!r}, and {options.sweep} is of "
            f"{sweep.name!r}; give the run folder of the same sweep, or one that is not there yet"
        )
    given = sweep.seeds.values
    if options.seeds is not None and options.seeds > len(given):
        raise InputError(f"--seeds {options.seeds}: the sweep has {len(given)}")
    plan = make_plan(sweep, DataCatalogue(options.data), given[: options.seeds or SEEDS])
    starts = starts_of(plan)
    check_stages(plan, starts, run, _command(options, run))
    rows = list(_rows(options, plan, starts, run))
    folder = write_forecast(run, rows, _provenance(options, plan))
    for line in describe(starts, rows, sweep.shown):
        print(line)
    for line in _judged(run):
        print(line)
    print(f"Written: {folder}/ (forecast.parquet, forecast.json)")
    return EXIT_DONE


def _rows(
    options: Options, plan: Plan, starts: Sequence[Start], run: Path
) -> Iterator[ForecastRow]:
    """A row an arm, seed and score."""
    import harness.forecast.extract  # noqa: F401  # torch: no mistake above needs it
    from harness.training.context import TrialContext

    load()
    context = TrialContext(DataCatalogue(options.data, allow_download=False), options.device)
    total = sum(len(start.trials) for start in starts)
    n_done = 0
    for start in starts:
        for trial in start.trials.values():
            scored = _scored(options, trial, run, context)
            for arm in start.arms:
                for row in scored:
                    yield ForecastRow(
                        arm=arm, seed=trial.seed, data_set=start.data_set, start=start.name,
                        dataset_fingerprint=trial.data.fingerprint, **row,
                    )  # fmt: skip
            n_done += 1
            print(f"\r{n_done}/{total} starts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _scored(
    options: Options, trial: TrialSpec, run: Path, context: TrialContext
) -> list[dict[str, Any]]:
    """What each score says of one start at one seed."""
    from harness.forecast.extract import extract

    began = time.perf_counter()
    try:
        seen = extract(trial, run / "trials", context, options.images)
    except ModelError as err:
        took = time.perf_counter() - began
        return [{"score": name, "reason": str(err), "features_time_s": took}
                for name in options.scores]  # fmt: skip
    took = time.perf_counter() - began
    rows = []
    for name in options.scores:
        score, value = SCORES[name], None
        given = seen.features if score.needs == "features" else seen.probabilities
        began = time.perf_counter()
        kind = trial.data.target if seen.wanted is not None else ""
        reason = score.lacks(kind) or ("" if given is not None else seen.reason)
        if given is not None and not reason:
            try:
                value = score.computed(given, seen.labels, seen.wanted, kind)
            except NoScore as err:
                reason = str(err)
        rows.append({
            "score": name, "value": value, "reason": reason, "n_images": len(seen.labels),
            "n_features": seen.features.shape[1], "features_time_s": took,
            "score_time_s": time.perf_counter() - began,
        })  # fmt: skip
    return rows


def _judged(run: Path) -> Iterator[str]:
    """How well each score ordered the starts, where trials of the arms have finished."""
    if not any((run / name).exists() for name in ("trials.parquet", "plan.json")):
        yield "No trial has run yet: run the sweep, and its report sets these scores beside it."
        return
    from analysis.findings.forecasts import judged_lines

    yield from judged_lines(run)


def _provenance(options: Options, plan: Plan) -> dict[str, object]:
    return {
        **collect(plan.data),
        "sweep": plan.sweep.name,
        "images": options.images,
        "scores": {name: SCORES[name].source for name in options.scores},
        "device": options.device,
    }


def _command(options: Options, run: Path) -> str:
    """The sweep's own command, of the same sweep."""
    words = ["python", "-m", "harness.sweep", str(options.sweep)]
    words += ["--profile", options.profile] if options.profile else []
    for assignment in options.assignments:
        words += ["--set", assignment]
    words += ["--data", str(options.data)] if options.data else []
    return shlex.join([*words, "--out", str(run)])


if __name__ == "__main__":
    run_command(main)
