"""Draw docs/images/idea.svg, the picture of docs/method.md: `python -m docs.draw`."""

from __future__ import annotations

import numpy as np

from docs.blocks import ROOT

TARGET = ROOT / "docs" / "images" / "idea.svg"
WIDTH, HEIGHT = 720, 330
COLOURS = {"a": "#2a6fb0", "b": "#c05a1c"}
STYLE = (
    "text{font:14px sans-serif;fill:#222}.small{font-size:12px;fill:#555}"
    "@media (prefers-color-scheme:dark){rect{fill:#16191d}text{fill:#ddd}.small{fill:#aaa}}"
)


def dot(x: float, y: float, label: str, radius: float) -> str:
    """A training row; its area is its weight."""
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius}" fill="{COLOURS[label]}" fill-opacity=".75"/>'


def cross(x: float, y: float) -> str:
    """A validation row."""
    arms = f"M{x - 4:.0f} {y - 4:.0f}l8 8m0 -8l-8 8"
    return f'<path d="{arms}" stroke="#5a8f3c" stroke-width="2" fill="none"/>'


def note(x: float, y: float, lines: list[str], to: tuple[float, float]) -> list[str]:
    """Text with a line that leads to a point."""
    kinds = ["", *[' class="small"'] * (len(lines) - 1)]
    texts = [
        f'<text x="{x}" y="{y + 17 * i}"{kind}>{line}</text>'
        for i, (line, kind) in enumerate(zip(lines, kinds, strict=True))
    ]
    return [f'<path d="M{x - 6} {y - 4}L{to[0]} {to[1]}" stroke="#888" fill="none"/>', *texts]


def picture() -> str:
    """The SVG."""
    rng = np.random.default_rng(4)
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for name, (x, y) in {"a": (130, 215), "b": (330, 120)}.items():
        parts += [dot(*row, name, 6) for row in rng.normal((x, y), (38, 30), (26, 2))]
        parts += [cross(*row) for row in rng.normal((x, y), (34, 26), (8, 2))]
    parts += [dot(128, 208, "b", 3.5), dot(440, 292, "b", 3.5)]
    helps = ["a row that helps", "its label is expected,", "and validation rows are near"]
    label = ["a wrong label", "networks that never saw the row", "expect the other class"]
    outlier = ["an outlier", "far from every validation row"]
    parts += note(500, 60, helps, (352, 112)) + note(500, 170, label, (134, 206)) + note(500, 270, outlier, (446, 291))
    parts += ['<text x="30" y="30">training rows of two classes (●), validation rows (×)</text>']
    parts += ['<text x="30" y="48" class="small">the size of a dot is the importance that training gives it</text>']
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    title = "<title>Two clouds of training rows; a wrong label and an outlier get little importance</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"


def main() -> None:
    """Write it."""
    TARGET.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
