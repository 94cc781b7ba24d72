"""Run directories: what is recorded in one, how it is read again, and how two of them differ."""
