"""How a sweep came to its number of seeds, from what its file says.

In: the section `seeds` of a sweep. Out: `Stopping`, which widens errors. It stands alone because
verdicts, bands and caveats must read the same of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis.statistics.pairs.looks import CHOSEN_BEFORE, Stopping
from headstart.settings import AT_LEAST, LOOKS


def stopping_of(seeds: object) -> Stopping:
    """What the section `seeds` of a sweep says, as a mapping read from its file."""
    if not isinstance(seeds, Mapping) or not seeds.get("until"):
        return CHOSEN_BEFORE
    if seeds["until"] == "verdict":
        return Stopping(looks=tuple(seeds.get("looks") or LOOKS))
    return Stopping.of_widths(int(seeds.get("at_least") or AT_LEAST))
