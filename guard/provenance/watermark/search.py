"""Finding a mark whose picture was scaled, turned, mirrored and cut.

One spectrum serves the whole search. Wherever the tile's frequencies went, they went together: on a log-polar map of the
power, scale and rotation are two shifts, so every hypothesis is a sum of slices (Fourier and Mellin). What looks promising is
read at the exact frequencies by interpolation, without touching the pixels again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.provenance.watermark.coding import Reals
from guard.provenance.watermark.signal import evened, fold
from guard.provenance.watermark.tile import SIDE, VARIANTS, Integers, Pattern, Spectrum, pattern

SMALLEST, LARGEST = 0.38, 1.7  # scales that are looked for
_CAP = 10.0  # power, over the usual one, above which a frequency is the picture's own
_ROUGH, _FEW, CLOSE = 96, 12, 24  # hypotheses that are looked at more closely, the first of them, and that are decoded
_ALIGNED, UNSCALED = 10, 3  # the same, where nothing was scaled or turned


@dataclass(frozen=True, slots=True)
class Geometry:
    """What became of the picture: mirrored (left to right), then turned by degrees counter-clockwise, then scaled."""

    scale: float = 1.0
    rotation: float = 0.0
    flipped: bool = False

    def moved(self, places: Integers) -> NDArray[np.float64]:
        """Where frequencies (y, x in periods a tile) lie now, in periods a pixel."""
        x, y = places[:, 1] * (-1.0 if self.flipped else 1.0), places[:, 0]
        cosine, sine = np.cos(np.radians(self.rotation)), np.sin(np.radians(self.rotation))
        return np.stack([cosine * y - sine * x, sine * y + cosine * x], 1) / (SIDE * self.scale)


class Folded:
    """The spectrum of a whitened picture at the frequencies of the tile, where nothing was scaled or turned."""

    def __init__(self, white: Reals) -> None:
        self.values = evened(fold(white), 2)

    def at(self, places: Integers) -> Spectrum:
        """Values at frequencies … × 2 (y, x in periods a tile)."""
        return np.asarray(self.values[places[..., 0] + SIDE // 2, places[..., 1]])


class Plane:
    """The spectrum of a whitened picture, between its frequencies too; each is divided by what is usual around it."""

    def __init__(self, white: Reals) -> None:
        self.side = next(side for side in (512, 768, 1024, 1536, 2048) if side >= 2 * max(white.shape))
        height, width = white.shape
        # Interpolation dims what is far from the middle; this makes up for it in advance.
        rise = [1 / np.sinc((np.arange(n) - n // 2) / self.side) ** 2 for n in white.shape]
        padded = np.zeros((self.side, self.side), np.float32)
        padded[:height, :width] = white * np.outer(*rise).astype(np.float32)
        padded = np.roll(
            padded, (-(height // 2), -(width // 2)), (0, 1)
        )  # phases turn slowly when the middle is the origin
        self.values = evened(padded, 16 if self.side <= 1024 else 32)

    def at(self, places: NDArray[np.float64]) -> Spectrum:
        """Values at frequencies … × 2 (y, x in periods a pixel); 0 beyond what the picture holds."""
        mirrored = places[..., 1] < 0
        places = np.where(mirrored[..., None], -places, places)
        y, x = places[..., 0] * self.side + self.side // 2, places[..., 1] * self.side
        inside = (y >= 0) & (y < self.side - 1) & (x < self.side // 2 - 1)
        y, x = np.where(inside, y, 0.0), np.where(inside, x, 0.0)
        top, left = y.astype(np.intp), x.astype(np.intp)
        down, right = (y - top).astype(np.float32), (x - left).astype(np.float32)
        upper = self.values[top, left] * (1 - right) + self.values[top, left + 1] * right
        lower = self.values[top + 1, left] * (1 - right) + self.values[top + 1, left + 1] * right
        found = (upper * (1 - down) + lower * down) * inside
        return np.asarray(np.where(mirrored, found.conj(), found), np.complex64)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Where a mark may be. `score` is in deviations of a picture without one; `shift` is y, x in pixels of the tile."""

    score: float
    variant: int
    geometry: Geometry
    shift: tuple[float, float] = (0.0, 0.0)


def aligned(tones: Spectrum, known: Pattern, finer: int = 4) -> tuple[float, tuple[float, float]]:
    """The shift under which received pilots fit best: score, and y, x in pixels of the tile."""
    grid = np.zeros((SIDE, SIDE // 2 + 1), np.complex64)
    agreement = tones * known.tones.conj()
    grid[known.pilots[:, 0], known.pilots[:, 1]] = agreement
    fit = np.fft.irfft2(grid, (SIDE, SIDE))
    y, x = divmod(int(fit.argmax()), SIDE)
    steps = np.arange(-finer, finer + 1) / finer
    turn = [np.exp(2j * np.pi * np.outer(known.pilots[:, axis], at + steps) / SIDE) for axis, at in ((0, y), (1, x))]
    near = np.einsum("p,py,px->yx", agreement, *turn).real
    row, column = divmod(int(near.argmax()), len(steps))
    power = float(np.square(np.abs(agreement)).sum()) / 2 + 1e-9  # a flat picture has none
    return float(near[row, column] / np.sqrt(power)), (y + steps[row], x + steps[column])


def _placed(chips: Spectrum, places: Integers, shift: tuple[float, float]) -> Spectrum:
    """What was received at `places`, as if the tile began at the origin."""
    return np.asarray(chips * np.exp(2j * np.pi / SIDE * (places @ np.asarray(shift))), np.complex64)


def unscaled(white: Reals, key: bytes) -> list[tuple[Hypothesis, Reals]]:
    """Where this key's mark may be if the picture was cut or mirrored at most, with soft values; best first."""
    views = {flipped: Folded(white[:, ::-1] if flipped else white) for flipped in (False, True)}
    powers = {
        (variant, flipped): float(np.square(np.abs(folded.at(pattern(key, variant).pilots))).sum())
        for flipped, folded in views.items()
        for variant in range(VARIANTS)
    }
    guesses = []
    for variant, flipped in sorted(powers, key=lambda each: -powers[each])[:_ALIGNED]:
        known = pattern(key, variant)
        score, shift = aligned(views[flipped].at(known.pilots), known)
        guesses.append(Hypothesis(score, variant, Geometry(flipped=flipped), shift))
    best = sorted(guesses, key=lambda guess: -guess.score)[:UNSCALED]
    return [(g, _soft(views[g.geometry.flipped].at(pattern(key, g.variant).data), g, key)) for g in best]


def received(plane: Plane, guess: Hypothesis, key: bytes) -> Reals:
    """The soft values of the coded bits if a guess is right."""
    return _soft(plane.at(guess.geometry.moved(pattern(key, guess.variant).data)), guess, key)


def _soft(chips: Spectrum, guess: Hypothesis, key: bytes) -> Reals:
    known = pattern(key, guess.variant)
    return known.soft(_placed(chips, known.data, guess.shift))


def hypotheses(plane: Plane, key: bytes) -> Iterator[Hypothesis]:
    """Where this key's mark may be, best first; what looks best at once is tried before the others are looked at closely."""
    rough = sorted(_rough(plane, key), key=lambda found: -found.score)[:_ROUGH]
    for few in (rough[:_FEW], rough[_FEW:]):
        close = [better for found in few for better in _close(plane, key, found)]
        yield from sorted(close, key=lambda found: -found.score)[: CLOSE // 2]


def _rough(plane: Plane, key: bytes) -> Iterator[Hypothesis]:
    """Sums of power over the pilots, for all variants, mirrorings, scales and rotations."""
    step = 5.0 / plane.side  # of the logarithm of a frequency, and of an angle in radians
    angles, scales = round(np.pi / step), round(np.log(LARGEST / SMALLEST) / step)
    slowest = 10.0 / SIDE / LARGEST
    radii = slowest * np.exp(step * np.arange(scales + round(np.log(2.7) / step) + 1))
    turns = np.arange(angles) * np.pi / angles - np.pi / 2
    power = np.square(np.abs(plane.at(np.stack([np.outer(radii, np.sin(turns)), np.outer(radii, np.cos(turns))], 2))))
    power = np.minimum(power, np.float32(_CAP))
    power = np.concatenate([power, power], 1)
    for variant in range(VARIANTS):
        pilots = pattern(key, variant).pilots
        rows = np.round(np.log(np.hypot(pilots[:, 0], pilots[:, 1]) / SIDE / LARGEST / slowest) / step).astype(int)
        for flipped in (False, True):
            angle = np.arctan2(pilots[:, 0], pilots[:, 1] * (-1 if flipped else 1))
            columns = np.round((angle + np.pi / 2) * angles / np.pi).astype(int) % angles
            total = np.zeros((scales, angles), np.float32)
            for row, column in zip(rows, columns, strict=True):
                total += power[row : row + scales, column : column + angles]
            for at in np.argpartition(total.ravel(), -8)[-8:]:
                row, column = divmod(int(at), angles)
                geometry = Geometry(LARGEST * float(np.exp(-step * row)), -np.degrees(column * np.pi / angles), flipped)
                yield Hypothesis(float(total[row, column]), variant, geometry)


def _close(plane: Plane, key: bytes, found: Hypothesis) -> Iterator[Hypothesis]:
    """The best geometry in the neighbourhood, both ways up."""
    known, step = pattern(key, found.variant), 5.0 / plane.side
    geometry = found.geometry
    for size in (0.5, 0.2):
        around = [
            Geometry(
                geometry.scale * float(np.exp(step * size * i)),
                geometry.rotation + np.degrees(step * size * j),
                geometry.flipped,
            )
            for i in range(-2, 3)
            for j in range(-2, 3)
        ]
        tones = plane.at(np.stack([near.moved(known.pilots) for near in around]))
        geometry = around[int(np.square(np.abs(tones)).sum(1).argmax())]
    for half in (0.0, 180.0):
        turned = Geometry(geometry.scale, (geometry.rotation + half + 180) % 360 - 180, geometry.flipped)
        score, shift = aligned(plane.at(turned.moved(known.pilots)), known)
        yield Hypothesis(score, found.variant, turned, shift)
