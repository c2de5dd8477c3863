"""`python -m slurm.submit SWEEP.yaml …`: render batch scripts, check them, submit them, exit.

Thin: the sweep is checked here, on the login node, before anything waits in a queue; settings come
from `settings`, scripts from `render`; the jobs are recorded in the run folder, where `status` and
`cancel` find them.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.plan.needs import lacking
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.references import folders_of_code
from harness.sweepfile.settings import Settled, Sweep
from headstart.cli import run_command, to_path
from headstart.errors import EXIT_DONE, HeadstartError, InputError
from headstart.files import atomic_path
from headstart.output import on_one_line
from headstart.private import without_secrets
from headstart.records import check_run_folder
from slurm.jobs import (
    Job,
    call_slurm,
    queue_entries,
    read_jobs,
    record_jobs,
    remove_private_folders,
)
from slurm.render import Part, Work, check_line, parts_of, render_batch_script
from slurm.settings import JobSettings, load_settings

# Flag → its type; each is the setting of the same name, and overrides the profile's.
FLAGS: Mapping[str, tuple[type, str]] = {
    "nodes": (int, "nodes of the job; in mode array, one-node jobs"),
    "partition": (str, "where to queue"),
    "account": (str, "whom to charge"),
    "qos": (str, "quality of service"),
    "time": (str, "limit of one start, as SLURM writes it: 90, 2:00:00, 1-12"),
    "cpus-per-node": (int, "processors of each node"),
    "gpus-per-node": (int, "GPUs of each node"),
    "memory": (str, "memory of each node, as in 64G"),
    "shards": (int, "mode array: how many one-node jobs share the arms (default: --nodes)"),
    "at-once": (int, "mode array: how many shards may run at the same time"),
    "interface": (str, "mode ray: network interface of Ray's traffic, as in ib0"),
    "scratch": (str, "node-local folder, as in '$SLURM_TMPDIR' or /local"),
    "activate": (str, "shell line that makes `python` the right one"),
    "container": (str, "words before `python`, as in 'apptainer exec --nv image.sif'"),
    "lead-s": (int, "seconds of notice before the end (at most a quarter of the limit)"),
}


def main(argv: Sequence[str]) -> int:
    for word in argv:  # all of them are in the scripts, and in messages
        check_line(word)
    given = parse(argv)
    flags = {name.replace("-", "_"): getattr(given, name.replace("-", "_")) for name in FLAGS}
    flags |= {"mode": given.mode, "engine": given.engine}
    if given.no_requeue:
        flags["requeue"] = False
    settings = load_settings(given.profile_file, flags, given.sbatch)
    sweep = load_sweep(given.sweep, given.profile, given.assignments)
    resources = sweep.resources.settled(settings.n_gpus)
    check_fit(settings, resources)
    work = describe_work(given, sweep, resources, argv)
    check_run_folder(work.run, must_exist=False)
    texts = {part: render_batch_script(settings, work, part) for part in parts_of(settings, work)}
    if given.dry_run:
        print("\n".join(texts.values()), end="")
        return EXIT_DONE
    for line in what_is_missing(sweep, given):
        print(line, file=sys.stderr)
    check_nothing_queued(work.run)
    remove_private_folders(work.run)
    scripts = write_scripts(work, texts, given.sweep.read_bytes())
    jobs = submit(settings, work, scripts)
    record_jobs(work.run, jobs)
    print("\n".join(announce(work, jobs)))
    return EXIT_DONE


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m slurm.submit",
        description="Submit a sweep to SLURM and exit. Mode ray: one job, one Ray cluster over its "
        "nodes. Mode array: independent one-node jobs, each a part of the arms.",
        epilog="Settings also come from a site's profile; flags override it. docs/slurm.md has all "
        "of them. Exit status: 0 submitted, 2 wrong input or refused by SLURM.",
    )
    parser.add_argument("sweep", type=to_path, metavar="SWEEP.yaml")
    parser.add_argument("--mode", choices=("ray", "array"), help="default: ray")
    for name, (kind, text) in FLAGS.items():
        parser.add_argument(f"--{name}", type=kind, metavar=name.upper()[0], help=text)
    parser.add_argument("--engine", choices=("local", "ray"), help="mode array: what runs a shard")
    parser.add_argument("--no-requeue", action="store_true", help="stop at the time limit for good")
    parser.add_argument(
        "--profile-file",
        metavar="F",
        help="settings of a site: a file, or a name in slurm/profiles",
    )
    parser.add_argument(
        "--sbatch", action="append", default=[], metavar="KEY=VALUE", help="any option of sbatch"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the scripts, submit nothing")
    sweep = parser.add_argument_group("given on to the sweep (see python -m harness.sweep --help)")
    sweep.add_argument("--profile", metavar="NAME", help="one of the sweep file's profiles")
    sweep.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="assignments"
    )
    sweep.add_argument("--out", type=to_path, metavar="DIR", help="run folder (default: runs/NAME)")
    sweep.add_argument("--data", type=to_path, metavar="DIR")
    sweep.add_argument("--reuse", action="append", default=[], type=to_path, metavar="DIR")
    return parser.parse_args(argv)


def what_is_missing(sweep: Sweep, given: argparse.Namespace) -> list[str]:
    """A line for each data set and file of weights that is not here; the nodes may have it."""
    needs = lacking(sweep, given.data and given.data.absolute())
    lines = [on_one_line(need.line()) for need in needs]
    if any(need.state == "to fetch" for need in needs):
        command = shlex.join(["python", "-m", "harness.sweep", str(given.sweep), "--fetch"])
        lines.append(f"where nodes have no network, fetch it here first: {command}")
    return lines


def describe_work(
    given: argparse.Namespace, sweep: Sweep, resources: Settled, argv: Sequence[str]
) -> Work:
    """What the jobs are to run; paths are made absolute, since jobs start elsewhere."""
    arguments = ["--profile", given.profile] if given.profile else []
    for assignment in given.assignments:
        arguments += ["--set", assignment]
    if given.data is not None:
        if not given.data.is_dir():
            raise InputError(f"--data {given.data}: no such folder")
        arguments += ["--data", os.path.realpath(given.data)]
    for folder in folders_of_code(sweep):  # the jobs read a copy of the sweep file elsewhere
        arguments += ["--code", os.path.realpath(folder)]
    for folder in given.reuse:
        check_run_folder(folder)
        arguments += ["--reuse", os.path.realpath(folder)]
    run = Path(os.path.realpath(given.out or Path("runs") / sweep.name))
    return Work(
        sweep_name=sweep.name,
        sweep_file=run / "slurm" / "sweep.yaml",  # a copy: what is submitted is what runs
        run=run,
        arguments=tuple(arguments),
        folder=Path.cwd(),
        command=without_secrets(shlex.join(["python", "-m", "slurm.submit", *argv])),
        has_stages=bool(sweep.stages),
        cpus=resources.cpus,
        gpus=resources.gpus,
        workers=resources.workers,
    )


def check_fit(settings: JobSettings, asked: Settled) -> None:
    """Refuse a job in which no trial could ever start, or which reserves GPUs that none uses.

    Raises:
        InputError: a worker asks for more processors or GPUs than a node of the job has, all
            workers of a trial for more than the nodes on which they may be, or too few for
            all GPUs, or for no GPU.
    """
    _check_workers_fit(settings, asked)
    if not asked.gpus and settings.n_gpus:
        raise InputError(
            f"resources.gpus is 0 and --gpus-per-node {settings.n_gpus}: the job would "
            "reserve GPUs that no trial uses; set resources.gpus to auto, or --gpus-per-node "
            "(gpus_per_node of the site's profile) to 0"
        )
    if asked.gpus > settings.n_gpus:
        raise InputError(
            f"resources.gpus is {asked.gpus:g} and --gpus-per-node {settings.n_gpus}: no "
            "trial could start; ask for GPUs, or set resources.gpus to auto or 0"
        )
    if settings.cpus_per_node is not None and asked.cpus > settings.cpus_per_node:
        raise InputError(
            f"resources.cpus is {asked.cpus} and --cpus-per-node {settings.cpus_per_node}: no "
            "trial could start"
        )
    busy = settings.n_gpus if asked.gpus else 0  # a worker on each at least
    if settings.cpus_per_node is not None and asked.cpus * busy > settings.cpus_per_node:
        raise InputError(
            f"--cpus-per-node {settings.cpus_per_node}: --gpus-per-node {busy} with "
            f"resources.cpus {asked.cpus} needs {asked.cpus * busy}, else GPUs would idle; leave "
            "--cpus-per-node out, and what the trials need is asked for"
        )


def _check_workers_fit(settings: JobSettings, asked: Settled) -> None:
    """The workers of a trial may be on several nodes with Ray; in mode array they are on one."""
    n_nodes = settings.nodes if settings.mode == "ray" else 1
    where = f"{n_nodes} nodes" if n_nodes > 1 else "a node"
    for what, wanted, given in (
        ("gpus", asked.gpus_per_trial, settings.n_gpus),
        ("cpus", asked.cpus_per_trial, settings.cpus_per_node),
    ):
        if asked.workers > 1 and given is not None and wanted > n_nodes * given:
            raise InputError(
                f"resources.workers: {asked.workers} ask for {wanted:g} {what} together, and "
                f"{where} of the job with --{what}-per-node {given} have {n_nodes * given}: no "
                "trial could start"
            )


def check_nothing_queued(run: Path) -> None:
    """Refuse to submit a run whose earlier jobs are still queued or running.

    Raises:
        InputError: some are.
    """
    if not (run / "slurm" / "jobs.json").exists():
        return
    queued = queue_entries(read_jobs(run))
    if queued:
        raise InputError(
            f"{run}: job {queued[0].id} of this run is {queued[0].state}; wait for it, or stop it "
            f"with: python -m slurm.cancel {shlex.quote(str(run))}"
        )


def write_scripts(work: Work, texts: Mapping[Part, str], sweep: bytes) -> dict[Part, Path]:
    """Write sweep file and batch scripts into the run folder, and have SLURM check each script.

    Raises:
        InputError: SLURM would refuse one.
    """
    folder = work.run / "slurm"
    scripts = {}
    for name in (work.run / "trials", folder):  # `trials` makes it a run folder for the harness
        name.mkdir(parents=True, exist_ok=True)
    with atomic_path(work.sweep_file) as path:
        path.write_bytes(sweep)
    for part, text in texts.items():
        scripts[part] = folder / f"{part}.sh"
        with atomic_path(scripts[part]) as path:
            path.write_text(text, encoding="utf-8")
        try:
            call_slurm("sbatch", "--test-only", str(scripts[part]))
        except InputError as err:
            raise InputError(f"{err}{_known_partitions(str(err))}") from err
    return scripts


def _known_partitions(complaint: str) -> str:
    if "partition" not in complaint.lower():
        return ""
    names = call_slurm("sinfo", "--noheader", "--format=%R").split()
    return f" (partitions here: {', '.join(sorted(set(names)))})"


def submit(settings: JobSettings, work: Work, scripts: Mapping[Part, Path]) -> list[Job]:
    """Submit the parts in order, each after the one before has ended, however it ended.

    Raises:
        InputError: SLURM refused one; those submitted before it are taken back.
    """
    jobs: list[Job] = []
    for part, script in scripts.items():
        after = [f"--dependency=afterany:{jobs[-1].id}"] if jobs else []
        try:
            answer = call_slurm("sbatch", "--parsable", *after, str(script))
        except HeadstartError:
            for job in jobs:
                subprocess.run(["scancel", job.id], check=False)
            raise
        job_id = answer.split(";")[0]
        jobs.append(_job(settings, work, part, job_id, jobs[0].id if jobs else job_id))
    return jobs


def _job(settings: JobSettings, work: Work, part: Part, job_id: str, submission: str) -> Job:
    n_tasks = settings.n_shards if part == "shards" else 1
    name = f"{job_id}.out" if n_tasks == 1 else f"{job_id}_*.out"
    return Job(
        id=job_id,
        submission=submission,
        part=part,
        n_nodes=settings.nodes if part == "ray" else n_tasks,
        n_tasks=n_tasks,
        log=str(work.run / "slurm" / name),
        submitted_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command=work.command,
    )


def announce(work: Work, jobs: Sequence[Job]) -> list[str]:
    """What a person wants to know after submitting."""
    run = shlex.quote(str(work.run))
    lines = []
    for job in jobs:
        what = f"{job.n_tasks} tasks" if job.n_tasks > 1 else f"{job.n_nodes} node(s)"
        lines += [f"job {job.id}: {work.sweep_name}, {job.part}, {what}", f"  log    {job.log}"]
    lines += [
        f"watch    python -m slurm.status {run}",
        f"stop     python -m slurm.cancel {run}      (what is finished is kept; submit to go on)",
        f"results  {work.run}",
    ]
    return lines


if __name__ == "__main__":
    run_command(main)
