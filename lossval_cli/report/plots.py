"""Inline SVG plots for the report; only the positions of marks are computed here.

Colours, fonts and line widths are the style sheet's: marks carry classes alone, so that one drawing serves
light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 260
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 26, 40
"""Space around the field for ticks and names of axes; text is larger on a phone."""

MOST_BARS = 12
SHORT_NAME, LONGEST_NAME = 16, 60
"""Characters of a name that fit beside its bar, and above it."""

FAR = 0.01
"""Share of points at each end of an axis of a scatter that are drawn at its edge."""


class Series(NamedTuple):
    """A line over x; `spread` is drawn as a band of ± as much, None where a point is not known."""

    name: str
    css: str
    x: Sequence[float]
    y: Sequence[float | None]
    spread: Sequence[float | None] = ()


class Axis(NamedTuple):
    """A range of values laid over pixels."""

    low: float
    high: float
    start: float
    stop: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, stop: float, margin: float = 0.05) -> Axis:
        """A range that holds the finite ones of `values`, and a margin."""
        finite = [value for value in values if math.isfinite(value)]
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        slack = (high - low) * margin or abs(high) * margin or 1.0
        return cls(low - slack, high + slack, start, stop)

    def pixel(self, value: float) -> float:
        """Pixel of a value, to a tenth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    def clip(self, value: float) -> float:
        """The value, or the end of the range beyond which it lies."""
        return min(max(value, self.low), self.high)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers inside the range."""
        raw = (self.high - self.low) / about
        unit = 10 ** math.floor(math.log10(raw))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) for i in range(first, last + 1)]


def histogram(
    edges: Sequence[float],
    rows: Sequence[int],
    suspects: Sequence[int],
    marks: Sequence[tuple[float, str]],
    title: str,
) -> Markup:
    """Bars of all rows, the suspects among them in the accent colour, and lines at `marks` (value, name).

    `edges` has one more than `rows`.
    """
    x = Axis.over(edges, LEFT, WIDTH - RIGHT, 0.01)
    y = Axis(0, max([*rows, 1]) * 1.05, HEIGHT - BOTTOM, TOP)
    drawn = []
    for css, heights in (("all", rows), ("mark", suspects)):
        path = "".join(
            f"M{x.pixel(edges[i])} {y.pixel(0)}V{y.pixel(height)}H{x.pixel(edges[i + 1])}V{y.pixel(0)}Z"
            for i, height in enumerate(heights)
            if height
        )
        drawn.append(f'<path class="{css}" d="{path}"/>')
    for i, (value, name) in enumerate(marks):
        px, top = x.pixel(min(max(value, edges[0]), edges[-1])), TOP + 15 * i
        drawn.append(f'<path class="threshold" d="M{px} {top}V{y.pixel(0)}"/>')
        is_right = px > (LEFT + WIDTH) / 2
        css = "note end" if is_right else "note"
        left = px + (-4 if is_right else 4)
        drawn.append(f'<text class="{css}" x="{left}" y="{top + 9}">{escape(name)}</text>')
    text = f"{sum(rows):,} rows; {sum(suspects):,} suspects among them, in the accent colour."
    return _figure(title, text, [*_axes(x, y, "importance", "rows"), *drawn])


def scatter(points: Sequence[tuple[float, float, bool]], title: str, names: tuple[str, str]) -> Markup:
    """Points (x, y, marked), the marked ones above the others. The few far out are drawn at the edge of the field."""
    x = Axis.over(_most([point[0] for point in points]), LEFT, WIDTH - RIGHT)
    y = Axis.over(_most([point[1] for point in points]), HEIGHT - BOTTOM, TOP)
    marks = []
    for css, marked in (("dots", False), ("dots mark", True)):
        inside = [(x.clip(value), y.clip(other)) for value, other, kind in points if kind == marked]
        path = "".join(f"M{x.pixel(value)} {y.pixel(other)}h0" for value, other in inside)
        marks.append(f'<path class="{css}" d="{path}"/>')
    text = f"{sum(point[2] for point in points):,} suspects in colour; other rows in grey; far ones at the edge."
    return _figure(title, text, [*_axes(x, y, *names), *marks])


def _most(values: Sequence[float]) -> list[float]:
    """Return `values` without the share FAR of them at each end."""
    ordered = sorted(value for value in values if math.isfinite(value))
    cut = int(FAR * len(ordered))
    return ordered[cut : len(ordered) - cut]


def curves(
    series: Sequence[Series],
    title: str,
    names: tuple[str, str],
    *,
    as_percent: bool = False,
    free: Sequence[str] = (),
    mark: tuple[float, str] | None = None,
) -> Markup:
    """Lines with bands and a legend; those whose class is in `free` are cut off where they leave the field,
    so that the others fill it, and the legend says how far they go. `mark`: a value of x, and its name."""
    reach = _reach([line for line in series if line.css not in free]) or _reach(series)
    if free and reach:
        beyond = max(reach) - min(reach)
        far = [min(max(value, min(reach) - beyond), max(reach) + beyond) for value in _reach(series)]
        reach += far
    x = Axis.over([value for line in series for value in line.x], LEFT, WIDTH - RIGHT, 0.02)
    y = Axis.over(reach, HEIGHT - BOTTOM, TOP)
    marks, legend = [], []
    for line in series:
        drawn = [
            (x.pixel(x_value), value, line.spread[i] or 0.0 if line.spread else 0.0)
            for i, (x_value, value) in enumerate(zip(line.x, line.y, strict=True))
            if value is not None
        ]
        if any(spread for *_, spread in drawn):
            upper = [f"{px} {y.pixel(value + spread)}" for px, value, spread in drawn]
            lower = [f"{px} {y.pixel(value - spread)}" for px, value, spread in reversed(drawn)]
            marks.append(f'<path class="band {line.css}" d="M{"L".join(upper + lower)}Z"/>')
        if drawn:
            path = "L".join(f"{px} {y.pixel(value)}" for px, value, _ in drawn)
            marks.append(f'<path class="line {line.css}" d="M{path}{"h0" if len(drawn) == 1 else ""}"/>')
        outside = [value for _, value, _ in drawn if not y.low <= value <= y.high]
        name = line.name
        if outside:
            name += f" (cut off, to {max(outside, key=lambda value: abs(value - y.low)):.4g})"
        legend.append(Markup('<li class="{}">{}</li>').format(line.css, name))
    ends = (
        f"{line.name}: {known[0][0]:.4g} at the start, {known[-1][0]:.4g} at the end."
        for line in series
        if (known := _known(line))
    )
    whole = not as_percent and all(float(value).is_integer() for line in series for value in line.x)
    width, height = WIDTH - LEFT, HEIGHT - BOTTOM - TOP
    field = f'x="{LEFT}" y="{TOP}" width="{width}" height="{height}" viewBox="{LEFT} {TOP} {width} {height}"'
    clipped = [f"<svg {field}>", *marks, "</svg>"]
    if mark is not None:
        clipped += _mark(x, *mark)
    axes = _axes(x, y, *names, as_percent=as_percent, whole=whole)
    figure = _figure(title, " ".join(ends), [*axes, *clipped])
    if len(series) == 1:
        return figure
    return figure + Markup('<ul class="legend" aria-hidden="true">{}</ul>').format(Markup("").join(legend))


def bars(rows: Sequence[tuple[str, float, float, float]], title: str) -> Markup:
    """Draw one horizontal bar per class: name, share, and the interval it is drawn with."""
    rows = rows[:MOST_BARS]
    long = max((len(name) for name, *_ in rows), default=0) > SHORT_NAME  # then each name stands above its bar
    x = Axis(0, max([*(high for *_, high in rows), 0.01]) * 1.05, 12 if long else 120, WIDTH - RIGHT)
    step = 40 if long else 24
    height = TOP + step * len(rows) + BOTTOM
    marks = _x_axis(x, height, "share of rows that are suspect", as_percent=True)
    for i, (name, share, low, high) in enumerate(rows):
        top = TOP + i * step + (16 if long else 0)
        shown = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
        css, left, base = ("name long", x.start, top - 1) if long else ("name", 112, top + 14)
        marks += [
            Markup('<text class="{}" x="{}" y="{}">{}<title>{}</title></text>').format(css, left, base, shown, name),
            f'<path class="mark" d="M{x.pixel(0)} {top + 4}H{x.pixel(share)}v12H{x.pixel(0)}Z"/>',
            f'<path class="whisker" d="M{x.pixel(low)} {top + 10}H{x.pixel(high)}"/>',
        ]
    text = " ".join(f"{name}: {share:.1%}, interval {low:.1%} to {high:.1%}." for name, share, low, high in rows)
    return _figure(title, text, marks, height)


def _mark(x: Axis, value: float, name: str) -> list[str]:
    """A line over the height of the field, and its name above it."""
    px = x.pixel(value)
    css = "note end" if px > (LEFT + WIDTH) / 2 else "note"
    return [
        f'<path class="threshold" d="M{px} {TOP - 2}V{HEIGHT - BOTTOM}"/>',
        f'<text class="{css}" x="{px}" y="{TOP - 6}">{escape(name)}</text>',
    ]


def _reach(series: Sequence[Series]) -> list[float]:
    """Ends of all bands."""
    return [value + sign * spread for line in series for value, spread in _known(line) for sign in (-1, 1)]


def _known(line: Series) -> list[tuple[float, float]]:
    spreads = line.spread or [None] * len(line.y)
    return [(v, s or 0.0) for v, s in zip(line.y, spreads, strict=True) if v is not None]


def _axes(x: Axis, y: Axis, x_name: str, y_name: str, **options: bool) -> list[str]:
    """Draw both axes; `as_percent` and `whole` (numbers alone) are of the ticks of x."""
    marks = _x_axis(x, HEIGHT, x_name, **options)
    ticks = y.ticks(6)
    for tick, text in zip(ticks, _tick_texts(ticks), strict=True):
        py = y.pixel(tick)
        marks.append(f'<path class="rule" d="M{LEFT} {py}H{WIDTH - RIGHT}"/>')
        marks.append(f'<text class="tick y" x="{LEFT - 6}" y="{py + 3.5}">{text}</text>')
    marks.append(f'<text class="unit" x="0" y="11">{escape(y_name)}</text>')
    return marks


def _x_axis(x: Axis, height: float, name: str, *, as_percent: bool = False, whole: bool = False) -> list[str]:
    base = height - BOTTOM
    marks = [f'<path class="base" d="M{x.start} {base}H{x.stop}"/>']
    ticks = [tick for tick in x.ticks(6) if not (whole and tick % 1)]
    texts = [f"{text}%" for text in _tick_texts([100 * tick for tick in ticks])] if as_percent else _tick_texts(ticks)
    for tick, text in zip(ticks, texts, strict=True):
        marks.append(f'<text class="tick" x="{x.pixel(tick)}" y="{base + 14}">{text}</text>')
    marks.append(f'<text class="axis" x="{(x.start + x.stop) / 2}" y="{height - 6}">{escape(name)}</text>')
    return marks


def _tick_texts(ticks: Sequence[float]) -> list[str]:
    """Ticks as text, with as many digits as tell them apart."""
    texts: list[str] = []
    for digits in range(4, 16):
        texts = [_tick(tick, digits) for tick in ticks]
        if len(set(texts)) == len(texts):
            break
    return texts


def _tick(value: float, digits: int) -> str:
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-3:
        return f"{value:.{digits - 4}e}"
    if size >= 1e6:
        return f"{value / 1e6:.{digits}g}M"
    return f"{value / 1e3:.{digits}g}k" if size >= 1e4 else f"{value:.{digits}g}"


def _figure(title: str, text: str, marks: Sequence[str], height: float = HEIGHT) -> Markup:
    """Draw a figure. `marks` are markup of ours; `title` and `text` may hold the user's words."""
    return Markup('<svg viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg>').format(
        WIDTH,
        height,
        title,
        text,
        Markup("".join(marks)),  # noqa: S704  # nosec B704
    )
