"""Two arms of a table of trials to comparisons, plans of seeds, and rules that add seeds."""
