"""From a run folder to an answer: tables, statistics, figures, report."""
