"""Training rows that people have decided about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class ReviewedRows(NamedTuple):
    """R rows of the training table, each once."""

    rows: npt.NDArray[np.int64]  # (R,) rising
    wrong_label: npt.NDArray[np.bool_]  # (R,) the label, as the table has it, was found wrong
    wrong_features: npt.NDArray[np.bool_]  # (R,) the same of another cell; both where only the row was found wrong
    label_was_wrong: npt.NDArray[np.bool_]  # (R,) the label was found wrong, whether it was corrected since or not
    true_class: npt.NDArray[np.int64]  # (R,) the right label, encoded; -1 where it is not known, and for numbers
    is_random: npt.NDArray[np.bool_]  # (R,) shown because it was drawn, not because it was suspect

    @property
    def is_right(self) -> npt.NDArray[np.bool_]:
        """(R,) rows whose label and cells can be trusted as they stand."""
        return ~(self.wrong_label | self.wrong_features)
