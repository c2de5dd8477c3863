"""Arrays and tables in, intervals and verdicts out. Nothing here knows run folders or reports."""
