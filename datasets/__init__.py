"""Image data sets: `load_dataset(name, …)` gives images, labels, class names and a fingerprint."""
