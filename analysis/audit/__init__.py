"""Labels in doubt: who is doubtful, how many are wrong, as a report."""
