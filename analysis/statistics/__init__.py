"""Arrays and tables in, intervals and verdicts out. Nothing here knows run folders or reports.

from analysis.statistics import compare
"""

from analysis.statistics.pairs.of_arrays import compare

__all__ = ["compare"]
