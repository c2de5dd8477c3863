"""Decoded sets on disk: decoded once a machine, checked when they are read, shared by all."""
