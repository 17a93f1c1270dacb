"""What the image mark survives, beside invisible-watermark's dwtDctSvd on the same pictures: `python -m tests.bench marks`.

Pictures: 100 of `imagery`, which are made from a seed, and the photographs that scikit-image ships, scaled to 512 × 512. Each
carries 48 random bits; recovered means: all of them. Negatives are cuts of unmarked pictures, and marks of another key; most
are looked at unscaled, one in 50 with the whole search. The peer and the photographs come into an environment of their own.
"""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image as Pil
from PIL import ImageEnhance, ImageFilter
from rich.console import Console
from rich.table import Table

from guard.intervals import wilson
from guard.provenance.watermark import image as marks
from guard.types import Image
from tests.bench import imagery
from tests.bench.imagery import Pixels
from tests.bench.measure import quantile
from tests.bench.peers import HOME, Unavailable, installed

PICTURES, NEGATIVES, SIDE = 100, 10_000, 512
KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
PEER = "invisible-watermark 0.2.0, dwtDctSvd"
PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
Change = Callable[[Any, np.random.Generator], Any]


def compressed(picture: Any, kind: str, quality: int) -> Any:
    """The picture out of a JPEG or WebP."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=quality)
    return Pil.open(buffer).convert("RGB")


def resized(picture: Any, factor: float) -> Any:
    return picture.resize([round(size * factor) for size in picture.size], Pil.Resampling.BICUBIC)


def cut(picture: Any, keep: float, chance: np.random.Generator) -> Any:
    """This share of the area, from anywhere."""
    width, height = (int(size * keep**0.5) for size in picture.size)
    left, top = chance.integers(0, picture.width - width + 1), chance.integers(0, picture.height - height + 1)
    return picture.crop((left, top, left + width, top + height))


def noisy(picture: Any, deviation: float, chance: np.random.Generator) -> Any:
    pixels = np.asarray(picture) + chance.normal(0, deviation, (picture.height, picture.width, 3))
    return Pil.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def turned(picture: Any, degrees: float) -> Any:
    return picture.rotate(degrees, Pil.Resampling.BICUBIC)


def always(change: Callable[..., Any], *settings: Any) -> Change:
    """A change without chance."""
    return lambda picture, _: change(picture, *settings)


def enhanced(picture: Any, what: Callable[[Any], Any], factor: float) -> Any:
    return what(picture).enhance(factor)


def blurred(picture: Any, radius: float) -> Any:
    return picture.filter(ImageFilter.GaussianBlur(radius))


def by_chance(change: Callable[..., Any], setting: float) -> Change:
    """A change with some chance in it."""
    return lambda picture, chance: change(picture, setting, chance)


CHANGES: dict[str, Change] = {
    "none": lambda picture, _: picture,
    **{f"JPEG {quality}": always(compressed, "JPEG", quality) for quality in (95, 90, 80, 70, 50, 40, 30)},
    **{f"WebP {quality}": always(compressed, "WEBP", quality) for quality in (80, 50)},
    **{f"resize × {factor}": always(resized, factor) for factor in (0.5, 0.75, 1.25, 1.5)},
    **{f"crop, {keep:.0%} kept": by_chance(cut, keep) for keep in (0.9, 0.75, 0.5, 0.25)},
    **{f"rotation {degrees}°": always(turned, degrees) for degrees in (1, 3, 5, 45, 90)},
    "mirrored": lambda picture, _: picture.transpose(Pil.Transpose.FLIP_LEFT_RIGHT),
    **{f"noise, σ {deviation}": by_chance(noisy, deviation) for deviation in (5, 10)},
    **{f"blur, radius {radius}": always(blurred, radius) for radius in (1, 2)},
    **{f"brightness × {factor}": always(enhanced, ImageEnhance.Brightness, factor) for factor in (0.7, 1.3)},
    **{f"contrast × {factor}": always(enhanced, ImageEnhance.Contrast, factor) for factor in (0.7, 1.3)},
    "screenshot (× 0.9, JPEG 75)": lambda picture, _: compressed(resized(picture, 0.9), "JPEG", 75),
    "75% kept, turned 2°, × 0.8, JPEG 70": lambda picture, chance: compressed(
        resized(cut(turned(picture, 2), 0.75, chance), 0.8), "JPEG", 70
    ),
}

# Torch is imported by a method that is not used; the package itself pulls gigabytes for it.
_SCRIPT = """
import json, sys, types
line, sys.stdout = sys.stdout, sys.stderr
sys.modules["torch"] = types.ModuleType("torch")
import numpy as np
from imwatermark import WatermarkDecoder, WatermarkEncoder
for request in sys.stdin:
    path, bits = json.loads(request)
    pixels = np.ascontiguousarray(np.load(path)[..., ::-1])
    if bits:
        encoder = WatermarkEncoder()
        encoder.set_watermark("bytes", bytes.fromhex(bits))
        np.save(path, encoder.encode(pixels, "dwtDctSvd")[..., ::-1])
        answer = ""
    else:
        small = min(pixels.shape[:2]) < 256
        answer = "" if small else WatermarkDecoder("bytes", 48).decode(pixels, "dwtDctSvd").hex()
    print(json.dumps(answer), file=line, flush=True)
"""


class Peer:
    """invisible-watermark as a process; pictures go to and fro in a file."""

    def __init__(self, python: Path, scratch: Path) -> None:
        self._file = scratch / "picture.npy"
        self._process = subprocess.Popen(
            [str(python), "-c", _SCRIPT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={"PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, picture: Any, bits: str) -> str:
        np.save(self._file, np.asarray(picture))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(self._file), bits]) + "\n")
        self._process.stdin.flush()
        return str(json.loads(self._process.stdout.readline()))

    def embed(self, picture: Any, mark: bytes) -> Any:
        self._ask(picture, mark.hex())
        return Pil.fromarray(np.load(self._file))

    def read(self, picture: Any) -> bytes:
        return bytes.fromhex(self._ask(picture, ""))


@dataclass(frozen=True, slots=True)
class Result:
    """One picture: its kind, decibels of each side's marked picture, and for each change what became of each side's mark."""

    kind: str
    status: str
    decibels: tuple[float, float]
    ours: dict[str, str]  # "right", "wrong" or "lost"
    theirs: dict[str, str]
    unscaled: list[float]  # seconds of detection
    searched: list[float]


def file_of(picture: Any) -> Image:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return Image(buffer.getvalue())


def psnr(left: Any, right: Any) -> float:
    error = np.square(np.asarray(left, np.float64) - np.asarray(right, np.float64)).mean()
    return float(10 * np.log10(255**2 / error))


def judged(found: bytes | None, mark: bytes) -> str:
    return "lost" if found is None else ("right" if found == mark else "wrong")


def survived(kind: str, pixels: Pixels, seed: int, peer: Peer | None, changes: Sequence[str]) -> Result:
    """Mark one picture by both sides, and read both after every change."""
    chance, plain = np.random.default_rng([7, seed]), Pil.fromarray(pixels)
    mark = chance.bytes(6)
    image, layer = marks.embed(file_of(plain), mark, KEY)
    marked = Pil.open(io.BytesIO(image.data)).convert("RGB")
    other = peer.embed(plain, mark) if peer else plain
    ours, theirs = {}, {}
    unscaled, searched = [], []
    for number, name in enumerate(changes):
        same = [seed, number]  # both sides are cut and blurred alike
        image = file_of(CHANGES[name](marked, np.random.default_rng(same)))
        began = time.process_time()
        found = marks.detect(image, {"": KEY})
        middle = time.process_time()
        unscaled.append(middle - began)
        if found is None:
            found = marks.detect(image, {"": KEY}, search=True)
            searched.append(time.process_time() - middle)
        ours[name] = judged(found.mark_id if found else None, mark)
        if peer:
            theirs[name] = judged(peer.read(CHANGES[name](other, np.random.default_rng(same))) or None, mark)
    decibels = (psnr(plain, marked), psnr(plain, other) if peer else math.inf)
    return Result(kind, layer.status, decibels, ours, theirs, unscaled, searched)


def false_payloads(seed: int, count: int, sources: Sequence[Pixels]) -> int:
    """How many of `count` cuts, one half of which another key marked, give a payload under ours."""
    chance, found = np.random.default_rng([8, seed]), 0
    pool = [Pil.fromarray(pixels) for pixels in sources]
    pool += [Pil.open(io.BytesIO(marks.embed(file_of(picture), chance.bytes(6), OTHER)[0].data)) for picture in pool]
    for number in range(count):
        picture = pool[number % len(pool)].convert("RGB")
        width, height = chance.integers(128, 513, 2)
        left, top = chance.integers(0, 513 - width), chance.integers(0, 513 - height)
        part = file_of(picture.crop((left, top, left + width, top + height)))
        found += marks.detect(part, {"": KEY}, search=number % 50 == 0) is not None
    return found


def share(outcomes: Sequence[str]) -> str:
    """`0.98 [0.93–0.99]`, with the number of wrong ones where there are any."""
    right, wrong = outcomes.count("right"), outcomes.count("wrong")
    low, high = wilson(right, len(outcomes))
    return f"{right / len(outcomes):.2f} [{low:.2f}–{high:.2f}]" + (f", {wrong} wrong" if wrong else "")


def photographs(python: Path) -> Iterator[tuple[str, Pixels]]:
    """The middle square of each photograph, 512 × 512."""
    (folder,) = (python.parent.parent / "lib").glob("python*/site-packages/skimage/data")
    for name in PHOTOGRAPHS:
        picture = Pil.open(folder / name).convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Pil.Resampling.LANCZOS)
        yield "photograph", np.asarray(square)


def _worker(task: tuple[int, str, Pixels, Path | None]) -> Result:
    seed, kind, pixels, python = task
    if python is None:
        return survived(kind, pixels, seed, None, list(CHANGES))
    with tempfile.TemporaryDirectory() as folder, Peer(python, Path(folder)) as peer:
        return survived(kind, pixels, seed, peer, list(CHANGES))


def _negatives(task: tuple[int, int]) -> int:
    seed, count = task
    return false_payloads(seed, count, [pixels for _, pixels in imagery.pictures(10, SIDE, seed=1000 + seed)])


def main() -> None:
    """Measure and print the table."""
    console = Console(width=150)
    python: Path | None = None
    photos: list[tuple[str, Pixels]] = []
    try:
        python = installed(
            HOME.parent / "marks",
            ["--no-deps", "invisible-watermark==0.2.0", "scikit-image==0.26.0"],
            ["PyWavelets", "opencv-python-headless", "numpy"],
        )
        photos = list(photographs(python))
    except Unavailable as why:
        console.print(f"{PEER} and the photographs: not measured: {why}")
    made = imagery.pictures(PICTURES, SIDE)
    tasks = [(seed, kind, pixels, python) for seed, (kind, pixels) in enumerate([*made, *photos])]
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as pool:
        results = list(pool.map(_worker, tasks))
        alarms = sum(pool.map(_negatives, [(seed, NEGATIVES // 20) for seed in range(20)]))
    _print(console, results, alarms)


def _print(console: Console, results: Sequence[Result], alarms: int) -> None:
    taken = [result for result in results if result.status == "applied"]
    table = Table("change", f"ours, {PICTURES} made", "ours, photographs", "dwtDctSvd, all", title="48 bits recovered")
    for name in CHANGES:
        drawn = [result.ours[name] for result in taken if result.kind != "photograph"]
        shot = [result.ours[name] for result in taken if result.kind == "photograph"]
        peer = [result.theirs[name] for result in results if result.theirs]
        table.add_row(name, share(drawn), share(shot) if shot else "", share(peer) if peer else "")
    console.print(table)
    for side, who in ((0, "ours"), (1, PEER)):
        levels = sorted(result.decibels[side] for result in taken)
        console.print(f"{who}: PSNR {levels[0]:.1f} to {levels[-1]:.1f} dB, median {levels[len(levels) // 2]:.1f}")
    unscaled = [seconds for result in taken for seconds in result.unscaled]
    searched = [seconds for result in taken for seconds in result.searched]
    for what, times in (("unscaled", unscaled), ("searched", searched)):
        middle, slow = quantile(times, 0.5) * 1e3, quantile(times, 0.99) * 1e3
        console.print(f"detection, {what}, PNG decoding included: p50 {middle:,.0f} ms, p99 {slow:,.0f} ms of CPU")
    high = wilson(alarms, NEGATIVES)[1]
    console.print(f"taken by {len(taken)} of {len(results)}; false payloads: {alarms} of {NEGATIVES} (≤ {high:.1e})")
