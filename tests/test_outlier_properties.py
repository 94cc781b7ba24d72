"""What the outlier detector must not depend on, what it leaves alone, and what it finds and names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from lossval_cli.features.encoder import Encoder
from lossval_cli.features.typed_columns import TypedColumns
from lossval_cli.noise.number_cells import NumberCells
from lossval_cli.noise.outliers import WAYS, OutlierEstimate, OutlierModel, find_outliers
from lossval_cli.noise.spelling import Spelling, edit_distance
from lossval_cli.noise.stand_ins import find_stand_ins
from lossval_cli.noise.tails import Tail
from lossval_cli.noise.two_groups import TwoGroups
from lossval_cli.tables.table import read_table


def found(table: pd.DataFrame, seed: int = 0) -> OutlierEstimate:
    read = read_table(table)
    encoder = Encoder.fit(read, list(table.columns))
    columns = TypedColumns(read, encoder)
    return find_outliers(encoder.transform(read), encoder.blocks, columns, np.random.default_rng(seed))


def flagged(table: pd.DataFrame) -> np.ndarray:
    return found(table).probability > 0.5


def households(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Numbers that explain one another in part, a skewed one, and two columns of levels."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows).astype(float)
    income = np.round(np.exp(rng.normal(10, 0.5, rows)), 2)
    return pd.DataFrame(
        {
            "age": age,
            "children": rng.poisson(1.5, rows),
            "income": income,
            "rent": np.round(0.25 * income * np.exp(rng.normal(0, 0.2, rows)), 2),
            "height": rng.normal(172, 9, rows).round(1),
            "weight": rng.normal(72, 11, rows).round(1),
            "city": rng.choice(["Hamburg", "Bremen", "Rostock", "Kiel"], rows, p=[0.5, 0.3, 0.15, 0.05]),
            "tenure": rng.choice(["owner", "tenant"], rows),
        }
    )


@pytest.mark.slow
def test_rows_in_another_order_have_the_same_probabilities() -> None:
    table = households()
    order = np.random.default_rng(1).permutation(len(table))
    moved = found(table.iloc[order].reset_index(drop=True)).probability
    np.testing.assert_allclose(moved, found(table).probability[order], atol=1e-9)


@pytest.mark.slow
def test_a_copy_of_a_row_changes_no_other_row_by_more_than_a_little() -> None:
    table = households()
    before = found(table).probability
    after = found(pd.concat([table, table.iloc[[7]]], ignore_index=True)).probability
    others = np.delete(np.arange(len(table)), 7)
    assert np.abs(after[: len(table)] - before)[others].max() < 0.1
    assert np.abs(after[: len(table)] - before).mean() < 0.002


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_rows_that_have_no_copy_are_not_outliers(share: float) -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame(rng.normal(size=(800, 3)), columns=list("abc"))
    doubled = pd.concat([table, table[: int(share * 800)]], ignore_index=True)
    assert flagged(doubled).mean() <= 0.02


def test_a_sensor_that_is_off_is_a_state_of_the_table() -> None:
    table = pd.DataFrame(np.random.default_rng(3).normal(size=(800, 5)), columns=list("abcde"))
    table.loc[np.random.default_rng(4).random(800) < 0.4, ["a", "b", "c"]] = 0.0
    assert flagged(table).mean() <= 0.02


@pytest.mark.slow
def test_another_unit_or_a_column_of_noise_changes_next_to_no_flag() -> None:
    table = households()
    table.loc[:9, "income"] *= 12
    before = flagged(table)
    unit = table.assign(height=table["height"] * 10 + 5, income=table["income"] / 1000)
    noise = table.assign(noise=np.random.default_rng(5).normal(size=len(table)), constant=1.0)
    for other in (unit, noise):
        assert (flagged(other) != before).mean() <= 0.01
        assert flagged(other)[:10].mean() >= before[:10].mean() - 0.2


def mixture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(size=shape) + 8 * (rng.random(shape) < 0.1)


def zero_inflated(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.where(rng.random(shape) < 0.9, 0.0, rng.gamma(2, 500, shape).round(2))


SHAPES: list[Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = [
    lambda rng, shape: rng.normal(size=shape),
    lambda rng, shape: rng.standard_t(2.5, shape),
    lambda rng, shape: np.exp(1.5 * rng.normal(size=shape)),
    lambda rng, shape: rng.uniform(size=shape),
    lambda rng, shape: rng.poisson(3, shape).astype(float),
    lambda rng, shape: rng.integers(0, 2, shape).astype(float),
    zero_inflated,
    mixture,
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(60, 3), (700, 5), (700, 1)])
def test_columns_of_many_shapes_have_next_to_no_outliers(shape: Callable, size: tuple[int, int]) -> None:
    values = shape(np.random.default_rng(6), size)
    values[0] += 1e-9  # no column is constant
    table = pd.DataFrame(values, columns=[f"c{i}" for i in range(size[1])])
    assert flagged(table).mean() <= 0.02


@pytest.mark.slow
def test_a_rare_event_that_nothing_foretells_makes_no_row_an_outlier() -> None:
    """A yes in two of a hundred rows is as it should be, written as a word, as 0 and 1, or as an amount."""
    table, rng = households(1500, 20), np.random.default_rng(21)
    table["pregnant"] = np.where(rng.random(1500) < 0.02, "yes", "no")
    table["pool"] = (rng.random(1500) < 0.03).astype(int)
    table["claim"] = np.where(rng.random(1500) < 0.02, np.exp(rng.normal(7, 1, 1500)).round(2), 0.0)
    table["job"] = rng.choice(["clerk", "nurse", "smith", "luthier"], 1500, p=[0.5, 0.47, 0.026, 0.004])
    assert flagged(table).mean() <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("columns", [8, 20])
def test_rows_that_differ_in_scale_as_a_whole_are_not_noise(columns: int) -> None:
    """Returns of a market: calm days and wild ones, in every column at once (multivariate t)."""
    rng = np.random.default_rng(22)
    values = rng.normal(size=(1000, columns)) + 0.5 * rng.normal(size=(1000, 1))
    values /= np.sqrt(rng.chisquare(5, 1000) / 5)[:, None]
    table = pd.DataFrame(values, columns=[f"c{i}" for i in range(columns)])
    assert flagged(table).mean() <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("column", "value"), [("age", -1.0), ("age", 0.0), ("income", 999.0), ("height", 999.0)])
def test_a_number_that_stands_for_a_missing_value_is_found_and_named(column: str, value: float) -> None:
    table = households(1000, 23)
    table.loc[:9, column] = value
    estimate = found(table)
    assert (estimate.probability[:10] > 0.5).all()
    assert (estimate.probability > 0.5).sum() <= 15
    cells = [cells[0] for cells in estimate.describe(np.arange(10))]
    assert {(cell.column, cell.kind) for cell in cells} == {(column, "stand-in")}


def test_zeros_of_a_machine_that_is_off_are_a_state() -> None:
    """In two of a hundred rows, and the temperature of the room shows it; where nothing shows it, they stand in."""
    rng = np.random.default_rng(28)
    off = rng.random(1200) < 0.02
    table = pd.DataFrame({"feed": rng.normal(44, 1.2, 1200).round(1), "catalyst": rng.normal(1.4, 0.05, 1200).round(3)})
    table.loc[off] = 0.0
    table["level"] = rng.normal(60, 5, 1200).round(1)
    assert flagged(table)[off].all()
    room = rng.normal(21, 0.5, 1200)
    hot, warm = (np.where(off, room, rng.normal(*running, 1200)).round(1) for running in ((182, 3), (45, 8)))
    for shown in ({"temperature": hot}, {"temperature": warm}, {"status": np.where(off, "off", "on")}):
        assert flagged(table.assign(**shown)).mean() <= 0.002


@pytest.mark.parametrize("value", [-999.0, 0.0])
def test_a_sensor_that_fails_in_the_last_rows_is_in_no_state(value: float) -> None:
    """Its rows have the largest years and counters, but hardly larger ones than others."""
    rng = np.random.default_rng(34)
    failed = np.arange(1200) >= 1177
    flow = np.where(failed, value, rng.normal(60, 5, 1200).round(1))
    table = pd.DataFrame({"flow": flow, "humidity": rng.normal(55, 9, 1200).round(1)})
    number = np.arange(1200)
    for late in ({"year": 1990 + number // 34}, {"counter": number}, {"year": 1990 + number // 34, "counter": number}):
        outliers = flagged(table.assign(**late))
        assert outliers[failed].all()
        assert outliers[~failed].mean() <= 0.002


def test_pieces_that_are_given_back_one_by_one_are_right() -> None:
    """−1 is no code for a missing number where the amount is negative, too."""
    rng = np.random.default_rng(35)
    pieces = np.where(np.arange(1200) % 40 == 0, -1, rng.integers(1, 30, 1200))
    price = np.exp(rng.normal(2.5, 0.6, 1200)).round(2)
    assert (
        flagged(pd.DataFrame({"pieces": pieces, "price": price, "amount": (pieces * price).round(2)}))[
            pieces < 0
        ].mean()
        == 0
    )


def test_credit_notes_are_right_and_a_lost_sign_is_not() -> None:
    """One invoice in sixty is negative in all of its amounts; three salaries are negative alone."""
    rng = np.random.default_rng(31)
    net = np.exp(rng.normal(6, 1, 1200)).round(2)
    credit = rng.random(1200) < 0.016
    net = np.where(credit, -net, net)
    tax = (0.19 * net).round(2)
    table = pd.DataFrame({"net": net, "tax": tax, "gross": (net + tax).round(2), "salary": rng.normal(3000, 300, 1200)})
    table.loc[:2, "salary"] *= -1
    outliers = flagged(table)
    assert outliers[:3].all()
    assert outliers[3:].mean() <= 0.008


def test_codes_for_missing_values_in_several_columns_are_no_credit_notes() -> None:
    table, rng = households(1000, 32), np.random.default_rng(33)
    broken = rng.random(1000) < 0.01
    table.loc[broken, ["age", "height", "weight"]] = -999.0
    assert flagged(table)[broken].all()


def test_amounts_in_hundreds_are_not_taken_for_exchanged() -> None:
    """Which of two columns happens to hold 4,900 often enough says nothing of where a 4,900 belongs."""
    rng = np.random.default_rng(29)
    loan = np.exp(rng.normal(9.2, 0.7, 2000)).round(-2)
    debt = np.where(rng.random(2000) < 0.5, 0.0, np.exp(rng.normal(8.5, 1, 2000)).round(-2))
    table = pd.DataFrame({"loan": loan, "debt": debt, "age": rng.normal(42, 9, 2000).round()})
    assert flagged(table).mean() <= 0.005


def test_a_line_that_leads_beyond_the_values_of_a_column_makes_no_row_wrong() -> None:
    """Fee times months, in a column of months that starts at one."""
    rng = np.random.default_rng(30)
    months, fee = rng.integers(1, 61, 1000), rng.choice([9.9, 19.9, 39.9, 149.0], 1000, p=[0.5, 0.25, 0.15, 0.1])
    total = (fee * months).round(2)
    total[:8] = np.round(total[:8] * rng.choice([10, 0.1], 8), 2)  # some are wrong
    table = pd.DataFrame({"months": months, "fee": fee, "total": total, "tickets": rng.poisson(1.2, 1000)})
    assert flagged(table)[8:].mean() <= 0.002


def test_values_at_the_end_of_a_scale_do_not_stand_for_missing_ones() -> None:
    rng = np.random.default_rng(24)
    usual = [
        np.append(rng.exponential(5, 970).round(2), np.zeros(30)),  # nothing was spent
        np.clip(rng.normal(size=1000), -1, 1),  # cut off
        rng.choice([1, 2, 3, 4, 5], 1000, p=[0.02, 0.08, 0.2, 0.3, 0.4]).astype(float),
        rng.choice([-1, 0, 1], 1000, p=[0.02, 0.5, 0.48]).astype(float),
        np.minimum(rng.lognormal(3, 1, 1000), 99).round(1),  # the scale ends there
        np.append(np.zeros(950), rng.uniform(10, 20, 50)),  # a sensor that is mostly off
        np.append(rng.uniform(10, 20, 920), np.zeros(80)),  # often off
    ]
    assert [find_stand_ins(values) for values in usual] == [{}] * len(usual)


@pytest.mark.parametrize(
    ("given", "meant"),
    [("HAMBURG", "Hamburg"), ("hamburg", "Hamburg"), ("MÃ¼nchen", "München"), ("Mün", "München"), ("47", None)],
)
def test_spellings_that_programs_make(given: str, meant: str | None) -> None:
    """Case, UTF-8 read as another encoding, what is cut off, a cell of another column."""
    spelling = Spelling.fit(["Hamburg", "München", "Kiel"], [400, 300, 100])
    evidence, found = spelling.misspelling(given, 0)
    assert found == meant
    assert evidence > 5


def test_a_column_that_was_read_in_the_wrong_encoding_is_not_misspelt_cell_by_cell() -> None:
    garbled = Spelling.fit(["Hamburg", "MÃ¼nchen", "KÃ¶ln"], [400, 300, 3])
    assert garbled.misspelling("KÃ¶ln", 2)[0] < 5


@pytest.mark.slow
def test_levels_alone_have_next_to_no_outliers() -> None:
    rng = np.random.default_rng(7)
    levels = [f"level {chr(97 + i)}{chr(97 + i)}" for i in range(20)]
    shares = 1 / np.arange(1, 21)
    table = pd.DataFrame({c: rng.choice(levels, 700, p=shares / shares.sum()) for c in "abcd"})
    assert flagged(table).mean() <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("share", "factor"), [(0.01, 10.0), (0.02, 12.0), (0.003, 0.01)])
def test_values_in_a_wrong_unit_are_found_and_named(share: float, factor: float) -> None:
    """They do not mask one another, and are surely wrong."""
    table = households(1000, 8)
    wrong = np.arange(int(share * 1000))
    table.loc[wrong, "height"] *= factor
    estimate = found(table)
    assert (estimate.probability[wrong] > 0.9).mean() >= 0.95
    assert (estimate.probability > 0.5).sum() <= len(wrong) + 20
    cells = [cells[0] for cells in estimate.describe(wrong)]
    assert {cell.column for cell in cells} == {"height"}


@pytest.mark.slow
def test_a_misspelt_level_is_found_with_the_level_that_was_meant() -> None:
    table = households(800, 9)
    rows, spellings = [3, 30, 300], ["Hamburgg", "Hambrug", "H4mburg"]
    table.loc[rows, "city"] = spellings
    estimate = found(table)
    assert (estimate.probability[rows] > 0.5).all()
    cells = [cells[0] for cells in estimate.describe(np.array(rows))]
    assert [(cell.column, cell.kind, cell.value) for cell in cells] == [("city", "misspelt", s) for s in spellings]
    assert {cell.meant for cell in cells} == {"Hamburg"}


@pytest.mark.slow
def test_rows_shifted_by_a_column_are_found() -> None:
    table = households(1000, 10)
    numbers = ["age", "income", "rent", "height", "weight"]
    wrong = np.arange(0, 1000, 40)
    table.loc[wrong, numbers] = np.roll(table.loc[wrong, numbers].to_numpy(), 1, axis=1)
    probability = found(table).probability
    assert (probability[wrong] > 0.5).mean() >= 0.9


@pytest.mark.slow
def test_two_numbers_in_each_others_columns_are_found_and_named() -> None:
    """Age and rent, say: each lies where some right cells of the other column lie, both together hardly ever do."""
    table = households(1000, 25)
    table["years"] = np.random.default_rng(26).integers(1960, 2024, 1000).astype(float)
    wrong = np.arange(0, 1000, 50)
    pairs = [("age", "height"), ("weight", "years"), ("rent", "years"), ("height", "weight")]
    for i, row in enumerate(wrong):
        one, other = pairs[i % 4]
        table.at[row, one], table.at[row, other] = table.at[row, other], table.at[row, one]
    estimate = found(table)
    assert (estimate.probability[wrong] > 0.5).mean() >= 0.9
    assert (estimate.probability > 0.5).sum() <= len(wrong) + 5
    named = [{cell.column for cell in cells[:2]} for cells in estimate.describe(wrong)]
    assert np.mean([set(pairs[i % 4]) <= cells for i, cells in enumerate(named)]) >= 0.7


def blood_pressures(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 92, rows)
    systolic = rng.normal(118 + 0.35 * (age - 50), 12).round()
    diastolic = (0.62 * systolic + rng.normal(0, 6, rows)).round()
    return pd.DataFrame(
        {"age": age, "systolic": systolic, "diastolic": diastolic, "kg": rng.normal(76, 13, rows).round(1)}
    )


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.03, 0.08])
def test_columns_that_a_site_exchanged_are_found_however_many_rows_it_has(share: float) -> None:
    table = blood_pressures(1500, 30)
    wrong = np.arange(1500) < share * 1500
    table.loc[wrong, ["systolic", "diastolic"]] = table.loc[wrong, ["diastolic", "systolic"]].to_numpy()
    flags = flagged(table)
    assert flags[wrong].mean() >= 0.8
    assert flags[~wrong].mean() <= 0.01


def test_the_rare_one_of_two_columns_that_exclude_one_another_is_not_taken_for_exchanged() -> None:
    """Bookings have a debit or a credit, hardly ever a credit."""
    rng = np.random.default_rng(32)
    amount, is_credit = np.round(np.exp(rng.normal(5, 1, 1500)), 2), np.arange(1500) < 45
    table = blood_pressures(1500, 32)
    table["debit"], table["credit"] = np.where(is_credit, 0, amount), np.where(is_credit, amount, 0)
    estimate = found(table)
    assert estimate.way is not None
    assert not ((estimate.probability > 0.5) & (estimate.way == WAYS.index("moved"))).any()


@pytest.mark.slow
def test_a_misspelling_that_is_made_many_times_is_one_and_a_code_is_none() -> None:
    table = households(1200, 33)
    rng = np.random.default_rng(34)
    city = rng.choice(["Stuttgart", "Frankfurt", "Hannover"], 1200, p=[0.5, 0.3, 0.2])
    wrong = np.zeros(1200, bool)
    for meant, given in (("Stuttgart", "Stutgart"), ("Frankfurt", "Frankfort")):
        rows = np.flatnonzero(city == meant)[:9]
        city[rows], wrong[rows] = given, True
    flags = flagged(table.assign(city=city))
    assert flags[wrong].mean() >= 0.8
    assert flags[~wrong].mean() <= 0.01
    for rare, frequent in (("Type B", "Type A"), ("SA", "SP"), ("v1.1", "v1.0")):
        assert flagged(table.assign(city=np.where(np.arange(1200) < 9, rare, frequent))).mean() <= 0.01


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_a_rare_state_of_two_columns_is_not_taken_for_exchanged_numbers(share: float) -> None:
    """Of two yes-or-no columns one is 1 in nearly every row, the other in the rest."""
    table = blood_pressures(1500, 31)
    rare = np.arange(1500) < share * 1500
    assert flagged(table.assign(member=np.where(rare, 0, 1), guest=np.where(rare, 1, 0))).mean() <= 0.01


@pytest.mark.slow
def test_columns_of_one_scale_are_not_taken_for_exchanged() -> None:
    """Answers to several questions, and the last days of a series."""
    rng = np.random.default_rng(27)
    series = np.cumsum(rng.normal(size=1010))
    answers = np.clip(np.round(3 + rng.normal(size=(1000, 1)) + 0.7 * rng.normal(size=(1000, 6))), 1, 5)
    lags = pd.DataFrame({f"lag{k}": series[10 - k : 1010 - k] for k in range(1, 7)})
    for table in (pd.DataFrame(answers, columns=[f"q{i}" for i in range(6)]), lags):
        assert flagged(table).mean() <= 0.01


def test_a_combination_that_the_other_columns_rule_out_is_found() -> None:
    """Each cell is ordinary by itself."""
    rng = np.random.default_rng(11)
    x = rng.uniform(0, 10, 1000)
    table = pd.DataFrame({"x": x, "twice": 2 * x + rng.normal(0, 0.1, 1000), "other": rng.normal(size=1000)})
    wrong = np.arange(10)
    table.loc[wrong, "twice"] = (table.loc[wrong, "twice"] + 10) % 20
    estimate = found(table)
    assert (estimate.probability[wrong] > 0.5).mean() >= 0.9
    cell = estimate.describe(wrong)[0][0]
    assert cell.column in ("x", "twice") and cell.predicted_range is not None


@pytest.mark.slow
def test_a_cell_that_is_not_of_its_columns_type_is_an_outlier() -> None:
    table = households(300, 12).astype({"height": object})
    table.loc[5, "height"] = "17o.2"
    estimate = found(table)
    assert estimate.probability[5] > 0.99
    assert estimate.describe(np.array([5]))[0][0].kind == "unreadable"


def test_a_tail_does_not_saturate_and_far_values_do_not_stretch_it() -> None:
    values = np.random.default_rng(13).normal(size=1000)
    clean = Tail.fit(values, (0.75, 0.93))
    values[:50] = 1e6
    dirty = Tail.fit(values, (0.75, 0.93))
    ten, hundred = dirty.neg_log_p(np.array([10.0, 100.0]))
    assert 9 < ten < hundred / 2
    assert dirty.scale < 1.5 * clean.scale


def test_a_column_far_from_zero_keeps_its_scale() -> None:
    values = np.random.default_rng(28).lognormal(0, 1, 2000)
    plain, far = NumberCells.fit(values), NumberCells.fit(values + 1e11)
    near = NumberCells.fit(values - 50)
    assert np.ptp(far.scale(values + 1e11)) == pytest.approx(np.ptp(near.scale(values - 50)), rel=0.05)
    assert np.ptp(plain.scale(values)) > 3


def test_two_groups_count_the_errors_and_leave_right_rows_alone() -> None:
    rng = np.random.default_rng(14)
    surprise = rng.exponential(size=(2000, 3))
    assert (TwoGroups.fit(surprise).log_odds(surprise) > 0).mean() <= 0.002
    surprise[:100, 1] += 30
    groups = TwoGroups.fit(surprise)
    assert groups.shares[1] == pytest.approx(0.05, abs=0.05)
    assert ((groups.log_odds(surprise) > 0) == (np.arange(2000) < 100)).mean() > 0.995


def test_levels_that_differ_by_a_number_are_not_misspelt() -> None:
    numbered = Spelling.fit([f"Zone {i}" for i in range(1, 9)], [100] * 8)
    named = Spelling.fit(["Hamburg", "Bremen", "Kiel"], [400, 300, 100])
    assert numbered.misspelling("Zone 9", 0)[0] < named.misspelling("Hamburf", 0)[0] - 4
    evidence, meant = numbered.misspelling("Zpne 3", 0)  # a word that all levels have is misspelt all the same
    assert meant == "Zone 3"
    assert evidence > 5


@pytest.mark.parametrize(
    ("a", "b", "edits"), [("abc", "abc", 0), ("abc", "acb", 1), ("ab", "abc", 1), ("abc", "xyz", 3)]
)
def test_edits_are_counted_up_to_a_limit(a: str, b: str, edits: int) -> None:
    assert edit_distance(a, b, 2) == min(edits, 3)


def test_a_value_that_many_rows_have_is_one_of_its_column_however_the_others_are_predicted() -> None:
    """Codes of hospitals: the one with the highest code is predicted by nothing, and is there all the same."""
    rng = np.random.default_rng(0)
    codes = np.append(np.linspace(2, 5, 21), 9.1)
    frame = pd.DataFrame({"hospital": codes[rng.choice(22, 2000, p=[*[0.93 / 21] * 21, 0.07])]})
    for name in ("a", "b", "c"):
        frame[name] = rng.normal(size=2000)
    model = OutlierModel.fit(frame, dict.fromkeys(frame, "number"), np.random.default_rng(0))
    evidence = model.cells.evidence(model.cells.raw(model.view.prepare(frame)))
    column = model.cells.columns.index("hospital")
    assert np.median(evidence.residual[frame["hospital"] == 9.1, column]) == 0.0
    other = model.cells.evidence(model.cells.raw(model.view.prepare(frame.assign(hospital=8.9))))
    assert np.median(other.residual[:, column]) > 3.0
