"""Settings → trials with ids, and what can be said of them before anything runs."""
