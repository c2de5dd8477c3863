"""Looks at data and writes a first sweep file for them. In: what a person names. Out: a file."""
