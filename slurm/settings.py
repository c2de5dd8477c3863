"""What a site and a user say about a job, checked and frozen; every mistake at once.

In: a site's profile file (YAML), flags, `--sbatch` texts; later ones override earlier ones. Out:
`JobSettings`. This is the only place in the package that reads or defaults a setting.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from headstart.errors import InputError, SpecError, did_you_mean
from headstart.yaml12 import Node, read_yaml
from slurm.sbatch_options import mistake_in

PROFILES = Path(__file__).parent / "profiles"
DEFAULT_LEAD_S = 120
MAX_LEAD_FRACTION = 0.25
_TIME = re.compile(  # M, M:S, H:M:S, D-H, D-H:M, D-H:M:S
    r"(?P<days>\d{1,7})-(?P<h>\d{1,7})(:(?P<m>\d{1,7})(:(?P<s>\d{1,7}))?)?"
    r"|((?P<h2>\d{1,7}):)?(?P<m2>\d{1,7}):(?P<s2>\d{1,7})"
    r"|(?P<minutes>\d{1,7})",
    re.ASCII,
)

_SCRATCH = re.compile(r"\$(\w+|\{\w+\})(/[^$]*)?", re.ASCII)


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("one line of text")
    return text


def _one_word(text: str) -> str:
    if not text.isprintable() or len(text.split()) != 1 or text != text.strip():
        raise ValueError("one word")
    return text


def _words(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as err:
        raise ValueError(f"words as a shell reads them ({err})") from err
    return text


def _shell_line(text: str) -> str:
    """A line of shell that ends where it ends: nothing of the script below becomes a part of it."""
    read = subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False)
    if read.returncode or read.stderr or text.endswith("\\"):  # it warns of an open heredoc
        raise ValueError("one whole line of shell")
    return text


def _place(text: str) -> str:
    if "$" in text and not _SCRATCH.fullmatch(text):
        raise ValueError("a path, or a variable and perhaps a path below it, as in $TMPDIR/mine,")
    return text


Line = Annotated[str, AfterValidator(_one_line)]
ShellLine = Annotated[Line, AfterValidator(_shell_line)]
Word = Annotated[str, AfterValidator(_one_word)]
Count = Annotated[int, Field(ge=1, le=100_000)]


class JobSettings(BaseModel):
    """One job, or the jobs of one submission. None means: what the site gives by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mode: Literal["ray", "array"] = "ray"
    nodes: Count = 1
    shards: Count | None = None  # mode array: one-node jobs; as many as `nodes` where not given
    at_once: Count | None = None  # mode array: shards that may run at the same time
    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    time: Word | None = None  # as SLURM writes it: 90, 2:00:00, 1-12
    cpus_per_node: Count | None = None
    gpus_per_node: Annotated[int, Field(ge=0, le=64)] = 0
    memory: Word | None = None  # of each node: 64G
    sbatch: Mapping[str, Line | None] = Field(default_factory=dict)
    modules: tuple[Word, ...] = ()  # for `module load`
    activate: ShellLine | None = None  # a shell line after which `python` is the right one
    container: Annotated[Line, AfterValidator(_words)] | None = (
        None  # words put before `python`: apptainer exec --nv image.sif
    )
    setup: tuple[ShellLine, ...] = ()  # further shell lines, run before anything else
    mps: bool = False  # NVIDIA's Multi-Process Service where workers share a GPU
    interface: Word | None = None  # network interface that carries Ray's traffic: ib0
    # Node-local folder: a path, or a variable such as $SLURM_TMPDIR.
    scratch: Annotated[Line, AfterValidator(_place)] | None = None
    engine: Literal["local", "ray"] = "local"  # mode array: what runs a shard on its node
    requeue: bool = True
    max_requeues: Annotated[int, Field(ge=0, le=10_000)] = 100
    lead_s: Annotated[int, Field(ge=15, le=3600)] | None = None

    @property
    def limit_s(self) -> int | None:
        """The time limit in seconds; None where the partition's own holds."""
        return None if self.time is None else parse_time(self.time)

    @property
    def signal_lead_s(self) -> int:
        """How long before its end a job is told; at most a quarter of its limit."""
        if self.lead_s is not None:
            return self.lead_s
        if self.limit_s is None:
            return DEFAULT_LEAD_S
        return min(DEFAULT_LEAD_S, int(self.limit_s * MAX_LEAD_FRACTION))

    @property
    def n_gpus(self) -> int:
        """GPUs of each node, by `gpus_per_node` or, as some sites want it, `sbatch: {gres: …}`."""
        asked = [item.split(":") for item in (self.sbatch.get("gres") or "").split(",")]
        counts = [words[-1] for words in asked if words[0].removeprefix("gres/") == "gpu"]
        by_gres = sum(int(count) if count.isdecimal() else 1 for count in counts)
        return self.gpus_per_node or by_gres

    @property
    def n_shards(self) -> int:
        return self.shards or self.nodes


def parse_time(text: str) -> int:
    """Seconds in a time limit as sbatch reads it: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S.

    Raises:
        ValueError: it is none of these, or no time at all.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time limit; write 90 (minutes), 2:00:00 or 1-12 (days-h)")
    part = {key: int(value or 0) for key, value in match.groupdict().items()}
    hours = 24 * part["days"] + part["h"] + part["h2"]
    minutes = 60 * hours + part["m"] + part["m2"] + part["minutes"]
    seconds = 60 * minutes + part["s"] + part["s2"]
    if seconds < 60:
        raise ValueError(f"{text!r} is under a minute, the shortest limit that SLURM keeps")
    return seconds


def load_settings(
    profile: Path | str | None, flags: Mapping[str, object], sbatch: Sequence[str] = ()
) -> JobSettings:
    """Lay flags over a site's profile, check and freeze.

    Args:
        profile: a file, or the name of one in `slurm/profiles/`; None for no profile.
        flags: settings given on the command line; those that are None were not given.
        sbatch: texts `key=value`, or `key` alone for an option without a value.

    Raises:
        SpecError: every mistake, one a line, with file and line where it has one.
    """
    mistakes: list[str] = []
    values: dict[str, object] = {}
    where: dict[str, str] = {}
    if profile is not None:
        _take_profile(read_yaml(find_profile(profile)), values, where, mistakes)
    for key, value in flags.items():
        if value is not None:
            values[key], where[key] = value, f"--{key.replace('_', '-')}"
    profiled = values.get("sbatch") or {}
    options = dict(profiled) if isinstance(profiled, Mapping) else {}
    for text in sbatch:
        key, _, value = text.removeprefix("--").partition("=")
        options[key], where[f"sbatch.{key}"] = value or None, "--sbatch"
    values["sbatch"] = options if isinstance(profiled, Mapping) else profiled
    for key in options:
        if wrong := mistake_in(key):
            mistakes.append(f"{where.get(f'sbatch.{key}', '--sbatch')}: {wrong}")
    settings = _validated(values, where, mistakes)
    if settings is not None:
        mistakes += _cross_checks(settings, where)
    if mistakes or settings is None:
        raise SpecError(mistakes)
    return settings


def find_profile(given: Path | str) -> Path:
    """The profile file that is meant: a path, or a name in `slurm/profiles/`.

    Raises:
        InputError: there is no such file.
    """
    for path in (Path(given), PROFILES / f"{given}.yaml"):
        if path.is_file():
            return path
    known = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    raise InputError(
        f"--profile-file {given}: no such file, and none of slurm/profiles "
        f"({', '.join(known)}){did_you_mean(str(given), known)}"
    )


def _take_profile(
    root: Node, values: dict[str, object], where: dict[str, str], mistakes: list[str]
) -> None:
    known = tuple(JobSettings.model_fields)
    for key, node in root.items():
        if key not in known:
            mistakes.append(
                f"{node.where}: {key}: is no setting{did_you_mean(key, known)}; "
                f"settings are {', '.join(known)}"
            )
            continue
        values[key], where[key] = _as_given(node), str(node.where)
        where.update({f"{key}.{name}": str(child.where) for name, child in node.items()})


def _as_given(node: Node) -> object:
    """A value as the model expects it: lists are tuples; sbatch's and SLURM's numbers are words."""
    value = node.plain()
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {key: None if item in (True, None) else str(item) for key, item in value.items()}
    if node.path in ("time", "memory") and isinstance(value, int):
        return str(value)
    return value


def _validated(
    values: Mapping[str, object], where: Mapping[str, str], mistakes: list[str]
) -> JobSettings | None:
    try:
        return JobSettings.model_validate(values)
    except ValidationError as err:
        for error in err.errors():
            path = ".".join(str(part) for part in error["loc"])
            place = where.get(path) or where.get(str(error["loc"][0]), "")
            what = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
            said = f"{error['input']!r} is given; {what} is expected"
            mistakes.append(f"{place}: {said}" if place.startswith("--") else
                            f"{place}: {path}: {said}")  # fmt: skip
        return None


def _cross_checks(settings: JobSettings, where: Mapping[str, str]) -> list[str]:
    mistakes = []
    limit_s: int | None = None
    try:
        limit_s = settings.limit_s
    except ValueError as err:
        mistakes.append(f"{where['time']}: {err}")
    if settings.lead_s is not None and limit_s is not None:
        most = int(limit_s * MAX_LEAD_FRACTION)
        if settings.lead_s > most:
            mistakes.append(
                f"{where['lead_s']}: {settings.lead_s} s is over a quarter of the time limit "
                f"({settings.time}); at most {most}"
            )
    if settings.mode == "ray":
        for key in ("shards", "at_once", "engine"):
            if key in where:
                mistakes.append(f"{where[key]}: {key} belongs to mode array, and the mode is ray")
    elif settings.interface is not None and where["interface"].startswith("--"):
        mistakes.append("--interface: belongs to mode ray: shards do not talk to each other")
    return mistakes
