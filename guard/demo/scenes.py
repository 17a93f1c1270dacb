"""Procedurally drawn pictures with captions: badges with a mark on them, and small landscapes.

Every caption says all there is to see, in a fixed order, so that a small model can learn what each word does.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

SIZE = 64
_SCALE = 2  # drawn twice as large and shrunk, for smooth edges

COLOURS = {
    "red": (214, 48, 49), "yellow": (247, 205, 52), "green": (56, 161, 83),
    "blue": (44, 108, 200), "white": (246, 246, 242), "black": (34, 36, 42),
}  # fmt: skip
SHAPES = ("round", "square", "diamond")
MARKS = ("a star", "a heart", "a cross", "no mark")
TIMES = {"by day": ((112, 184, 240), (206, 232, 250)), "at sunset": ((236, 104, 84), (252, 204, 120)), "at night": ((14, 20, 52), (44, 54, 104))}  # fmt: skip
GROUNDS = {"green hills": (92, 170, 80), "the sea": (36, 112, 176), "yellow dunes": (232, 198, 112), "snow": (236, 242, 248)}  # fmt: skip

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]


def badge_caption(colour: str, shape: str, mark: str, ground: str) -> str:
    """As in `a red round badge with a star on a blue background`."""
    return f"a {colour} {shape} badge with {mark} on a {ground} background"


def scene_caption(thing: str, colour: str, ground: str, time: str) -> str:
    """As in `a red house on green hills by day`; `nothing` has no colour."""
    what = "nothing" if thing == "nothing" else f"a {colour} {thing.removeprefix('a ')}"
    return f"{what} on {ground} {time}"


def sample(rng: random.Random) -> tuple[str, Image.Image]:
    """One random picture with its caption."""
    if rng.random() < 0.55:
        colour, ground = rng.sample(sorted(COLOURS), 2)
        shape, mark = rng.choice(SHAPES), rng.choice(MARKS)
        return badge_caption(colour, shape, mark, ground), draw_badge(colour, shape, mark, ground, rng)
    colour, land, time = rng.choice(sorted(COLOURS)), rng.choice(sorted(GROUNDS)), rng.choice(sorted(TIMES))
    thing = rng.choice(("a boat", "a boat", "nothing") if land == "the sea" else ("a house", "a tree", "nothing"))
    return scene_caption(thing, colour, land, time), draw_scene(thing, colour, land, time, rng)


def draw_badge(colour: str, shape: str, mark: str, ground: str, rng: random.Random) -> Image.Image:
    """A badge in the middle of a plain ground, a little off centre and of varying size."""
    image, pen = _canvas(COLOURS[ground])
    x, y = (SIZE / 2 + rng.uniform(-1, 1) for _ in "xy")
    radius = rng.uniform(22, 24)
    _fill(pen, _outline(shape, x, y, radius), COLOURS[colour])
    _fill(pen, _outline(shape, x, y, radius * 0.84), _mix(COLOURS[colour], COLOURS["white"], 0.28))
    _fill(pen, _outline(shape, x, y, radius * 0.76), COLOURS[colour])
    ink = COLOURS["black"] if colour in {"white", "yellow"} else COLOURS["white"]
    _draw_mark(pen, mark, x, y, radius * 0.5, ink)
    return _shrink(image)


def draw_scene(thing: str, colour: str, ground: str, time: str, rng: random.Random) -> Image.Image:
    """Sky with sun or moon, a ground, and one thing on it."""
    top, bottom = TIMES[time]
    image, pen = _canvas(top, bottom)
    x, y = rng.uniform(12, 15), {"by day": 12.0, "at sunset": 30.0, "at night": 12.0}[time] + rng.uniform(-1, 1)
    _fill(pen, _polygon(40, x, y, 7), COLOURS["yellow"] if time != "at night" else COLOURS["white"])
    if time == "at night":
        _fill(pen, _polygon(40, x + 3.5, y - 1.5, 6), _mix(top, bottom, y / SIZE))
    dark = {"by day": 0.0, "at sunset": 0.22, "at night": 0.5}[time]
    land = _mix(GROUNDS[ground], (20, 22, 48), dark)
    level = _draw_ground(pen, ground, land, rng)
    place = {"a boat": level + 5.0}.get(thing, level + 3.0)
    _draw_thing(
        pen,
        thing,
        rng.uniform(39, 43),
        place,
        _mix(COLOURS[colour], (20, 22, 48), dark * 0.5),
        _mix((110, 74, 46), (20, 22, 48), dark),
    )
    return _shrink(image)


def _draw_ground(pen: Any, ground: str, land: Colour, rng: random.Random) -> float:
    """Fill the lower part; the answer is the height at which things stand."""
    level, phase = rng.uniform(42, 43), rng.uniform(0, 0.6)
    swell = {"green hills": 4.0, "yellow dunes": 2.5, "snow": 1.2, "the sea": 0.0}[ground]
    line = [(x, level + swell * math.sin(x / 10 + phase)) for x in range(0, SIZE + 1, 2)]
    _fill(pen, [(0, SIZE), *line, (SIZE, SIZE)], land)
    if ground == "the sea":
        for depth in (5, 11, 17):
            start = rng.uniform(0, 4) + 2 * depth
            _fill(
                pen,
                [
                    (start, level + depth),
                    (start + 18, level + depth),
                    (start + 18, level + depth + 1.2),
                    (start, level + depth + 1.2),
                ],
                _mix(land, (255, 255, 255), 0.35),
            )
    else:
        front = [(x, level + 10 + swell * math.sin(x / 13 + phase + 2)) for x in range(0, SIZE + 1, 2)]
        _fill(pen, [(0, SIZE), *front, (SIZE, SIZE)], _mix(land, (20, 40, 30), 0.14))
    return level


def _draw_thing(pen: Any, thing: str, x: float, y: float, paint: Colour, wood: Colour) -> None:
    if thing == "a house":
        _fill(pen, [(x - 9, y), (x - 9, y - 13), (x + 9, y - 13), (x + 9, y)], paint)
        _fill(pen, [(x - 12, y - 13), (x, y - 23), (x + 12, y - 13)], wood)
        _fill(pen, [(x - 3, y), (x - 3, y - 8), (x + 3, y - 8), (x + 3, y)], _mix(paint, (0, 0, 0), 0.55))
    elif thing == "a boat":
        _fill(pen, [(x - 13, y - 5), (x + 13, y - 5), (x + 8, y + 2), (x - 8, y + 2)], wood)
        _fill(pen, [(x - 1, y - 5), (x - 1, y - 26), (x + 1, y - 26), (x + 1, y - 5)], wood)
        _fill(pen, [(x + 2, y - 25), (x + 12, y - 8), (x + 2, y - 8)], paint)
    elif thing == "a tree":
        _fill(pen, [(x - 2, y), (x - 2, y - 12), (x + 2, y - 12), (x + 2, y)], wood)
        _fill(pen, _polygon(40, x, y - 18, 10), paint)


def _draw_mark(pen: Any, mark: str, x: float, y: float, radius: float, ink: Colour) -> None:
    if mark == "a star":
        _fill(pen, [_at(x, y, radius * (1 if i % 2 == 0 else 0.42), -90 + 36 * i) for i in range(10)], ink)
    elif mark == "a heart":
        bend = [2 * math.pi * i / 40 for i in range(40)]
        curve = [
            (16 * math.sin(t) ** 3, -13 * math.cos(t) + 5 * math.cos(2 * t) + 2 * math.cos(3 * t) + math.cos(4 * t))
            for t in bend
        ]
        _fill(pen, [(x + across * radius / 16, y + down * radius / 16) for across, down in curve], ink)
    elif mark == "a cross":
        arm = radius * 0.3
        _fill(pen, [(x - arm, y - radius), (x + arm, y - radius), (x + arm, y + radius), (x - arm, y + radius)], ink)
        _fill(pen, [(x - radius, y - arm), (x + radius, y - arm), (x + radius, y + arm), (x - radius, y + arm)], ink)
    elif mark == "the letter A":
        _stroke(pen, [(x - radius * 0.8, y + radius), (x, y - radius), (x + radius * 0.8, y + radius)], ink)
        _stroke(pen, [(x - radius * 0.42, y + radius * 0.3), (x + radius * 0.42, y + radius * 0.3)], ink)
    elif mark == "the letter K":
        _stroke(pen, [(x - radius * 0.6, y - radius), (x - radius * 0.6, y + radius)], ink)
        _stroke(pen, [(x + radius * 0.7, y - radius), (x - radius * 0.5, y), (x + radius * 0.7, y + radius)], ink)


def _outline(shape: str, x: float, y: float, radius: float) -> Points:
    drawn: dict[str, Callable[[], Points]] = {
        "round": lambda: _polygon(60, x, y, radius),
        "square": lambda: _polygon(4, x, y, radius * 1.2, 45),
        "diamond": lambda: _polygon(4, x, y, radius * 1.2),
        "hexagonal": lambda: _polygon(6, x, y, radius * 1.05),
        "shield": lambda: [
            (x - radius * 0.9, y - radius), (x + radius * 0.9, y - radius), (x + radius * 0.9, y + radius * 0.15),
            (x + radius * 0.5, y + radius * 0.75), (x, y + radius * 1.1), (x - radius * 0.5, y + radius * 0.75),
            (x - radius * 0.9, y + radius * 0.15),
        ],
    }  # fmt: skip
    return drawn[shape]()


def _polygon(corners: int, x: float, y: float, radius: float, turn: float = 0.0) -> Points:
    return [_at(x, y, radius, turn - 90 + 360 * i / corners) for i in range(corners)]


def _at(x: float, y: float, radius: float, degrees: float) -> tuple[float, float]:
    return x + radius * math.cos(math.radians(degrees)), y + radius * math.sin(math.radians(degrees))


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    share = min(1.0, max(0.0, share))
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _canvas(colour: Colour, bottom: Colour | None = None) -> tuple[Image.Image, Any]:
    """A plain ground, or one that fades into `bottom` at two thirds of the height."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIZE * _SCALE, SIZE * _SCALE), colour)
    if bottom:
        column = Image.new("RGB", (1, SIZE))
        column.putdata([_mix(colour, bottom, row / (SIZE * 0.65)) for row in range(SIZE)])
        image = column.resize(image.size)
    return image, ImageDraw.Draw(image)


def _fill(pen: Any, points: Points, colour: Colour) -> None:
    pen.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill=colour)


def _stroke(pen: Any, points: Points, colour: Colour) -> None:
    pen.line([(x * _SCALE, y * _SCALE) for x, y in points], fill=colour, width=4 * _SCALE, joint="curve")


def _shrink(image: Image.Image) -> Image.Image:
    from PIL import Image

    return image.resize((SIZE, SIZE), Image.Resampling.BOX)
