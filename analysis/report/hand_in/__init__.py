"""The report that is handed in for Assignment 4: findings in, two pages of text with images out."""
