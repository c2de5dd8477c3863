"""Times to a target, some of them censored: survival, speedups, break-even."""
