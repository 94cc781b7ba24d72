"""Write the figures that the README quotes, from benchmarks/results: `python -m benchmarks.readme`."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
NOISES = ("label", "feature", "mixed")
NAMES = {
    "lossval": "**lossval**",
    "two-specialists": "forest + cleanlab and isolation forest, combined",
    "cleanlab-forest": "cleanlab, random forest",
    "cleanlab-boosting": "cleanlab, boosting",
    "cleanlab-linear": "cleanlab, linear",
    "isolation-forest": "isolation forest",
    "lossval-paper": "LossVal as published (OT²)",
    "knn-shapley": "KNN-Shapley",
    "random": "random",
}


def quality_table() -> str:
    """Mean AUROC of each method by kind of noise, as Markdown."""
    rows = pd.read_csv(ROOT / "benchmarks" / "results" / "quality.csv")
    noisy = rows[rows["noise"] != "none"]
    seeds = ", ".join(str(seed) for seed in sorted(rows["seed"].unique()))
    datasets = noisy["dataset"].nunique()
    lines = [
        f"AUROC for planted noise, mean over {datasets} datasets and noise rates of 5, 10, 15 and 20 %",
        f"(1,000 rows and 100 validation rows, seeds {seeds}), all methods on the same splits:",
        "",
        "| method | wrong labels | odd rows | both |",
        "|---|---|---|---|",
    ]

    def line(name: str, method: str, figure: str) -> str:
        of = noisy[noisy["method"] == method]
        by_noise = of.groupby("noise")[figure].mean()
        cells = " | ".join(f"{by_noise[noise]:.3f}" for noise in NOISES)
        return f"| {name} | {cells} |"

    lines.append(line("**lossval**, `noise_probability`", "lossval", "auroc_probability"))
    lines.append(line("**lossval**, `importance`", "lossval", "auroc"))
    lines += [line(name, method, "auroc") for method, name in NAMES.items() if method != "lossval"]
    ours = rows[rows["method"] == "lossval"]
    f1 = ours.groupby("noise")["f1_flags"].mean()
    clean = ours.loc[ours["noise"] == "none", "flagged_share"].mean()
    lines += [
        "",
        f"F1 of the rows it flags: {f1['label']:.2f} for wrong labels, {f1['feature']:.2f} for odd rows, "
        f"{f1['mixed']:.2f} for both; on",
        f"clean data it flags {clean:.1%}. Dataset by dataset: [docs/benchmarks.md](docs/benchmarks.md).",
    ]
    return "\n".join(lines)


def main() -> None:
    """Replace the figures in README.md."""
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    pattern = r"(?<=## How good it is\n).*?(?=\n## Commands)"
    path.write_text(re.sub(pattern, lambda _: quality_table() + "\n", text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
