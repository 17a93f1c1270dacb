"""Visible labels: a sentence at a text, a badge on an image, a signal before a sound; and the same for software, as XMP.

What they say is in `labels.json`: the 24 official languages of the EU, Chinese, Japanese and Korean, each with its word for AI,
a sentence for what was generated and one for what was modified. Sizes and the signal follow China's GB 45438-2025: letters of
five hundredths of the shortest side, and short-long-short-short.
"""

from __future__ import annotations

import io
import json
import math
import wave
from functools import cache
from importlib import resources
from typing import Any

from guard import media
from guard.digest import JSON
from guard.errors import ConfigError, MissingExtra, StampError
from guard.provenance import xmp
from guard.provenance.claim import EDITED, GENERATED
from guard.types import Audio, Content, Image, LabelSpec, Layer, Text

ALGORITHM = "label-1"
LETTER_SHARE = 0.05  # of the shortest side
_LEGIBLE = 10  # pixels
_KINDS = ("ai", "generated", "modified")
_STILL = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
_SIGNAL = (1, 3, 1, 1)  # short, long, short, short
_BEAT, _PITCH, _LOUDNESS = 0.12, 880.0, 0.3  # seconds, hertz, share of the greatest amplitude


@cache
def languages() -> dict[str, list[str]]:
    """The words of each language: for AI, for what was generated, for what was modified."""
    table: dict[str, list[str]] = json.loads(resources.files(__package__).joinpath("labels.json").read_text("utf-8"))
    return table


def sentence(language: str, kind: str) -> str:
    """What the label says. Raises ConfigError for a language that is not in the table."""
    words = languages().get(language)
    if words is None:
        raise ConfigError(f"there is no label in {language!r}: use one of {', '.join(languages())}")
    return words[_KINDS.index(kind)]


def label(content: Content, spec: LabelSpec, number: str) -> tuple[Content, Layer | None]:
    """The content with the labels that the policy asks for, and what was done; None where it asks for none.

    `number` is what the AIGC field names the content by. What carries a credential is left alone, which a label would break.
    """
    wanted = _wanted(content, spec)
    if not wanted:
        return content, None
    if isinstance(content, Image) and b"jumb" in content.data and b"c2pa" in content.data:
        return content, _left("not_applicable", "it carries a credential, which a label would break")
    try:
        made, detail = _labelled(content, spec, number)
    except (MissingExtra, StampError) as error:
        reason = error.reason if isinstance(error, StampError) else "missing_extra"
        return content, _left("not_applicable" if reason == "unsupported_format" else "failed", reason)
    return made, Layer("label", "applied", ALGORITHM, {"kind": spec.kind, **detail})


def _wanted(content: Content, spec: LabelSpec) -> bool:
    if isinstance(content, Image):
        return spec.image or spec.metadata
    return (isinstance(content, Text) and spec.text is not None) or (isinstance(content, Audio) and spec.audio)


def _left(status: str, reason: str) -> Layer:
    return Layer("label", status, ALGORITHM, {"reason": reason})


def _labelled(content: Content, spec: LabelSpec, number: str) -> tuple[Content, dict[str, JSON]]:
    if isinstance(content, Text):
        words = sentence(spec.language, spec.kind)
        parts = (words, content.text) if spec.text == "start" else (content.text, words)
        return Text("\n\n".join(parts)), {"language": spec.language, "place": spec.text}
    if isinstance(content, Audio):
        return Audio(signalled(content.data), content.media_type), {"place": "start"}
    detail: dict[str, JSON] = {}
    data, packet = content.data, xmp.read(content.data)
    if spec.image:
        data, language = badged(data, spec)
        detail |= {"language": language, "place": "badge"}
    facts = {}
    if spec.metadata:
        facts[xmp.SOURCE_TYPE] = EDITED if spec.kind == "modified" else GENERATED
        if spec.producer:
            facts[xmp.AIGC] = xmp.aigc(spec.producer, number)
        detail["metadata"] = ["DigitalSourceType", *(["AIGC"] if spec.producer else [])]
    if facts or packet:
        data = xmp.write(data, facts, packet)
    return Image(data, content.media_type), detail


# --- images ------------------------------------------------------------------------------------------------------------


def badged(data: bytes, spec: LabelSpec) -> tuple[bytes, str]:
    """A still image with the label in its lower right corner, white on a black ground, and the language that it is in.

    JPEG and WebP are encoded anew, at quality 95. English stands where the font has not the letters of the language;
    the font that comes with Pillow has those of ASCII.
    """
    pillow = _pillow()
    kind = _STILL.get(media.media_type(data) or "")
    try:
        with pillow.Image.open(io.BytesIO(data)) as opened:
            if kind is None or getattr(opened, "n_frames", 1) > 1:
                raise StampError("a badge is put on still PNG, JPEG and WebP images only", "unsupported_format")
            picture = pillow.ImageOps.exif_transpose(opened)
            kept = {name: opened.info[name] for name in ("icc_profile", "dpi") if opened.info.get(name)}
            picture = (
                picture if picture.mode in ("RGB", "RGBA") else picture.convert("RGBA" if kind != "JPEG" else "RGB")
            )
    except (OSError, ValueError, SyntaxError, pillow.Image.DecompressionBombError) as error:
        raise StampError("this image cannot be read", "unreadable_image") from error
    size = max(_LEGIBLE, math.ceil(LETTER_SHARE * min(picture.size)))
    language, words = spec.language, sentence(spec.language, spec.kind)
    font = _font(spec, size)
    if not _draws(font, words):
        language, words = "en", sentence("en", spec.kind)
    _draw(picture, words, font)
    out = io.BytesIO()
    picture.save(out, kind, **({} if kind == "PNG" else {"quality": 95}), **kept)
    return out.getvalue(), language


def _font(spec: LabelSpec, height: int) -> Any:
    """The font whose capitals are as high as the rule wants letters to be."""
    fonts = _pillow().ImageFont

    def of(size: int) -> Any:
        try:
            return fonts.truetype(spec.font, size) if spec.font else fonts.load_default(size)
        except OSError as error:
            raise StampError(f"the font {spec.font} cannot be read", "unreadable_font") from error

    size = height
    while (box := of(size).getbbox("A"))[3] - box[1] < height:
        size += 1
    return of(size)


def _draws(font: Any, words: str) -> bool:
    """Whether a font has all letters: what it lacks it draws as it draws a number that is no character."""
    missing = bytes(font.getmask("\U0010fffe"))
    return not any(bytes(font.getmask(letter)) == missing for letter in set(words) - {" "})


def _draw(picture: Any, words: str, font: Any) -> None:
    draw = _pillow().ImageDraw.Draw(picture)
    edge = max(2, font.size // 4)
    lines = "\n".join(_wrapped(words, font, picture.width - 4 * edge))
    left, top, right, bottom = draw.multiline_textbbox((0, 0), lines, font=font)
    x, y = max(edge, picture.width - (right - left) - 2 * edge), max(edge, picture.height - (bottom - top) - 2 * edge)
    ground = (x - edge, y - edge, x + right - left + edge, y + bottom - top + edge)
    draw.rectangle(ground, fill="black", outline="white", width=1)  # the line shows it on black pictures too
    draw.multiline_text((x - left, y - top), lines, font=font, fill="white")


def _wrapped(words: str, font: Any, width: int) -> list[str]:
    """The words in lines that fit; Chinese and Japanese, and words longer than a line, break anywhere."""
    lines = [""]
    for piece in words.split(" ") if " " in words else [words]:
        joined = f"{lines[-1]} {piece}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        lines.append("")
        for letter in piece:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return [line for line in lines if line]


def _pillow() -> Any:
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
        import PIL.ImageOps
    except ModuleNotFoundError as error:
        raise MissingExtra("badges on images", "images") from error
    return PIL


# --- sounds ------------------------------------------------------------------------------------------------------------


def signalled(data: bytes) -> bytes:
    """A WAV of PCM samples with the signal before it and a second of quiet between; nothing of the sound is changed."""
    try:
        with wave.open(io.BytesIO(data)) as sound:
            parameters, frames = sound.getparams(), sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as error:
        raise StampError("a signal is put before WAV files of PCM samples only", "unsupported_format") from error
    out = io.BytesIO()
    with wave.open(out, "wb") as written:
        written.setparams(parameters)
        written.writeframes(_signal(parameters.framerate, parameters.nchannels, parameters.sampwidth) + frames)
    return out.getvalue()


def _signal(rate: int, channels: int, width: int) -> bytes:
    beat, frames = int(rate * _BEAT), bytearray()
    quiet = b"\x80" if width == 1 else bytes(width)  # samples of eight bits have no sign
    for length in _SIGNAL:
        count = length * beat
        for place in range(count):
            swell = min(1.0, place / (beat / 8), (count - place) / (beat / 8))  # without a click at either end
            level = _LOUDNESS * swell * math.sin(2 * math.pi * _PITCH * place / rate)
            sample = round(level * (2 ** (8 * width - 1) - 1)) + (128 if width == 1 else 0)
            frames += sample.to_bytes(width, "little", signed=width > 1) * channels
        frames += quiet * channels * beat
    return bytes(frames) + quiet * channels * rate
