"""What a reader of one screen takes away: `at_a_glance` makes it, all forms of a report show it."""

from analysis.report.glance.cards import Card, Reading
from analysis.report.glance.glance import Glance, at_a_glance, explain
from analysis.report.glance.sentence import find_words

__all__ = ["Card", "Glance", "Reading", "at_a_glance", "explain", "find_words"]
