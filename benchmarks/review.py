"""A scripted reviewer: what decisions find, what they teach, and whether "about N are left" is so.

    python -m benchmarks.review [--only TABLE...] [--decisions 200] [--mistakes 0.1]

Tables of ../shared/real and ../shared/errors, whose wrong rows are known. The reviewer sees rows in lossval's order, in
that of cleanlab (random forest, 5 folds) and at random, and is mistaken about one in ten. Reported:

    found      wrong rows among the first 100 shown, by order
    covered    share of forecasts, after every 10th decision, whose interval holds what is left
    lifted     average precision among rows that nobody looked at, before and after a run with the first 50 decisions
    accuracy   of gradient boosting on fresh rows: table as it is, flags dropped blindly, decisions applied
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import OrdinalEncoder

from benchmarks.real_data import JIRA, SHARED
from lossval_cli.cli import main as lossval
from lossval_cli.review.session import Session

TARGET = Path(__file__).parent / "results" / "review.json"
FRESH_SHARE = 0.3
"""Rows with true labels that are held back to measure accuracy on."""
FIRST, CHECK_EVERY = 50, 10
ERRORS = ("adult-replace", "telco_churn-typo", "white_wine-wrong_unit", "electricity-sentinel")


class Table:
    """A table with known errors: rows to review, and fresh rows with true labels."""

    def __init__(
        self, name: str, train: pd.DataFrame, label: str, wrong: npt.NDArray[np.bool_], true: pd.Series
    ) -> None:
        self.name, self.train, self.label, self.wrong, self.true = name, train, label, wrong, true
        self.fresh: pd.DataFrame | None = None


def jira(name: str, seed: int) -> Table:
    """A defect table: wrong labels by a heuristic; a third of the rows is held back with its true labels."""
    folder = SHARED / "real" / "jira"
    table = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
    truth = pd.read_csv(folder / f"{name}.truth.csv", dtype=str).set_index(
        pd.read_csv(folder / f"{name}.truth.csv")["row"]
    )
    truth = truth.reindex(range(len(table)))
    order = np.random.default_rng(seed).permutation(len(table))
    fresh, kept = np.split(order, [int(FRESH_SHARE * len(table))])
    true = truth["true_label"].where(truth["true_label"].notna(), table["bug"])
    found = Table(
        name,
        table.iloc[kept].reset_index(drop=True),
        "bug",
        (truth["wrong_label"] == "1").to_numpy()[kept],
        true.iloc[kept].reset_index(drop=True),
    )
    found.fresh = table.iloc[fresh].assign(bug=true.iloc[fresh].to_numpy())
    return found


def errors(name: str) -> Table:
    """A table with wrong cells, of which the clean one is known."""
    folder = SHARED / "errors"
    table = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
    rows = pd.read_csv(folder / f"{name}.truth.csv")["row"].unique()
    wrong = np.zeros(len(table), np.bool_)
    wrong[rows] = True
    label = {"adult": "income_status", "telco_churn": "Churn", "white_wine": "quality", "electricity": "class"}[
        name.rpartition("-")[0]
    ]
    return Table(name, table, label, wrong, table[label])


def main() -> None:
    """Run it, print a line a table, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[*JIRA, *ERRORS])
    parser.add_argument("--decisions", type=int, default=200)
    parser.add_argument("--mistakes", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=100)
    given = parser.parse_args()
    results = []
    for table in _tables(given.only, given.seed):
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            results.append(review(table, given.decisions, given.mistakes, given.seed))
        print(json.dumps(results[-1]), flush=True)
    TARGET.write_text(json.dumps({"options": vars(given), "tables": results}, indent=2) + "\n", encoding="utf-8")


def _tables(names: list[str], seed: int) -> Iterator[Table]:
    for name in names:
        yield jira(name, seed) if name in JIRA else errors(name)


def review(table: Table, decisions: int, mistakes: float, seed: int) -> dict[str, Any]:
    """One table, in the current directory."""
    rng = np.random.default_rng(seed)
    data = table.train.copy()
    data.insert(0, "row_id", [f"r{i}" for i in range(len(data))])
    data.to_csv("t.csv", index=False)
    options = ["--label", table.label, "--id", "row_id", "--removal", "off", "--quiet"]
    assert lossval(["score", "t.csv", *options]) == 0
    run = Path("t.lossval")
    session = Session(run, "script")
    truth = np.array([table.wrong[item.row] for item in session.items])
    covered, shown = [], []
    suspects = [index for index, item in enumerate(session.items) if not item.is_random]
    for number in range(min(decisions, len(session.items))):
        index = session.sequence(session.forecast())[number]
        item = session.items[index]
        shown.append(index)
        says_wrong = bool(truth[index]) ^ (rng.random() < mistakes)
        value = str(table.true[item.row])
        if says_wrong and value != session.run.given[item.i]:
            session.decide([index], "relabel", value=value)
        else:
            session.decide([index], "drop" if says_wrong else "keep")
        if (number + 1) % CHECK_EVERY == 0:
            seen = session.forecast()
            left = int(truth[np.setdiff1d(suspects, shown)].sum())
            covered.append(seen.low <= left <= seen.high)
    scores = pd.read_csv(run / "scores.csv").sort_values("row", ignore_index=True)
    result: dict[str, Any] = {
        "table": table.name,
        "rows": len(data),
        "wrong": float(table.wrong.mean()),
        "flagged": int(scores["suspect"].notna().sum()),
        "found": {
            "lossval": int(truth[shown[:100]].sum()),
            "cleanlab": int(table.wrong[_cleanlab(table, seed)[:100]].sum()),
            "random": round(float(100 * table.wrong.mean()), 1),
        },
        "covered": [int(sum(covered)), len(covered)],
    }
    result["lifted"] = _lift(table, scores, session, shown[:FIRST], options)
    if table.fresh is not None:
        result["accuracy"] = _accuracies(table, scores, run)
    return result


def _features(*tables: pd.DataFrame) -> list[npt.NDArray[np.float64]]:
    numbers = [table.apply(pd.to_numeric, errors="coerce") for table in tables]
    words = [name for name in tables[0] if numbers[0][name].isna().mean() > 0.5]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(tables[0][words])
    found = []
    for table, parsed in zip(tables, numbers, strict=True):
        coded = encoder.transform(table[words]) if words else np.zeros((len(table), 0))
        found.append(np.hstack([parsed.drop(columns=words).fillna(-1).to_numpy(float), coded]))
    return found


def _cleanlab(table: Table, seed: int) -> npt.NDArray[np.int64]:
    """Rows by cleanlab's label quality, the worst first."""
    from cleanlab.rank import get_label_quality_scores

    X = _features(table.train.drop(columns=[table.label]))[0]
    y = pd.factorize(table.train[table.label], sort=True)[0]
    forest = RandomForestClassifier(100, random_state=seed)
    predicted = cross_val_predict(forest, X, y, cv=5, method="predict_proba")
    order: npt.NDArray[np.int64] = np.argsort(get_label_quality_scores(y, predicted), kind="stable")
    return order


def _lift(
    table: Table, scores: pd.DataFrame, session: Session, first: list[int], options: list[str]
) -> dict[str, float]:
    """Average precision among the rows that the first decisions are not about, without and with them."""
    lines = (session.path).read_text(encoding="utf-8").splitlines(keepends=True)
    Path("first.csv").write_text("".join(lines[: FIRST + 1]), encoding="utf-8")
    assert lossval(["score", "t.csv", "-o", "again", "--decisions", "first.csv", *options]) == 0
    again = pd.read_csv("again/scores.csv").sort_values("row", ignore_index=True)
    rest = np.setdiff1d(np.arange(len(scores)), [session.items[index].row for index in first])
    before, after = (
        float(average_precision_score(table.wrong[rest], one["noise_probability"][rest])) for one in (scores, again)
    )
    return {"before": before, "after": after}


def _accuracies(table: Table, scores: pd.DataFrame, run: Path) -> dict[str, float]:
    """Balanced over nothing: plain accuracy of boosting on fresh rows with true labels."""
    assert table.fresh is not None
    cleaned = ["clean", str(run), "--quiet", "-o"]
    tables = {"as it is": pd.read_csv("t.csv", dtype=str, keep_default_na=False)}
    if scores["suspect"].notna().any():
        assert lossval([*cleaned, "dropped.csv", "--drop", "suspects"]) == 0
        tables["flags dropped"] = pd.read_csv("dropped.csv", dtype=str, keep_default_na=False)
    assert lossval([*cleaned, "decided.csv", "--decisions"]) == 0
    tables["decided"] = pd.read_csv("decided.csv", dtype=str, keep_default_na=False)
    found = {}
    for name, train in tables.items():
        train = train.drop(columns=["row_id"])
        X, X_fresh = _features(train.drop(columns=[table.label]), table.fresh.drop(columns=[table.label]))
        fits = [
            HistGradientBoostingClassifier(max_iter=60, random_state=seed)
            .fit(X, train[table.label])
            .score(X_fresh, table.fresh[table.label])
            for seed in range(3)
        ]
        found[name] = float(np.mean(fits))
    return found


if __name__ == "__main__":
    main()
