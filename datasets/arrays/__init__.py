"""Arrays that somebody exported, in any container → images, labels and a `Dataset`."""
