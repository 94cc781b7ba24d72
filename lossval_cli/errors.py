"""Everything that can go wrong, as one tree.

LossvalError                     2   anything reported to the user in one line
├── UsageError                   2   an option or a combination of options is invalid
│   └── SettingsError            2   one or more settings are unknown, of the wrong type or out of range
├── DataError                    2   the table itself
│   ├── ReadError                2   the file is missing, empty, truncated, or not in the format that it seems to be in
│   ├── SchemaError              2   columns are missing, duplicated, or differ between two tables
│   └── CellError                2   one value cannot be used; names line or row, column and value
├── TrainingError                2   training failed (the loss diverged, nothing to learn from)
│   └── Diverged                 2   the loss or a weight is no longer finite
├── DeviceError                  2   the requested device is not available
├── DistributedError             2   another process of a run on several has ended
├── OutputError                  2   the result could not be written
└── GateFailed                   1   a rule of `lossval check` failed

LossvalWarning                       the result may be misleading

The number is the exit code of the command. Codes are a contract and are never renumbered.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence


class LossvalWarning(UserWarning):
    """The result may be misleading: predictions that are not out-of-fold, a column that tells the
    label, validation rows that are training rows, training that did not end. `warnings.warn` shows it, as
    scikit-learn's do; `Result.report["notices"]` has it, too."""


def warn(texts: Iterable[str]) -> None:
    """Show reasons to doubt a result as a LossvalWarning each, of the line that called the function that calls this."""
    for text in texts:
        warnings.warn(text, LossvalWarning, stacklevel=3)


class LossvalError(Exception):
    """Base of every error a user sees: one line that says what is wrong, where, and what to do."""

    exit_code = 2


class UsageError(LossvalError):
    """An option, or a combination of options, is invalid."""


class SettingsError(UsageError):
    """Settings that are unknown, of the wrong type or out of range; all of them at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class DataError(LossvalError):
    """The table cannot be used as it is."""


class ReadError(DataError):
    """The file is missing, empty, truncated, or not in the format that it seems to be in."""


class SchemaError(DataError):
    """Columns are missing, duplicated, or differ between two tables."""


class CellError(DataError):
    """Error for one value that cannot be used; the message names the line or row, the column and the value."""


class TrainingError(LossvalError):
    """Training failed: the loss diverged or there is nothing to learn from."""

    cause: str = ""
    """The class of what the user's own code raised, if it did."""


class Diverged(TrainingError):
    """The loss or a weight is no longer finite: smaller steps may help."""


class DeviceError(LossvalError):
    """The requested device is not available."""


class DistributedError(LossvalError):
    """Another process of a run on several has ended or cannot be reached."""


class OutputError(LossvalError):
    """The result could not be written."""


class GateFailed(LossvalError):
    """A rule of `lossval check` failed."""

    exit_code = 1


def system_reason(error: OSError) -> str:
    """Return what the system says of a file, as it follows a colon: `no space left on device`."""
    return (error.strerror or str(error)).lower()
