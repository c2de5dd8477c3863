"""python -m harness.reference: what networks say of images whose labels are in doubt."""
