"""python -m harness.forecast: cheap scores of what the arms of a sweep start from."""
