"""One file a data set: a class Options and functions locate and load. datasets.catalog scans it."""
