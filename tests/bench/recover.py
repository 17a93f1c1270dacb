"""Stripped, re-encoded and cut, then inspected: which share still names its entry with its proof, and whether a copied mark
ever passes; how long looking takes at a million items.

Pictures are drawn (`tests.bench.imagery`), marked with the real mark, released through a guard and inspected as strangers'
files are. The forger here is the strongest there is: one who holds the key and puts a released picture's own mark into others.
"""

from __future__ import annotations

import io
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pil
from PIL import ImageEnhance
from rich.console import Console
from rich.table import Table

from guard import Guard
from guard.digest import label
from guard.intervals import wilson
from guard.provenance.fingerprint import stamped
from guard.provenance.inspector import Inspector
from guard.provenance.neighbours import FaissScan, Postings, Scan
from guard.provenance.verdict import Reason, Verdict
from guard.provenance.watermark import IMAGE_MARK
from guard.provenance.watermark.image import embed
from guard.types import Generated, Image, Request, Stamp, Text
from tests.bench.imagery import pictures
from tests.bench.measure import Line, paired, quantile, timed
from tests.bench.texts import prose
from tests.pictures import encoded

POLICY = {"name": "bench", "version": "1", "checkers": {}}
Change = Callable[[Any, random.Random], Image]


def part(picture: Any, share: float, chance: random.Random) -> Any:
    """A piece of a share of the area, from anywhere."""
    wide, high = (round(side * share**0.5) for side in picture.size)
    left, top = chance.randint(0, picture.width - wide), chance.randint(0, picture.height - high)
    return picture.crop((left, top, left + wide, top + high))


def scaled(picture: Any, factor: float) -> Any:
    return picture.resize(tuple(round(side * factor) for side in picture.size), Pil.Resampling.BICUBIC)


def turned(picture: Any, degrees: float) -> Any:
    edge = round(picture.width * 0.08)
    whole = picture.rotate(degrees, resample=Pil.Resampling.BICUBIC)
    return whole.crop((edge, edge, picture.width - edge, picture.height - edge))


COMMON: dict[str, Change] = {
    "JPEG 50": lambda it, _: encoded(it, "JPEG", quality=50),
    "WebP 70": lambda it, _: encoded(it, "WEBP", quality=70),
    "half the size, JPEG 80": lambda it, _: encoded(scaled(it, 0.5), "JPEG", quality=80),
    "1.5 times the size, JPEG 80": lambda it, _: encoded(scaled(it, 1.5), "JPEG", quality=80),
    "half of it, JPEG 80": lambda it, chance: encoded(part(it, 0.5, chance), "JPEG", quality=80),
    "mirrored, JPEG 80": lambda it, _: encoded(it.transpose(Pil.Transpose.FLIP_LEFT_RIGHT), "JPEG", quality=80),
    "turned by 3°, cut, JPEG 80": lambda it, _: encoded(turned(it, 3), "JPEG", quality=80),
    "screenshot: 0.9, brighter, JPEG 75": lambda it, _: encoded(
        ImageEnhance.Brightness(scaled(it, 0.9)).enhance(1.15), "JPEG", quality=75
    ),
}


class Painter:
    """Hands out drawn pictures by number, marked."""

    name = "painter"

    def __init__(self, drawn: list[Image], key: bytes) -> None:
        self._drawn, self._key = drawn, key

    def generate(self, request: Request) -> Generated:
        number = int(request.prompt.data)
        image, layer = embed(self._drawn[number], number.to_bytes(6, "big"), self._key)
        return Generated(image, {"model": self.name}, (layer,))


def interval(hits: int, of: int) -> tuple[float, float]:
    """Wilson's, at 95 %; of nothing anything."""
    return wilson(hits, of) if of else (0.0, 1.0)


def opened(image: Image) -> Any:
    return Pil.open(io.BytesIO(image.data)).convert("RGB")


def run(count: int, changes: dict[str, Change], *, forgeries: int) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """What became of `count` pictures after each change, and of forgeries; a picture that takes no mark counts as well."""
    chance = random.Random(5)
    drawn = [encoded(Pil.fromarray(pixels)) for _, pixels in pictures(count + forgeries)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Guard(POLICY, store=f"sqlite:///{folder}/guard.db", home=Path(folder) / "home") as guard,
    ):
        key = guard.keys.secret(IMAGE_MARK)
        paint = guard.wrap(Painter(drawn, key))
        made = [paint(str(number), id=str(number)) for number in range(count)]
        released = [outcome.content for outcome in made if isinstance(outcome.content, Image)]
        numbers = {outcome.request_id: outcome.receipt.entry for outcome in made}
        with Inspector.open(guard.settings) as inspector:
            after: dict[str, Counter[str]] = {name: Counter() for name in changes}
            for name, change in changes.items():
                for number, image in enumerate(released):
                    found = inspector.inspect(change(opened(image), chance).data)
                    right = found.entry is not None and found.entry.seq == numbers[str(number)]
                    proved = right and found.entry is not None and found.entry.proved
                    after[name][found.verdict.value if proved else "lost"] += 1
            forged: Counter[str] = Counter()
            for number in range(forgeries):
                copied = chance.randrange(count)
                fake, layer = embed(drawn[count + number], copied.to_bytes(6, "big"), key)
                if layer.status != "applied":
                    continue
                shown = opened(fake) if number % 2 else part(opened(fake), chance.uniform(0.3, 0.9), chance)
                found = inspector.inspect(encoded(shown, "JPEG", quality=90).data, search=False)
                what = found.reason.value if found.reason is Reason.TRANSPLANTED else found.verdict.value
                forged[what] += 1
    return after, forged


def main() -> None:
    """GUARD_BENCH_PICTURES (default 100) pictures, and four times as many forgeries."""
    count = int(os.environ.get("GUARD_BENCH_PICTURES", "100"))
    after, forged = run(count, COMMON, forgeries=4 * count)
    table = Table("after", "recovered", "95 %", "probable", "contradicted", "lost", title=f"recover: {count} pictures")
    every: Counter[str] = Counter()
    for name, found in after.items():
        every += found
        table.add_row(name, *_cells(found))
    table.add_row("all", *_cells(every))
    console = Console(width=140)
    console.print(table)
    of = sum(forged.values())
    low, high = interval(forged[Verdict.RECOVERED.value], of)
    console.print(
        f"forged: {dict(forged)}; recovered {forged[Verdict.RECOVERED.value]} of {of}, 95 % {low:.4f}–{high:.4f}"
    )


def _cells(found: Counter[str]) -> list[str]:
    of = sum(found.values())
    low, high = interval(found["recovered"], of)
    return [
        f"{found['recovered'] / of:.3f}", f"{low:.3f}–{high:.3f}",
        *(str(found[name]) for name in ("probable", "contradicted", "lost")),
    ]  # fmt: skip


# --- what looking costs ------------------------------------------------------------------------------------------------------


def lines() -> Iterator[Line]:
    """Look-ups among a million items, and what registering one costs."""
    chance = np.random.default_rng(0)
    for count in (10**5, 10**6):
        hashes = chance.integers(0, 256, (count, 32), dtype=np.uint8)
        quick, plain = FaissScan(32), Scan(32)
        quick.add(hashes)
        plain.add(hashes)
        one = hashes[7:8].copy()
        one[0, :3] ^= 255
        assert quick.within(one, 31) == plain.within(one, 31)
        what = f"a picture among {count:,}: faiss"
        target = "≤ 1,500 µs" if count == 10**6 else ""
        ours, theirs = partial(quick.within, one, 31), partial(plain.within, one, 31)
        yield paired(what, ours, "numpy", theirs, target=target)
    postings, text_keys = Postings(), chance.integers(0, 1 << 63, (10**6, 45), dtype=np.uint64)
    began = time.perf_counter()
    for item, keys in enumerate(text_keys):
        postings.add(item, keys)
    built = time.perf_counter() - began
    asked = text_keys[777]
    assert postings.sharing(asked)[0] == (777, 45)
    times = [timed(lambda: postings.sharing(asked)) for _ in range(200)]
    pairs = [(each, 0.001) for each in times]
    yield Line(
        f"a text among 1,000,000 (built in {built:.0f} s; p99 {quantile(times, 0.99) * 1e6:,.0f} µs)",
        "a millisecond",
        pairs,
    )
    text, image = Text(prose(1000)), encoded(Pil.fromarray(pictures(1)[0][1]))
    for content, name in ((text, "1 kB of text"), (image, "a PNG of 512²")):
        printed, digested = partial(stamped, content, Stamp("", ())), partial(label, content.data)
        yield paired(f"the fingerprint of {name}", printed, "its digest", digested)
    yield from _cold(text)


def _cold(text: Text) -> Iterator[Line]:
    """What a process pays that looks for the first time: opening every fingerprint in the record."""
    count = 2000
    with (
        tempfile.TemporaryDirectory() as folder,
        Guard(POLICY, store=f"sqlite:///{folder}/guard.db", home=Path(folder) / "home") as guard,
    ):
        made = guard.wrap(lambda prompt: f"{prompt} {text.text}")
        for number in range(count):
            made(str(number))

        def first() -> None:
            with Inspector.open(guard.settings) as inspector:
                assert inspector.registry is not None
                assert inspector.registry.refresh() == count

        pairs = [(timed(first) / count, 10e-6) for _ in range(5)]
    yield Line(f"the first look of a process, for each of {count} texts", "ten microseconds", pairs)
