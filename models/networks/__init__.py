"""One file a network: a class Options and functions info and build. models.catalog scans it."""
