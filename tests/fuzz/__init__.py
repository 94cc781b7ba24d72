"""Generated input for the command line: tables, settings, options and run directories, good and damaged."""
