"""The models that have a name: boosting, forest and linear."""

from __future__ import annotations

from typing import Any

PRESETS = ("boosting", "forest", "linear")

TREES = 200


def make_preset(name: str, *, is_classifier: bool, seed: int) -> Any:
    """A new scikit-learn estimator, strong enough to be used as it is and mild enough not to learn the errors."""
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seed %= 2**32
    if name == "linear":
        model = LogisticRegression(C=0.1, max_iter=300) if is_classifier else Ridge(10.0)
        return make_pipeline(StandardScaler(), model)
    if name == "forest":
        forest = ExtraTreesClassifier if is_classifier else ExtraTreesRegressor
        options = {} if is_classifier else {"max_features": 0.5}
        return forest(TREES, min_samples_leaf=3, random_state=seed, **options)
    boosting = HistGradientBoostingClassifier if is_classifier else HistGradientBoostingRegressor
    return boosting(max_iter=80, learning_rate=0.08, max_leaf_nodes=15, early_stopping=False, random_state=seed)
