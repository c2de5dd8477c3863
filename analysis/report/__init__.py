"""Findings → words, tables, page, PDF and workbook."""
