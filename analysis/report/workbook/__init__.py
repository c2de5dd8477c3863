"""The content of a report → results.xlsx: an answer first, then a sheet a table, native charts.

`write` is the entry. `formats` says how a number looks, `book` lays out a sheet, `sheets` turns the
report's tables into sheets, `charts` and `confusion` draw from their cells, `answer` is the first.
"""
