"""Text for people: how values, counts and names are formatted, and how they are made safe to show."""
