"""Curves to times to a target: ratios of them, restricted means, what pretraining has paid for."""
