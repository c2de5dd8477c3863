"""python -m harness.predict: what a run's networks say of pictures without labels."""
