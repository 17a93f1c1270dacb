"""What credentials cost: signing and reading back, and a whole stamp for each kind of content, beside ten milliseconds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from guard.keys import KeyRing
from guard.media import content_of
from guard.provenance import credentials, wrapped
from guard.provenance.certs import development_anchor, development_identity
from guard.provenance.claim import Claim
from guard.provenance.stamp import Stamper
from guard.types import Image, PolicyRef, Text
from tests.bench.measure import ROUNDS, Line, quantile, timed
from tests.bench.texts import prose
from tests.provenance.files import bmff, flac, mp3, pdf, picture, wav

POLICY = PolicyRef("bench", "1", "sha256:" + "ab" * 32)
CLAIM = Claim("bench", POLICY, "painter", "1.0")
TEN = 0.01


def lines() -> Iterator[Line]:
    """The target is for the PNG; the others stand beside the same ten milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        keys = KeyRing(Path(folder))
        identity = development_identity(keys)
        anchor = str(development_anchor(keys))
        png = Image(picture("PNG", 512))
        signed = credentials.sign(png, CLAIM, identity)
        times = [timed(lambda: credentials.sign(png, CLAIM, identity)) for _ in range(ROUNDS * 6)]
        for share in (0.5, 0.95):
            spent = [(quantile(times, share), TEN)]
            what = f"sign and read back a PNG of 512² ({len(png.data) // 1000} kB), p{share:.0%}".rstrip("%")
            yield Line(what, "10 ms", spent, "≤ 1 at p50")
        yield _beside("read a signed PNG of 512²", lambda: credentials.read(signed, [anchor]))
        stamper = Stamper(keys)
        for name, data in _files().items():
            content = content_of(data)
            stamp = partial(stamper.stamp, content, request_id="bench", policy=POLICY, generator={"model": "m"})
            yield _beside(f"stamp {name} ({len(data) / 1000:.0f} kB)", stamp)
        text = Text(prose(1000, 1))
        for name, export in (
            ("a text of 1 kB, manifest beside it", False),
            ("a text of 1 kB, credential inside", True),
        ):
            stamp = partial(
                stamper.stamp, text, request_id="bench", policy=POLICY, generator={"model": "m"}, export=export
            )
            yield _beside(f"stamp {name}", stamp)
        inside, _ = wrapped.sign(text, CLAIM, identity)
        yield _beside("read a text with its credential", lambda: wrapped.read(inside, [anchor]))


def _beside(what: str, action: Callable[[], object]) -> Line:
    return Line(what, "10 ms", [(timed(action), TEN) for _ in range(ROUNDS + 1)][1:])


def _files() -> dict[str, bytes]:
    return {
        "PNG 512²": picture("PNG", 512),
        "JPEG 512²": picture("JPEG", 512),
        "WebP 512²": picture("WEBP", 512),
        "GIF 512²": picture("GIF", 512),
        "TIFF 512²": picture("TIFF", 512),
        "AVIF 512²": picture("AVIF", 512),
        "WAV 10 s": wav(10),
        "MP3 10 s": mp3(383),
        "FLAC": flac(),
        "M4A": bmff(b"M4A ", b"soun"),
        "MP4": bmff(b"isom", b"vide"),
        "PDF": pdf(),
    }
