"""Plots as inline SVG: no script, no font, no colour of their own (the page's style has both schemes). Text is escaped here.

Each plot stands beside a table with the same numbers; its title and description are what a screen reader says of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, isfinite, log10

from guard.charmap import harmless
from guard.fairness.analysis import Drift

_ROW, _LEFT, _WIDTH, _RIGHT = 26, 190, 720, 16
_LONGEST = 23  # characters of a label


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a forest plot: a value and its interval. `mark` chooses the look: fail, pass, inconclusive or plain."""

    label: str
    value: float
    low: float
    high: float
    mark: str = "plain"
    said: str = ""


def text(given: str) -> str:
    """Text from anywhere, for HTML: escaped, with control and direction characters made visible."""
    return escape(harmless(given))


def label(given: str) -> str:
    """A label that fits."""
    return text(given if len(given) <= _LONGEST else given[: _LONGEST - 1] + "…")


def forest(
    lines: Sequence[Line], *, title: str, scale: float, unit: str, zero: float | None = 0.0, band: float | None = None
) -> str:
    """Values with their intervals, one below the other. `band` is tolerated around `zero`; axes are `scale` times."""
    ends = [it for line in lines for it in (line.low, line.high, line.value) if isfinite(it)]
    ends += [zero] if zero is not None else []
    ends += [zero - band, zero + band] if zero is not None and band is not None else []
    low, high = min(ends), max(ends)
    margin = (high - low or abs(high) or 1.0) * 0.06
    low, high = low - margin, high + margin
    if zero is None:
        low = max(low, 0.0) if min(ends) >= 0 else low

    def x(value: float) -> float:
        return _LEFT + (min(max(value, low), high) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    bottom = 8 + _ROW * len(lines)
    parts = []
    if band is not None and zero is not None:
        left, right = x(zero - band), x(zero + band)
        parts.append(f'<rect class="band" x="{left:.1f}" y="4" width="{right - left:.1f}" height="{bottom - 4}"/>')
    for tick in ticks(low * scale, high * scale):
        at = x(tick / scale)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="4" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">{number(tick)}</text>')
    if zero is not None:
        parts.append(f'<line class="zero" x1="{x(zero):.1f}" x2="{x(zero):.1f}" y1="4" y2="{bottom}"/>')
    for at, line in enumerate(lines):
        y = 8 + _ROW * at + _ROW / 2
        parts.append(
            f'<text class="name" x="{_LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{label(line.label)}</text>'
        )
        parts.append(
            f'<g class="{line.mark}"><title>{text(line.said)}</title>'
            f'<line class="bar" x1="{x(line.low):.1f}" x2="{x(line.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f"{_symbol(line.mark, x(line.value), y)}</g>"
        )
    parts.append(f'<text class="unit" x="{_WIDTH - _RIGHT}" y="{bottom + 30}" text-anchor="end">{escape(unit)}</text>')
    said = "; ".join(line.said for line in lines[:30])
    return _svg(parts, bottom + 36, title, said)


def _symbol(mark: str, x: float, y: float) -> str:
    """A shape for each verdict, so that colour is never all there is."""
    if mark == "fail":
        return f'<path class="dot" d="M{x:.1f} {y - 6.5:.1f}l6.5 11.5h-13z"/>'
    if mark == "inconclusive":
        return f'<path class="dot open" d="M{x:.1f} {y - 6:.1f}l6 6-6 6-6-6z"/>'
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'


def trend(drift: Drift, *, title: str, scale: float, unit: str) -> str:
    """Differences over time between control limits; what lies beyond them is a filled triangle."""
    points = drift.points
    ends = [it for point in points for it in (point.low, point.high, point.difference)] + [0.0]
    low, high = min(ends), max(ends)
    margin = (high - low or 1.0) * 0.08
    low, high = low - margin, high + margin
    width, height, left, top = 350, 170, 46, 12

    def x(at: int) -> float:
        return left + (width - left - 12) * (at / max(len(points) - 1, 1))

    def y(value: float) -> float:
        return top + (high - value) / (high - low) * (height - top - 34)

    upper = [f"{x(at):.1f},{y(point.high):.1f}" for at, point in enumerate(points)]
    lower = [f"{x(at):.1f},{y(point.low):.1f}" for at, point in enumerate(points)]
    parts = [f'<polygon class="band" points="{" ".join([*upper, *reversed(lower)])}"/>']
    for tick in ticks(low * scale, high * scale, 4):
        at = y(tick / scale)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - 12}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    parts.append(f'<line class="zero" x1="{left}" x2="{width - 12}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>')
    way = " ".join(f"{x(at):.1f},{y(point.difference):.1f}" for at, point in enumerate(points))
    parts.append(f'<polyline class="way" points="{way}"/>')
    for at, point in enumerate(points):
        said = f"{point.period}: {point.difference * scale:+.1f} {unit}" + (", beyond the limits" if point.out else "")
        mark = "fail" if point.out else "plain"
        shape = _symbol(mark, x(at), y(point.difference)).replace('r="5"', 'r="3"')
        parts.append(f'<g class="{mark}"><title>{text(said)}</title>{shape}</g>')
    for at, anchor in ((0, "start"), (len(points) - 1, "end")):
        parts.append(
            f'<text class="tick" x="{x(at):.1f}" y="{height - 8}" text-anchor="{anchor}">{text(points[at].period)}</text>'
        )
    out = sum(point.out for point in points)
    return _svg(parts, height, title, f"{len(points)} periods, {out} beyond the control limits", width)


def _svg(parts: Sequence[str], height: float, title: str, said: str, width: int = _WIDTH) -> str:
    head = f"<title>{text(title)}</title><desc>{text(said)}</desc>"
    return (
        f'<svg role="img" viewBox="0 0 {width} {height:.0f}" aria-label="{text(title)}" preserveAspectRatio="xMinYMin">'
        f"{head}{''.join(parts)}</svg>"
    )


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers between two ends."""
    step = 10 ** floor(log10((high - low) / most))
    step *= next(it for it in (1, 2, 5, 10) if (high - low) / (step * it) <= most)
    first = -floor(-low / step)
    return [at * step for at in range(first, floor(high / step) + 1)]


def number(value: float) -> str:
    """A tick, with a real minus sign."""
    return f"{value:.10g}".replace("-", "−") if abs(value) > 1e-9 else "0"
