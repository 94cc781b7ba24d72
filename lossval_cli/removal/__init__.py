"""What removing the lowest-ranked rows does to a model."""
