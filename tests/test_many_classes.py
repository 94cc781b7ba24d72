"""A table of many classes, most of which occur once or twice, is an ordinary table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lossval_cli


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_many_classes_of_few_rows_give_no_warning() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 45, 120)
    table = pd.DataFrame(rng.normal(size=(120, 3)), columns=list("abc")).assign(label=[f"k{i}" for i in classes])
    known = table[table["label"].isin(table["label"][:100])]
    result = lossval_cli.score(table[:100], known[100:], removal="off", epochs=2, members=2)
    assert len(result.scores) == 100
