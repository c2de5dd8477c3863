"""What tables and a sweep say of images: labels, parts, groups → a `Layout`."""
