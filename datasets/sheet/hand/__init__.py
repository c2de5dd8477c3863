"""A reading, what a person says of its boxes → the reading put right; the page to say it on."""
