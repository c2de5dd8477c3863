"""The content of a report → report.pdf, and the brief form of two pages.

`pages` says what stands where, `brief` the same for the short form, `tables` what a page has room
for, `typeset` sets it with typst.
"""
