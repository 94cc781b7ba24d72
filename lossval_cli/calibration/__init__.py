"""How far to believe the flags on the user's own table: plant noise in it, and count what is found."""
