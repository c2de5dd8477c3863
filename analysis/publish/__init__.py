"""A run as one file to publish, and whether the report in such a file follows from its tables.

`publication` writes the file, `check` reads one that anybody may have made; both analyse the same
kind of folder (`analysed`), so a report that was published follows from what lies beside it.
"""
