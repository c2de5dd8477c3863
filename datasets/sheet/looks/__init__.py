"""Marks → which digits they look like, and which look unlike the rest of their sheet."""
