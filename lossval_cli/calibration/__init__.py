"""How reliable the flags are on the user's own table: plant noise in copies of it, and count what is found."""

MOST_PLANTED = 0.4
"""Largest share of rows with planted noise of each kind: two kinds leave a fifth of the rows as they are."""
