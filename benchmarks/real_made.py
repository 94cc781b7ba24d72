"""Tables that `benchmarks.real` makes: systematic label noise, planted flips, far values, and tables without errors.

Seeds from 100 on are for reported figures; nothing was tuned on them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from benchmarks.real_data import ERROR_LABELS, Case, Maker, read, rng_of

LABELS = {
    "2dplanes": "11",
    "adult": "income_status",
    "cpu_activity": "22",
    "electricity": "class",
    "kin8nm": "y",
    "melbourne_house_prices": "Price",
    "pol": "y",
    "telco_churn": "Churn",
    "white_wine": "quality",
}
"""Public tables, and the column that is predicted."""

MANY_CLASSES = {"2dplanes": 5, "cpu_activity": 6, "kin8nm": 4, "pol": 0}
"""Numbers of quantile classes that the label is cut into; 0: its values are the classes."""
SYSTEMATIC = ("weak-tree", "few-neighbours", "confusion", "difficulty")
PLANTED = ("adult", "electricity", "pol", "telco_churn")


def sample(name: str, rows: int, seed: int) -> pd.DataFrame:
    """Rows of a table of ../shared/data at random, without the row numbers that one of them carries."""
    table = read(f"data/{name}.csv")
    table = table.drop(columns=[column for column in table if column.startswith("Unnamed")])
    rows = min(rows, len(table))
    return table.sample(rows, random_state=rng_of("sample", name, seed).integers(2**31)).reset_index(drop=True)


# ---------------------------------------------------------------- wrong labels


def systematic(name: str, kind: str, seed: int, rows: int = 2_000, trusted: int = 400) -> Case:
    """Many classes, wrong by a rule: a weak model labels, classes are confused, or hard rows are wrong."""
    table = sample(name, rows + trusted, seed)
    label, numbers = LABELS[name], table[LABELS[name]].astype(float)
    cuts = MANY_CLASSES[name]
    y = (pd.qcut(numbers, cuts).cat.codes if cuts else pd.Categorical(numbers).codes).astype(np.int64)
    y = np.asarray(y)
    X = StandardScaler().fit_transform(table.drop(columns=label).astype(float))
    given = mislabel(X, y, kind, rng_of("systematic", name, kind, seed))
    train = table[:rows].assign(**{label: [f"c{value}" for value in given[:rows]]})
    checked = table[rows:].assign(**{label: [f"c{value}" for value in y[rows:]]})
    checked = checked[checked[label].isin(train[label])]
    return Case(
        name=f"{name}-{kind}",
        family="systematic labels, trusted rows",
        train=train,
        label=label,
        wrong=(given != y)[:rows],
        trusted=checked.reset_index(drop=True),
    )


def mislabel(X: np.ndarray, y: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """(N,) given labels for features (N, D) and true classes (N,)."""
    given, classes = y.copy(), y.max() + 1
    if kind == "weak-tree":
        return DecisionTreeClassifier(max_depth=5, random_state=0).fit(X, y).predict(X)
    if kind == "few-neighbours":
        few = rng.permutation(len(y))[: len(y) // 5]
        return KNeighborsClassifier(5).fit(X[few], y[few]).predict(X)
    if kind == "confusion":
        confused = rng.random(len(y)) < np.where(y % 2 == 0, 0.3, 0.03)
        given[confused] = (y[confused] + 1) % classes
        return given
    assert kind == "difficulty"
    kept = pd.Series(y).map(pd.Series(y).value_counts()).to_numpy() >= 5
    predicted = np.zeros((len(y), classes))
    known = np.unique(y[kept])
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    predicted[np.ix_(kept, known)] = cross_val_predict(model, X[kept], y[kept], cv=5, method="predict_proba")
    own = np.take_along_axis(predicted, y[:, None], axis=1)[:, 0]
    hardest = np.argsort(own + 0.05 * rng.random(len(y)))[: len(y) // 4]
    changed = hardest[rng.random(len(hardest)) < 0.6]
    np.put_along_axis(predicted, y[:, None], -1.0, axis=1)
    given[changed] = predicted[changed].argmax(axis=1)
    return given


def planted(name: str, share: float, seed: int, rows: int = 20_000, trusted: int = 500) -> Case:
    """Uniform flips in a large table, the easiest kind: beside what boosting does with it, and its seconds."""
    table, label = sample(name, rows + trusted, seed), LABELS[name]
    if name == "pol":
        table[label] = np.where(table[label].astype(float) > 0, "some", "none")
    train, checked = table[:-trusted].copy(), table[-trusted:].reset_index(drop=True)
    rng = rng_of("planted", name, share, seed)
    wrong = np.zeros(len(train), bool)
    wrong[rng.choice(len(train), round(share * len(train)), replace=False)] = True
    names, codes = np.unique(train[label].to_numpy(str), return_inverse=True)
    codes[wrong] = (codes[wrong] + rng.integers(1, len(names), wrong.sum())) % len(names)
    end = "" if share == 0.1 else f"-{share:g}"
    return Case(
        f"{name}-flips{end}", "planted flips", train.assign(**{label: names[codes]}), label, wrong, trusted=checked
    )


def far_readings(share: float, seed: int, rows: int = 4_000) -> Case:
    """Meter readings, partly explained by the temperature; a share of them ten times too large."""
    rng = rng_of("far readings", share, seed)
    temperature, humidity = rng.normal(14, 6, rows), rng.normal(60, 8, rows)
    hour = rng.integers(0, 24, rows)  # not in the table
    power = 20 + 1.5 * np.maximum(temperature - 18, 0) + 3 * ((hour > 8) & (hour < 18)) + rng.normal(size=rows)
    wrong = np.zeros(rows, bool)
    wrong[rng.choice(rows, round(share * rows), replace=False)] = True
    power[wrong] *= 10
    columns = {"device": rng.choice(["A", "B", "C"], rows), "temp": temperature.round(2)}
    columns |= {"humidity": humidity.round(1), "power_kw": power.round(2)}
    table = pd.DataFrame(columns).astype(str)
    return Case(f"meter-readings-{share:g}", "far values", table, "power_kw", wrong, task="regression")


def far_cells(name: str, column: str, share: float, seed: int) -> Case:
    """A share of the cells of one column twelve times too large: ages in months."""
    table, label = sample(name, 5_000, seed), LABELS[name]
    rng = rng_of("far cells", name, share, seed)
    wrong = np.zeros(len(table), bool)
    wrong[rng.choice(len(table), round(share * len(table)), replace=False)] = True
    months = (12 * table.loc[wrong, column].astype(int)).astype(str)
    table.loc[wrong, column] = months
    family = "far values" if share < 0.05 else "planted in 5 %"
    return Case(f"{name}-months-{share:g}", family, table, label, wrong, part="feature")


# ---------------------------------------------------------------- tables without errors


def right(name: str, family: str, frame: pd.DataFrame, label: str = "label", **more: object) -> Case:
    """A table in which every row is right."""
    return Case(name, family, frame.astype(str), label, np.zeros(len(frame), bool), **more)  # type: ignore[arg-type]


def weak_signal(strength: float, rate: float, seed: int, rows: int = 1_000, columns: int = 10) -> Case:
    """An event that features explain in part; strength 0: coin flips."""
    rng = rng_of("weak", strength, rate, seed)
    X = rng.normal(size=(rows, columns))
    odds = strength * (X[:, 0] + X[:, 1]) + np.log(rate / (1 - rate))
    event = rng.random(rows) < 1 / (1 + np.exp(-odds))
    table = pd.DataFrame(X.round(3), columns=[f"f{i}" for i in range(columns)])
    name = f"coin-flips-{rate:g}" if strength == 0 else f"weak-signal-{strength:g}-{rate:g}"
    return right(name, "hard to predict, all right", table.assign(label=np.where(event, "churn", "stay")))


def hard_numbers(kind: str, seed: int, rows: int = 1_000) -> Case:
    """Number labels whose right values look unlikely: many zeros, exponential growth, counts, ratings."""
    rng = rng_of("hard", kind, seed)
    x, z = rng.normal(size=rows), rng.normal(size=rows)
    label = {
        "zero-inflated": lambda: np.where(x + z > 2.1, np.exp(2 + x + 0.2 * rng.normal(size=rows)).round(2), 0.0),
        "zero-inflated-by-chance": lambda: np.where(rng.random(rows) < 0.05, rng.gamma(2, 500, rows).round(2), 0.0),
        "exp": lambda: (np.exp(3 * x) - 5).round(3),
        "counts": lambda: rng.poisson(np.exp(0.3 * x)),
        "ratings": lambda: np.clip(np.round(3 + x + 0.5 * rng.normal(size=rows)), 1, 5).astype(int),
    }[kind]()
    table = pd.DataFrame({"x": x.round(6), "z": z.round(6), "label": label})
    return right(kind, "hard to predict, all right", table, task="regression")


def copies(kind: str, seed: int, rows: int = 1_000) -> Case:
    """Right rows of which many are alike: entered twice, resampled, a sensor that is off, small groups."""
    rng = rng_of("copies", kind, seed)
    X = rng.normal(size=(rows, 2 if kind == "entered-twice" else 5))
    if kind == "small-groups":
        X = X[rng.integers(0, rows // 3, rows)] + 0.02 * X
    label = np.where(X.sum(axis=1) > 0, "yes", "no")
    if kind == "sensor-off":
        X[rng.random(rows) < 0.4, 2:] = 0.0
    table = pd.DataFrame(X.round(6), columns=[f"x{i}" for i in range(X.shape[1])]).assign(label=label)
    if kind == "entered-twice":
        table = pd.concat([table, table[: rows // 2]])
    elif kind == "bootstrap":
        table = table.iloc[rng.integers(0, rows, rows)]
    return right(kind, "copies, all right", table.iloc[rng.permutation(len(table))].reset_index(drop=True))


def clean(name: str, seed: int, rows: int = 5_000) -> Case:
    """A public table as it comes, up to 5,000 rows of it, without trusted rows."""
    table = sample(name, rows, seed)
    return right(f"{name}-clean", "public tables as they are", table, LABELS[name])


def clean_with_trusted(name: str, _seed: int) -> Case:
    """The 3,000 rows into which errors were put, before that, with the 600 trusted ones."""
    table, checked = read(f"errors/{name}.clean.csv"), read(f"errors/{name}.val.csv")
    return right(f"{name}-clean-trusted", "public tables as they are", table, ERROR_LABELS[name], trusted=checked)


def tables() -> dict[str, Maker]:
    """Name of a case -> how to make it for a seed."""
    made: dict[str, Maker] = {}
    for name in MANY_CLASSES:
        for kind in SYSTEMATIC:
            made[f"{name}-{kind}"] = lambda seed, name=name, kind=kind: systematic(name, kind, seed)
    for name in PLANTED:
        made[f"{name}-flips"] = lambda seed, name=name: planted(name, 0.1, seed)
        made[f"{name}-flips-0.05"] = lambda seed, name=name: planted(name, 0.05, seed, rows=5_000)
    made["adult-months-0.05"] = lambda seed: far_cells("adult", "age", 0.05, seed)
    for share in (0.002, 0.01):
        made[f"meter-readings-{share:g}"] = lambda seed, share=share: far_readings(share, seed)
        made[f"adult-months-{share:g}"] = lambda seed, share=share: far_cells("adult", "age", share, seed)
    for strength, rate in ((0.5, 0.5), (0.5, 0.2), (0.0, 0.5), (0.0, 0.1)):
        name = f"coin-flips-{rate:g}" if strength == 0 else f"weak-signal-{strength:g}-{rate:g}"
        made[name] = lambda seed, strength=strength, rate=rate: weak_signal(strength, rate, seed)
    for kind in ("zero-inflated", "zero-inflated-by-chance", "exp", "counts", "ratings"):
        made[kind] = lambda seed, kind=kind: hard_numbers(kind, seed)
    for kind in ("entered-twice", "bootstrap", "sensor-off", "small-groups"):
        made[kind] = lambda seed, kind=kind: copies(kind, seed)
    for name in LABELS:
        made[f"{name}-clean"] = lambda seed, name=name: clean(name, seed)
    for name in ERROR_LABELS:
        made[f"{name}-clean-trusted"] = lambda seed, name=name: clean_with_trusted(name, seed)
    return made
