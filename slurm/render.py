"""Settings in, the text of a batch script out: nothing is read, run or written but our templates.

One submission is one job (mode ray) or a chain of jobs (mode array): the stages, the shards, the
report. Every path, name and argument is quoted, for bash and for sbatch alike.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from headstart.errors import EXIT_STOPPED, InputError
from slurm.settings import JobSettings

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_FRACTION = 2 / 3  # of the lead, in which trials save and stop before they are killed
MAX_UNFIT = 3  # nodes that a job finds broken before it ends

Part = Literal["ray", "pretrain", "shards", "report"]

# What is said where nothing came of a start.
STUCK = "no trial ended and none saved its state since this start; give it more time"
STUCK_IN = {
    "ray": f"{STUCK}, or make evaluations more frequent (or it is the report that takes longer)",
    "report": "the report takes longer than this; give it more time, or run python -m analysis",
}

PURPOSES = {
    "ray": "all of its trials on one Ray cluster over the nodes of this job",
    "pretrain": "the stages that its arms start from",
    "shards": "its arms, each task of the array a part of them by itself",
    "report": "tables and report from what the shards have done",
}
EXPLANATIONS = {
    "ray": (
        "A Ray cluster of this job's own is started on its nodes, the sweep runs on it, and all of",
        "it is ended again. When SLURM announces the end, trials save their state and the job goes",
        "back into the queue, where it goes on.",
    ),
    "pretrain": (
        "The first job of three; the shards wait for it. When SLURM announces the end, trials save",
        "their state and the job goes back into the queue, where it goes on.",
    ),
    "shards": (
        "Tasks share nothing but the run folder, and one that fails spares the others. When SLURM",
        "announces the end of one, its trials save their state and it goes back into the queue.",
    ),
    "report": ("The last job: it runs when all shards have ended, however they ended.",),
}


@dataclass(frozen=True)
class Work:
    """What the jobs of one submission run, as the command line and the sweep file say."""

    sweep_name: str
    sweep_file: Path
    run: Path  # the run folder
    arguments: tuple[str, ...]  # further ones for harness.sweep
    folder: Path  # in which the command was typed
    command: str  # as typed, for people
    has_stages: bool
    cpus: int = 1  # of a worker
    gpus: float = 0.0  # of a worker
    workers: int = 1  # of a trial


def parts_of(settings: JobSettings, work: Work) -> tuple[Part, ...]:
    """The jobs of a submission, each waiting for the one before it."""
    if settings.mode == "ray":
        return ("ray",)
    return ("pretrain", "shards", "report") if work.has_stages else ("shards", "report")


def render_batch_script(settings: JobSettings, work: Work, part: Part) -> str:
    """The batch script of one part; ready for sbatch, and for a person to read.

    Raises:
        InputError: a text would not stay on its line of the script, or the run folder's path has a
            backslash, which SLURM takes out of the path of the log.
    """
    context = _context(settings, work, part)
    for text in _texts(context.values()):
        check_line(text)
    if "\\" in str(work.run):
        raise InputError(
            f"--out {work.run}: SLURM cannot write a log below a path with a backslash"
        )
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # shell text: every value goes through `quote`
    )
    environment.filters["quote"] = shlex.quote
    name = {"ray": "ray.sh.j2", "report": "job.sh.j2"}.get(part, "array.sh.j2")
    return environment.get_template(name).render(context)


def check_line(text: str) -> None:
    """Refuse a text that would begin another line, or hide, in a batch script.

    Raises:
        InputError: it has a line end, a control character, or is not UTF-8.
    """
    if not text.isprintable():
        raise InputError(f"{text!r}: line ends and control characters cannot be in a batch script")


def _texts(values: Iterable[object]) -> Iterator[str]:
    """All texts among these values and in the lists among them."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            yield from _texts(value)


def _context(settings: JobSettings, work: Work, part: Part) -> dict[str, object]:
    n_shards = settings.n_shards if part == "shards" else 1
    return {
        "sweep_name": work.sweep_name,
        "purpose": PURPOSES[part],
        "explanation": EXPLANATIONS[part],
        "command": work.command,
        "stuck": STUCK_IN.get(part, f"{STUCK}, or make evaluations more frequent"),
        "options": _sbatch_options(settings, work, part),
        "modules": settings.modules,
        "setup": settings.setup,
        "activate": settings.activate,
        "folder": str(work.folder),
        "root": str(ROOT),
        "python": _python(settings),
        "run": str(work.run),
        "sweep_arguments": _sweep_arguments(settings, work, part),
        "scratch": _scratch(settings.scratch),
        "interface": settings.interface,
        "cpus_per_node": cpus_per_node(settings, work),
        "cpus_per_trial": work.cpus * work.workers,
        "gpu_slots": _gpu_slots(settings, work),
        "all_slots": _all_slots(settings, work),
        "mps": settings.mps and 0 < work.gpus < 1 and part != "report",
        "hides_gpus": not settings.n_gpus,
        "needs_all_nodes": work.workers > 1,
        "n_shards": n_shards,
        "n_nodes": settings.nodes if part == "ray" else 1,
        "max_unfit": MAX_UNFIT,
        "shard": f'"$SLURM_ARRAY_TASK_ID/{n_shards}"' if n_shards > 1 else "1/1",
        "requeue": settings.requeue,
        "max_requeues": settings.max_requeues,
        "lead_s": settings.signal_lead_s,
        "patience_s": int(settings.signal_lead_s * PATIENCE_FRACTION),
        "stopped": EXIT_STOPPED,
    }


def _sbatch_options(settings: JobSettings, work: Work, part: Part) -> list[str]:
    """The `#SBATCH` lines' texts, in the order in which a person would look for them."""
    is_array = part == "shards" and settings.n_shards > 1
    log = str(work.run / "slurm").replace("%", "%%") + ("/%A_%a.out" if is_array else "/%j.out")
    at_once = f"%{settings.at_once}" if settings.at_once else ""
    wanted: list[tuple[str, object]] = [
        ("job-name", work.sweep_name if part == "ray" else f"{work.sweep_name}-{part}"),
        ("account", settings.account),
        ("partition", settings.partition),
        ("qos", settings.qos),
        ("time", settings.time),
        ("nodes", settings.nodes if part == "ray" else 1),
        ("ntasks-per-node", 1),
        ("cpus-per-task", cpus_per_node(settings, work) if part != "report" else None),
        ("gpus-per-node", settings.gpus_per_node if part != "report" else None),
        ("mem", settings.memory),
        ("array", f"1-{settings.n_shards}{at_once}" if is_array else None),
        ("signal", f"B:USR2@{settings.signal_lead_s}"),
        ("output", log),
        ("open-mode", "append"),
    ]
    options = [f"--{key}={_sbatch_quote(str(value))}" for key, value in wanted if value]
    options.append("--requeue" if settings.requeue else "--no-requeue")
    if part == "ray":
        options.append("--no-kill")
    for key, value in settings.sbatch.items():
        options.append(f"--{key}" if value is None else f"--{key}={_sbatch_quote(value)}")
    return options


def _sbatch_quote(text: str) -> str:
    """Quoted as sbatch reads it: as bash does, but a backslash within quotes escapes there."""
    return shlex.quote(text).replace("\\", "\\\\")


def _python(settings: JobSettings) -> list[str]:
    """The words that start Python in the job; by default the one that submits."""
    prefix = shlex.split(settings.container) if settings.container else []
    by_path = settings.container is None and settings.activate is None
    return [*prefix, sys.executable if by_path else "python"]


def _sweep_arguments(settings: JobSettings, work: Work, part: Part) -> list[str]:
    arguments = [str(work.sweep_file), "--out", str(work.run), *work.arguments]
    if part == "ray":
        return [*arguments, "--engine", "ray"]
    only = {"pretrain": "pretrain", "shards": "arms", "report": "report"}[part]
    return [*arguments, "--engine", settings.engine, "--only", only]


def _scratch(scratch: str | None) -> str:
    """The node-local folder as a word of bash; a variable is filled in on the node."""
    if scratch is None:
        return '"${SLURM_TMPDIR:-${TMPDIR:-}}"'
    name, slash, rest = scratch.partition("/")
    if name.startswith("$"):
        return f'"${{{name.strip("${}")}:-}}"' + (shlex.quote(slash + rest) if slash else "")
    return shlex.quote(scratch)


def cpus_per_node(settings: JobSettings, work: Work) -> int | None:
    """Processors to ask for on each node: the site's number, else what its trials need.

    Every worker that a node's GPUs take gets its own. Without GPUs as many as a trial needs; None
    where that is one, since the site's default is at least that.
    """
    if settings.cpus_per_node is not None:
        return settings.cpus_per_node
    if work.gpus > 0:
        return work.cpus * workers_of_gpus(settings.n_gpus, work.gpus)
    n_nodes = settings.nodes if settings.mode == "ray" else 1  # over which its workers may be
    needed = work.cpus * -(-work.workers // n_nodes)
    return needed if needed > 1 else None


def workers_of_gpus(n_gpus: int, share: float) -> int:
    """Workers that so many GPUs take, each with its GPU or its share of one."""
    return int(n_gpus * (1 if share >= 1 else int(1 / share + 1e-9)))


def _all_slots(settings: JobSettings, work: Work) -> int:
    """How many trials run at once on the GPUs of all nodes of a Ray cluster; 0 without GPUs."""
    by_gpus = workers_of_gpus(settings.n_gpus, work.gpus) if work.gpus else 0
    by_cpus = (cpus_per_node(settings, work) or 1) // work.cpus
    return settings.nodes * min(by_gpus, by_cpus) // work.workers


def _gpu_slots(settings: JobSettings, work: Work) -> int:
    """How many trials a node's GPUs take at once; 0 where trials use none."""
    if work.gpus <= 0:
        return 0
    return max(1, workers_of_gpus(settings.n_gpus, work.gpus) // work.workers)
