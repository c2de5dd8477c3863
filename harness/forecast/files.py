"""What `harness.forecast` leaves in a run folder: `forecast/forecast.parquet` and `forecast.json`.

In: rows. Out: the two files, each with its digest, as others of a run folder have theirs. The
table has the scores; the other file says with which command, versions and images they were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.runfolder.tables import as_table
from headstart.digests import sealed_table, write_sealed_json
from headstart.errors import InputError
from headstart.files import atomic_file
from headstart.foreign import own_folder, refuse_links
from headstart.records import FORECAST
from headstart.rows import ForecastRow


def write_forecast(
    run: Path, rows: Sequence[ForecastRow], provenance: Mapping[str, object]
) -> Path:
    """Write both files below the run folder, which is made where it is not there.

    Raises:
        InputError: the folder is a file, or cannot be made.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        folder = own_folder(run, FORECAST)
        refuse_links(folder)
        folder.mkdir(exist_ok=True)
    except OSError as err:
        raise InputError(f"{run / FORECAST}: cannot be made as a folder: {err.strerror}") from err
    with atomic_file(folder / f"{FORECAST}.parquet", "wb") as file:
        file.write(sealed_table(as_table(rows, ForecastRow)))
    write_sealed_json(folder / f"{FORECAST}.json", provenance)
    return folder
