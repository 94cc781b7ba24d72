"""`lossval acquire`: candidates are ranked by what features say of importance, and no two alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome, frame

from lossval_cli.runs.acquisition import forecast, pick

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("valued_once")]

Cli = Callable[..., Outcome]


@pytest.fixture
def run(cli: Cli, quick: tuple[str, ...], scored: Callable[..., None]) -> Cli:
    """`cli`, in a directory with a run, train.lossval, and a pool without labels, pool.csv."""
    scored("train.csv", "--val", "val.csv", *quick, "-q")
    frame(80, seed=2).drop(columns="label").to_csv("pool.csv", index=False)
    return cli


def acquired(run: Cli, *arguments: str) -> pd.DataFrame:
    outcome = run("acquire", "pool.csv", "--run", "train.lossval", *arguments, "-o", "next.csv", "--force")
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    return pd.read_csv("next.csv")


def test_rows_come_with_what_names_them(run: Cli) -> None:
    rows = acquired(run, "-n", "7")
    assert list(rows) == ["rank", "row", "line", "customer", "predicted_importance"]
    assert rows["rank"].tolist() == list(range(1, 8))
    assert (rows["line"] == rows["row"] + 2).all()
    assert (rows["customer"] == [f"c2-{row}" for row in rows["row"]]).all()
    assert rows["row"].is_unique and (rows["predicted_importance"] > 0).all()


def test_more_rows_than_there_are_gives_them_all(run: Cli) -> None:
    assert sorted(acquired(run, "-n", "1000")["row"]) == list(range(80))


def test_the_quality_of_the_prediction_is_said_and_quiet_is_quiet(run: Cli) -> None:
    said = run("acquire", "pool.csv", "--run", "train.lossval", "-n", "5").err
    assert said.startswith("5 of 80 rows of pool.csv; ") and "rank correlation" in said
    assert run("acquire", "pool.csv", "--run", "train.lossval", "-q").err == ""


def test_a_label_column_is_ignored_and_rows_may_come_from_standard_input(run: Cli) -> None:
    plain = run("acquire", "pool.csv", "--run", "train.lossval", "-n", "9").out
    pool = pd.read_csv("pool.csv").assign(label="no such label")
    piped = run("acquire", "-", "--run", "train.lossval", "-n", "9", stdin=pool.to_csv(index=False).encode())
    assert piped.code == 0 and piped.out == plain


def test_every_format_holds_the_same_rows(run: Cli) -> None:
    expected = acquired(run, "-n", "6")
    read = {".jsonl": lambda path: pd.read_json(path, lines=True), ".parquet": pd.read_parquet, ".csv.gz": pd.read_csv}
    for ending, reader in read.items():
        line = ("acquire", "pool.csv", "--run", "train.lossval", "-n", "6", "-o", "next" + ending)
        assert run(*line).code == 0
        pd.testing.assert_frame_equal(reader("next" + ending), expected, check_dtype=False)
        again = run(*line)
        assert again.code == 2 and "--force" in again.err


def test_an_id_with_the_name_of_our_column_keeps_both(cli: Cli, quick: tuple[str, ...]) -> None:
    for name in ("train", "val"):
        table = pd.read_csv(f"{name}.csv").rename(columns={"customer": "predicted_importance"})
        table.to_csv(f"{name}.csv", index=False)
    assert cli("score", "train.csv", "--val", "val.csv", "--id", "predicted_importance", *quick).code == 0
    out = cli("acquire", "val.csv", "--run", "train.lossval", "-n", "2").out
    assert out.splitlines()[0] == "rank,row,line,predicted_importance_given,predicted_importance"


def test_what_cannot_work_is_said_in_one_line(run: Cli) -> None:
    def refused(*arguments: str) -> str:
        outcome = run("acquire", *arguments)
        assert outcome.code == 2 and outcome.out == ""
        assert outcome.err.count("\n") == 1
        return outcome.err

    pd.read_csv("pool.csv").rename(columns={"size": "sizes"}).to_csv("other.csv", index=False)
    assert "lacks 1 column of train.csv: size; it has instead: sizes (for size?)\n" in refused(
        "other.csv", "--run", "train.lossval"
    )
    assert "no such run directory" in refused("pool.csv", "--run", "nowhere")
    assert "written to a .csv" in refused("pool.csv", "--run", "train.lossval", "-o", "somewhere")
    assert "SHA-256 differs" in refused("pool.csv", "--run", "train.lossval", "--data", "val.csv")
    Path("train.csv").rename("moved.csv")
    assert "give its path with --data FILE" in refused("pool.csv", "--run", "train.lossval")
    assert run("acquire", "pool.csv", "--run", "train.lossval", "--data", "moved.csv").code == 0
    record = json.loads(Path("train.lossval/run.json").read_text())
    del record["roles"]
    Path("train.lossval/run.json").write_text(json.dumps(record))
    assert "damaged" in refused("pool.csv", "--run", "train.lossval", "--data", "moved.csv")


def test_what_can_be_predicted_is_and_noise_is_not_taken_for_it() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3)).astype(np.float32)
    found = forecast(X, X[:, 0].astype(float), X[:5], rng)
    assert found.is_clear and found.interval[0] < found.correlation < found.interval[1]
    assert np.corrcoef(found.value, X[:5, 0])[0, 1] > 0.9
    assert not forecast(X, rng.standard_normal(300), X[:5], rng).is_clear
    assert not forecast(X, np.ones(300), X[:5], rng).is_clear


def test_rows_named_are_worth_most_and_unlike_one_another() -> None:
    """Nine rows at three centres are worth 2 and up, the others nothing: one of each centre is named."""
    rng = np.random.default_rng(0)
    centres = np.repeat([[0, 0], [5, 0], [0, 5]], 3, axis=0)
    X_pool = np.r_[centres + 0.01 * rng.random((9, 2)), 9 + rng.random((18, 2))].astype(np.float32)
    worth = np.r_[np.linspace(3, 2, 9), np.zeros(18)]
    named = pick(X_pool, worth, 3, rng)
    assert sorted(named // 3) == [0, 1, 2]
    assert (np.diff(worth[named]) <= 0).all()
    assert sorted(pick(X_pool, worth, 99, rng)) == list(range(27))
    alike = pick(X_pool[:1].repeat(9, axis=0), np.arange(9.0), 2, rng)
    assert len(set(alike.tolist())) == 2
