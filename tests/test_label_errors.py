"""What is said of labels holds whatever the table: hard labels are right, copies do not vote for themselves, trusted
rows show what calibration cannot, and what lies beyond everything is found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from lossval_cli.noise.class_errors import find_wrong_classes
from lossval_cli.noise.class_flips import estimate_class_flips
from lossval_cli.noise.flags import choose_suspects
from lossval_cli.noise.label_estimates import LabelErrors, Trusted
from lossval_cli.noise.number_errors import find_wrong_numbers
from lossval_cli.noise.number_mixture import Scores
from lossval_cli.noise.out_of_fold import FOLDS, draw_folds
from lossval_cli.noise.random_flips import estimate_flips
from lossval_cli.noise.trusted_labels import log_ratio_of_ranks
from lossval_cli.runtime.own_estimators import own_estimators

pytestmark = pytest.mark.slow


def table(rows: int, seed: int = 0, columns: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def out_of_fold(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Stands in for the networks."""
    return cross_val_predict(LogisticRegression(), X, y, cv=5, method="predict_proba")


@own_estimators()
def find(X: np.ndarray, y: np.ndarray, **options: object) -> LabelErrors:
    return find_wrong_classes(X, y, out_of_fold(X, y), **options)  # type: ignore[arg-type]


def suspect(errors: LabelErrors) -> np.ndarray:
    return choose_suspects(errors.probability)[0]


def events(X: np.ndarray, strength: float, seed: int = 1) -> np.ndarray:
    """Right labels: an event whose chance the features explain in part."""
    chance = expit(strength * (X[:, 0] + X[:, 1]))
    return (np.random.default_rng(seed).random(len(X)) < chance).astype(np.int64)


def flipped(y: np.ndarray, share: float, K: int = 2, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(y)) < share
    return np.where(wrong, (y + rng.integers(1, K, len(y))) % K, y), wrong


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_labels_that_are_hard_to_predict_are_not_called_wrong(strength: float) -> None:
    X = table(1000)
    assert suspect(find(X, events(X, strength))).mean() <= 0.02


def test_rows_that_lack_what_explains_their_label_are_not_flagged_for_it() -> None:
    """A sensor is off in four of ten rows: their labels are hard to predict, those of the others are not."""
    X = table(1000, 5)
    y = (X.sum(axis=1) > 0).astype(np.int64)
    X[np.random.default_rng(5).random(1000) < 0.4, 2:] = 0
    assert suspect(find(X, y)).mean() <= 0.03


def test_labels_that_no_feature_explains_are_never_flagged() -> None:
    X = table(600)
    errors = find(X, np.random.default_rng(1).integers(0, 4, 600))
    assert not suspect(errors).any()
    assert errors.skill < 0.05


def test_flips_among_clear_labels_are_found_and_counted() -> None:
    X = table(1200)
    y, wrong = flipped((X[:, 0] + X[:, 1] > 0).astype(np.int64), 0.1)
    errors = find(X, y)
    assert roc_auc_score(wrong, errors.probability) > 0.95
    assert wrong[suspect(errors)].mean() > 0.75
    assert suspect(errors)[wrong].mean() > 0.6
    assert errors.low <= 0.1 <= errors.high
    assert errors.share == pytest.approx(0.1, abs=0.04)


def test_flips_among_many_classes_are_found() -> None:
    X = table(1000, columns=2) * 0.3
    K = 6
    true = np.arange(1000) % K
    X += 2 * np.stack([np.cos(true * np.pi / 3), np.sin(true * np.pi / 3)], axis=1).astype(np.float32)
    y, wrong = flipped(true, 0.15, K)
    errors = find(X, y)
    assert roc_auc_score(wrong, errors.probability) > 0.97
    assert wrong[suspect(errors)].mean() > 0.85


def test_the_names_of_classes_do_not_matter() -> None:
    """Renaming is a permutation; what is drawn at random moves a little."""
    X = table(500)
    y, _ = flipped(np.digitize(X[:, 0] + X[:, 1], [-0.7, 0.7]), 0.1, 3)
    names = np.array([2, 0, 1])
    one, other = find(X, y), find(X, names[y])
    assert np.corrcoef(one.probability, other.probability)[0, 1] > 0.95
    assert abs(one.share - other.share) < 0.02


def test_a_copy_of_a_row_changes_no_other_row_much_and_does_not_vouch_for_itself() -> None:
    X = table(500)
    y, _ = flipped((X[:, 0] > 0).astype(np.int64), 0.08)
    network = out_of_fold(X, y)
    before = find_wrong_classes(X, y, network)
    worst = int(before.probability.argmax())
    again = [*range(500), worst]
    after = find_wrong_classes(X[again], y[again], network[again], units=np.array(again))
    assert abs(after.probability[worst] - before.probability[worst]) < 0.1
    assert after.probability[worst] == pytest.approx(after.probability[-1], abs=1e-6)
    assert np.abs(np.delete(after.probability[:500] - before.probability, worst)).mean() < 0.02


def test_rows_of_one_unit_share_a_fold() -> None:
    rng = np.random.default_rng(0)
    units, strata = rng.integers(0, 60, 400), rng.integers(0, 3, 400)
    fold = draw_folds(strata, units, 7)
    assert all(len(np.unique(fold[units == unit])) == 1 for unit in np.unique(units))
    assert set(fold) == set(range(FOLDS))


def test_the_only_row_of_its_class_is_not_flagged() -> None:
    X = table(300)
    y = (X[:, 0] > 0).astype(np.int64)
    y[7] = 2
    network = np.tile([0.5, 0.49, 0.01], (300, 1))
    errors = find_wrong_classes(X, y, network)
    assert errors.class_too_small[7]
    assert errors.probability[7] == 0
    assert not suspect(errors)[7]


def test_a_rare_class_that_overlaps_is_not_noise() -> None:
    X = table(1000)
    y = (np.random.default_rng(3).random(1000) < expit(X[:, 0] + X[:, 1] - 4.2)).astype(np.int64)
    assert suspect(find(X, y)).mean() <= 0.02


def systematic(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, true labels, and labels by a rule of thumb that knows one feature: every model learns the rule."""
    X = table(rows, seed)
    true = (X[:, 0] + X[:, 1] > 0.3).astype(np.int64)
    return X, true, (X[:, 0] > 0.3).astype(np.int64)


def trusted_rows(X: np.ndarray, y: np.ndarray, own: np.ndarray, given: np.ndarray) -> Trusted:
    predictions = LogisticRegression().fit(own, given).predict_proba(X)
    return Trusted(X, y, predictions, np.full(len(X), -1))


def test_trusted_rows_show_errors_that_follow_the_features() -> None:
    X, true, given = systematic(800, 0)
    X_trusted, true_trusted, _ = systematic(200, 1)
    wrong = given != true
    without = find(X, given)
    errors = find(X, given, trusted=trusted_rows(X_trusted, true_trusted, X, given))
    assert roc_auc_score(wrong, errors.probability) > roc_auc_score(wrong, without.probability) + 0.1
    assert wrong[suspect(errors)].mean() > 0.7
    assert suspect(errors)[wrong].mean() > 0.6
    assert errors.low <= wrong.mean() <= errors.high


def test_trusted_rows_that_agree_leave_hard_labels_alone() -> None:
    X, X_trusted = table(800), table(300, 5)
    y = events(X, 1.0)
    trusted = trusted_rows(X_trusted, events(X_trusted, 1.0, 6), X, y)
    assert suspect(find(X, y, trusted=trusted)).mean() <= 0.02


def test_trusted_rows_that_speak_against_errors_silence_the_usual_doubts() -> None:
    """Without them, the labels that contradict most are flagged in every table: one in a hundred."""
    flagged = []
    for seed in range(3):
        X = table(2500, seed)
        y = events(X, 1.5, seed)
        trusted = trusted_rows(X[2000:], y[2000:], X[:2000], y[:2000])
        flagged.append(suspect(find(X[:2000], y[:2000], trusted=trusted)).mean())
    assert np.mean(flagged) <= 0.005


def test_a_kind_of_flip_that_hardly_ever_happens_clears_no_label() -> None:
    """Of 0s, some that look like 1s are called 1; of 1s, three in ten are called 0."""
    X, rng = table(1800, 0, 6), np.random.default_rng(0)
    true = (rng.random(1800) < expit(2 * X[:, 0] + X[:, 1] - 1)).astype(np.int64)
    wrong = np.where(true == 1, rng.random(1800) < 0.3, (X[:, 0] > 1) & (rng.random(1800) < 0.5))
    given = np.where(wrong, 1 - true, true)[:1500]
    errors = find(X[:1500], given, trusted=trusted_rows(X[1500:], true[1500:], X[:1500], given))
    overlooked = wrong[:1500] & (given == 1)
    assert errors.probability[overlooked].mean() > 0.01


def test_a_handful_of_trusted_rows_changes_little() -> None:
    X = table(800)
    y, _ = flipped((X[:, 0] > 0).astype(np.int64), 0.1)
    X_trusted = table(8, 5)
    trusted = trusted_rows(X_trusted, (X_trusted[:, 0] > 0).astype(np.int64), X, y)
    one, other = find(X, y), find(X, y, trusted=trusted)
    assert abs(suspect(one).mean() - suspect(other).mean()) < 0.02


def test_a_handful_of_trusted_rows_leaves_open_how_many_labels_are_wrong() -> None:
    X, X_trusted = table(800), table(300, 5)
    y, y_trusted = events(X, 1.0), events(X_trusted, 1.0, 6)
    none = find(X, y).high
    few, many = (find(X, y, trusted=trusted_rows(X_trusted[:n], y_trusted[:n], X, y)).high for n in (10, 300))
    assert few > 0.6 * none
    assert many < 0.6 * none


def test_an_expected_share_of_the_user_is_believed() -> None:
    X = table(400)
    errors = find(X, events(X, 1.5), expected_share=0.2)
    assert errors.probability.mean() == pytest.approx(0.2, abs=1e-3)
    y = X[:, 0] + np.random.default_rng(0).standard_normal(400)
    few, many = (find_wrong_numbers(X, y, np.zeros(400), expected_share=share) for share in (0.01, 0.2))
    assert many.share > 2 * few.share
    assert errors.low <= 0.2 <= errors.high


def test_trusted_rows_tell_flips_from_errors_that_follow_the_features() -> None:
    """How many labels are wrong is not the same question where one class is hit: half of class 0 are called 1."""
    X = table(1200)
    y = events(X, 3.0)
    trusted = Trusted(X[900:], y[900:], np.full((300, 2), 0.5), np.full(300, -1))
    flipped = (y[:900] == 0) & (np.random.default_rng(4).random(900) < 0.3)
    errors = find(X[:900], np.where(flipped, 1, y[:900]), trusted=trusted)
    assert errors.low <= flipped.mean() <= errors.high
    assert errors.high - errors.low < 0.2
    assert errors.share == pytest.approx(flipped.mean(), abs=0.05)


def test_flips_make_given_labels_harder_to_rank_than_trusted_ones_and_a_rule_makes_them_easier() -> None:
    for seed in range(5):
        rng, X = np.random.default_rng(100 + seed), table(2400, seed)
        true = events(X, 2.0, 200 + seed)
        flips = rng.random(2000) < np.where(true[:2000] == 1, 0.3, 0.02)
        by_rule = (X[:2000, 0] + 0.5 * rng.standard_normal(2000) > 1).astype(np.int64)
        for given, sign in ((np.where(flips, 1 - true[:2000], true[:2000]), -1), (by_rule, 1)):
            model = LogisticRegression().fit(X[:2000], given)
            own, trusted = (model.predict_proba(rows)[:, 1] for rows in (X[:2000], X[2000:]))
            wrong = np.array([np.mean(true[:2000][given == k] != k) for k in (0, 1)])[given]
            assert sign * log_ratio_of_ranks(own, given == 1, trusted, true[2000:] == 1, wrong) > 0.3


def test_flips_are_distinguished_from_hard_labels_by_the_surest_predictions() -> None:
    """Calibrated predictions of either kind, as likely to be right on average."""
    rng = np.random.default_rng(0)
    clear = 0.15 + 0.7 * expit(8 * rng.standard_normal(3000))  # labels that are clear, 15 % of them flipped
    hard = expit(2.6 * rng.standard_normal(3000))
    shares = []
    for chance in (clear, hard):
        y = (rng.random(3000) < chance).astype(np.int64)
        shares.append(estimate_flips(np.stack([1 - chance, chance], axis=1), y, 0).share)
    assert shares[0] == pytest.approx(0.15, abs=0.03)
    assert shares[1] < 0.03


@pytest.mark.parametrize("lost", [(0.0, 0.3), (0.15, 0.0), (0.1, 0.1)])
def test_which_of_two_classes_loses_labels_shows_in_the_predictions(lost: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    true_chance = expit(5 * rng.standard_normal(3000) - 2)
    true = (rng.random(3000) < true_chance).astype(np.int64)
    wrong = rng.random(3000) < np.array(lost)[true]
    given = np.where(wrong, 1 - true, true)
    chance = lost[0] + (1 - lost[0] - lost[1]) * true_chance
    found = estimate_class_flips(np.stack([1 - chance, chance], axis=1), given, 0, 3000)
    assert found.lost == pytest.approx(lost, abs=0.06)  # the grid is coarse
    assert (found.by_mistake > 0.5) == (max(lost) < 0.2)  # three in ten of one class may as well be unexplained


@pytest.mark.parametrize("threshold", [0.5, 1.0, 1.5])
def test_labels_that_no_feature_explains_in_part_of_the_table_are_not_called_flipped(threshold: float) -> None:
    """Beyond the threshold nearly all labels are 1, below it three in ten: as if three in ten of class 0 were wrong."""
    X = table(2000)
    y = (np.random.default_rng(1).random(2000) < np.where(X[:, 0] > threshold, 0.97, 0.3)).astype(np.int64)
    errors = find(X, y)
    assert suspect(errors).mean() < 0.02
    assert errors.low < 0.05


def test_labels_of_an_overlooked_class_are_doubted_first() -> None:
    """A class of a fifth of the rows, of which three in ten are labelled as the other one."""
    X = table(2000)
    true = (3 * X[:, 0] + 2 * X[:, 1] + np.random.default_rng(1).logistic(size=2000) > 3.5).astype(np.int64)
    overlooked = (true == 1) & (np.random.default_rng(2).random(2000) < 0.3)
    errors = find(X, np.where(overlooked, 0, true))
    assert roc_auc_score(overlooked, errors.probability) > 0.9
    assert overlooked[suspect(errors)].mean() > 0.6


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_a_frequent_class_that_nobody_predicts_surely_is_not_full_of_flips(strength: float) -> None:
    """Three classes, 80 : 12 : 8, explained in part, as health in surveys: right labels are left alone, and a tenth of
    flipped ones is still seen."""
    rng = np.random.default_rng(5)
    X = table(3000)
    scores = np.array([2.3, 0.4, 0.0]) + strength * X[:, :3]
    chance = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    y = (rng.random((3000, 1)) > chance.cumsum(axis=1)).sum(axis=1)
    flips = estimate_flips(chance, y, 0)
    assert flips.low < 0.01 and flips.share < 0.05
    errors = find(X, y)
    assert suspect(errors).mean() <= 0.02 and errors.low < 0.01
    if strength == 2.0:
        wrong_y, _ = flipped(y, 0.1, K=3)
        assert estimate_flips(out_of_fold(X, wrong_y), wrong_y, 0).high > 0.08


def test_one_sure_class_beside_hopeless_ones_is_not_taken_for_flips() -> None:
    """A seventh of the rows is predicted without a mistake, the rest not at all: flips would have hit both."""
    rng = np.random.default_rng(6)
    y = rng.integers(0, 7, 2100)
    X = table(2100)
    X[:, 0] = np.where(y == 0, 5, X[:, 0])
    chance = np.where((y == 0)[:, None], np.eye(7)[0], np.array([0, *[1 / 6] * 6]))
    errors = find_wrong_classes(X, y, chance, alone=True)
    assert suspect(errors).mean() <= 0.02 and errors.low < 0.01


@pytest.mark.parametrize("K", [2, 4])
def test_sets_of_like_rows_with_one_row_of_each_class_are_not_wrong(K: int) -> None:
    """Matched pairs, before and after: the nearest rows of each have another label, which says nothing."""
    X = np.repeat(table(800 // K), K, axis=0) + 0.05 * table(800 // K * K, seed=1)
    y = np.tile(np.arange(K), 800 // K)
    i = np.random.default_rng(2).permutation(len(y))
    errors = find_wrong_classes(X[i], y[i], np.full((len(y), K), 1 / K))
    assert suspect(errors).mean() <= 0.02 and errors.low < 0.01 and errors.skill < 0.05


def far_numbers(form: str, factor: float, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    X = table(1000)
    signal = X[:, 0] + 0.5 * X[:, 1]
    y = {
        "readings": 20 + 2 * signal + 0.5 * rng.standard_normal(1000),
        "prices": np.exp(5 + 0.6 * signal + 0.2 * rng.standard_normal(1000)),
    }[form]
    wrong = rng.random(1000) < share
    predicted = cross_val_predict(LogisticRegression(), X, y > np.median(y), method="predict_proba")[:, 1]
    network = np.quantile(y, predicted)
    return X, np.where(wrong, y * factor, y), network, wrong


@pytest.mark.parametrize(("form", "share"), [("readings", 0.002), ("prices", 0.02)])
def test_numbers_beyond_everything_are_flagged(form: str, share: float) -> None:
    X, y, network, wrong = far_numbers(form, 10.0, share)
    errors = find_wrong_numbers(X, y, network)
    assert suspect(errors)[wrong].mean() >= 0.95
    assert suspect(errors)[~wrong].mean() <= 0.015
    assert errors.share <= 0.06


def test_right_numbers_of_difficult_forms_are_not_flagged() -> None:
    rng = np.random.default_rng(5)
    X = table(800)
    x = X[:, 0].astype(np.float64)
    is_claim = rng.random(800) < 0.06
    forms = {
        "skewed, noiseless": np.exp(3 * x) - 5,
        "spread grows": x * (1 + np.abs(X[:, 1])) + np.abs(x) * rng.standard_normal(800),
        "zero-inflated by chance": np.where(is_claim, rng.gamma(2, 500, 800), 0.0),
        "unexplained": rng.standard_normal(800),
        "few claims": np.where(np.arange(800) % 20 == 3, rng.gamma(2, 500, 800), 0.0),
    }
    for form, y in forms.items():
        errors = find_wrong_numbers(X, y, np.full(800, np.median(y)))
        assert suspect(errors).mean() <= 0.02, form


def test_numbers_wrong_by_a_rule_are_seen_by_trusted_rows_alone() -> None:
    """Every label of one region is off by two; a model of the labels learns that."""
    rng = np.random.default_rng(0)
    X = table(1000)
    truth = X[:, 0] + 0.3 * rng.standard_normal(1000)
    wrong = X[:700, 1] > 1.2
    given = truth[:700] + 2 * wrong
    trusted = Trusted(X[700:], truth[700:], np.zeros(300), np.full(300, -1))
    alone = find_wrong_numbers(X[:700], given, np.zeros(700))
    helped = find_wrong_numbers(X[:700], given, np.zeros(700), trusted=trusted)
    assert roc_auc_score(wrong, helped.probability) > roc_auc_score(wrong, alone.probability) + 0.1
    assert suspect(helped)[~wrong].mean() < 0.02


def test_trusted_numbers_that_are_noisy_themselves_do_not_hide_errors() -> None:
    """A tenth of the trusted labels is another row's, as a tenth of the labels is."""
    rng = np.random.default_rng(1)
    X = table(1300)
    y = X[:, 0] + 0.3 * rng.standard_normal(1300)
    wrong = rng.random(1300) < 0.1
    y[wrong] = rng.permutation(y)[wrong]
    trusted = Trusted(X[1000:], y[1000:], np.zeros(300), np.full(300, -1))
    alone = find_wrong_numbers(X[:1000], y[:1000], np.zeros(1000))
    helped = find_wrong_numbers(X[:1000], y[:1000], np.zeros(1000), trusted=trusted)
    assert suspect(helped)[wrong[:1000]].mean() > suspect(alone)[wrong[:1000]].mean() - 0.1


def test_the_unit_of_a_number_does_not_matter() -> None:
    X, y, network, _ = far_numbers("readings", 10.0, 0.01)
    one, other = find_wrong_numbers(X, y, network), find_wrong_numbers(X, 1000 * y + 7, 1000 * network + 7)
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-6)


def test_scores_and_values_are_inverse() -> None:
    y = np.array([3.0, 1.0, 1.0, 8.0])
    scores = Scores.of(y)
    np.testing.assert_allclose(scores.value(scores.score(y)), y)


def test_few_kinds_of_rows_say_nothing_of_flips() -> None:
    """Who survived a shipwreck, by class, sex and age: a dozen kinds of passengers, each with a chance of its own. Even
    the surest of them is unsure by nature, which no number of copies turns into flips."""
    rng = np.random.default_rng(0)
    chance = np.array([0.03, 0.12, 0.14, 0.16, 0.17, 0.37, 0.49, 0.6, 0.88, 0.93, 0.95, 0.97])
    kind = rng.choice(12, 1300, p=[0.02, 0.1, 0.13, 0.12, 0.25, 0.07, 0.13, 0.02, 0.06, 0.04, 0.03, 0.03])
    y = (rng.random(1300) < chance[kind]).astype(np.int64)
    p = chance[kind] + rng.normal(0, 0.005, 1300)
    X = np.eye(12, dtype=np.float32)[kind]
    found = find_wrong_classes(X, y, np.stack([1 - p, p], axis=1))
    assert found.low == 0.0
    assert suspect(found).mean() <= 0.015
