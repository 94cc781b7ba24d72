"""Planted noise is where it is said to be, and what is counted and chosen from it is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest

from lossval_cli.calibration.cell_errors import draw_errors, with_typo
from lossval_cli.calibration.choice import GRID, NONE, choose_threshold
from lossval_cli.calibration.counts import Share, as_scored, count_flags, measure_reliability
from lossval_cli.calibration.planting import Planted, flipped_labels, plant_noise
from lossval_cli.calibration.trials import Trial
from lossval_cli.errors import UsageError
from lossval_cli.features.dataset import Dataset, load_dataset
from lossval_cli.features.table_options import TableOptions
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.noise.spelling import edit_distance
from lossval_cli.settings import Settings

SETTINGS = Settings(members=4, epochs=1)


def mixed(rows: int = 120) -> pd.DataFrame:
    """A column of every kind that people have."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "price": rng.normal(50, 10, rows).round(2),
            "small": rng.integers(0, 255, rows).astype("uint8"),
            "colour": rng.choice(["red", "green", "blue"], rows),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
            "member": rng.random(rows) < 0.5,
            "remark": [f"the {rng.choice(['quick', 'lazy', 'old'])} fox number {n} said so" for n in range(rows)],
        }
    )
    table.loc[::7, "price"] = np.nan
    table.loc[3::11, "colour"] = None
    table["label"] = rng.choice(["yes", "no", "perhaps"], rows, p=[0.5, 0.45, 0.05])
    return table


def source(form: str, folder: Path) -> pd.DataFrame | Path:
    table = mixed()
    if form == "frame":
        return table
    path = folder / f"mixed.{form}"
    if form == "parquet":
        table.astype({"colour": "category", "price": "float32"}).to_parquet(path, index=False)
    elif form == "comma":
        table.to_csv(path, index=False, sep=";", decimal=",")
    else:
        table.to_csv(path, index=False)
    return path


def planted(dataset: Dataset, rate: float = 0.2, seed: int = 0) -> Planted:
    free = np.arange(len(dataset.train.X)) % 5 > 0
    return plant_noise(dataset, rate, free, np.random.default_rng(seed))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "label"),
    [("csv", "label"), ("comma", "label"), ("parquet", "label"), ("frame", "label"), ("csv", "price")],
)
def test_planted_rows_and_no_others_are_changed(form: str, label: str, tmp_path: Path) -> None:
    given = source(form, tmp_path)
    if label == "price":  # a target has no missing values
        given = tmp_path / "whole.csv"
        mixed().dropna(subset="price").to_csv(given, index=False)
    dataset = load_dataset(given, None, options=TableOptions(label=label), settings=SETTINGS)
    table, found = dataset.train.table, planted(dataset)
    free = np.arange(table.rows) % 5 > 0
    count = round(0.2 * free.sum())
    assert found.label.sum() == count
    assert 0.9 * count <= found.features.sum() <= count
    assert not (found.label & found.features).any()
    assert not ((found.label | found.features) & ~free).any()
    reached = 0
    for name in table.column_names:
        before, after = table.as_given(name).to_pylist(), found.table.as_given(name).to_pylist()
        differs = np.array([not (a == b or (a != a and b != b)) for a, b in zip(before, after, strict=True)])
        if name == label:
            assert (differs == found.label).all()
        else:
            assert not (differs & ~found.features).any(), name
            reached += bool(differs.any())
        assert found.table.typed(name).type == table.typed(name).type, name
    assert reached > len(table.column_names) / 2
    load_dataset(found.table, None, options=TableOptions(label=label), settings=SETTINGS)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "comma"])
def test_planted_numbers_are_written_as_the_column_is(form: str, tmp_path: Path) -> None:
    """No row may be recognised by its digits alone."""
    dataset = load_dataset(source(form, tmp_path), None, options=TableOptions(label="label"), settings=SETTINGS)
    found = planted(dataset)
    prices = [cell for cell in found.table.as_given("price").to_pylist() if cell]
    assert max(len(cell.replace(",", ".").partition(".")[2]) for cell in prices) <= 2
    assert ("," in "".join(prices)) == (form == "comma")
    assert all(cell.lstrip("-").isdigit() for cell in found.table.as_given("small").to_pylist())
    missing = dataset.train.table.typed("price").is_null()
    assert found.table.typed("price").is_null() == missing


@pytest.mark.slow
def test_no_class_dies_out(tmp_path: Path) -> None:
    frame = mixed()
    frame["label"] = ["rare", "rare"] + ["yes", "no"] * 59
    dataset = load_dataset(frame, None, options=TableOptions(label="label"), settings=SETTINGS)
    for seed in range(20):
        found = plant_noise(dataset, 0.4, np.ones(120, bool), np.random.default_rng(seed))
        assert set(pc.unique(found.table.as_given("label")).to_pylist()) == {"rare", "yes", "no"}


@pytest.mark.slow
def test_the_same_draw_plants_the_same() -> None:
    dataset = load_dataset(mixed(), None, options=TableOptions(label="label"), settings=SETTINGS)
    first, again, other = planted(dataset), planted(dataset), planted(dataset, seed=1)
    assert first.table.data.equals(again.table.data)
    assert not first.table.data.equals(other.table.data)


def test_each_kind_of_error_does_what_it_says() -> None:
    rng = np.random.default_rng(3)
    values = {"age": rng.integers(18, 90, 500).astype(float), "year": rng.integers(1990, 2024, 500).astype(float)}
    values["age"][:50] = np.nan
    rows = np.arange(500)
    errors = draw_errors(values, rows, ["city", "open"], ["city"], rng)
    shares = dict(zip(*np.unique(errors.kinds, return_counts=True), strict=True))
    assert set(shares) == {"noise", "mixed", "unit", "code", "exchange", "typo"}
    assert min(shares.values()) > 50
    assert np.isnan(errors.numbers["age"][:50]).all()
    changed = {name: (errors.numbers[name] != values[name]) & ~np.isnan(values[name]) for name in values}
    both = ~np.isnan(values["age"])
    exchanged, moved = (errors.kinds == "exchange") & both, errors.kinds == "noise"
    np.testing.assert_array_equal(errors.numbers["age"][exchanged], values["year"][exchanged])
    assert (changed["age"] ^ changed["year"])[np.isin(errors.kinds, ["unit", "code"])].all()
    assert changed["year"][moved].all() and errors.others["open"][moved].all()
    np.testing.assert_array_equal(errors.typos["city"], errors.kinds == "typo")


def test_a_typo_changes_one_character_or_two_neighbours() -> None:
    words = {with_typo("Hamburg", np.random.default_rng(seed)) for seed in range(60)}
    assert all(edit_distance(word, "Hamburg", 2) <= 1 for word in words)
    assert len(words) > 20
    assert with_typo("a", np.random.default_rng(0))


def test_a_table_too_small_to_plant_in_is_refused() -> None:
    dataset = load_dataset(mixed(20), None, options=TableOptions(label="label"), settings=SETTINGS)
    with pytest.raises(UsageError, match=r"--rates 0\.01: <DataFrame> has 16 rows that are not suspect"):
        planted(dataset, 0.01)


def test_flipped_labels_are_others_each_alike() -> None:
    y = np.repeat([1.5, 2.5, 7.0, 9.0], 3_000)
    rows = np.arange(3_000)
    new = flipped_labels(y, rows, np.random.default_rng(0))
    values, counts = np.unique(new, return_counts=True)
    assert values.tolist() == [2.5, 7.0, 9.0]
    assert counts.min() > 900


def noise(label: np.ndarray, features: np.ndarray, threshold: float = 0.5) -> NoiseEstimate:
    either = 1 - (1 - label) * (1 - features)
    flags = label >= threshold, features >= threshold
    return NoiseEstimate(either, label, features, *flags, threshold, threshold, 0.1, 0.0, 0.2)


def trial(seed: int, rate: float, repeat: int = 0, rows: int = 400) -> Trial:
    """Probabilities that know something."""
    rng = np.random.default_rng(seed)
    kind = rng.permutation(np.repeat([1, 2, 0], [int(rate * rows), int(rate * rows), rows - 2 * int(rate * rows)]))
    label, features = kind == 1, kind == 2
    probabilities = (
        np.clip(rng.beta(1, 6, rows) + 0.5 * truth * rng.random(rows), 0, 1) for truth in (label, features)
    )
    return Trial(rate, repeat, label, features, noise(*probabilities))


def test_counts_by_hand() -> None:
    label = np.array([0.9, 0.9, 0.1, 0.9, 0.1, 0.9])
    one = Trial(
        0.1,
        0,
        np.array([True, False, True, False, False, False]),
        np.array([False, False, False, True, False, False]),
        noise(label, np.zeros(6)),
    )
    eligible = np.array([True, True, True, True, True, False])
    (found,) = count_flags([one], eligible, "label", as_scored("label"))
    # Row 0 is right, row 1 false, row 2 missed; row 3 has corrupted features, row 5 was suspect before.
    assert (found.planted, found.flagged, found.right, found.doubtful) == (2, 2, 1, 1)
    assert found.precision == Share(1, 2)
    assert found.least_precision == Share(1, 3)
    assert found.f1 == 0.5
    (either,) = count_flags([one], eligible, "either", as_scored("either"))
    assert (either.planted, either.flagged, either.right) == (3, 3, 2)


def test_wilson_by_hand() -> None:
    low, high = Share(8, 10).interval() or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert Share(0, 0).interval() is None
    assert Share(0, 0).value is None


def test_reliability_counts_every_eligible_row_once() -> None:
    trials = [trial(0, 0.1), trial(1, 0.2)]
    eligible = np.arange(400) % 3 > 0
    table = measure_reliability(trials, eligible)
    assert sum(one.noisy.of for one in table) == 2 * eligible.sum()
    assert sum(one.noisy.hits for one in table) == sum(
        int(((one.label | one.features) & eligible).sum()) for one in trials
    )
    assert all(one.stated is None or one.low <= one.stated <= one.high for one in table)


@pytest.mark.parametrize("kind", ["label", "features"])
def test_the_threshold_is_the_best_of_all(kind: str) -> None:
    trials = [trial(seed, rate, repeat) for seed, (rate, repeat) in enumerate([(0.05, 0), (0.05, 1), (0.2, 0)])]
    eligible = np.arange(400) % 3 > 0

    def by(threshold: float) -> list[tuple[float, float]]:
        found = count_flags(
            trials,
            eligible,
            kind,
            lambda noise: (noise.label_probability if kind == "label" else noise.feature_probability) >= threshold,
        )
        return [(one.f1, one.precision.value or 0.0) for one in found]

    tried = {float(threshold): by(threshold) for threshold in GRID}
    choice = choose_threshold(trials, eligible, kind, None)
    assert choice.threshold is not None
    best = max(np.mean([f1 for f1, _ in found]) for found in tried.values())
    assert np.isclose(np.mean([one.f1 for one in choice.found]), best)
    wanted = choose_threshold(trials, eligible, kind, 0.8)
    good = [threshold for threshold, found in tried.items() if all(reached >= 0.8 for _, reached in found)]
    assert wanted.threshold == min(good, default=None)
    assert all((one.precision.value or 0) >= 0.8 for one in wanted.found)
    blind = choose_threshold(
        [trial(9, 0.1)._replace(label=np.zeros(400, bool), features=np.zeros(400, bool))], eligible, kind, None
    )
    assert blind.threshold == NONE


def test_a_threshold_that_is_hardly_better_than_flagging_all_rows_finds_nothing() -> None:
    rng = np.random.default_rng(3)
    one = trial(9, 0.1)
    chance = one.noise._replace(label_probability=rng.uniform(0.02, 0.06, 400))
    choice = choose_threshold([one._replace(noise=chance)], np.ones(400, bool), "label", None)
    assert choice.threshold == NONE
    assert all(found.flagged == 0 for found in choice.found)
