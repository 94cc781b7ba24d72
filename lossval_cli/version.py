"""The version, and those of the files a run directory is read back from."""

__version__ = "0.1.0"

RECORD_VERSION = 1
"""`schema_version` of run.json; raised when a field changes its meaning or goes."""

REPORT_VERSION = 2
"""`schema_version` of report.json, likewise. Version 1 called the `unusual` cells of a suspect `odd`."""
