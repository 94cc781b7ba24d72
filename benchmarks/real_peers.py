"""What other tools say about a `Case`: each peer a function `(case, encoded) -> Answer`, on the same rows.

Peers get their tables encoded: skrub's `TableVectorizer` (dates, one-hot categories, TF-IDF of many-valued
strings), standardised. Where a case has trusted rows, peers train on them too. Each model has its default
settings unless a comment says otherwise; nothing was tuned on these tables.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.peers import data_oob
from benchmarks.real_data import Case, Mask

Floats = npt.NDArray[np.float64]
FOLDS = 5
STAGES = 60
MANY_LEVELS = 400
"""Categories with more levels are encoded by how frequent a level is, not one column each."""


class Answer(NamedTuple):
    """How wrong a peer finds each row."""

    score: Floats | None  # (N,) higher is worse; None where the tool names rows without ranking all
    flags: Mask | None = None  # (N,) rows that the tool itself calls wrong, if it does


class Encoded:
    """A case as numbers, made when first asked for."""

    def __init__(self, case: Case) -> None:
        self.case = case
        names = np.unique(case.train[case.label].to_numpy(str))
        self.y: npt.NDArray[Any] = case.train[case.label].to_numpy(str)
        self.y_trusted = np.empty(0, str) if case.trusted is None else case.trusted[case.label].to_numpy(str)
        if case.task == "regression":
            self.y, self.y_trusted = self.y.astype(float), self.y_trusted.astype(float)
        else:
            self.y = np.searchsorted(names, self.y)
            self.y_trusted = np.searchsorted(names, self.y_trusted)

    @cached_property
    def both(self) -> tuple[Floats, Floats]:
        """(N, D) rows and (J, D) trusted rows, by skrub, standardised on the former."""
        from skrub import TableVectorizer  # here, because only this benchmark needs it

        case = self.case
        train = case.train[case.features].map(lambda cell: cell or None)
        vectorizer, scaler = TableVectorizer(), StandardScaler()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            X = scaler.fit_transform(np.asarray(vectorizer.fit_transform(train), float))
            if case.trusted is None:
                return np.nan_to_num(X), np.empty((0, X.shape[1]))
            checked = case.trusted[case.features].map(lambda cell: cell or None)
            X_trusted = scaler.transform(np.asarray(vectorizer.transform(checked), float))
        return np.nan_to_num(X), np.nan_to_num(X_trusted)

    @property
    def X(self) -> Floats:
        """(N, D)."""
        return self.both[0]

    @property
    def X_trusted(self) -> Floats:
        """(J, D)."""
        return self.both[1]

    @cached_property
    def plain(self) -> Floats:
        """(N, D) numbers standardised and one column per category: what a script of ten lines would do."""
        parts = []
        for name in self.case.features:
            cells = self.case.train[name]
            numbers = pd.to_numeric(cells.replace("", np.nan), errors="coerce")
            if numbers.notna().sum() >= 0.98 * (cells != "").sum():
                values = numbers.fillna(numbers.median()).to_numpy(float)
                parts.append(((values - values.mean()) / (values.std() or 1.0))[:, None])
            elif cells.nunique() <= MANY_LEVELS:
                parts.append(OneHotEncoder(sparse_output=False).fit_transform(cells.to_frame()))
            else:
                parts.append(np.log(cells.map(cells.value_counts()).to_numpy(float))[:, None])
        return np.hstack(parts)


Peer = Callable[[Case, Encoded], Answer]


# ---------------------------------------------------------------- wrong labels


def out_of_fold(model: Any, encoded: Encoded, X: Any, X_trusted: Any) -> Floats:
    """(N, K) probabilities by models that saw the other folds of `X` and all of `X_trusted`."""
    y = encoded.y
    predicted = np.zeros((len(y), int(y.max()) + 1))
    if encoded.case.group is None:
        parts = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(y, y)
    else:
        parts = GroupKFold(FOLDS).split(y, y, encoded.case.train[encoded.case.group])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer rows than folds
        for rest, fold in parts:
            model.fit(np.concatenate([X[rest], X_trusted]), np.concatenate([y[rest], encoded.y_trusted]))
            predicted[np.ix_(fold, np.asarray(model.classes_, int))] = model.predict_proba(X[fold])
    return predicted


def confident_learning(model: Any, encoded: Encoded, X: Any = None, X_trusted: Any = None) -> Answer:
    """cleanlab (Northcutt et al., 2021): self-confidence as the score, its own label issues as flags."""
    from cleanlab import filter, rank

    inputs = encoded.both if X is None else (X, X_trusted)
    predicted = out_of_fold(model, encoded, *inputs) + 1e-9
    predicted /= predicted.sum(axis=1, keepdims=True)
    quality = rank.get_label_quality_scores(encoded.y, predicted)
    return Answer(1 - quality, filter.find_label_issues(encoded.y, predicted, n_jobs=1))


def cleanlab_forest(case: Case, encoded: Encoded) -> Answer:
    if case.task == "regression":
        return clean_learning(RandomForestRegressor(random_state=0), encoded)
    return confident_learning(RandomForestClassifier(random_state=0), encoded)


def cleanlab_lightgbm(case: Case, encoded: Encoded) -> Answer:
    from lightgbm import LGBMClassifier, LGBMRegressor

    options = {"n_jobs": 1, "verbose": -1, "random_state": 0}
    if case.task == "regression":
        return clean_learning(LGBMRegressor(**options), encoded)
    return confident_learning(LGBMClassifier(**options), encoded)


def cleanlab_catboost(case: Case, encoded: Encoded) -> Answer:
    from catboost import CatBoostClassifier, CatBoostRegressor

    # 200 trees instead of 1,000, to save time.
    options = {"iterations": 200, "thread_count": 1, "verbose": False, "random_seed": 0, "allow_writing_files": False}
    if case.task == "regression":
        return clean_learning(CatBoostRegressor(**options), encoded)
    return confident_learning(CatBoostClassifier(**options), encoded)


def clean_learning(model: Any, encoded: Encoded) -> Answer:
    """cleanlab's `CleanLearning` for numbers: label quality and issues from residuals and uncertainty."""
    from cleanlab.regression.learn import CleanLearning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        issues = CleanLearning(model=model, seed=0).find_label_issues(encoded.X, encoded.y)
    return Answer(1 - issues["label_quality"].to_numpy(), issues["is_label_issue"].to_numpy())


def area_under_margin(_case: Case, encoded: Encoded) -> Answer:
    """In-sample margin averaged over the stages of boosting (AUM; Pleiss et al., 2020). No flags of its own."""
    model = HistGradientBoostingClassifier(max_iter=STAGES, early_stopping=False, random_state=0)
    X, y = np.vstack([encoded.X, encoded.X_trusted]), np.concatenate([encoded.y, encoded.y_trusted])
    model.fit(X, y)
    own, margin = encoded.y[:, None], np.zeros(len(encoded.y))
    for stage in model.staged_predict_proba(encoded.X):
        logits = np.log(np.clip(stage, 1e-9, 1))
        given = np.take_along_axis(logits, own, axis=1)[:, 0]
        np.put_along_axis(logits, own, -np.inf, axis=1)
        margin += (given - logits.max(axis=1)) / STAGES
    return Answer(-margin)


def bagged_out_of_bag(_case: Case, encoded: Encoded) -> Answer:
    """Data-OOB. No flags of its own."""
    X, y = np.vstack([encoded.X, encoded.X_trusted]), np.concatenate([encoded.y, encoded.y_trusted])
    return Answer(-data_oob(X, y)[: len(encoded.y)])


def trusted_forest(_case: Case, encoded: Encoded) -> Answer:
    """A forest that learned from the trusted rows alone; flags where it finds the label less likely than not."""
    model = RandomForestClassifier(random_state=0).fit(encoded.X_trusted, encoded.y_trusted)
    predicted = np.zeros((len(encoded.y), int(max(encoded.y.max(), encoded.y_trusted.max())) + 1))
    predicted[:, model.classes_] = model.predict_proba(encoded.X)
    wrong = 1 - np.take_along_axis(predicted, encoded.y[:, None], axis=1)[:, 0]
    return Answer(wrong, wrong > 0.5)


def cleanlab_text(case: Case, encoded: Encoded) -> Answer:
    """TF-IDF of words and pairs, logistic regression, cleanlab: the usual recipe for a column of text."""
    column = case.features[0]
    texts = case.train[column].to_numpy(object)
    checked = np.empty(0, object) if case.trusted is None else case.trusted[column].to_numpy(object)
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(max_iter=1_000))
    return confident_learning(model, encoded, texts, checked)


def tabaudit(case: Case, _encoded: Encoded) -> Answer:
    """tabaudit 0.3.1 as a product: the rows that it calls likely mislabelled."""
    from tabaudit import run_audit

    frame = case.train.drop(columns=list(case.ids)).apply(_numbers)
    report = run_audit(frame, target=case.label, checks=["leakage", "label_noise"])
    flags = np.zeros(len(frame), bool)
    for finding in report.findings:
        if finding.check == "label_noise":
            flags[finding.evidence["rows_likely"]] = True
    return Answer(None, flags)


def _numbers(cells: pd.Series) -> pd.Series:
    """A column as pandas would read it."""
    try:
        return pd.to_numeric(cells.replace("", np.nan))
    except (ValueError, TypeError):
        return cells.replace("", None)


# ---------------------------------------------------------------- wrong features


def ecod(_case: Case, encoded: Encoded, plain: bool = False) -> Answer:
    """Tail probabilities of each column (Li et al., 2022)."""
    from pyod.models.ecod import ECOD

    return _outliers(ECOD(), encoded.plain if plain else encoded.X)


def nearest(_case: Case, encoded: Encoded, plain: bool = False) -> Answer:
    """Distance to the fifth neighbour."""
    from pyod.models.knn import KNN

    return _outliers(KNN(), encoded.plain if plain else encoded.X)


def isolation(_case: Case, encoded: Encoded, plain: bool = False) -> Answer:
    """Isolation forest (Liu et al., 2008)."""
    from pyod.models.iforest import IForest

    return _outliers(IForest(random_state=0), encoded.plain if plain else encoded.X)


def extended_isolation(_case: Case, encoded: Encoded, plain: bool = False) -> Answer:
    """Isolation forest with sloped splits, each by two columns (Hariri et al., 2021), by isotree."""
    from isotree import IsolationForest

    X = encoded.plain if plain else encoded.X
    # What isotree's documentation gives for the published method; columns are standardised already.
    options = {"ndim": 2, "sample_size": min(256, len(X)), "max_depth": 8, "ntrees": 100, "coefs": "uniform"}
    forest = IsolationForest(**options, standardize_data=False, missing_action="fail", random_seed=1, nthreads=1)
    return Answer(np.asarray(forest.fit(X).predict(X)))


def _outliers(model: Any, X: Floats) -> Answer:
    """These methods need to be told how many rows to flag (pyod's default is 10 %), so only their score is used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X)
    return Answer(np.nan_to_num(model.decision_scores_, posinf=1e9))


LABEL_PEERS: dict[str, Peer] = {
    "cleanlab, LightGBM": cleanlab_lightgbm,
    "cleanlab, CatBoost": cleanlab_catboost,
    "cleanlab, forest": cleanlab_forest,
}
CLASS_PEERS: dict[str, Peer] = {
    "AUM, boosting": area_under_margin,
    "Data-OOB, trees": bagged_out_of_bag,
    "tabaudit": tabaudit,
}
FEATURE_PEERS: dict[str, Peer] = {
    "ECOD": ecod,
    "kNN": nearest,
    "isolation forest": isolation,
    "extended isolation forest": extended_isolation,
    "ECOD, one-hot": lambda case, encoded: ecod(case, encoded, plain=True),
    "kNN, one-hot": lambda case, encoded: nearest(case, encoded, plain=True),
    "isolation forest, one-hot": lambda case, encoded: isolation(case, encoded, plain=True),
    "extended isolation forest, one-hot": lambda case, encoded: extended_isolation(case, encoded, plain=True),
}


def peers_of(case: Case) -> dict[str, Peer]:
    """The peers that are made for what is wrong in a case."""
    if case.part == "feature":
        return FEATURE_PEERS
    peers = dict(LABEL_PEERS)
    if case.task == "classification":
        peers |= CLASS_PEERS
        if case.trusted is not None and case.family != "planted flips":
            peers["forest on trusted rows"] = trusted_forest
        if len(case.features) == 1:
            peers["cleanlab, TF-IDF"] = cleanlab_text
    return peers
