"""Estimators that select columns, or have parts for categories or text, get the columns of the table by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import lossval_cli
from lossval_cli import LossvalError

FAST: dict[str, Any] = {"effort": "low", "removal": "off", "epochs": 4, "members": 4}


def table(rows: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers with gaps, a category that says half of the label, dates, text, an id; which labels are wrong."""
    rng = np.random.default_rng(seed)
    city = rng.choice(["Bonn", "Köln", "Trier"], rows)
    frame = pd.DataFrame(
        {
            "key": [f"k{i}" for i in range(rows)],
            "age": rng.normal(50, 10, rows).round(1),
            "city": city,
            "since": pd.date_range("2020-01-01", periods=rows, freq="D"),
            "note": [f"{name} came by in {rng.choice(['rain', 'sun'])}" for name in city],
        }
    )
    wrong = rng.random(rows) < 0.1
    frame["label"] = np.where(((city == "Bonn") | (frame["age"] > 60)) ^ wrong, "yes", "no")
    frame.loc[rng.choice(rows, rows // 20, replace=False), "age"] = np.nan
    frame.loc[rng.choice(rows, rows // 20, replace=False), "city"] = None
    return frame, wrong


TRAIN, WRONG = table(200)
VAL, _ = table(80, seed=1)


def pipeline() -> Any:
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("text", TfidfVectorizer(), "note"),
        ]
    )
    return make_pipeline(columns, LogisticRegression())


class Seen(ClassifierMixin, BaseEstimator):
    """Keeps what it was given."""

    given: list[Any] = []  # noqa: RUF012  # cleared by the test

    def __init__(self, cat_features: Any = None) -> None:
        self.cat_features = cat_features

    def fit(self, X: Any, y: Any) -> Seen:
        self.given.append(X)
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> Any:
        self.given.append(X)
        one = np.linspace(0.2, 0.8, len(X))
        return np.column_stack([one, 1 - one])


def score(model: Any, train: Any = TRAIN, val: Any = VAL, **options: Any) -> lossval_cli.Result:
    return lossval_cli.score(train, val, label="label", ids="key", model=model, **FAST | options)


@pytest.mark.slow
def test_a_pipeline_that_selects_columns_by_name_runs_as_it_is() -> None:
    result = score(pipeline())
    assert roc_auc_score(WRONG, result.scores.sort_values("row")["noise_probability"]) > 0.8
    assert any("takes columns of the table by name" in notice for notice in result.report["notices"])


@pytest.mark.slow
def test_a_file_gives_it_the_same_columns_and_the_removal_study_retrains_it(tmp_path: Any) -> None:
    TRAIN.to_csv(tmp_path / "train.csv", index=False)
    VAL.to_csv(tmp_path / "val.csv", index=False)
    result = score(pipeline(), tmp_path / "train.csv", tmp_path / "val.csv", removal="quick")
    of_frames = score(pipeline()).scores
    np.testing.assert_allclose(result.scores["noise_probability"], of_frames["noise_probability"])
    assert "own" in [trial["model"] for trial in result.report["removal"]["trials"]]
    held_out = score(pipeline(), TRAIN, None, removal="quick")
    assert "own" in [trial["model"] for trial in held_out.report["removal"]["trials"]]


@pytest.mark.slow
def test_columns_are_numbers_dates_and_text_as_they_were_read() -> None:
    Seen.given.clear()
    score(Seen(cat_features=["city"]))
    for X in Seen.given:
        assert list(X.columns) == ["age", "city", "since", "note"]
        assert X["age"].dtype == np.float64 and X["since"].dtype.kind == "M"
    assert len(Seen.given[-1]) == len(VAL) or any(len(X) == len(VAL) for X in Seen.given)
    first = Seen.given[0]
    expected = TRAIN.loc[first.index, ["age", "city", "note"]]
    pd.testing.assert_frame_equal(first[["age", "city", "note"]], expected.fillna(np.nan), check_dtype=False)


@pytest.mark.slow
def test_other_estimators_get_encoded_rows_without_gaps() -> None:
    Seen.given.clear()
    score(Seen())
    assert all(isinstance(X, np.ndarray) and X.dtype == np.float32 and np.isfinite(X).all() for X in Seen.given)


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [
        ColumnTransformer([("n", StandardScaler(), [0])]),
        ColumnTransformer([("n", StandardScaler(), make_column_selector(dtype_include="number"))]),
        OneHotEncoder(handle_unknown="ignore"),
    ],
    ids=["positions", "types", "categories"],
)
def test_columns_that_are_selected_in_another_way_are_those_of_the_table(part: Any) -> None:
    train = TRAIN.dropna()
    result = score(make_pipeline(part, LogisticRegression()), train, VAL.dropna())
    assert any("takes columns of the table by name" in notice for notice in result.report["notices"])


class Column(RegressorMixin, BaseEstimator):
    """Predicts a column."""

    def __init__(self, names: tuple[str, ...] = ("age",)) -> None:
        self.names = names

    def fit(self, X: Any, y: Any) -> Column:
        return self

    def predict(self, X: Any) -> Any:
        return X[self.names[0]].to_numpy()


def test_numbers_are_predicted_from_columns_too() -> None:
    train = TRAIN.dropna().assign(label=lambda one: one["age"] + np.random.default_rng(0).normal(0, 1, len(one)))
    result = lossval_cli.score(train, label="label", ids="key", model=Column(), **FAST)
    np.testing.assert_allclose(result.scores.sort_values("row")["predicted"], train["age"], atol=3)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["agee"], "selects column agee, which <DataFrame> does not have; did you mean 'age'"),
        (["age", "key"], "selects column key, which is not a feature: add --feature key"),
        (["label"], "selects column label, which is not a feature"),
    ],
)
def test_columns_that_are_no_features_are_refused_in_one_line(columns: list[str], message: str) -> None:
    model = make_pipeline(ColumnTransformer([("n", StandardScaler(), columns)]), LogisticRegression())
    with pytest.raises(LossvalError, match=message) as raised:
        score(model)
    assert "\n" not in str(raised.value)
