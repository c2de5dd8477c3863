"""Commands as forks of one process that has imported everything: they take no time to start.

In: the folders of a command. Out: how it ended, and which changes to the file system it made.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from disturbed import Place

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}


@dataclass(frozen=True)
class Command:
    """How one command ended."""

    status: int  # minus the signal's number where one killed it
    made: list[str]  # its changes to the file system; of a killed one none is known
    slept_s: float  # of a killed one not known either
    said: str


class Server:
    """The process that forks commands."""

    def __init__(self, place: Place):
        program = Path(__file__).parent / "crashing.py"
        self.place = place
        self.process = subprocess.Popen(
            [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=place.environment(**ONE_THREAD),
        )  # fmt: skip

    def place_at(self, root: Path, sweep: str) -> Place:
        """The folders of one command, all of which share the temporary one of this process."""
        place = Place(root)
        place.remove()
        place.temporary = self.place.temporary
        place.write(sweep)
        return place

    def run(
        self,
        place: Place,
        *options: str,
        engine: str = "here",
        has_links: bool = True,
        kill_at: int = 0,
        graveyard: Path | None = None,
    ) -> Command:
        """The command, to its end; killed at a change, and with a graveyard its power is cut."""
        argv = [
            str(place.sweep), "--out", str(place.out), "--engine", engine, "--no-report",
            "--state-every", "0", *options,
        ]  # fmt: skip
        said = place.root / "said.txt"
        asked = {
            "argv": argv,
            "said": str(said),
            "cache": str(place.cache),
            "has_links": has_links,
            "kill_at": kill_at,
            "folders": [str(place.out), str(place.cache)],
            "graveyard": str(graveyard) if graveyard else "",
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the process that forks commands is gone"
        return Command(**json.loads(answer), said=said.read_text())

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)
