"""`python -m harness.sweep SWEEP.yaml`: run a sweep, from its file to its report.

Thin: reads the file (`sweepfile`), plans (`plan`), runs what is missing (`engines`),
writes the tables (`runfolder`) and calls the analysis as its last step.
"""

from __future__ import annotations

import sys

from headstart.output import on_one_line, say_in_terminal, terminal_width
from headstart.signals import StoppedBySignal, StopRequest, end_at_once

if __name__ == "__main__":
    end_at_once()  # if a signal comes while the imports below take their time
    if not {"-h", "--help", "--schema"} & set(sys.argv):
        say_in_terminal("planning: reads the sweep file, its data sets and networks …")

import argparse
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness import engines
from harness.engines.current import KeepCurrent, running_now
from harness.engines.here import check_here, run_here
from harness.engines.local import run_local
from harness.engines.progress import ProgressView
from harness.engines.queue import Queue
from harness.engines.ray_session import run_ray
from harness.plan import data_lines, slots
from harness.plan.dry_run import describe_plan
from harness.plan.needs import Need, fetch, is_in_files_here, lacking, why_missing
from harness.plan.planner import data_mistakes, make_plan
from harness.plan.search import Searched, plan_searches, recorded, run_searches
from harness.plan.starts import check_starts, misfits
from harness.runfolder import provenance
from harness.runfolder.deliver import write_contact_sheets, write_folders
from harness.runfolder.event_files import GrowingFiles, write_tensorboard
from harness.runfolder.folder import CONTROL, RunFolder
from harness.runfolder.gallery import test_images
from harness.runfolder.kept_code import keep_code
from harness.runfolder.running import running_path, write_running
from harness.runfolder.trackers import Trackers, check_trackers
from harness.seeds import derive_streams
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.sweepfile.settings import Settled
from harness.training.bf16 import bf16_notice
from harness.training.cards import cards_here
from harness.training.context import StopFile, WorkerSettings
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Event
from harness.trials.rows import failed_row, planned_row
from harness.trials.spec import Plan, TrialSpec
from harness.watch.beside import serving
from headstart.cli import run_command, to_path
from headstart.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INPUT,
    EXIT_STOPPED,
    InputError,
    LockedError,
)
from headstart.foreign import own_folder
from headstart.records import check_run_folder
from headstart.rows import EvaluationRow, TrialRow

# How often what a run folder shows is brought up to date while trials run, at most.
RUNNING_EVERY_S, EVENTS_EVERY_S, TRACKED_EVERY_S, TABLES_EVERY_S = 2.0, 10.0, 30.0, 30.0


@dataclass(frozen=True)
class Options:
    """The command line, parsed and checked."""

    sweep: Path
    profile: str | None
    assignments: list[str]
    out: Path | None
    data: Path | None
    engine: str
    dry_run: bool
    fetch: bool
    shard: tuple[int, int]
    reuse: list[Path]
    only: str | None
    report: bool
    address: str | None
    slots: int | None
    state_every_s: float
    code: list[Path]
    watch: bool
    watch_port: int


def main(argv: Sequence[str], on_folder: Callable[[Path], None] = lambda folder: None) -> int:
    """Run the command line `argv`; `on_folder` is told the run folder as soon as it is known."""
    request = StopRequest()
    try:
        with request.listening():
            return _main(argv, request, on_folder)
    except StoppedBySignal:
        print(request.message, file=sys.stderr)
        return EXIT_STOPPED


def _main(argv: Sequence[str], request: StopRequest, on_folder: Callable[[Path], None]) -> int:
    options = parse(argv)
    sweep = load_sweep(
        options.sweep, options.profile, options.assignments, options.code,
        partial(why_missing, data_dir=options.data),
    )  # fmt: skip
    if options.fetch:
        return _say_needs(fetch(sweep, options.data))
    check_trackers(sweep.track)
    out = options.out or Path("runs") / sweep.name
    on_folder(out)
    check_run_folder(out, must_exist=False)
    for other in options.reuse:
        check_run_folder(other)
    if options.engine == "here":
        check_here(sweep.resources, options.slots)
    first = derive_streams(sweep.seed, sweep.seeds.values[0], sweep.vary)
    catalogue = DataCatalogue(options.data, not options.dry_run, first["split"])
    if options.dry_run and (needs := lacking(sweep, options.data)):
        is_here = partial(is_in_files_here, data_dir=options.data)
        wrong = [*misfits(sweep), *data_mistakes(sweep, catalogue, is_here)]
        for mistake in wrong:
            print(mistake, file=sys.stderr)
        return _say_needs(needs) or (EXIT_INPUT if wrong else EXIT_DONE)
    plan = make_plan(sweep, catalogue)
    if options.only != "report":
        _try_out(plan)
    if options.dry_run:
        plan = plan_searches(plan, catalogue, out) if sweep.searches else plan
        for line in describe_plan(plan.shard(*options.shard), out):
            print(line)
        return EXIT_DONE
    return _run(options, plan, out, catalogue, request)


def _try_out(plan: Plan) -> None:
    """Refuse what no trial could train, before any is run; notes go to the error stream."""
    if any(trial.condition.runs_users_code for trial in plan.trials):
        from harness.plan.own_check import check_own_code  # torch, which the user's code needs

        for note in check_own_code(plan):
            print(note, file=sys.stderr)
    if any(trial.leaves_one_image for trial in plan.trials):
        from harness.plan.last_batch import check_last_batch  # torch, which builds the networks

        check_last_batch(plan)
    for note in check_starts(plan):
        print(note, file=sys.stderr)


def _say_needs(needs: Sequence[Need]) -> int:
    """Print what a sweep needs; the exit status is that of wrong input where something is missing.

    Where a run would fetch all that is not here, that is no mistake.
    """
    for need in needs:
        print(on_one_line(need.line()))
    states = Counter(need.state for need in needs)
    if states["to fetch"]:
        print("Fetch it beforehand with --fetch; the plan is shown when it is here.")
    if states["missing"]:
        print(f"missing: {states['missing']}; the sweep cannot run here", file=sys.stderr)
    return EXIT_INPUT if states["missing"] else EXIT_DONE


class _PrintSchema(argparse.Action):
    """`--schema` ends the command, as `--help` does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from harness.sweepfile.schema import schema_text  # imports all data sets' modules

        print(schema_text(), end="")
        parser.exit()


def parse(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m harness.sweep",
        description="Run a sweep: many seeded trials of each arm, then the report. The same "
        "command goes on from where it was stopped.",
        epilog="Exit status: 0 all trials finished; 1 some failed or have not run, or every trial "
        "of an arm diverged; 2 wrong input; 75 stopped by a signal (run the same command to go "
        "on).",
    )
    parser.add_argument("sweep", type=to_path, metavar="SWEEP.yaml", help="the question to answer")
    parser.add_argument("--profile", metavar="NAME", help="one of the file's profiles")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY.PATH=VALUE", dest="assignments",
        help="override one key; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=to_path, metavar="DIR", help="run folder (default: runs/NAME)"
    )
    parser.add_argument("--data", type=_folder, metavar="DIR", help="where data sets lie")
    parser.add_argument(
        "--engine", choices=engines.NAMES, default="ray",
        help="what runs the trials: Ray Tune, processes of this machine, or this process itself "
        "(one trial at a time, for a debugger)",
    )  # fmt: skip
    parser.add_argument(
        "--address", type=_address, metavar="HOST:PORT", help="join this running Ray cluster"
    )
    parser.add_argument(
        "--slots", type=int, metavar="N",
        help="trials at once on this machine, or on all nodes of the cluster that is joined",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true",
        help="show the plan, or all that is missing for it; run nothing and fetch nothing",
    )  # fmt: skip
    parser.add_argument(
        "--fetch", action="store_true",
        help="fetch the data and weights that the sweep needs into the caches, for nodes without "
        "a network, and end",
    )  # fmt: skip
    parser.add_argument(
        "--shard", type=_shard, default="1/1", metavar="K/N", help="run part K of N only"
    )
    parser.add_argument(
        "--only", choices=("pretrain", "arms", "report"), help="run this part of the plan only"
    )
    parser.add_argument(
        "--reuse", action="append", default=[], type=to_path, metavar="DIR",
        help="take finished trials of the same ids from another run folder",
    )  # fmt: skip
    parser.add_argument(
        "--code", action="append", default=[], type=to_path, metavar="FILE|DIR",
        help="where code of your own lies that the sweep names as FILE.py:NAME; a run folder's "
        "sweep.yaml needs it, since no code is taken from a run folder",
    )  # fmt: skip
    parser.add_argument(
        "--state-every", type=float, default=2.0, metavar="SECONDS", dest="state_every_s",
        help="save running trials this often (default 2), but never for over 2.5 %% of the time",
    )  # fmt: skip
    parser.add_argument(
        "--schema", action=_PrintSchema, nargs=0, dest=argparse.SUPPRESS,
        help="print the JSON schema of a sweep file, for editors, and end",
    )  # fmt: skip
    parser.add_argument(
        "--no-report", action="store_false", dest="report", help="write the tables only"
    )
    parser.add_argument(
        "--watch", action="store_true",
        help="serve a page that follows the run, for a browser of this machine, until it ends",
    )  # fmt: skip
    parser.add_argument(
        "--watch-port", type=int, default=0, metavar="N",
        help="the page's port of 127.0.0.1 (default: a free one); implies --watch",
    )  # fmt: skip
    options = Options(**vars(parser.parse_args(argv)))
    if not 0 <= options.state_every_s < math.inf:
        raise InputError(f"--state-every {options.state_every_s:g}: seconds from 0 are expected")
    if options.slots is not None and options.slots < 1:
        raise InputError(f"--slots {options.slots}: a whole number from 1 is expected")
    if options.address and options.engine != "ray":
        raise InputError("--address belongs to --engine ray")
    if options.fetch and options.dry_run:
        raise InputError("--fetch fetches and --dry-run fetches nothing; give one of them")
    return options


def _folder(text: str) -> Path:
    if not text or not os.path.isdir(text):
        raise InputError(f"--data {text}: no such folder")
    return Path(text).absolute()


def _shard(text: str) -> tuple[int, int]:
    words = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if words is None or not 1 <= int(words[1]) <= int(words[2]):
        raise InputError(f"--shard {text}: K/N with 1 ≤ K ≤ N is expected, as in 2/8")
    return int(words[1]), int(words[2])


def _address(text: str) -> str:
    words = re.fullmatch(r"auto|.+:([0-9]{1,5})", text)
    if words is None or (words[1] and not 0 < int(words[1]) < 65536):
        raise InputError(f"--address {text}: HOST:PORT is expected, as in 10.0.0.1:6379")
    return text


def _run(
    options: Options, plan: Plan, out: Path, catalogue: DataCatalogue, request: StopRequest
) -> int:
    is_whole = _is_whole(options)
    if plan.sweep.seeds.until and not is_whole:
        raise InputError("seeds.until looks at all trials: run the sweep whole, not in parts")
    width = terminal_width(sys.stderr)
    at_most = min(data_lines.WIDTH, width or data_lines.WIDTH)
    data = data_lines.describe(plan, width=at_most) if options.only != "report" else ()
    for text in (*data_lines.stand_ins(plan), *data, *plan.repeated()):
        for line in data_lines.fitted(text, width):
            print(line, file=sys.stderr, flush=True)
    with RunFolder(out, options.shard) as folder, _watched(options, folder):
        if options.only != "report":
            plan = _run_batches(options, plan, folder, catalogue, request)
        elif plan.sweep.searches:
            plan = recorded(plan, catalogue, folder.path).plan
        part = _part(options, plan)
        if not request.by and (
            options.shard[1] > 1 or plan.sweep.resources.pack not in (1, "auto")
        ):
            folder.archive(part.trials)
        statuses = folder.write_tables(plan) if is_whole else folder.statuses(part)
        if request.by:
            n_ended = statuses["done"] + statuses["diverged"]
            print(
                f"Stopped by {request.by}: {n_ended} of {len(part.by_id)} trials have ended and "
                "are kept. The same command goes on from here.",
                file=sys.stderr,
            )
            return EXIT_STOPPED
        is_reported = is_whole and options.report and bool(statuses)
        if is_whole:
            _keep_images(plan, folder, catalogue)
            if is_reported:
                _track(plan, folder, _services(plan, folder))
                _report(plan, out, catalogue)
        diverged = [*map(plan.sweep.shown, folder.diverged_arms(plan))] if is_whole else []
    if not is_reported:  # whose first line says it
        for line in data_lines.stand_ins(plan, with_reasons=False):
            print(line)
    return _status(out, len(part.by_id), statuses, diverged)


@contextmanager
def _watched(options: Options, folder: RunFolder) -> Iterator[None]:
    """Serve the live page while the block runs, where it is asked for."""
    if not (options.watch or options.watch_port):
        yield
        return
    with serving(folder.path, options.watch_port) as address:
        print(f"watch it at {address}", file=sys.stderr, flush=True)
        yield


def _is_whole(options: Options) -> bool:
    """Whether the command runs all of its plan, and so writes what is made of all trials."""
    return options.shard == (1, 1) and options.only in (None, "report")


def _status(out: Path, n_trials: int, statuses: Counter[str], diverged: Sequence[str]) -> int:
    """The exit status of a command that ran to its end, which says on one line why it is not 0."""
    troubles = []
    if statuses["failed"]:
        troubles.append(f"{statuses['failed']} of {n_trials} trials failed")
    if n_missing := n_trials - statuses.total():
        troubles.append(f"{n_missing} of {n_trials} trials have not run")
    if diverged:
        troubles.append(f"every trial of {', '.join(diverged)} diverged")
    if not troubles:
        return EXIT_DONE
    print(f"{'; '.join(troubles)}; why: python -m harness.status {out}", file=sys.stderr)
    return EXIT_FAILED


def _part(options: Options, plan: Plan) -> Plan:
    """What this command runs of the plan: its shard, of that the stages or the arms alone."""
    part = plan.shard(*options.shard)
    if options.only in ("pretrain", "arms"):
        is_stage = options.only == "pretrain"
        chosen = tuple(t for t in part.trials if (t.stage == "pretrain") == is_stage)
        return Plan(plan.sweep, chosen)
    return part


def _run_batches(
    options: Options, plan: Plan, folder: RunFolder, catalogue: DataCatalogue, request: StopRequest
) -> Plan:
    """Run the plan; where the sweep says `until`, further seeds until its rule is met."""
    run = partial(_run_trials, options, folder, request, _Place(_asked(options)))
    while True:
        searched = _search(options, plan, folder, catalogue, request, run)
        plan = searched.plan
        if not request.by:
            part = [t for t in _part(options, plan).trials if t.id not in searched.blocked]
            run(plan, Plan(plan.sweep, tuple(part)))
        for trial_id, error in searched.blocked.items():
            spec = plan.by_id[trial_id]
            folder.fail(trial_id, failed_row(spec, plan.sweep.name, error))
        if request.by or plan.sweep.seeds.until is None:
            return plan
        folder.write_tables(plan)
        n_seeds = _next_seeds(plan, folder.path)
        if n_seeds is None:
            return plan
        plan = make_plan(plan.sweep, catalogue, range(n_seeds))


def _search(
    options: Options,
    plan: Plan,
    folder: RunFolder,
    catalogue: DataCatalogue,
    request: StopRequest,
    run: Callable[[Plan, Plan], None],
) -> Searched:
    """The plan with the settings that its searches chose; they run first where they have not."""
    if not plan.sweep.searches or options.only == "pretrain":
        return Searched(plan)
    if options.shard != (1, 1) or options.only == "arms":
        return recorded(plan, catalogue, folder.path)
    return run_searches(plan, catalogue, folder.path, run, lambda: bool(request.by))


def _next_seeds(plan: Plan, out: Path) -> int | None:
    """How many seeds the sweep's rule asks for next; None when it is met or at its limit."""
    from analysis.findings.findings import compare_runs
    from analysis.findings.load import load_runs
    from analysis.measures.pairs.until_narrow import decide
    from analysis.measures.pairs.until_verdict import decide_verdict
    from analysis.statistics.pairs.sequential import Until
    from analysis.statistics.pairs.until_verdict import UntilVerdict
    from analysis.statistics.samples.pairing import Pair
    from analysis.statistics.times.course import COURSES

    seeds, measure = plan.sweep.seeds, plan.sweep.measure
    runs = load_runs([out], names_as_planned=True)
    pairs = [Pair(pair.treatment, pair.control) for pair in plan.sweep.compare]
    if seeds.until == "verdict":
        assert seeds.looks is not None
        rule = UntilVerdict(seeds.looks, measure.equivalence, measure.metric, measure.error)
        decision = decide_verdict(runs.trials, runs.curves, pairs, rule, compare_runs(runs))
    else:
        assert seeds.until is not None
        assert seeds.at_least is not None
        assert seeds.at_most is not None
        until = Until(
            seeds.until.metric,
            seeds.until.half_width,
            seeds.at_least,
            seeds.at_most,
            targets=measure.targets,
            course=COURSES[measure.metric],
        )
        decision = decide(runs.trials, runs.curves, pairs, until)
    print(decision.text, file=sys.stderr)
    return None if decision.stop else decision.n_seeds_next


def _asked(options: Options) -> int | None:
    """Trials at once that the user asks for; None leaves it to the machine."""
    return 1 if options.engine == "here" else options.slots


def _on_a_gpu(options: Options, n_slots: int, n_gpus: int | None) -> int | None:
    """Workers that may meet on a GPU; None: only their share of it limits them."""
    if options.address is not None:
        return options.slots
    if options.engine == "local" and n_gpus:
        return math.ceil(n_slots / n_gpus)  # `slots.gpu_of` spreads them; Ray fills a GPU first
    return n_slots


class _Place:
    """How many GPUs the trials have: looked at, and said, when the first of them is to run."""

    def __init__(self, asked: int | None) -> None:
        self.asked = asked  # trials at once; None leaves it to the machine
        self.n_gpus: int | None = None  # None: not looked at
        self.why_none = ""
        self.remarks: set[str] = set()  # what was said of what the trials meet there

    def here(self, plan: Plan) -> Settled:
        """What a trial gets on this machine."""
        if plan.sweep.resources.gpus != 0 and self.n_gpus is None:
            cards = cards_here()
            self.why_none = cards.remark
            at_most = self.asked and self.asked * plan.sweep.resources.workers
            self._decide(plan, len(cards), cards.line(at_most))
        return plan.sweep.resources.settled(self.n_gpus or 0)

    def joined(self, plan: Plan, n_gpus: int) -> Settled:
        """What a trial gets on a cluster that has so many GPUs."""
        if self.n_gpus is None:
            on = f"{n_gpus} GPUs of the Ray cluster" if n_gpus else (
                "CPUs of the Ray cluster, which has no GPU yet; for GPUs that join later set "
                "resources.gpus: 1"
            )  # fmt: skip
            self._decide(plan, n_gpus, f"trains on {on}")
        return plan.sweep.resources.settled(n_gpus)

    def _decide(self, plan: Plan, n_gpus: int, line: str) -> None:
        self.n_gpus = n_gpus
        if plan.sweep.resources.gpus == "auto":
            print(f"{plan.sweep.name}: {line}", file=sys.stderr, flush=True)


def _run_trials(
    options: Options, folder: RunFolder, request: StopRequest, place: _Place, plan: Plan, part: Plan
) -> None:
    """Run what the folder does not have yet; returns early when a signal came."""
    folder.begin(resolved_yaml(plan.sweep), provenance.collect(plan.data), plan)
    keep_code(folder.path, plan.trials)
    ids = [trial.id for trial in part.trials]
    rows = folder.finished({*ids, *(t.parent for t in part.trials if t.parent)})
    for other in options.reuse:
        rows.update(folder.take_from(other, [i for i in ids if i not in rows]))
    queue = Queue(part, folder, rows, lambda spec, error: failed_row(spec, plan.sweep.name, error))
    if options.address is None and not queue.finished:  # a finished run needs no GPU
        queue.resources = place.here(plan)
    resources = queue.resources
    n_slots = slots.trials_at_once(
        resources,
        _asked(options),
        provenance.available_cpus(),
        place.n_gpus if options.address is None and not queue.finished else None,
        place.why_none,
    )
    if options.address is None and resources.gpus == 0:
        _say_if_bf16_is_slow(spec for spec in part.trials if spec.id not in rows)
    stop_file = StopFile(folder.path / f"{CONTROL}{folder.generation}")
    settings = WorkerSettings(
        sweep=plan.sweep.name,
        save=plan.sweep.save,
        data_dir=options.data,
        stop_file=stop_file.path,
        state_every_s=options.state_every_s,
        n_at_once=_on_a_gpu(options, n_slots, place.n_gpus),
    ).with_resources(resources)
    stop_file.create()
    is_live = options.engine != "here"  # a debugger needs the terminal
    view = ProgressView(part, queue.rows, sys.stderr, is_live=is_live, remarks=place.remarks)
    keep = _keep_current(options, plan, folder, view, n_slots)
    try:
        with request.patience(stop_file.request, queue.stop), view, keep.working():

            def listen(event: Event) -> None:
                view.take(event)
                keep.take(event)

            queue.listen = listen

            def tick() -> None:
                view.tick()
                keep.check()
                for remark in keep.remarks:
                    view.remark(remark)
                if folder.lock.lost.is_set():
                    raise LockedError(f"{folder.path}: another command took this run folder over")

            def on_ready(n_gpus: int) -> None:
                if options.address is not None:
                    queue.resources = place.joined(plan, n_gpus)

            if options.engine == "here":
                run_here(queue, settings, tick)
            elif options.engine == "local":
                run_local(queue, settings, n_slots, tick, place.n_gpus or 0)
            else:
                run_ray(
                    queue,
                    settings,
                    n_slots * resources.cpus_per_trial,
                    tick,
                    options.address,
                    n_gpus=place.n_gpus or 0,
                    n_places=n_slots if options.address is None else options.slots or 1,
                    on_ready=on_ready,
                )
        if not request.by:  # of a stopped command it shows how far its trials had come
            running_path(folder.path, options.shard).unlink(missing_ok=True)
    finally:
        stop_file.path.unlink(missing_ok=True)


def _keep_current(
    options: Options, plan: Plan, folder: RunFolder, view: ProgressView, n_slots: int
) -> KeepCurrent:
    """What is brought up to date while trials run; shards leave what is of all to others."""
    keep = KeepCurrent()
    shown_at = running_path(folder.path, options.shard)

    def show_running() -> None:
        left_s = view.time_left_s()
        write_running(shown_at, running_now(keep, folder.generation, n_slots, left_s))

    keep.add(RUNNING_EVERY_S, show_running)
    if not _is_whole(options):
        return keep
    n_in_tables = 0

    def write_tables() -> None:
        nonlocal n_in_tables
        if n_in_tables != keep.n_ended:
            n_in_tables = keep.n_ended
            folder.write_tables(plan, wait_s=0.0)

    keep.add(TABLES_EVERY_S, write_tables)
    if options.report and plan.sweep.track:
        growing = GrowingFiles(own_folder(folder.path, "tensorboard"))
        services = _services(plan, folder)

        def track_running(send: Callable[[TrialRow, Sequence[EvaluationRow]], None]) -> None:
            for trial_id, curve in keep.curves().items():
                send(planned_row(plan.by_id[trial_id], plan.sweep.name), curve.points)

        keep.add(EVENTS_EVERY_S, partial(track_running, growing.write))
        keep.add(TRACKED_EVERY_S, partial(_track, plan, folder, services, growing))
        if services is not None:
            send = partial(services.send, has_ended=False)
            keep.add(TRACKED_EVERY_S, partial(track_running, send), ", ".join(services.names))
    return keep


def _services(plan: Plan, folder: RunFolder) -> Trackers | None:
    """The trackers beside TensorBoard; None without any."""
    names = [name for name in plan.sweep.track if name != "tensorboard"]
    return Trackers(folder.path, names) if names else None


def _say_if_bf16_is_slow(to_run: Iterable[TrialSpec]) -> None:
    if any(spec.condition.train.precision == "bf16" for spec in to_run):
        notice = bf16_notice()
        if notice:
            print(notice, file=sys.stderr)


def _keep_images(plan: Plan, folder: RunFolder, catalogue: DataCatalogue) -> None:
    """Test images of the arms, for the report's galleries; data sets over 16 MB lose detail."""
    for use in {t.data.fingerprint: t.data for t in plan.trials if t.stage == "arm"}.values():
        folder.write_images(use.fingerprint, test_images(catalogue.open(use)))


def _track(
    plan: Plan, folder: RunFolder, services: Trackers | None, growing: GrowingFiles | None = None
) -> None:
    """Whole learning curves for TensorBoard and other trackers, of trials that have ended since."""
    for row, curve in folder.new_curves(plan) if plan.sweep.track else ():
        if services is not None:
            services.send(row, curve, has_ended=True)
        if growing is not None:  # a TensorBoard that has that file open goes on in it
            growing.write(row, curve)
        write_tensorboard(folder.path / "tensorboard", row, curve)


def _report(plan: Plan, out: Path, catalogue: DataCatalogue) -> None:
    from analysis.report.console import console_text
    from analysis.report.report import write_report

    deliver = plan.sweep.deliver
    write_contact_sheets(plan, catalogue, own_folder(out, "report"))
    result = write_report([out], workbook=deliver.workbook, pdf=deliver.pdf)
    folder = result.index.parent
    if deliver.folders:
        write_folders(plan, catalogue, folder)
    print(f"\n{console_text(result.glance, terminal_width(sys.stdout))}\n")
    for name in (deliver.workbook, deliver.pdf):
        if name:
            print(folder / name)
    print(f"Report: {result.index}")


if __name__ == "__main__":
    run_command(main)
