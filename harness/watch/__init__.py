"""`python -m harness.watch RUN`: a run folder in, a page on loopback that follows it out."""
