"""Names of files and folders → which image is of which class and in which part."""
