"""Generated input for the command line: tables, settings and options that nobody would write, or somebody will."""
