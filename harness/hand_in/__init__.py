"""A finished run in, one folder and one zip of it out: images, documents, code that runs alone."""
