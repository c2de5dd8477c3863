"""Rows of fields, from bytes: CSV, JSON, MATLAB; which columns hold labels and pixels."""
