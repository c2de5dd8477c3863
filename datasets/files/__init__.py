"""Bytes of files: folders, archives, pickles, MATLAB files, downloads, the decoded cache."""
