"""From a sweep file to records of trials on disk.

The data flows one way: `sweepfile/` (what a sweep file may say) → `plan/` (ordered trials with
ids) → `engines/` (which trial starts where) → `training/` (one of them) → `runfolder/` (records on
disk).

This package is the first of ours that a process imports, also one that Ray or multiprocessing
starts. So here our folder comes first on the path: a package `datasets` or `models` in the user's
working folder, or an installed one, is not taken for ours.
"""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[1])
if sys.path[0] != _ROOT:
    sys.path.insert(0, _ROOT)
