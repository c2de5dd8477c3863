"""Pairs of conditions, paired by seed: differences, verdicts, power."""
