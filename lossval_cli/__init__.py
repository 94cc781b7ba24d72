"""lossval: which rows of a table help, which hurt, and which labels are wrong."""

from lossval_cli._version import __version__

__all__ = ["__version__"]
