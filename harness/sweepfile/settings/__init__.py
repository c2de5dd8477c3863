"""The frozen objects that a sweep file becomes: what each key may be, and what it means.

`reader.py` reads a file into these; everything downstream receives them and neither parses nor
changes them.
"""

from harness.sweepfile.settings.also_test import KINDS, AlsoTest, Corrupted
from harness.sweepfile.settings.by_name import ByName, DataChoice, ModelChoice
from harness.sweepfile.settings.condition import FINE_TUNE, Condition, RunArm, Start, StartFile
from harness.sweepfile.settings.outputs import Save
from harness.sweepfile.settings.resources import Resources, Settled
from harness.sweepfile.settings.seeds import Seeds, SeedsRule, VerdictRule
from harness.sweepfile.settings.sweep import Frame, Sweep
from harness.sweepfile.settings.train import (
    LOSSES_OF,
    TIMMS_OPTIMIZERS,
    EvaluateEvery,
    Monitor,
    NotOfTarget,
    Schedule,
    Train,
    schema_of_names,
)

__all__ = [
    "FINE_TUNE", "KINDS", "LOSSES_OF", "TIMMS_OPTIMIZERS", "AlsoTest", "ByName", "Condition",
    "Corrupted", "DataChoice", "EvaluateEvery", "Frame", "ModelChoice", "Monitor", "NotOfTarget",
    "Resources", "RunArm", "Save", "Schedule", "Seeds", "SeedsRule", "Settled", "Start",
    "StartFile", "Sweep", "Train", "VerdictRule", "schema_of_names",
]  # fmt: skip
