"""Encoded images, in files and containers → pixels and a `Dataset`."""
