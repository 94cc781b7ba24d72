"""Predictions of the user's own model: every form they come in, what follows from them, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome
from scipy import sparse
from scipy.stats import spearmanr
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

import lossval_cli
from lossval_cli import LossvalError, LossvalWarning
from lossval_cli.features.predictions.rows import rows_by_index
from lossval_cli.lossval import training
from lossval_cli.tables.table import read_table

pytestmark = pytest.mark.usefixtures("valued_once", "all_models")

ROWS, VAL_ROWS = 240, 120
FAST: dict[str, Any] = {"effort": "low", "removal": "off", "epochs": 4, "members": 4}


def table(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Noise as features and a label that only the predictions know: the label, its probabilities (n, 3), and which
    labels are wrong."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)).round(4), columns=["a", "b", "c"])
    truth = rng.integers(0, 3, rows)
    probabilities = np.full((rows, 3), 0.04)
    probabilities[np.arange(rows), truth] = 0.92
    wrong = rng.random(rows) < 0.1
    label = np.where(wrong, (truth + rng.integers(1, 3, rows)) % 3, truth)
    frame.insert(0, "key", [f"k{i}" for i in range(rows)])
    frame["label"] = np.array(["ant", "bee", "cat"])[label]
    return frame, probabilities, wrong


TRAIN, P, WRONG = table(ROWS, 0)
VAL, P_VAL, _ = table(VAL_ROWS, 1)


def score(predictions: Any, **options: Any) -> lossval_cli.Result:
    return lossval_cli.score(TRAIN, VAL, label="label", ids="key", predictions=predictions, **FAST | options)


def by_row(result: lossval_cli.Result) -> pd.DataFrame:
    return result.scores.sort_values("row").reset_index(drop=True)


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    return by_row(score(P))


@pytest.mark.slow
@pytest.mark.usefixtures("fresh")
def test_labels_follow_from_the_predictions_alone(expected: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """The features say nothing here, so nothing else can have found these rows; and no network is trained."""
    assert roc_auc_score(WRONG, expected["noise_probability"]) > 0.95
    assert roc_auc_score(WRONG, -expected["label_evidence"]) > 0.95
    suspects = expected["suspect"].str.contains("label")
    assert WRONG[suspects].mean() > 0.8 and suspects[WRONG].mean() > 0.6
    named = np.array(["ant", "bee", "cat"])[P.argmax(axis=1)]
    assert (expected["predicted"] == named).mean() > 0.97
    monkeypatch.setattr(training, "Ensemble", None)
    score(P)


@pytest.mark.parametrize(
    "given",
    [
        lambda: P.tolist(),
        lambda: pd.DataFrame(P, columns=["ant", "bee", "cat"]),
        lambda: pd.DataFrame(P[:, ::-1], columns=["cat", "bee", "ant"]),
        lambda: pd.DataFrame(P[:, [1, 0, 2]], columns=["p_bee", "p_ant", "p_cat"]),
        lambda: pd.DataFrame(P, columns=["ant", "bee", "cat"]).assign(key=TRAIN["key"]),
        lambda: {"cat": P[:, 2], "ant": P[:, 0], "bee": P[:, 1]},
        lambda: pd.DataFrame(P),
        lambda: (row for row in P),
        lambda: NAMED[::-1],
        lambda: NAMED.assign(key=TRAIN["key"]).sample(frac=1, random_state=0).reset_index(drop=True),
    ],
    ids=["list", "named", "another order", "prefixed", "with ids", "dict", "numbered", "generator", "index", "ids"],
)
def test_columns_come_in_any_order(given: Callable[[], Any], expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(by_row(score(given())), expected, check_exact=False, rtol=1e-6)


@pytest.mark.slow
def test_an_index_says_which_rows_predictions_are_of() -> None:
    """In any order, and of more rows than the table has, as pandas aligns."""
    train = TRAIN.sample(200, random_state=0)
    whole = pd.DataFrame(P, columns=["ant", "bee", "cat"]).sample(frac=1, random_state=1)
    by_index, by_position = (
        by_row(lossval_cli.score(train, VAL, label="label", ids="key", predictions=given, **FAST))
        for given in (whole, P[train.index])
    )
    pd.testing.assert_frame_equal(by_index, by_position)


def test_what_is_shown_as_predicted_is_what_was_given() -> None:
    """Calibrated on labels of which most are `ant`, these would all be predicted to be `ant`."""
    train = TRAIN.assign(label=np.where(WRONG, "bee", "ant"))
    given = np.column_stack([np.tile([0.45, 0.55], ROWS // 2), np.tile([0.55, 0.45], ROWS // 2)])
    found = by_row(
        lossval_cli.score(train, VAL.drop(columns="label"), label="label", ids="key", predictions=given, **FAST)
    )
    assert found["predicted"].tolist() == ["bee", "ant"] * (ROWS // 2)
    np.testing.assert_allclose(found["predicted_probability"], 0.55)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (pd.RangeIndex(4), [0, 1, 2, 3]),  # says nothing: by position
        (pd.Index([2, 3, 0, 1]), [0, 1, 2, 3]),
        (pd.Index([0, 1, 2, 3]), [2, 3, 0, 1]),
        (pd.Index([9, 3, 1, 0, 2]), [4, 1, 3, 2]),
    ],
    ids=["counted", "equal", "sorted", "more rows"],
)
def test_rows_of_an_index(index: pd.Index, expected: list[int]) -> None:
    table = read_table(pd.DataFrame({"a": range(4)}, index=[2, 3, 0, 1]))
    found = rows_by_index(index, "p", table, table)
    assert (list(range(4)) if found is None else found.tolist()) == expected


@pytest.mark.slow
def test_files_and_columns_are_read_alike(tmp_path: Path, expected: pd.DataFrame) -> None:
    named = pd.DataFrame(P, columns=["ant", "bee", "cat"])
    named.to_csv(tmp_path / "p.csv", index=False)
    named.to_parquet(tmp_path / "p.parquet", index=False)
    np.save(tmp_path / "p.npy", P)
    named.sample(frac=1, random_state=0).to_csv(tmp_path / "index.csv")
    named.sample(frac=1, random_state=0).to_parquet(tmp_path / "index.parquet")
    for name in ("p.csv", "p.parquet", "p.npy", "index.csv", "index.parquet"):
        pd.testing.assert_frame_equal(by_row(score(tmp_path / name)), expected, check_exact=False, rtol=1e-6)
    with_columns = TRAIN.assign(**{f"p_{name}": named[name] for name in named})
    found = lossval_cli.score(
        with_columns, VAL, label="label", ids="key", predictions=["p_ant", "p_bee", "p_cat"], **FAST
    )
    pd.testing.assert_frame_equal(by_row(found), expected, check_exact=False, rtol=1e-6)
    assert "p_ant" not in found.dataset.roles.features


@pytest.mark.slow
def test_trusted_labels_count_with_their_predictions() -> None:
    result = score(P, val_predictions=P_VAL)
    assert roc_auc_score(WRONG, by_row(result)["noise_probability"]) > 0.95
    assert not any("--val-predictions" in notice for notice in result.report["notices"])


@pytest.mark.slow
def test_without_predictions_of_trusted_rows_they_are_approximated_where_features_can() -> None:
    unexplained = score(P).report["notices"]
    assert any("their labels are not used" in notice for notice in unexplained)
    rng = np.random.default_rng(0)
    parts = []
    for rows in (ROWS, VAL_ROWS):
        frame = pd.DataFrame(rng.normal(size=(rows, 2)), columns=["a", "b"])
        parts.append(frame.assign(label=np.where(frame["a"] > 0, "yes", "no")))
    yes = np.clip(0.5 + parts[0]["a"], 0.05, 0.95).to_numpy()
    explained = lossval_cli.score(*parts, label="label", predictions=yes, **FAST).report["notices"]
    assert any("approximated from the features" in notice for notice in explained)


@pytest.mark.slow
def test_rows_without_a_label_may_have_predictions_or_not() -> None:
    train = TRAIN.copy()
    train.loc[[3, 70], "label"] = None
    whole = lossval_cli.score(train, VAL, label="label", ids="key", predictions=P, **FAST)
    kept = np.delete(P, [3, 70], axis=0)
    labelled = lossval_cli.score(train, VAL, label="label", ids="key", predictions=kept, **FAST)
    pd.testing.assert_frame_equal(whole.scores, labelled.scores)


@pytest.mark.slow
def test_two_classes_may_have_one_probability() -> None:
    train = TRAIN.assign(label=np.where(TRAIN["label"] == "ant", "no", "yes"))
    one = 1 - P[:, 0]
    results = [
        lossval_cli.score(train, label="label", ids="key", predictions=given, **FAST)
        for given in (
            one,
            pd.Series(one, name="score"),
            np.column_stack([P[:, 0], one]),
            pd.DataFrame({"yes": one}),
            pd.DataFrame({"no": P[:, 0]}),
        )
    ]
    for result in results[1:]:
        pd.testing.assert_frame_equal(result.scores, results[0].scores)
    assert any("read as the probability of 'yes'" in notice for notice in results[0].report["notices"])


def test_numbers_are_predicted_in_their_own_unit() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 20, ROWS)
    y = truth + rng.normal(0, 1, ROWS)
    y[:12] += 60
    train = TRAIN.drop(columns="label").assign(price=y)
    result = lossval_cli.score(train, label="price", ids="key", predictions=truth, **FAST)
    found = by_row(result)
    np.testing.assert_allclose(found["predicted"], truth, atol=1)
    assert set(found["label_evidence"].nsmallest(12).index) == set(range(12))
    assert (found["suspect"][:12] != "").sum() >= 10


@pytest.mark.slow
def test_predictions_that_know_every_label_are_reported() -> None:
    known = pd.get_dummies(TRAIN["label"]).to_numpy(float)
    result = score(known)
    assert any("must be out-of-fold" in notice for notice in result.report["notices"])
    assert not any("out-of-fold" in notice for notice in score(P).report["notices"])
    on_val = score(known * 0.98 + P * 0.02, val_predictions=np.roll(P_VAL, 1, axis=0))
    assert any("out-of-fold" in notice for notice in on_val.report["notices"])


@pytest.mark.parametrize(
    ("predict", "notice"),
    [
        (lambda y, rng: y, "predictions reproduce the labels: they must be out-of-fold"),
        (lambda y, rng: rng.permutation(y), "predictions agree with the labels no more than by chance"),
        (lambda y, rng: (y + rng.normal(0, 3, len(y))) / 1000, "are they in the unit of the label"),
        (lambda y, rng: np.full(len(y), 3.0), "every row has the same prediction"),
        (lambda y, rng: y + rng.normal(0, 3, len(y)), ""),
    ],
    ids=["in-sample", "other rows", "other unit", "constant", "as they should be"],
)
def test_predicted_numbers_that_cannot_be_what_they_should_are_reported(predict: Any, notice: str) -> None:
    rng = np.random.default_rng(0)
    train = TRAIN.drop(columns="label").assign(price=rng.normal(100, 20, ROWS))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LossvalWarning)
        result = lossval_cli.score(
            train, label="price", ids="key", predictions=predict(train["price"].to_numpy(), rng), **FAST
        )
    assert all(Path(each.filename) == Path(__file__) for each in caught)
    for said in ([str(each.message) for each in caught], result.report["notices"]):
        of_predictions = [text for text in said if text.startswith("<predictions>")]
        assert len(of_predictions) == bool(notice) and all(notice in text for text in of_predictions)


def changed(row: int, values: Any) -> np.ndarray:
    other = P.copy()
    other[row] = values
    return other


NAMED = pd.DataFrame(P, columns=["ant", "bee", "cat"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (P[:-1], "239 rows, but <DataFrame> has 240 rows: one prediction per row"),
        (P.T, r"shape \(3, 240\), but label label has 3 classes: give probabilities of shape \(rows, 3\)"),
        (P[:, :2], r"shape \(240, 2\), but label label has 3 classes.*'ant', 'bee', 'cat'"),
        (P[:, 0], "one number per row, but label label has 3 classes"),
        (changed(7, np.nan), r"row 7 has no prediction \(1 such row"),
        (changed(9, [0.5, 0.5, 0.5]), r"row 9: probabilities sum to 1.5, not 1"),
        (changed(9, [3.0, -1.0, -1.0]), "row 9 has 3, which is not a probability.*softmax"),
        (P[:, [1, 2, 0]], "less than by chance.*fits class 'ant' better: the order is 'ant', 'bee', 'cat'"),
        (NAMED.rename(columns={"bee": "wasp"}), "no column for class 'bee' and column 'wasp' is not a class"),
        (NAMED.assign(dog=0.0), "column 'dog' is not a class"),
        (NAMED.set_axis(NAMED.index + 7), "no row has index '0', as row 0 of <DataFrame> has.*7 such rows.*reset it"),
        (NAMED.set_axis(["a"] * ROWS), "cannot be matched by index, since 'a' is in <predictions> more than once"),
        (sparse.csr_array(P[:, :2]), r"shape \(240, 2\), but label label has 3 classes"),
        (P.astype(complex), "not numbers .complex numbers.: give probabilities"),
        (pd.DataFrame(P[:, [1, 2, 0]]), "less than by chance.*the order is 'ant', 'bee', 'cat'"),
        ({"ant": P[:, 0], "bee": P[1:, 1]}, "not a table: All arrays must be of the same length"),
        (NAMED.assign(key=TRAIN["key"] + "x"), "no row has key 'k0', as row 0 of <DataFrame> has .240 such rows"),
        (NAMED.assign(ant="ant"), "column ant holds 'ant', which is not a number: give probabilities"),
        (TRAIN["label"].to_numpy(), "not numbers"),
        ("p_ant,p_bee", "'p_ant' is neither a file nor a column"),
        ("nowhere.npy", "nowhere.npy cannot be read"),
        (0.5, "a single number, but one per row is needed"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(given: Any, message: str) -> None:
    with pytest.raises(LossvalError, match=message) as raised:
        score(given)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"predictions": None, "val_predictions": P_VAL}, "--val-predictions needs --predictions"),
        ({"predictions": P, "model": "forest"}, "leave one out"),
        ({"predictions": P, "preset": "paper"}, "preset paper trains its own network"),
        ({"predictions": P, "val_predictions": P_VAL[1:]}, "119 rows, but <DataFrame> has 120 rows"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LossvalError, match=message):
        lossval_cli.score(TRAIN, VAL, label="label", ids="key", **FAST | options)


def test_predicted_classes_in_place_of_probabilities_get_a_warning() -> None:
    with pytest.warns(LossvalWarning, match="every probability is 0 or 1; give those of predict_proba"):
        score(np.eye(3)[P.argmax(axis=1)])


@pytest.mark.slow
def test_predictions_of_rows_in_another_order_are_reported() -> None:
    """Where neither an id nor an index shows it, they agree with the labels by chance."""
    order = np.random.default_rng(0).permutation(ROWS)
    assert any("order of the table" in notice for notice in score(P[order]).report["notices"])
    assert not any("order of the table" in notice for notice in score(P).report["notices"])


@pytest.mark.slow
def test_what_cleanlabs_tutorial_computes_goes_in_by_one_argument() -> None:
    """Five-fold probabilities of a logistic regression; the ranking agrees with cleanlab's score of them."""
    cleanlab = pytest.importorskip("cleanlab.rank")
    X, y = make_classification(400, 6, n_informative=4, n_classes=3, flip_y=0, random_state=0)
    y[:40] = (y[:40] + 1) % 3
    pred_probs = cross_val_predict(LogisticRegression(), X, y, cv=5, method="predict_proba")
    result = lossval_cli.score(pd.DataFrame(X).assign(label=y), label="label", predictions=pred_probs, **FAST)
    quality = cleanlab.get_label_quality_scores(y, pred_probs)
    ours = by_row(result)
    assert roc_auc_score(np.arange(400) < 40, ours["label_noise_probability"]) > 0.75
    assert spearmanr(-quality, ours["label_noise_probability"]).statistic > 0.5


@pytest.mark.slow
def test_the_report_says_that_the_model_behind_predictions_is_not_retrained() -> None:
    notice = score(P, removal="quick").report["removal"]
    assert notice is not None and "the model behind your predictions is not retrained" in (notice["notice"] or "")


@pytest.mark.slow
def test_the_command_takes_a_file_or_columns(cli: Callable[..., Outcome], tables: Path, quick: tuple[str, ...]) -> None:
    train = pd.read_csv("train.csv")
    yes = np.where(train["size"] > 0, 0.9, 0.1)
    pd.DataFrame({"yes": yes, "no": 1 - yes}).to_csv("p.csv", index=False)
    outcome = cli("score", "train.csv", "--val", "val.csv", "--predictions", "p.csv", "-o", "-", *quick)
    assert outcome.code == 0, outcome.err
    train.assign(p_yes=yes).to_csv("both.csv", index=False)
    both = cli("score", "both.csv", "--val", "val.csv", "--predictions", "p_yes", "-o", "-", *quick)
    assert both.code == 0, both.err
    assert both.out == outcome.out
    bad = cli("score", "train.csv", "--predictions", "val.csv", "-o", "run", *quick)
    assert bad.code == 2 and len(bad.err.splitlines()) == 1 and not Path("run").exists()
