"""Several tags a row: from cells to scores, what is found, what commands do with it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import QUICK, Outcome
from sklearn.metrics import roc_auc_score

import lossval_cli
from lossval_cli import LossvalError
from lossval_cli.losses import binary_cross_entropy
from lossval_cli.noise.tag_errors import corrected_tags, find_wrong_tags
from lossval_cli.review.session import Session

FAST: dict[str, Any] = {"epochs": 4, "members": 4, "effort": "low"}
TAGS = np.array(["film", "music", "news", "sport"])


def tables(rows: int, seed: int, share: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 4), given tags (n, 4) and which of them were turned, one in a `share` of the rows."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 4)).astype(np.float32)
    directions = np.random.default_rng(9).normal(size=(4, 4))
    has = X @ directions + 0.3 * rng.normal(size=(rows, 4)) > [0.3, 0.6, 0.9, 1.2]
    turned = np.zeros_like(has)
    chosen = rng.choice(rows, round(share * rows), replace=False)
    turned[chosen, rng.integers(0, 4, len(chosen))] = True
    return X, has ^ turned, turned


def frame(X: np.ndarray, has: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(X.round(4), columns=["a", "b", "c", "d"]).assign(tags=[TAGS[row].tolist() for row in has])


@pytest.fixture(scope="module")
def result() -> lossval_cli.Result:
    X, has, _ = tables(300, 0)
    trusted, right, _ = tables(100, 1, share=0)
    return lossval_cli.score(frame(X, has), frame(trusted, right), label="tags", **FAST)


@pytest.mark.slow
def test_turned_tags_are_found_in_rows_and_tag_by_tag(result: lossval_cli.Result) -> None:
    turned = tables(300, 0)[2]
    scores = result.scores.sort_values("row")
    by_tag = scores[[f"label_noise_probability:{tag}" for tag in TAGS]].to_numpy()
    assert roc_auc_score(turned.ravel(), by_tag.ravel()) > 0.9
    assert roc_auc_score(turned.any(axis=1), scores["label_noise_probability"]) > 0.85
    assert roc_auc_score(turned.any(axis=1), -scores["importance"]) > 0.75
    suspects = scores["suspect"].str.contains("label").to_numpy()
    assert suspects.any() and turned.any(axis=1)[suspects].mean() > 0.6


@pytest.mark.slow
def test_a_suspect_row_is_given_other_tags_and_a_reason(result: lossval_cli.Result) -> None:
    row = next(one for one in result.report["suspects"] if one["suspect"] == "label")
    assert row["suggested"] not in (None, ";".join(sorted(row["given"])))
    assert row["reason"].startswith("Labelled ") and "to which the model gives" in row["reason"]
    assert (
        result.report["data"]["roles"] | {"task": "multilabel", "classes": tuple(TAGS)}
        == result.report["data"]["roles"]
    )
    assert result.removal is None and any("no removal study" in text for text in result.report["notices"])
    assert "film" in result.to_html()


@pytest.mark.slow
def test_right_tags_are_left_alone() -> None:
    X, has, _ = tables(300, 2, share=0)
    clean = lossval_cli.score(frame(X, has), label="tags", **FAST)
    assert (clean.scores["suspect"].str.contains("label")).mean() < 0.03


@pytest.mark.slow
def test_text_with_a_separator_is_the_same_as_lists(result: lossval_cli.Result) -> None:
    X, has, _ = tables(300, 0)
    trusted, right, _ = tables(100, 1, share=0)
    text, val = (
        frame(*pair).assign(tags=[" | ".join(TAGS[row][::-1]) or "|" for row in pair[1]])
        for pair in ((X, has), (trusted, right))
    )
    again = lossval_cli.score(text, val, label="tags", multi_label="|", **FAST)
    assert np.allclose(again.scores["importance"], result.scores["importance"])
    assert again.dataset.labels.names == result.dataset.labels.names


@pytest.mark.slow
def test_own_predictions_are_one_probability_a_tag() -> None:
    X, has, turned = tables(200, 3)
    p = np.where(has ^ turned, 0.95, 0.05)
    p[:20] = 0.5
    scored = lossval_cli.score(frame(X, has), label="tags", predictions=p, **FAST).scores.sort_values("row")
    assert roc_auc_score(turned[20:].any(axis=1), scores := scored["label_noise_probability"][20:]) > 0.95
    named = pd.DataFrame(p, columns=TAGS)[TAGS[::-1]]
    same = lossval_cli.score(frame(X, has), label="tags", predictions=named, **FAST).scores.sort_values("row")
    assert np.allclose(same["label_noise_probability"][20:], scores)
    for wrong, message in (
        (p[:, :3], "has 4 tags"),
        (p + 1, "not a probability"),
        (np.where(p > 0.9, np.nan, p), "no pred"),
    ):
        with pytest.raises(LossvalError, match=message):
            lossval_cli.score(frame(X, has), label="tags", predictions=wrong, **FAST)


def test_the_loss_is_that_of_torch() -> None:
    logits, target = torch.randn(3, 5, 4), torch.randint(0, 2, (5, 4)).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, target.expand(3, 5, 4), reduction="none"
    ).mean(-1)
    assert torch.allclose(binary_cross_entropy(logits, target), expected, atol=1e-6)


@pytest.mark.slow
def test_a_loss_of_ones_own_gets_a_matrix_of_tags() -> None:
    X, has, _ = tables(60, 4)
    own = torch.nn.BCEWithLogitsLoss(reduction="none")
    given = lossval_cli.score(frame(X, has), label="tags", loss=own, **FAST).scores
    plain = lossval_cli.score(frame(X, has), label="tags", **FAST).scores
    assert np.allclose(given["importance"], plain["importance"], rtol=1e-3)


@pytest.mark.slow
def test_a_tag_of_one_row_or_of_all_rows_is_not_doubted() -> None:
    X, has, _ = tables(150, 5)
    Y = np.column_stack([has, np.arange(150) == 3, np.ones(150)]).astype(np.float32)
    found = find_wrong_tags(X, Y, np.clip(Y.mean(axis=0), 0.01, 0.99) + np.zeros_like(Y, np.float64))
    assert found.tags is not None and found.tags.shape == (150, 6)
    assert found.tags[3, 4] == 0 and found.tags[:, 5].max() < 0.4


def test_corrected_tags_turn_what_is_probably_wrong_and_the_worst_of_a_suspect() -> None:
    has = np.array([[True, False], [True, True], [False, False]])
    wrong = np.array([[0.9, 0.8], [0.1, 0.2], [0.3, 0.1]])
    suspect = np.array([True, False, True])
    assert corrected_tags(has, wrong, suspect).tolist() == [[False, True], [True, True], [True, False]]


@pytest.mark.slow
def test_the_commands_after_score(cli: Callable[..., Outcome], tmp_path: Path) -> None:
    X, has, _ = tables(150, 6, share=0.2)
    frame(X, has).assign(tags=[";".join(TAGS[row]) or "none" for row in has]).to_csv("t.csv", index=False)
    assert cli("score", "t.csv", "--label", "tags", "--multi-label", ";", *QUICK).code == 0
    assert cli("check", "t.lossval", "--max-suspects", "90%").code == 0
    outcome = cli("clean", "t.lossval", "-o", "c.csv", "--relabel", "--min-probability", "40%")
    assert outcome.code == 0
    before, after = pd.read_csv("t.csv"), pd.read_csv("c.csv")
    scores = pd.read_csv("t.lossval/scores.csv").set_index("row")
    changed = np.flatnonzero(before["tags"] != after["tags"])
    assert len(changed) and (after["tags"][changed] == scores["predicted"][changed]).all()
    session = Session(Path("t.lossval"), "ann")
    assert not session.is_new_label("sport; film") and session.is_new_label("film;opera")
    assert set(session.cards.classes) <= set(before["tags"])
    index = next(i for i, item in enumerate(session.items) if before["tags"][item.row] != "film;sport")
    session.decide([index], "relabel", value=" sport;film; sport")
    with pytest.raises(LossvalError, match="type the right labels"):
        session.decide([index], "relabel", value=" ; ")
    assert cli("clean", "t.lossval", "-o", "d.csv", "--decisions").code == 0
    decided = pd.read_csv("d.csv")["tags"]
    (row,) = np.flatnonzero(before["tags"] != decided)
    assert row == session.items[index].row and decided[row] == "film;sport"
    assert cli("report", "t.lossval", "-o", "page.html").code == 0
    before[:140].to_csv("shorter.csv", index=False)
    assert cli("score", "shorter.csv", "--label", "tags", "--multi-label", ";", *QUICK).code == 0
    assert "0 added, 10 removed" in (found := cli("diff", "t.lossval", "shorter.lossval")).out + found.err
    assert "multilabel with 5 tags" in cli("validate", "t.csv", "--label", "tags", "--multi-label", ";").out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--multi-label", ","), "no cell of label column tags holds it"),
        (("--multi-label", ";", "--model", "forest"), "predicts one label a row"),
        (("--multi-label", ";", "--model", "sklearn.naive_bayes:GaussianNB"), "predicts one label a row"),
        (("--multi-label", ";", "--preset", "paper"), "preset paper knows one label a row"),
        (("--multi-label", ";", "--task", "regression"), "rows of label tags have several tags"),
        (("--multi-label", ";", "--ordered"), "the task is several tags a row"),
        (("--multi-label", ";", "--metric", "accuracy"), "--metric is for the removal study"),
        (("--multi-label", ";", "--set", "loss=huber"), "the task is multilabel"),
        (("--multi-label", ";", "--decisions", "d.csv"), "--decisions knows one label a row"),
        (("--multi-label", ";", "--val", "unseen.csv"), "validation tag 'opera' is in no training row"),
    ],
)
def test_what_does_not_go_together_is_refused(
    cli: Callable[..., Outcome], tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    X, has, _ = tables(40, 7)
    table = frame(X, has).assign(tags=[";".join(TAGS[row]) or "none" for row in has])
    table.to_csv("t.csv", index=False)
    table.assign(tags="film;opera").to_csv("unseen.csv", index=False)
    outcome = cli("score", "t.csv", "--label", "tags", *options, "--quiet")
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1
    assert not Path("t.lossval").exists()


def test_too_many_tags_and_a_run_that_calibrates_are_refused() -> None:
    X, has, _ = tables(70, 8)
    many = frame(X, has).assign(tags=[[f"t{row}", "x"] for row in range(70)])
    with pytest.raises(LossvalError, match="71 different tags, at most 62"):
        lossval_cli.score(many, label="tags", **FAST)
    with pytest.raises(LossvalError, match="calibrate plants one wrong label a row"):
        lossval_cli.calibrate(frame(X, has), label="tags")
