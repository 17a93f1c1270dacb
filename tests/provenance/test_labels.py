"""Labels: sentences in every language, badges that can be read on any picture, the signal, and what is left alone."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageFont

from guard import Guard
from guard.errors import ConfigError
from guard.policy.load import from_document
from guard.policy.schema import LanguageName
from guard.provenance import xmp
from guard.provenance.labels import LETTER_SHARE, badged, label, languages, sentence, signalled
from guard.types import Audio, Image, LabelSpec, Text

POLICY: dict[str, Any] = {"name": "open", "version": "1", "checkers": {}, "rules": []}


def picture(kind: str = "PNG", size: tuple[int, int] = (320, 200), colour: Any = "gray", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Pillow.new(mode, size, colour).save(out, kind)
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    with Pillow.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("L")).astype(int)


def sound(width: int = 2, channels: int = 1, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(width)
        written.setframerate(rate)
        written.writeframes(bytes(range(240)) * 10 * width * channels)
    return out.getvalue()


# --- the words -------------------------------------------------------------------------------------------------------


def test_every_language_has_its_words() -> None:
    assert set(languages()) == set(LanguageName.__args__)  # type: ignore[attr-defined]
    assert len(set(languages()) - {"zh", "ja", "ko"}) == 24
    said = [words for each in languages().values() for words in each[1:]]
    assert len(set(said)) == len(said) == 54
    assert all(len(words[0]) == 2 for words in languages().values())
    assert all(words[-1] in ".。" for words in said)
    assert sentence("de", "ai") == "KI"
    with pytest.raises(ConfigError, match="no label in 'xx'"):
        sentence("xx", "ai")


def test_texts_say_it_at_the_start_or_the_end() -> None:
    words = sentence("fr", "modified")
    for place, wanted in (("start", f"{words}\n\nbonjour"), ("end", f"bonjour\n\n{words}")):
        spec = LabelSpec(text=place, language="fr", kind="modified")  # type: ignore[arg-type]
        made, layer = label(Text("bonjour"), spec, "1")
        assert made == Text(wanted)
        assert layer is not None
        assert (layer.kind, layer.status, layer.detail["language"]) == ("label", "applied", "fr")
    assert label(Text("bonjour"), LabelSpec(image=True, audio=True, metadata=True), "1") == (Text("bonjour"), None)


# --- badges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("colour", ["black", "white", "gray"])
def test_a_badge_can_be_read_on_any_ground(kind: str, colour: str) -> None:
    before = picture(kind, colour=colour)
    after, language = badged(before, LabelSpec(image=True))
    assert language == "en"
    plain, marked = pixels(before), pixels(after)
    assert marked.shape == plain.shape
    rows, columns = np.nonzero(abs(marked - plain) > 64)
    inside = marked[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (inside > 200).mean() > 0.02  # white letters
    assert (inside < 55).mean() > 0.3  # on black
    assert inside.size < marked.size / 2
    assert abs(marked[:90, :] - plain[:90, :]).max() < 8  # the rest is as it was


@pytest.mark.parametrize("size", [(64, 64), (250, 900), (900, 600)])
def test_letters_are_as_high_as_the_rule_wants(size: tuple[int, int]) -> None:
    before = picture(size=size, colour="white")
    after, _ = badged(before, LabelSpec(image=True, kind="ai"))
    letters = np.argwhere(pixels(after) < 55)  # the ground of the badge
    ground = pixels(after)[letters[:, 0].min() : letters[:, 0].max(), letters[:, 1].min() : letters[:, 1].max()]
    high = np.nonzero((ground > 200).any(1))[0]
    assert high.max() - high.min() + 1 >= LETTER_SHARE * min(size)


def test_other_pictures_are_left_alone_and_said_to_be() -> None:
    frames = io.BytesIO()
    first = Pillow.new("RGB", (9, 9))
    first.save(frames, "PNG", save_all=True, append_images=[Pillow.new("RGB", (9, 9), "red")])
    signed = picture() + b"....jumb....c2pa"
    cases = [
        (frames.getvalue(), "not_applicable", "unsupported_format"),
        (picture("GIF"), "not_applicable", "unsupported_format"),
        (b"\x89PNG\r\n\x1a\nbroken", "failed", "unreadable_image"),
        (signed, "not_applicable", "it carries a credential, which a label would break"),
    ]
    for data, status, reason in cases:
        made, layer = label(Image(data), LabelSpec(image=True), "1")
        assert made.data == data
        assert layer is not None
        assert (layer.status, layer.detail["reason"]) == (status, reason)


def test_a_language_that_the_font_cannot_draw_is_said_in_english(tmp_path: Path) -> None:
    _, language = badged(picture(), LabelSpec(image=True, language="el"))
    assert language == "en"
    assert badged(picture(), LabelSpec(image=True, language="nl"))[1] == "nl"
    own = tmp_path / "own.ttf"
    own.write_bytes(ImageFont.load_default(20).path.getvalue())  # type: ignore[union-attr]
    after, _ = badged(picture(), LabelSpec(image=True, font=str(own)))
    assert (abs(pixels(after) - pixels(picture())) > 64).any()
    missing = label(Image(picture()), LabelSpec(image=True, font="/nowhere.ttf"), "1")[1]
    assert missing is not None
    assert (missing.status, missing.detail["reason"]) == ("failed", "unreadable_font")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "I;16"])
def test_pictures_of_every_mode(mode: str) -> None:
    after, _ = badged(picture(mode=mode, colour=1), LabelSpec(image=True))
    assert pixels(after).shape == (200, 320)


# --- sounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_sound_begins_with_short_long_short_short(width: int, channels: int) -> None:
    rate = 8000
    before, after = sound(width, channels, rate), signalled(sound(width, channels, rate))
    with wave.open(io.BytesIO(before)) as old, wave.open(io.BytesIO(after)) as new:
        assert new.getparams()[:3] == old.getparams()[:3]
        old_frames, frames = old.readframes(old.getnframes()), new.readframes(new.getnframes())
    assert frames.endswith(old_frames)
    lead = frames[: -len(old_frames)]
    raw = np.frombuffer(lead, np.uint8).reshape(-1, channels, width)
    top = raw[:, 0, -1].astype(np.int16)
    level = abs(top - 128) if width == 1 else abs((top ^ 128) - 128)
    loud = level[: len(level) // 40 * 40].reshape(-1, 40).max(1) > 4  # pieces of 5 ms
    lengths, current = [], 0
    for on in [*loud, False]:
        if on:
            current += 1
        elif current:
            lengths.append(current)
            current = 0
    assert len(lengths) == 4
    short, long, *rest = lengths
    assert 2.5 < long / short < 3.5
    assert all(abs(one - short) <= 1 for one in rest)


def test_sounds_in_other_formats_are_left_alone() -> None:
    for data in (b"RIFF\x04\0\0\0WAVE", b"ID3....", sound()[:30]):
        made, layer = label(Audio(data), LabelSpec(audio=True), "1")
        assert made.data == data
        assert layer is not None
        assert layer.status == "not_applicable"


# --- in the flow -----------------------------------------------------------------------------------------------------


def test_labels_come_before_the_credential_which_binds_them(tmp_path: Path) -> None:
    from guard.provenance import credentials
    from guard.provenance.certs import development_anchor

    stamp = {"label": {"text": "end", "image": True, "metadata": True, "producer": "Example Ltd", "language": "de"}}
    with Guard({**POLICY, "stamp": stamp}, home=tmp_path / "home") as g:
        text = g.wrap(lambda _: "hallo")("hi")
        assert isinstance(text.content, Text)
        assert text.content.text == "hallo\n\n" + sentence("de", "generated")
        drawn = g.wrap(lambda _: picture("JPEG"))("a red house")
        assert isinstance(drawn.content, Image)
        assert drawn.stamp is not None
        made = {layer.kind: layer.status for layer in drawn.stamp.layers}
        assert (made["manifest"], made["label"]) == ("applied", "applied")
        packet = xmp.read(drawn.content.data)
        assert packet is not None
        assert "trainedAlgorithmicMedia" in packet
        assert json.dumps(drawn.request_id)[1:-1] in packet
        anchor = development_anchor(g.keys)
        assert anchor is not None
        assert credentials.read(drawn.content, [anchor]).state is credentials.State.TRUSTED


def test_a_required_label_that_cannot_be_put_on_withholds(tmp_path: Path) -> None:
    stamp = {"label": {"image": True}, "image": ["manifest", "label"]}
    with Guard({**POLICY, "stamp": stamp, "on_error": "block"}, home=tmp_path / "home") as g:
        assert g.wrap(lambda _: picture())("hi").content is not None
        outcome = g.wrap(lambda _: picture("GIF"))("hi")
        assert outcome.content is None
        assert "label: unsupported_format" in str(outcome.results[-1].error)


def test_policies_that_say_nothing_of_labels_keep_their_digest() -> None:
    assert from_document(POLICY).digest == from_document({**POLICY, "stamp": {"label": {}, "watermark": True}}).digest
    assert from_document(POLICY).digest != from_document({**POLICY, "stamp": {"label": {"text": "end"}}}).digest
