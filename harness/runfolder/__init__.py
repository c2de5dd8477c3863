"""What a command leaves on disk: the writing half of the run folder."""
