"""Bytes → arrays: decoding, archives, downloads, the decoded cache."""
