"""At which numbers of seeds a report was made before: the run folder remembers it.

In: a run folder. Out: its `Look`s, and whether the number of seeds was raised after one of them. To
look, and to add seeds because of what was seen, makes p-values too small; nobody can tell from the
trials alone that it happened. It stands alone because it is the one file of a run folder that the
analysis writes beside its report.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from analysis.findings.asked import Asked
from analysis.findings.load import Runs, read_mapping
from analysis.measures.stopping import stopping_of
from headstart.digests import write_sealed_json
from headstart.errors import RunFolderError, StorageError

NAME = "looks.json"
FORMAT = 1


@dataclass(frozen=True)
class Look:
    """A report was made: of `n_seeds` finished seeds of a `sweep`, of which `planned` were asked
    for then (`5`, or `until a rule`)."""

    sweep: str
    n_seeds: int
    planned: str


def looks_now(runs: Runs, asked: Sequence[Asked]) -> dict[Path, list[Look]]:
    """What the report that is being made is a look at, by run folder."""
    done = runs.trials[(runs.trials["stage"] == "arm") & (runs.trials["status"] == "done")]
    looks: dict[Path, list[Look]] = {}
    for folder in runs.folders:
        own = done[done["folder"] == str(folder)] if "folder" in done else done
        for a in asked:
            n = int(own.loc[own["sweep"].astype(str) == a.name, "seed"].nunique())
            if n:
                planned = "until a rule" if a.n_seeds is None else str(a.n_seeds)
                looks.setdefault(folder, []).append(Look(a.name, n, planned))
    return looks


def looks_before(folder: Path) -> tuple[Look, ...]:
    """What the folder remembers; nothing where it has no such file.

    Raises:
        RunFolderError: the file is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return ()
    content = read_mapping(path)
    try:
        return tuple(Look(str(r["sweep"]), int(r["n_seeds"]), str(r["planned"]))
                     for r in content["reports"])  # fmt: skip
    except (KeyError, TypeError, ValueError) as err:
        raise RunFolderError(f"{path}: is no record of reports ({err})") from err


def remember(looks: dict[Path, list[Look]]) -> None:
    """Add to each folder what is new; a folder that takes no file takes no further seeds either."""
    for folder, new in looks.items():
        before = looks_before(folder)
        added = [look for look in new if look not in before]
        if added:
            reports = [asdict(look) for look in (*before, *added)]
            with suppress(OSError, StorageError):
                write_sealed_json(folder / NAME, {"format": FORMAT, "reports": reports})


def raised_after(runs: Runs, asked: Sequence[Asked]) -> tuple[tuple[str, int, int], ...]:
    """Sweeps whose number of seeds was raised after a report: (sweep, seeds then, seeds now).

    Where planned looks are in force, reports at these are what was planned. The smallest number
    of seeds is named.
    """
    stoppings = {a.name: stopping_of(a.sweep.get("seeds")) for a in asked}
    raised: dict[str, tuple[int, int]] = {}
    for folder, looks in looks_now(runs, asked).items():
        before = looks_before(folder)
        for now in looks:
            for look in before:
                is_other = look.sweep == now.sweep and look.planned != now.planned
                was_planned = look.n_seeds in stoppings[now.sweep].looks
                if is_other and look.n_seeds < now.n_seeds and not was_planned:
                    least = min(look.n_seeds, raised.get(now.sweep, (look.n_seeds, 0))[0])
                    raised[now.sweep] = (least, now.n_seeds)
    return tuple((sweep, *numbers) for sweep, numbers in raised.items())


def lowered_after(runs: Runs, asked: Sequence[Asked]) -> tuple[tuple[str, int, int, int], ...]:
    """Sweeps that were looked at before as many seeds were there as were planned, and then ended.

    (sweep, seeds then, seeds that were planned then, seeds that are planned now); of several looks
    the first.
    """
    lowered: dict[str, tuple[int, int, int]] = {}
    for folder, looks in looks_now(runs, asked).items():
        before = looks_before(folder)
        for now in looks:
            for look in before:
                numbers = (
                    look.sweep == now.sweep and look.planned.isdigit() and now.planned.isdigit()
                )
                if numbers and look.n_seeds <= int(now.planned) < int(look.planned):
                    then = (look.n_seeds, int(look.planned), int(now.planned))
                    lowered.setdefault(now.sweep, then)
    return tuple((sweep, *numbers) for sweep, numbers in lowered.items())
