"""Ink and labels → a `Reading`: digits in rows with labels; the rest with its reason."""
