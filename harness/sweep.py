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

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.engines.current import KeepCurrent
from harness.engines.here import check_here, run_here
from harness.engines.local import run_local
from harness.engines.progress import ProgressView
from harness.engines.queue import Queue
from harness.engines.ray_session import run_ray
from harness.evaluate.also_scores import n_missing, score_sets
from harness.evaluate.also_sets import AlsoSets, FoundSet, look_at_sets
from harness.evaluate.also_sets import lines as also_lines
from harness.evaluate.options import device_of
from harness.hand_in.check import check_hand_in, named_seed
from harness.hand_in.write import handing_in
from harness.options import Options, parse
from harness.plan import data_lines, room, slots
from harness.plan.dry_run import describe_plan
from harness.plan.needs import Need, fetch, is_in_files_here, lacking, why_missing
from harness.plan.planner import data_mistakes, make_plan
from harness.plan.search import Searched, plan_searches, recorded, run_searches
from harness.plan.starts import check_starts, misfits
from harness.plan.tuning_check import check_tuning
from harness.runfolder import provenance
from harness.runfolder.deliver import write_contact_sheets, write_folders
from harness.runfolder.folder import CONTROL, RunFolder
from harness.runfolder.gallery import test_images
from harness.runfolder.kept_code import keep_code
from harness.runfolder.running import running_path
from harness.runfolder.trackers import check_trackers
from harness.seeds import derive_streams
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.sweepfile.settings import Settled
from harness.training.cards import Cards, cards_here
from harness.training.context import StopFile, WorkerSettings
from harness.training.sixteen_bits import SIXTEEN_BITS, slow_notice
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Event
from harness.trials.rows import failed_row
from harness.trials.spec import Plan, TrialSpec
from harness.upkeep import keep_current, track
from harness.watch.beside import serving
from headstart.cli import run_command
from headstart.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INPUT,
    EXIT_STOPPED,
    InputError,
    LockedError,
    ModelError,
)
from headstart.foreign import own_folder
from headstart.records import FINAL, check_run_folder, trial_rows


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
        _try_out(plan, is_apart=options.engine != "here")
    sets = AlsoSets(options.data)
    found = look_at_sets(plan, sets, catalogue)
    if options.dry_run:
        plan = plan_searches(plan, catalogue, out) if sweep.searches else plan
        plan = plan.shard(*options.shard)
        for line in describe_plan(plan, out, options.n_at_once):
            print(line)
        n_scores = n_missing(plan, out, found) if found else None
        keeps = plan.sweep.save.weights != "none"
        for line in also_lines(found, n_scores, keeps_weights=keeps):
            print(line)
        _check_room(options, plan, out)
        return EXIT_DONE
    return _run(options, plan, out, catalogue, request, _Also(sets, found))


def _try_out(plan: Plan, *, is_apart: bool) -> None:
    """Refuse what no trial could train, before any is run; notes go to the error stream."""
    check_tuning(plan, is_apart=is_apart)
    if any(trial.condition.runs_users_code for trial in plan.trials):
        from harness.plan.own_check import check_own_code  # torch, which the user's code needs

        for note in check_own_code(plan):
            print(note, file=sys.stderr)
    if any(trial.leaves_one_image for trial in plan.trials):
        from harness.plan.last_batch import check_last_batch  # torch, which builds the networks

        check_last_batch(plan)
    for note in check_starts(plan):
        print(note, file=sys.stderr)
    if plan.sweep.deliver.hand_in is not None:
        check_hand_in(plan)


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


@dataclass(frozen=True)
class _Also:
    """The sweep's further test sets, and what was found of them."""

    sets: AlsoSets
    found: Sequence[FoundSet]


def _run(
    options: Options,
    plan: Plan,
    out: Path,
    catalogue: DataCatalogue,
    request: StopRequest,
    also: _Also,
) -> int:
    is_whole = options.is_whole
    if plan.sweep.seeds.until and not is_whole:
        raise InputError("seeds.until looks at all trials: run the sweep whole, not in parts")
    _say_data(plan, with_sets=options.only != "report")
    for line in also_lines(also.found):
        for fitted in data_lines.fitted(line, terminal_width(sys.stderr)):
            print(fitted, file=sys.stderr, flush=True)
    place = _Place(options.n_at_once)
    if options.only != "report":
        _check_room(options, _part(options, plan), out, place)
    with RunFolder(out, options.shard) as folder, _watched(options, folder):
        if options.only != "report":
            plan = _run_batches(options, plan, folder, catalogue, request, place, also.found)
        elif plan.sweep.searches:
            plan = recorded(plan, catalogue, folder.path).plan
        part = _part(options, plan)
        if not request.by and (
            options.shard[1] > 1 or plan.sweep.resources.pack not in (1, "auto")
        ):
            folder.archive(part.trials)
        statuses = folder.write_tables(plan) if is_whole else folder.statuses(part)
        if request.by:
            _say_stopped(request.by, statuses, len(part.by_id))
            return EXIT_STOPPED
        is_scored = not is_whole or _score(options, plan, catalogue, out, also)
        is_reported = is_whole and options.report and bool(statuses)
        if is_whole:
            _keep_images(plan, folder, catalogue)
            if is_reported:
                track(plan, folder)
                _audit(plan, out, options)
                _report(plan, out, catalogue)
        diverged = [*map(plan.sweep.shown, folder.diverged_arms(plan))] if is_whole else []
    if not is_reported:  # whose first line says it
        for line in data_lines.stand_ins(plan, with_reasons=False):
            print(line)
    status = _status(out, len(part.by_id), statuses, diverged)
    return status if is_scored else EXIT_FAILED


def _score(options: Options, plan: Plan, catalogue: DataCatalogue, out: Path, also: _Also) -> bool:
    """Score the chosen weights on the further test sets; returns whether all could be scored."""

    def say(line: str) -> None:
        print(on_one_line(line), file=sys.stderr, flush=True)

    if not n_missing(plan, out, also.found):  # nor is torch imported
        return True
    device = "cpu" if plan.sweep.resources.gpus == 0 else device_of("auto")
    return score_sets(out, plan, also.sets, catalogue, device, say)


def _check_room(options: Options, plan: Plan, out: Path, place: _Place | None = None) -> None:
    """Refuse what cannot fit here, before anything is written; with a place, say what it takes.

    Raises:
        InputError: there is too little disk or memory.
    """
    done = {
        trial_id
        for folder in (out, *options.reuse)
        for trial_id, row in trial_rows(folder, plan.by_id)
        if row is not None and row.status in FINAL
    }
    left = plan.by_id.keys() - done
    if not left:
        return
    asked, here = plan.sweep.resources, room.There(room.disk_free(out), out=out)
    if options.address is not None:  # its nodes have other memory
        resources = asked.settled(0)
    else:
        cards = Cards() if asked.gpus == 0 else cards_here()
        resources = place.here(plan) if place else asked.settled(len(cards))
        try:
            n_slots = slots.trials_at_once(
                resources, options.n_at_once, provenance.available_cpus(), len(cards), cards.remark
            )
        except InputError:
            if place:
                raise
            return  # it is said already, and the sweep may be for another machine
        here = room.there(out, resources, cards, min(n_slots, len(left)))
    is_apart = place is not None and options.engine != "here"
    try:
        need = room.needed(plan, resources, left, here, is_apart=is_apart)
    except ModelError:  # its trials fail and say so; those of other networks run
        return
    if place:
        print(room.line(need, here), file=sys.stderr, flush=True)
    room.check(need, here)


def _say_data(plan: Plan, with_sets: bool) -> None:
    """Stand-ins first; lines end between words at the terminal's width."""
    width = terminal_width(sys.stderr)
    at_most = min(data_lines.WIDTH, width or data_lines.WIDTH)
    data = data_lines.describe(plan, width=at_most) if with_sets else ()
    for text in (*data_lines.stand_ins(plan), *data, *plan.repeated()):
        for line in data_lines.fitted(text, width):
            print(line, file=sys.stderr, flush=True)


def _say_stopped(by: str, statuses: Counter[str], n_trials: int) -> None:
    n_ended = statuses["done"] + statuses["diverged"]
    print(
        f"Stopped by {by}: {n_ended} of {n_trials} trials have ended and are kept. The same "
        "command goes on from here.",
        file=sys.stderr,
    )


@contextmanager
def _watched(options: Options, folder: RunFolder) -> Iterator[None]:
    """Serve the live page while the block runs, where it is asked for."""
    if not options.is_watched:
        yield
        return
    with serving(folder.path, options.watch_port or 0) as address:
        print(f"watch it at {address}", file=sys.stderr, flush=True)
        yield


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
    options: Options,
    plan: Plan,
    folder: RunFolder,
    catalogue: DataCatalogue,
    request: StopRequest,
    place: _Place,
    found: Sequence[FoundSet],
) -> Plan:
    """Run the plan; where the sweep says `until`, further seeds until its rule is met."""
    run = partial(_run_trials, options, folder, request, place, found)
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
    options: Options,
    folder: RunFolder,
    request: StopRequest,
    place: _Place,
    found: Sequence[FoundSet],
    plan: Plan,
    part: Plan,
) -> None:
    """Run what the folder does not have yet; returns early when a signal came."""
    came_from = provenance.collect(plan.data)
    if found:
        came_from["also_test"] = [each.record() for each in found]
    folder.begin(resolved_yaml(plan.sweep), came_from, plan)
    keep_code(folder.path, plan.trials)
    queue = _queue(options, folder, plan, part)
    if options.address is None and not queue.finished:  # a finished run needs no GPU
        queue.resources = place.here(plan)
    n_slots = slots.trials_at_once(
        queue.resources,
        options.n_at_once,
        provenance.available_cpus(),
        place.n_gpus if options.address is None and not queue.finished else None,
        place.why_none,
    )
    if options.address is None and queue.resources.gpus == 0:
        _say_if_16_bits_are_slow(spec for spec in part.trials if spec.id not in queue.rows)
    is_live = options.engine != "here"  # a debugger needs the terminal
    view = ProgressView(part, queue.rows, sys.stderr, is_live=is_live, remarks=place.remarks)
    keep = keep_current(options, plan, folder, view, n_slots)
    queue.listen = partial(_hear, view, keep)
    stop_file = StopFile(folder.path / f"{CONTROL}{folder.generation}")
    stop_file.create()
    try:
        with request.patience(stop_file.request, queue.stop), view, keep.working():
            tick = partial(_tick, view, keep, folder)
            _run_engine(options, queue, place, plan, n_slots, stop_file, tick)
        if not request.by:  # of a stopped command it shows how far its trials had come
            running_path(folder.path, options.shard).unlink(missing_ok=True)
    finally:
        stop_file.path.unlink(missing_ok=True)


def _queue(options: Options, folder: RunFolder, plan: Plan, part: Plan) -> Queue:
    """The trials of the part, those that have ended or are taken from other folders as such."""
    ids = [trial.id for trial in part.trials]
    rows = folder.finished({*ids, *(t.waits_for for t in part.trials if t.waits_for)})
    for other in options.reuse:
        rows.update(folder.take_from(other, [i for i in ids if i not in rows]))
    return Queue(part, folder, rows, lambda spec, error: failed_row(spec, plan.sweep.name, error))


def _hear(view: ProgressView, keep: KeepCurrent, event: Event) -> None:
    view.take(event)
    keep.take(event)


def _tick(view: ProgressView, keep: KeepCurrent, folder: RunFolder) -> None:
    """What the command does again and again while an engine runs trials."""
    view.tick()
    keep.check()
    for remark in keep.remarks:
        view.remark(remark)
    if folder.lock.lost.is_set():
        raise LockedError(f"{folder.path}: another command took this run folder over")


def _run_engine(
    options: Options,
    queue: Queue,
    place: _Place,
    plan: Plan,
    n_slots: int,
    stop_file: StopFile,
    tick: Callable[[], None],
) -> None:
    settings = WorkerSettings(
        sweep=plan.sweep.name,
        save=plan.sweep.save,
        also_watch=plan.sweep.measure.also_watch,
        data_dir=options.data,
        stop_file=stop_file.path,
        state_every_s=options.state_every_s,
        n_at_once=_on_a_gpu(options, n_slots, place.n_gpus),
        started_from=frozenset(trial.parent for trial in plan.trials if trial.parent),
    ).with_resources(queue.resources)

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
            n_slots * queue.resources.cpus_per_trial,
            tick,
            options.address,
            n_gpus=place.n_gpus or 0,
            n_places=n_slots if options.address is None else options.slots or 1,
            on_ready=on_ready,
        )


def _say_if_16_bits_are_slow(to_run: Iterable[TrialSpec]) -> None:
    for precision in sorted({spec.condition.train.precision for spec in to_run} & {*SIXTEEN_BITS}):
        notice = slow_notice(precision)
        if notice:
            print(notice, file=sys.stderr)


def _keep_images(plan: Plan, folder: RunFolder, catalogue: DataCatalogue) -> None:
    """Test images of the arms, for the report's galleries; data sets over 16 MB lose detail."""
    for use in {t.data.fingerprint: t.data for t in plan.trials if t.stage == "arm"}.values():
        folder.write_images(use.fingerprint, test_images(catalogue.open(use)))


def _audit(plan: Plan, out: Path, options: Options) -> None:
    """Let networks judge the labels of the arms' data, where the sweep asks and nobody did yet."""
    images = plan.sweep.measure.audit
    if images is None:
        return
    from analysis.audit.answers import answers_for

    where, _ = answers_for(
        str(out),
        data=None if options.data is None else str(options.data),
        open_named=True,
        code=[str(place) for place in options.code],
        images=images if isinstance(images, int) else None,
    )
    if where is None:
        print(f"{plan.sweep.name}: the labels were not audited, see above", file=sys.stderr)


def _report(plan: Plan, out: Path, catalogue: DataCatalogue) -> None:
    from analysis.report.console import console_text
    from analysis.report.report import HandIn, write_report

    deliver, report = plan.sweep.deliver, own_folder(out, "report")
    write_contact_sheets(plan, catalogue, report)
    with ExitStack() as stack:
        handed_in = None
        if deliver.hand_in is not None:
            place = _handing_in(plan, catalogue, out, report, stack)
            handed_in = HandIn(place, named_seed(plan)) if place else None
        result = write_report([out], workbook=deliver.workbook, pdf=deliver.pdf, hand_in=handed_in)
    if deliver.folders:
        write_folders(plan, catalogue, report)
    print(f"\n{console_text(result.glance, terminal_width(sys.stdout))}\n")
    for name in filter(None, (deliver.workbook, deliver.pdf)):
        print(report / name)
    if handed_in:
        print(report / f"{deliver.hand_in}.zip")
    print(f"Report: {result.index}")


def _handing_in(
    plan: Plan, catalogue: DataCatalogue, out: Path, report: Path, stack: ExitStack
) -> Path | None:
    """The folder of the hand-in, put in place when `stack` ends; None where a line says why not."""
    try:
        return stack.enter_context(handing_in(plan, catalogue, out, report))
    except InputError as err:  # a trial that failed is no reason to have no report
        print(err, file=sys.stderr)
        return None


if __name__ == "__main__":
    run_command(main)
