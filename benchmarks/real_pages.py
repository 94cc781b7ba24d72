"""docs/benchmarks/real.json -> docs/real-errors.md, and the table that README.md quotes. Nothing is measured here.

Means are over tables of a family, each counting the same. `document` and `readme_table` are functions of the
records alone, so that tests/project/test_benchmark_pages.py can compare the pages with them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import real_data, real_made
from lossval_cli.checks.rules import DEFAULTS, rules_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "real-errors.md"
README = ROOT / "README.md"
OWN = "lossval"
RIGHT = ("hard to predict, all right", "copies, all right", "public tables as they are")
"""Families in which every row is right."""
CELLS = "wrong cells: "
TITLES = {
    "real labels": "Real wrong labels",
    "real labels, trusted rows": "Real wrong labels, with trusted rows",
    "systematic labels, trusted rows": "Systematic label noise, many classes, with trusted rows",
    "planted flips": "Random label flips in large tables",
    "far values": "Values ten or twelve times too large",
    "wrong cells": "Wrong cells in 3 % of the rows",
}
WHAT = {
    "real labels": """\
Nine software releases labelled by a heuristic (the right labels are those of the developers), headlines labelled by a
lexicon, and arrival times that web sites copied from one another. Nobody planted these errors.""",
    "real labels, trusted rows": """\
The same releases with a fifth of their rows as trusted table, labelled by the developers; the headlines with 290 that
people labelled. Peers train on the trusted rows too.""",
    "systematic labels, trusted rows": """\
Public tables with 4 to 11 classes, with about 400 trusted rows. The labels come from a weak tree or from few
neighbours, or are confused between classes, or are wrong where they are hard to predict.""",
    "planted flips": """\
5 or 10 % of the labels replaced at random, up to 20,000 rows: the easiest kind of wrong label.""",
    "far values": """\
Meter readings ten times too large, ages in months, in 0.2 and 1 % of the rows.""",
    "wrong cells": """\
One wrong cell in about 3 % of the 3,000 rows of each table, with 600 trusted rows: outliers, wrong units, typos,
swapped categories and replaced letters made by tab_err 0.2.1; sentinels, rows shifted by a column and swapped columns
made by hand. Two further tables: software counts that contradict one another (JM1), zeros that mean missing (pima).""",
}
FIGURES = {
    "auroc": "AUROC",
    "ap": "AP",
    "flagged": "flagged",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "seconds": "CPU seconds",
}


def frame_of(data: dict[str, Any]) -> pd.DataFrame:
    """A row per record, with the broad family, seeds averaged; failures kept out."""
    records = pd.DataFrame(data["records"])
    records = records[records["failed"].isna()] if "failed" in records else records
    numbers = records.select_dtypes("number").columns.drop("seed")
    means = records.groupby(["family", "case", "method"], sort=False)[list(numbers)].mean().reset_index()
    limits = {rule.kind: float(rule.fail.number) for rule in rules_of(DEFAULTS, option=False)[0] if rule.fail}
    is_own = means["method"] == OWN
    fails = (means["flagged"] > limits["max_suspects"]) | (means["low"] > limits["max_noise_share"])
    means["gate"] = fails.astype(float).where(is_own)
    means["kind"] = means["family"].where(means["family"].isin(RIGHT), means["family"].str.split(": ").str[0])
    return means


def by_method(frame: pd.DataFrame) -> pd.DataFrame:
    """Methods x figures: means over the tables of a family; only tables that the first method was measured on."""
    table = frame.groupby("method", sort=False)[list(FIGURES)].mean()
    table.insert(0, "tables", frame.groupby("method", sort=False).size())
    return table.sort_values("ap", ascending=False, na_position="last", kind="stable")


# ---------------------------------------------------------------- Markdown


def number(value: object, figure: str) -> str:
    """How a figure is written; empty where there is none."""
    if not isinstance(value, (int, float)) or pd.isna(value):
        return ""
    if figure in ("flagged", "right_flagged", "share", "low", "high", "wrong"):
        return f"{value:.1%}"
    if figure in ("tables", "rows"):
        return f"{value:,.0f}"
    return f"{value:.1f}" if figure == "seconds" else f"{value:.2f}" if figure != "auroc" else f"{value:.3f}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def methods_table(table: pd.DataFrame) -> str:
    """Write every method of a family; the best of a column, as it is shown, is bold."""
    best = {figure: number(table[figure].max(), figure) for figure in ("auroc", "ap", "precision", "recall", "f1")}
    rows = []
    for method, values in table.iterrows():
        texts = [f"**{method}**" if method == OWN else str(method), number(float(values["tables"]), "tables")]
        for figure in FIGURES:
            text = number(float(values[figure]), figure)
            texts.append(f"**{text}**" if text and best.get(figure) == text else text)
        rows.append(texts)
    return markdown(["method", "tables", *FIGURES.values()], rows)


def kinds_table(cells: pd.DataFrame) -> str:
    """Kinds of wrong cells: average precision of lossval and of the best peer in each table, and lossval's flags."""
    rows = []
    for family, part in cells.groupby("family", sort=False):
        own = part[part["method"] == OWN]
        peers = part[(part["method"] != OWN) & part["case"].isin(own["case"])]
        best = peers.loc[peers.groupby("case")["ap"].idxmax()] if len(peers) else peers
        means = peers.groupby("method")["ap"].mean()
        one = f"{means.idxmax()} {means.max():.2f}" if len(means) else ""
        rows.append([
            str(family).removeprefix(CELLS).replace("_", " "),
            number(float(len(own)), "tables"),
            *(number(own[figure].mean(), figure) for figure in ("auroc", "ap")),
            number(best["ap"].mean(), "ap"),
            one,
            *(number(own[figure].mean(), figure) for figure in ("precision", "recall", "right_flagged")),
        ])  # fmt: skip
    head = ["kind", "tables", "AUROC", "AP", "best peer of each table, AP", "best single peer, AP"]
    return markdown([*head, "precision", "recall", "right rows flagged"], rows)


def shares_table(own: pd.DataFrame) -> str:
    """The stated share of noisy rows beside the truth, by family."""
    rows = []
    for family, part in own.groupby("kind", sort=False):
        rows.append([
            TITLES.get(str(family), str(family).capitalize()),
            number(float(len(part)), "tables"),
            *(number(part[figure].mean(), figure) for figure in ("wrong", "share", "low", "high")),
            f"{part['covers'].sum():.0f} of {len(part)}",
        ])  # fmt: skip
    return markdown(["family", "tables", "truth", "stated", "from", "to", "interval covers the truth"], rows)


def right_table(own: pd.DataFrame) -> str:
    """Tables without errors: what is flagged, and whether the default check passes."""
    rows = []
    for _, values in own.iterrows():
        low, high = (number(values[figure], figure) for figure in ("low", "high"))
        gate = "passes" if values["gate"] == 0 else "**fails**"
        size, flagged = number(values["rows"], "rows"), number(values["flagged"], "flagged")
        rows.append([values["family"], values["case"], size, flagged, f"{low} to {high}", gate])
    return markdown(["family", "table", "rows", "flagged", "stated share", "default check"], rows)


def gate_table(own: pd.DataFrame) -> str:
    """Tables with errors: of how many the default check fails, by the share of wrong rows."""
    rows = []
    for family, title in (TITLES | {FOR_THE_CHECK: "Flips and ages in months in 5 % of the rows"}).items():
        part = own[(own["kind"] == family) & own["gate"].notna()]
        many = part["wrong"] >= MANY_WRONG
        if part.empty:
            continue
        failed = [
            f"{int((half['gate'] != 0).sum())} of {len(half)}" if len(half) else ""
            for half in (part[many], part[~many])
        ]
        rows.append([title, *failed])
    return markdown(["family", f"fails, {MANY_WRONG:.0%} wrong or more", "fails, fewer wrong"], rows)


def each_table(noisy: pd.DataFrame) -> str:
    """One line per table with errors, beside the peer with the highest average precision on that very table."""
    rows = []
    for case, part in noisy.groupby("case", sort=False):
        own, peers = part[part["method"] == OWN], part[(part["method"] != OWN) & part["ap"].notna()]
        if own.empty:
            continue
        values, beside = own.iloc[0], ""
        if len(peers):
            best = peers.loc[peers["ap"].idxmax()]
            beside = f"{best['method']}: {best['auroc']:.3f} / {best['ap']:.2f}, {best['seconds']:.1f} s"
        rows.append([
            str(case),
            number(values["rows"], "rows"),
            *(number(values[f], f) for f in ("wrong", "auroc", "ap", "flagged", "precision", "recall", "f1", "share")),
            f"{number(values['low'], 'low')} to {number(values['high'], 'high')}",
            number(values["seconds"], "seconds"),
            beside,
        ])  # fmt: skip
    head = ["table", "rows", "wrong", "AUROC", "AP", "flagged", "precision", "recall", "F1", "stated", "interval"]
    return markdown([*head, "CPU s", "best peer here: AUROC / AP"], rows)


# ---------------------------------------------------------------- pages


def document(data: dict[str, Any]) -> str:
    """The text of docs/real-errors.md."""
    frame = frame_of(data)
    measured = frame.loc[frame["method"] == OWN, "case"].unique()
    frame = frame[frame["case"].isin(measured)]
    gates = frame[(frame["method"] == OWN) & ~frame["family"].isin(RIGHT)]
    frame = frame[frame["family"] != FOR_THE_CHECK]
    own, noisy = frame[frame["method"] == OWN], frame[~frame["family"].isin(RIGHT)]
    parts = [INTRODUCTION.format(tables=len(measured), seeds=", ".join(map(str, seeds_of(data))))]
    for family, title in TITLES.items():
        part = noisy[noisy["kind"] == family]
        if part.empty:
            continue
        parts += [f"## {title}", WHAT[family], methods_table(by_method(part))]
        if family == "wrong cells":
            parts += ["Kind by kind:", kinds_table(part)]
    clean = own[own["family"].isin(RIGHT)]
    if len(clean):
        parts += ["## Tables without errors", RIGHT_ROWS.format(**restraint(clean)), right_table(clean)]
    if "gate" in gates and gates["gate"].notna().any():
        parts += ["## Does the default check fail?", GATES, gate_table(gates)]
    parts += ["## Stated share of noisy rows", SHARES, shares_table(own[~own["family"].isin(RIGHT)])]
    parts += ["## Table by table", each_table(noisy), "## How these were made", made_with(data)]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
# Real errors

<!-- Made by `python -m benchmarks.real`: change the code instead. -->

How lossval and its peers find errors that people and programs made, and errors made to look like theirs, on {tables}
tables. The rows are not part of the project; `benchmarks/real_data.py` and `benchmarks/real_made.py` say where they
come from.

- **AUROC**: the chance that a wrong row ranks above a right one. **AP**: average precision; a random order reaches the
  share of wrong rows. lossval ranks by `noise_probability`.
- **flagged**: share of rows that the tool itself calls wrong; **precision**, **recall** and **F1** are of these flags.
  Outlier detectors must be told how many rows to flag, so they have none. Precision is the mean over the tables in
  which anything is flagged.
- **CPU seconds**: one thread. For lossval this is the whole `lossval score` process, including the start of Python;
  for peers it is fitting alone, on a table that is encoded already.
- Peers get the table encoded by skrub's `TableVectorizer` or, where it says *one-hot*, numbers standardised and one
  column per category. Label peers train on the trusted rows too. One configuration per method for all tables; random
  seeds: {seeds}.
- lossval's detectors were developed while looking at tables of all these families, most of them the ones below. The
  figures hold for such errors. On tables that were not looked at during development, expect less."""

SHARES = """\
The interval is for noisy rows of any kind; a table whose labels are wrong may hold wrong features that its truth does
not list. Without trusted rows a wrong label and a label that is hard to predict can look alike: see
[When not to trust it](limits.md)."""


FOR_THE_CHECK = "planted in 5 %"
"""Family of tables that only the check is run on, without peers."""

MANY_WRONG = 0.05
"""Share of wrong rows from which a check should fail."""

GATES = """\
`lossval check` with its default rules, on tables with errors. It should fail where many rows are wrong, and may pass
where few are. The limits are those of the code that made this page."""

RIGHT_ROWS = """\
On {tables} tables without errors, many of them built to look wrong, lossval flags {mean:.1%} of the rows ({most:.1%} in
the worst table), and `lossval check` with its default rules passes {passed}."""


def restraint(clean: pd.DataFrame) -> dict[str, Any]:
    """What lossval does to tables in which every row is right."""
    flagged = clean["flagged"]
    passed = int((clean["gate"] == 0).sum())
    words = "all of them" if passed == len(clean) else f"{passed} of them"
    return {"tables": len(clean), "mean": flagged.mean(), "most": flagged.max(), "passed": words}


def seeds_of(data: dict[str, Any]) -> list[int]:
    return sorted({record["seed"] for record in data["records"] if record["method"] == OWN})


def made_with(data: dict[str, Any]) -> str:
    """Where the figures come from."""
    runs = data["runs"]
    lines = ["`python -m benchmarks.real`, on one machine, one thread."]
    commits = sorted({record["commit"] for record in data["records"] if "commit" in record})
    lines.append(f"- lossval at commit {', '.join(commits)}; what changed in it later is not in these figures.")
    for who, run in runs.items():
        versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
        lines.append(f"- {who}: Python {run['python']}, {versions}.")
    failed = [record for record in data["records"] if "failed" in record]
    lines += [f"- {record['method']} failed on {record['case']}: {record['failed']}." for record in failed]
    measured = {record["case"] for record in data["records"] if record["method"] == OWN}
    defined = {**real_data.tables(), **real_made.tables()}
    lines.append(f"- {len(measured)} of the {len(defined)} tables that the benchmark defines were run.")
    lines.append("- Not measured: KAIROS (Zhu et al., 2025), of which no package is published.")
    return "\n".join(lines)


def readme_table(data: dict[str, Any]) -> str:
    """What README.md quotes: a line per family, lossval beside the peer with the best mean average precision."""
    frame = frame_of(data)
    rows = []
    for family, title in TITLES.items():
        part = frame[frame["kind"] == family]
        beside_peers = part.loc[part["method"] != OWN, "case"]
        own = part[(part["method"] == OWN) & part["case"].isin(beside_peers)]
        if own.empty:
            continue
        table = by_method(part[part["case"].isin(own["case"])])
        complete = table[(table["tables"] >= 0.8 * len(own)) & (table.index != OWN) & table["ap"].notna()]
        peer = complete["ap"].idxmax()
        cells = [f"{title} ({len(own)} tables)"]
        for figure in ("auroc", "ap"):
            ours, theirs = table.at[OWN, figure], complete.at[peer, figure]
            pair = [number(ours, figure), number(theirs, figure)]
            best = number(max(ours, theirs), figure)
            cells.append(" / ".join(f"**{text}**" if text == best else text for text in pair))
        cells += [
            peer,
            f"{number(table.at[OWN, 'precision'], 'precision')} / {number(table.at[OWN, 'recall'], 'recall')}",
        ]
        rows.append(cells)
    clean = frame[(frame["method"] == OWN) & frame["family"].isin(RIGHT)]
    head = ["errors", "AUROC: lossval / peer", "AP: lossval / peer", "best peer", "lossval's flags: precision / recall"]
    return markdown(head, rows) + "\n\n" + RIGHT_ROWS.format(**restraint(clean))


def write(data: dict[str, Any]) -> None:
    """Both pages."""
    PAGE.write_text(document(data), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    pattern = r"(?<=<!-- real errors -->\n).*?(?=\n<!-- end of real errors -->)"
    README.write_text(re.sub(pattern, lambda _: readme_table(data), text, flags=re.DOTALL), encoding="utf-8")
