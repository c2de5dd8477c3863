"""Of which trials the seeds redraw training and test images from one pool, and by how much.

In: trials, and what their sweep varies. Out: for each trial the ratio n_test / n_train of
`statistics.samples.redrawn`; 0 where the test images stand apart or stay the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd


def overlaps(trials: pd.DataFrame, sweep: Mapping[str, object]) -> pd.Series:
    """n_test / n_train of each trial whose seed drew its own split of one pool, else 0.

    Without test images the validation images, on which it is then scored, take their place.
    """
    vary = sweep.get("vary") or ["split"]
    varies = isinstance(vary, Collection) and "split" in vary
    if not varies or "n_pool" not in trials or not len(trials):
        return pd.Series(0.0, index=trials.index)
    scored = trials["n_test"].where(trials["n_test"] > 0, trials["n_validation"])
    ratio = (scored / trials["n_train"]).where(trials["n_pool"].notna(), 0.0)
    return ratio.fillna(0.0).astype(float)


def overlap_of(trials: pd.DataFrame) -> float:
    """The largest ratio among these trials; 0 where none is known."""
    return float(trials["overlap"].max()) if "overlap" in trials and len(trials) else 0.0
