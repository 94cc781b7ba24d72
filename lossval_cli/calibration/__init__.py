"""How reliable the flags are on the user's own table: plant noise in copies of it, and count what is found."""
