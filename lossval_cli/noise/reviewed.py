"""Probabilities of rows that nobody has reviewed yet, given the decisions of reviewers about others.

Reviewed rows are a biased sample: most were shown since they were suspect. A forest learns the true label of reviewed
rows from features and predictions, and its doubts of a given label are averaged with the estimate, as log-odds. How
often rows are wrong is another matter: it is estimated in two strata, rows as probable as those that were shown for
their probability, and all others, for which the rows drawn at random stand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, logsumexp, softmax
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.preprocessing import StandardScaler

from lossval_cli.features.reviewed import ReviewedRows
from lossval_cli.noise.flags import choose_suspects, with_mean
from lossval_cli.noise.label_errors import NoiseEstimate
from lossval_cli.noise.stacking import fill_classes, log_ratios
from lossval_cli.noise.stacking import own as own_class
from lossval_cli.runtime.row_loader import RowSource

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FEWEST_DECISIONS = 20
"""Decisions below which no model is fitted."""
FEWEST_OF_A_KIND = 5
"""Labels that were wrong, and rows of another true label than the most frequent one, at least."""

TREES = 150
SMALLEST_LEAF = 3

ANCHOR_WEIGHT = 0.5
"""As many rows that nobody has decided about keep the forest from extrapolating: with their given labels, each with
this weight times the probability that the label is right."""

WEIGHTS = np.linspace(0.0, 0.7, 8)
PRIOR_WEIGHT, WEIGHT_DEVIATION = 0.4, 0.2
"""The forest's share of the log-odds, and its prior: on six defect tables 0.3 to 0.7 were equally good after 50
decisions (docs/research/review.md). The decisions themselves, predicted by trees that did not see them, correct it."""

CLOSEST = 0.01
"""Probabilities nearer to 0 and 1 count as this far from them."""

TRACE = 1e-3
"""Share of log-odds beyond CLOSEST that is kept, so that the surest rows keep their order."""

SHIFTS = np.linspace(-5.0, 5.0, 401)
SHIFT_DEVIATION = 1.25
"""Prior of the shift of all log-odds of the reviewed stratum: N(0, 1.25²)."""

PRIOR_ROWS = 20.0
"""Random rows that the run's own probabilities of other rows are worth."""

BLOCK_ROWS = 1 << 15


class _Learned(NamedTuple):
    """One part, label or features, of N rows."""

    probability: Floats  # (N,)
    low: float  # interval of the share of wrong rows
    high: float


def learn_from_reviews(
    noise: NoiseEstimate, reviewed: ReviewedRows, X: RowSource, predictions: Floats, y: npt.NDArray[np.generic]
) -> NoiseEstimate:
    """The estimate with what was decided: decided rows are right or wrong for certain and are never flagged; others
    follow what was found in rows like them.

    X (N, D), out-of-fold predictions (N, K) or (N,), labels y (N,) as encoded.
    """
    unclear = reviewed.wrong_label & reviewed.wrong_features & (reviewed.true_class < 0)
    by_label = noise.label_probability[reviewed.rows] >= noise.feature_probability[reviewed.rows]
    reviewed = reviewed._replace(
        wrong_label=reviewed.wrong_label & (by_label | ~unclear),
        label_was_wrong=reviewed.label_was_wrong & (by_label | ~unclear),
        wrong_features=reviewed.wrong_features & (~by_label | ~unclear),
    )
    # Decisions about cells say little of other rows' cells, which are wrong in other ways, and nothing of labels.
    features = _only_decided(noise.feature_probability, reviewed.rows, reviewed.wrong_features)
    if reviewed.wrong_label.any() or not reviewed.wrong_features.any():
        doubts = _Doubts(X, predictions, y, reviewed, noise.label_probability)
        label = _learn(noise.label_probability, reviewed, reviewed.wrong_label, doubts)
    else:
        label = _only_decided(noise.label_probability, reviewed.rows, reviewed.wrong_label)
    is_open = np.ones(len(y), np.bool_)
    is_open[reviewed.rows] = False
    label_suspect, label_threshold = _flags(label.probability, is_open)
    feature_suspect, feature_threshold = _flags(features.probability, is_open)
    probability = 1 - (1 - label.probability) * (1 - features.probability)
    share = float(probability.mean())
    return noise._replace(
        probability=probability,
        label_probability=label.probability,
        feature_probability=features.probability,
        label_suspect=label_suspect,
        feature_suspect=feature_suspect,
        label_threshold=label_threshold,
        feature_threshold=feature_threshold,
        share=share,
        share_low=min(share, 1 - (1 - label.low) * (1 - features.low)),
        share_high=max(share, 1 - (1 - label.high) * (1 - features.high)),
    )


def without_decided(noise: NoiseEstimate, reviewed: ReviewedRows) -> NoiseEstimate:
    """The same, with no flag on a row that somebody has decided about."""
    label, features = noise.label_suspect.copy(), noise.feature_suspect.copy()
    label[reviewed.rows] = features[reviewed.rows] = False
    return noise._replace(label_suspect=label, feature_suspect=features)


class _Doubts:
    """A forest's probability, fitted on the reviewed rows, that given labels are wrong."""

    def __init__(
        self,
        X: RowSource,
        predictions: Floats,
        y: npt.NDArray[np.generic],
        reviewed: ReviewedRows,
        probability: Floats,
    ) -> None:
        self._X, self._predictions, self._y = X, predictions, y
        if predictions.ndim == 2:
            known = reviewed.true_class >= 0
            self._rows, self._target = reviewed.rows[known], reviewed.true_class[known]
        else:
            self._rows, self._target = reviewed.rows, reviewed.wrong_label.astype(np.int64)
        self.decisions, self.wrong = len(self._rows), int(reviewed.label_was_wrong.sum())
        others = np.setdiff1d(np.arange(len(y)), reviewed.rows)
        anchors = np.random.default_rng(0).choice(others, min(len(others), self.decisions), replace=False)
        given = y[anchors].astype(np.int64) if predictions.ndim == 2 else np.zeros(len(anchors), np.int64)
        self._fitted = np.concatenate([self._rows, anchors])
        self._labels = np.concatenate([self._target, given])
        self._weights = np.concatenate([np.ones(self.decisions), ANCHOR_WEIGHT * (1 - probability[anchors])])

    @property
    def are_known(self) -> bool:
        """True if there are enough decisions, of more than one kind, and enough labels that were wrong."""
        counts = np.bincount(self._target, minlength=2)
        fewest = min(self.wrong, self.decisions - int(counts.max()))
        return self.decisions >= FEWEST_DECISIONS and fewest >= FEWEST_OF_A_KIND

    def log_odds(self) -> Floats:
        """Return the log-odds (N,) that each given label is wrong; of the reviewed rows by trees that did not draw
        them."""
        inputs = self._inputs(self._fitted)
        scaler = StandardScaler().fit(inputs)
        forest = ExtraTreesClassifier(
            TREES, min_samples_leaf=SMALLEST_LEAF, max_features=0.3, bootstrap=True, oob_score=True, random_state=0
        ).fit(scaler.transform(inputs), self._labels, self._weights)
        N = len(self._y)
        doubt = np.empty(N)
        for start in range(0, N, BLOCK_ROWS):
            part = np.arange(start, min(start + BLOCK_ROWS, N))
            doubt[part] = self._doubt(forest.predict_proba(scaler.transform(self._inputs(part))), forest.classes_, part)
        drawn = np.nan_to_num(forest.oob_decision_function_, nan=1 / len(forest.classes_))
        doubt[self._fitted] = self._doubt(drawn, forest.classes_, self._fitted)
        result: Floats = logit(np.clip(doubt, 2 * CLOSEST, 1 - 2 * CLOSEST))
        return result

    def _inputs(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Return the inputs (n, F)."""
        said = self._predictions[rows]
        if said.ndim == 2:
            about = log_ratios(said)
        else:
            own = self._y[rows].astype(np.float64)
            about = np.stack([said, own, own - said, np.abs(own - said)], axis=1)
        return np.hstack([self._X[rows], about]).astype(np.float64)

    def _doubt(self, probabilities: Floats, classes: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Floats:
        """Return (n,) the probability that the given label is not the true one."""
        if self._predictions.ndim == 1:
            return probabilities[:, list(classes).index(1)]
        full = fill_classes(probabilities, classes, self._predictions.shape[1])
        return 1 - own_class(full, self._y[rows].astype(np.int64))


def _only_decided(prior: Floats, rows: npt.NDArray[np.int64], wrong: Bools) -> _Learned:
    """Return what was decided, and the prior of other rows."""
    probability = prior.copy()
    probability[rows] = wrong
    share = float(probability.mean())
    error = 1.64 * float(np.sqrt((probability * (1 - probability)).sum())) / len(prior)
    return _Learned(probability, max(0.0, share - error), min(1.0, share + error))


def _learn(prior: Floats, reviewed: ReviewedRows, wrong: Bools, doubts: _Doubts) -> _Learned:
    """Learn from the reviewed rows. prior (N,); wrong (R,) of the reviewed rows."""
    rows, N = reviewed.rows, len(prior)
    odds = logit(np.clip(prior, CLOSEST, 1 - CLOSEST))
    odds = odds + TRACE * (logit(np.clip(prior, 1e-9, 1 - 1e-9)) - odds)  # the surest keep their order
    before = odds
    if doubts.are_known:
        doubted = doubts.log_odds()
        weight = _forest_weight(odds[rows], doubted[rows], wrong)
        odds = (1 - weight) * odds + weight * doubted
    own = odds[rows]  # (R,) out-of-fold
    probability = expit(odds)

    shown = ~reviewed.is_random
    is_open = np.ones(N, np.bool_)
    is_open[rows] = False
    alike = np.zeros(N, np.bool_)  # the stratum of rows that are as probable as those that were shown
    low = high = float(wrong.sum())
    shift = 0.0  # of the run's own log-odds
    if shown.any():
        shift = float(softmax(_log_posterior(before[rows[shown]], wrong[shown])) @ SHIFTS)
        alike = is_open & (prior >= np.quantile(prior[rows[shown]], 0.05))
        posterior = softmax(_log_posterior(own[shown], wrong[shown]))
        if alike.any():
            by_shift = expit(odds[alike][:, None] + SHIFTS[::5])  # (n, 81)
            coarse = posterior[::5] / posterior[::5].sum()
            probability[alike] = by_shift @ coarse
            expected = by_shift.sum(axis=0)
            spread = float(np.sqrt((by_shift * (1 - by_shift)).sum(axis=0) @ coarse))
            low += float(_quantile(expected, coarse, 0.05)) - spread
            high += float(_quantile(expected, coarse, 0.95)) + spread
    others = is_open & ~alike
    if others.any():
        prior_mean = float(expit(before[others] + shift).mean())
        drawn = reviewed.is_random
        found, seen = int(wrong[drawn].sum()), int(drawn.sum())
        mean = (found + PRIOR_ROWS * prior_mean) / (seen + PRIOR_ROWS)
        probability[others] = with_mean(probability[others], mean)
        error = float(np.sqrt(mean * (1 - mean) / (seen + PRIOR_ROWS)))
        low += others.sum() * max(0.0, mean - 1.64 * error)
        high += others.sum() * min(1.0, mean + 1.64 * error)
    probability[rows] = wrong
    return _Learned(probability, max(0.0, low) / N, min(float(N), high) / N)


def _forest_weight(odds: Floats, doubted: Floats, wrong: Bools) -> float:
    """Posterior mean of the weight of the forest's log-odds of R decided rows, against those of the run."""
    fits = np.array([logsumexp(_log_posterior((1 - w) * odds + w * doubted, wrong)) for w in WEIGHTS])
    fits -= 0.5 * ((WEIGHTS - PRIOR_WEIGHT) / WEIGHT_DEVIATION) ** 2
    return float(softmax(fits) @ WEIGHTS)


def _log_posterior(odds: Floats, wrong: Bools) -> Floats:
    """Return the log posterior over SHIFTS of all log-odds (R,), given which rows were wrong."""
    along = odds[:, None] + SHIFTS  # (R, shifts)
    likelihood = -np.logaddexp(0.0, np.where(wrong[:, None], -along, along)).sum(axis=0)
    result: Floats = likelihood - 0.5 * (SHIFTS / SHIFT_DEVIATION) ** 2
    return result


def _flags(probability: Floats, is_open: Bools) -> tuple[Bools, float]:
    flagged = np.zeros(len(probability), np.bool_)
    if not is_open.any():
        return flagged, 1.0
    flagged[is_open], threshold = choose_suspects(probability[is_open])
    return flagged, threshold


def _quantile(values: Floats, weight: Floats, q: float) -> float:
    """Quantile of ascending values (n,) with weights (n,)."""
    return float(np.interp(q, np.cumsum(weight), values))
