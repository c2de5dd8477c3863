"""Ink → marks (the strokes of one digit each), in rows, and cut out."""
