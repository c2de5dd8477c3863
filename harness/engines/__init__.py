"""Which trial starts where. In: a plan. Out: finished trials in the run folder."""

NAMES = ("ray", "local", "here")
