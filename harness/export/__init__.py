"""python -m harness.export: a network of a run as files for other programs."""
