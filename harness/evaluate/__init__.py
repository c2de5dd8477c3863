"""python -m harness.evaluate: the networks of a run on a test set met later."""
