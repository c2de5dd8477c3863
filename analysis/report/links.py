"""From a report to the files of its trials: relative links that work from disk.

In: the folder of a report, and where run folders lie. Out: links to files that are there. It stands
alone because a report may be published: a link names no folder above what report and run share,
and follows nothing that leads out of the run folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

FILES = {
    "curve.parquet": "curve",
    "predictions.npz": "answers",
    "model.safetensors": "weights",
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


def _above_home(folder: Path) -> bool:
    return Path.home().is_relative_to(folder)


def _lies_in(folder: Path, place: str) -> bool:
    """Whether the file is there, and no link on its way leads out of the folder."""
    path = folder / place
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())
