"""Tables of trials and curves in, tables of results out: which values count and which pair is
decided here, what follows from them in `analysis.statistics`, which knows arrays only.

from analysis.measures import compare_all
"""

from analysis.measures.pairs.compare import compare_all

__all__ = ["compare_all"]
