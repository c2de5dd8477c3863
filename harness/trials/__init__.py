"""What a trial is: its settings, its id, its row, its events. Nothing here runs anything."""
