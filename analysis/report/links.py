"""From a report to the files of its trials: relative links that work from disk.

In: the folder of a report, and where run folders lie. Out: links to files that are there. It stands
alone because a report may be published: a link names no folder above what report and run share,
and follows nothing that leads out of the run folder.
"""

from __future__ import annotations

import csv
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from headstart.errors import RunFolderError
from headstart.foreign import read_inside

TABLE = "checkpoints/checkpoints.csv"
FILES = {
    "curve.parquet": "curve",
    "predictions.npz": "answers",
    "model.safetensors": "weights",
    "last.safetensors": "last weights",
    "trial.json": "record",
}


@dataclass(frozen=True)
class Link:
    """What a reader sees, and where it leads from the report's folder."""

    label: str
    href: str


@dataclass(frozen=True)
class Links:
    """Links from the folder `out`; none where `out` is None: a page that lies nowhere yet."""

    out: Path | None = None

    def of_trial(self, folder: Path | str, trial_id: str, fingerprint: str = "") -> list[Link]:
        """The files of a trial in the run folder `folder`, and the images it was tested on."""
        folder = Path(folder)
        base = self._base(folder)
        if base is None:
            return []
        places = {f"trials/{trial_id}/{name}": label for name, label in FILES.items()}
        places[f"images/{fingerprint}.npz"] = "images"
        places |= dict.fromkeys(_checkpoints(folder, trial_id), "checkpoints")
        return [
            Link(label, quote(f"{base}/{place}", safe="/"))
            for place, label in places.items()
            if _lies_in(folder, place)
        ]

    def _base(self, folder: Path) -> str | None:
        """The run folder from the report, as `..`; None where the way would name private folders.

        Where the two share no folder but the root, or one above the user's home, the way names all
        that is above the run: a published page would say whose machine it was.
        """
        if self.out is None:
            return None
        out, run = Path(os.path.abspath(self.out)), Path(os.path.abspath(folder))
        shared = Path(os.path.commonpath([out, run]))
        if shared == Path(shared.anchor) or (shared != Path.home() and _above_home(shared)):
            return None
        return Path(os.path.relpath(run, out)).as_posix()


def _checkpoints(run: Path, trial_id: str) -> set[str]:
    """The folders in `checkpoints/` where a trial's epochs have names for people."""
    with suppress(OSError):
        return _folders_of_epochs(run, (run / TABLE).stat().st_mtime_ns).get(trial_id, set())
    return set()


@lru_cache(maxsize=16)
def _folders_of_epochs(run: Path, _changed_at: int) -> dict[str, set[str]]:
    folders: dict[str, set[str]] = {}
    with suppress(OSError, UnicodeDecodeError, csv.Error, RunFolderError):
        text = read_inside(run, TABLE).decode()
        for row in csv.DictReader(text.splitlines()):
            link, file = row.get("link") or "", (row.get("file") or "").split("/")
            if row.get("weights") == "epoch" and link and len(file) > 1:
                folders.setdefault(file[1], set()).add(link.rpartition("/")[0])
    return folders


def _above_home(folder: Path) -> bool:
    return Path.home().is_relative_to(folder)


def _lies_in(folder: Path, place: str) -> bool:
    """Whether the file or folder is there, and no link on its way leads out of the run folder."""
    path = folder / place
    return path.exists() and path.resolve().is_relative_to(folder.resolve())
