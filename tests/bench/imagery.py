"""Pictures that stand in for photographs and generated images, made from a seed: none is a photograph.

`leaves`: occluding discs and rectangles whose sizes follow a power law, each with its own shading and 1/f texture (the dead
leaves model, which has the edges and the spectrum of natural images; Lee, Mumford and Huang, 2001). `field`: coloured 1/f
noise, like clouds, stone or foliage. `scene`: lit spheres on a chequered or textured ground under a sky. `page`: text on
paper, as on a screenshot. `gradient`: smooth shading with little else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil
from PIL import ImageDraw, ImageFont

Pixels = NDArray[np.uint8]  # rows × columns × 3

_WORDS = (
    "the",
    "model",
    "writes",
    "a",
    "short",
    "answer",
    "and",
    "the",
    "reader",
    "asks",
    "again",
    "where",
    "it",
    "came",
)


def noise(chance: np.random.Generator, side: int, slope: float) -> NDArray[np.float64]:
    """A field of side × side whose amplitude falls with frequency to the power of `slope`; mean 0, deviation 1."""
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    radius[0, 0] = 1.0
    spectrum = np.fft.rfft2(chance.normal(size=(side, side))) * radius**-slope
    spectrum[0, 0] = 0.0
    made = np.fft.irfft2(spectrum, (side, side))
    return np.asarray(made / made.std())


def _pixels(values: NDArray[np.float64]) -> Pixels:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def field(chance: np.random.Generator, side: int) -> Pixels:
    base, slope = noise(chance, side, chance.uniform(0.9, 1.5)), chance.uniform(0.9, 1.5)
    colour = chance.uniform(60, 190, 3)
    layers = [base * chance.uniform(20, 45) + noise(chance, side, slope) * chance.uniform(3, 15) for _ in range(3)]
    return _pixels(colour + np.stack(layers, 2))


def leaves(chance: np.random.Generator, side: int) -> Pixels:
    rows, columns = np.mgrid[:side, :side].astype(float)
    picture = np.repeat(noise(chance, side, 1.2)[..., None] * 20 + 128, 3, 2)
    texture = noise(chance, side, 1.0)
    for _ in range(150):
        radius = min(side * 0.03 * chance.pareto(1.5) + side * 0.012, side * 0.45)
        y, x = chance.uniform(0, side, 2)
        dy, dx = rows - y, columns - x
        if chance.random() < 0.5:
            inside = dy**2 + dx**2 < radius**2
        else:
            turn = chance.uniform(0, np.pi)
            u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
            inside = (abs(u) < radius) & (abs(v) < radius * chance.uniform(0.2, 1))
        light = chance.uniform(-0.35, 0.35, 2) @ np.stack([dy[inside], dx[inside]]) / radius * 60
        grain = texture[inside] * chance.choice([0, 2, 6, 15])
        picture[inside] = chance.uniform(10, 245, 3) + (light + grain)[:, None]
    return _pixels(picture + chance.normal(0, chance.uniform(0, 2), picture.shape))


def scene(chance: np.random.Generator, side: int) -> Pixels:
    rows, columns = np.mgrid[:side, :side] / side
    horizon = chance.uniform(0.35, 0.6)
    sky = (chance.uniform(120, 230, 3) + np.outer(rows.ravel() / horizon, chance.uniform(-60, 60, 3))).reshape(
        side, side, 3
    )
    depth = 1 / np.maximum(rows - horizon, 0.02)
    tiles = (np.floor((columns - 0.5) * depth * 2) + np.floor(depth * 2)) % 2 * chance.uniform(10, 90)
    ground = chance.uniform(60, 160, 3) + (tiles + noise(chance, side, 0.9) * chance.uniform(2, 14))[..., None]
    picture = np.where((rows < horizon)[..., None], sky, ground)
    lamp = np.array([-0.5, -0.7, 0.5])
    for _ in range(chance.integers(2, 7)):
        radius, y, x = chance.uniform(0.05, 0.22), chance.uniform(0.3, 0.85), chance.uniform(0.1, 0.9)
        u, v = (columns - x) / radius, (rows - y) / radius
        inside = u**2 + v**2 < 1
        normal = np.stack([u, v, np.sqrt(np.maximum(1 - u**2 - v**2, 0))], 2)
        lit = np.clip(normal @ lamp, 0.05, 1)
        shine = np.clip(2 * lit * normal[..., 2] - lamp[2], 0, 1) ** 20 * 120
        stain = noise(chance, side, 1.1) * chance.uniform(0, 12)
        body = chance.uniform(60, 255, 3) * lit[..., None] + (shine + stain)[..., None]
        picture = np.where(inside[..., None], body, picture)
    return _pixels(picture + chance.normal(0, 1, picture.shape))


def page(chance: np.random.Generator, side: int) -> Pixels:
    paper = tuple(int(v) for v in (chance.choice([255, 250, 245, 30]) - chance.integers(0, 8, 3)))
    ink = (20, 20, 30) if paper[0] > 128 else (225, 225, 220)
    picture = Pil.new("RGB", (side, side), paper)
    draw, size = ImageDraw.Draw(picture), int(chance.integers(12, 22))
    font, y = ImageFont.load_default(size), 10
    draw.rectangle((0, 0, side, 34), fill=tuple(int(v) for v in chance.integers(40, 220, 3)))
    while y < side - size:
        line = " ".join(chance.choice(_WORDS, 14)) if chance.random() < 0.85 else ""
        draw.text((14, y + 30), line[: int(side / size * 2)], fill=ink, font=font)
        y += round(size * 1.5)
    if chance.random() < 0.7:
        half = side // 2
        picture.paste(
            Pil.fromarray(leaves(chance, half)), (int(chance.integers(0, half)), int(chance.integers(40, half)))
        )
    return np.asarray(picture)


def gradient(chance: np.random.Generator, side: int) -> Pixels:
    rows, columns = np.mgrid[:side, :side] / side
    parts = [rows, columns, np.hypot(rows - chance.random(), columns - chance.random()), noise(chance, side, 2.2) / 6]
    picture = chance.uniform(40, 200, 3) + sum(p[..., None] * chance.uniform(-70, 70, 3) for p in parts)
    return _pixels(picture + chance.normal(0, chance.uniform(0.3, 1.5), picture.shape))


KINDS = {"leaves": leaves, "field": field, "scene": scene, "page": page, "gradient": gradient}


def pictures(count: int, side: int = 512, seed: int = 0) -> list[tuple[str, Pixels]]:
    """So many pictures of side × side, of all kinds in turn."""
    names = list(KINDS)
    return [
        (name, KINDS[name](np.random.default_rng([seed, number]), side))
        for number in range(count)
        for name in [names[number % len(names)]]
    ]
