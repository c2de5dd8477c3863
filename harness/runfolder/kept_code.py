"""The text of the user's own code, kept in the run folder as a record: to be read, never to be run.

In: the trials of a plan. Out: `code/DIGEST/NAME.py.txt` for each file that a digest is of. It
stands alone because a run folder holds no code that any command runs: the endings say so, and
`--code` refuses what lies in a run folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.sweepfile.references import own_references
from harness.trials.spec import TrialSpec
from headstart.files import atomic_file
from headstart.foreign import own_folder
from headstart.own_code import read_code

FOLDER = "code"


def keep_code(run: Path, trials: Iterable[TrialSpec]) -> None:
    """Write what the run folder does not have yet.

    Raises:
        InputError: the code changed since the plan was made.
    """
    conditions = {id(trial.condition): trial.condition for trial in trials}.values()
    named = {digest: name for each in conditions for name, digest in own_references(each)}
    for digest, name in named.items():
        if Path(name).is_absolute():
            _keep(run, name, digest)


def _keep(run: Path, reference: str, digest: str) -> None:
    code = read_code(reference, digest)
    for source in code.sources.values():
        if source.path.suffix != ".py":  # a folder of modules without a file of its own
            continue
        inside = source.path.relative_to(code.path.parent)
        folder = own_folder(run, FOLDER, digest, *inside.parts[:-1])
        kept = folder / f"{inside.name}.txt"
        if not kept.exists():
            with atomic_file(kept, "wb") as file:
                file.write(source.content)
