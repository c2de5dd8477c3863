"""A run folder → one object, Findings, with all tables."""
