"""Fingerprints: what they withstand, what tells others apart, and that nothing makes them fail."""

from __future__ import annotations

import io
import json
import random
import wave
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pil
from PIL import ImageFilter

from guard.provenance.fingerprint import ROLE, THUMBNAIL, audio, image, parse, stamped, text
from guard.provenance.fingerprint.image import View, correlation
from guard.types import Audio, Content, Image, Stamp, Text
from tests.pictures import encoded, scene

WORDS = ["".join(random.Random(seed).choices("abcdefghijklmnop", k=2 + seed % 7)) for seed in range(400)]
LONG = " ".join(WORDS)


def layer(content: Content) -> Any:
    return stamped(content, Stamp(content.digest, ())).layers[0]


# --- what is sealed ------------------------------------------------------------------------------------------------------


def test_each_kind_has_its_fingerprint_and_a_picture_its_thumbnail() -> None:
    picture = encoded(scene(1))
    for content, kind in ((Text(LONG), "text"), (picture, "image"), (tune(1), "audio")):
        traces = stamped(content, Stamp(content.digest, ())).traces
        assert kind in parse(traces[ROLE].data)
        assert (THUMBNAIL in traces) == (kind == "image")
        assert (layer(content).status, layer(content).kind) == ("applied", "fingerprint")
    small = Pil.open(io.BytesIO(stamped(picture, Stamp("", ())).traces[THUMBNAIL].data))
    assert (max(small.size), small.mode) == (96, "L")
    assert parse(json.dumps({"v": 2, "text": ""}).encode()) == {}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (Text("Yes."), "not_applicable"),
        (Text(""), "not_applicable"),
        (encoded(Pil.new("RGB", (64, 64), "red")), "not_applicable"),
        (Image(b"no picture"), "failed"),
        (Image(encoded(scene(1)).data[:900]), "failed"),
        (Audio(b"RIFF\x00\x00\x00\x00WAVE"), "not_applicable"),
        (Audio(b"\xff\xfb garbage", "audio/mpeg"), "not_applicable"),
    ],
)
def test_what_cannot_be_known_by_anything_says_so(content: Content, status: str) -> None:
    assert layer(content).status == status
    assert layer(content).detail["reason"]
    assert not stamped(content, Stamp("", ())).traces


# --- texts ---------------------------------------------------------------------------------------------------------------


def test_a_text_shares_keys_with_what_was_made_of_it() -> None:
    chance = random.Random(5)
    edited = [word if chance.random() > 0.1 else "other" for word in WORDS]
    for other in (LONG.upper(), LONG.replace(" ", ",\n"), " ".join(edited), LONG[300:1200], f"{LONG[:400]} and more"):
        assert len(np.intersect1d(text.keys(LONG), text.keys(other))) > 0
        assert text.likeness(LONG, other) >= text.SAME
    stranger = " ".join(reversed(WORDS))
    assert len(np.intersect1d(text.keys(LONG), text.keys(stranger))) == 0
    assert text.likeness(LONG, stranger) == 0.0


@given(st.text(max_size=300))
def test_keys_of_any_text(anything: str) -> None:
    keys = text.keys(anything)
    assert (text.unpack(text.pack(keys)) == keys).all()
    assert len(np.unique(keys)) == len(keys)
    assert text.likeness(anything, anything) in (0.0, 1.0)


def test_a_long_text_keeps_a_bounded_number_of_keys() -> None:
    assert len(text.keys(" ".join(str(number) for number in range(60_000)))) <= 2048 + 16


# --- pictures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_parts_of_a_picture_fit_and_other_pictures_do_not(seed: int) -> None:
    whole = scene(seed, (512, 384))
    known = image.of(encoded(whole))
    assert known is not None
    size = (known.width, known.height)
    half = whole.crop((100, 60, 462, 332))
    cases = (
        (half, View(1.0)),
        (half.resize((181, 136)), View(0.5)),
        (half.filter(ImageFilter.GaussianBlur(2)), View(1.0)),
        (whole.resize((300, 225)), View()),
        (whole.rotate(5, expand=True).crop((60, 60, 470, 350)), View(1.0, 5.0)),
        (whole.transpose(Pil.Transpose.FLIP_LEFT_RIGHT), View(1.0, 0.0, True)),
        (Pil.open(io.BytesIO(encoded(half, "JPEG", quality=30).data)), View(1.005)),
    )
    for shown, view in cases:
        like = image.likeness(shown, known.thumbnail, size, view)
        assert like is not None
        assert like.same is True, view
        other = scene(seed + 100, shown.size)
        unlike = image.likeness(other, known.thumbnail, size, view)
        assert unlike is not None
        assert unlike.same is False


def test_too_small_or_flat_a_part_cannot_be_told() -> None:
    known = image.of(encoded(scene(1, (512, 384))))
    assert known is not None
    assert image.likeness(scene(1, (512, 384)).crop((0, 0, 30, 30)), known.thumbnail, (512, 384), View(1.0)) is None
    assert image.likeness(Pil.new("RGB", (300, 300), "red"), known.thumbnail, (512, 384), View(1.0)) is None


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(3, 24), st.integers(3, 24))
def test_correlation_is_the_textbook_one(seed: int, high: int, wide: int) -> None:
    chance = np.random.default_rng(seed)
    ground, patch = chance.normal(100, 30, (24, 24)), chance.normal(100, 30, (high, wide))
    places = [(top, left) for top in range(25 - high) for left in range(25 - wide)]
    each = [
        np.corrcoef(ground[top : top + high, left : left + wide].ravel(), patch.ravel())[0, 1] for top, left in places
    ]
    found = correlation(ground, patch, flat=0.1)
    assert found is not None
    assert found == pytest.approx(max(each), abs=1e-9)


def test_turns_stand_in_the_order_of_their_hashes() -> None:
    picture = scene(3)
    hashes, phashes = image.turned_hashes(picture)
    for number, side in enumerate(image.turns(picture)):
        known = image.of(encoded(side))
        assert known is not None
        assert np.bitwise_count(np.frombuffer(known.pdq, np.uint8) ^ hashes[number]).sum() <= 31
        assert np.bitwise_count(np.frombuffer(known.phash, np.uint8) ^ phashes[number]).sum() == 0


# --- sounds --------------------------------------------------------------------------------------------------------------

RATE = 16_000


def waves(seed: int, seconds: float = 8.0) -> Any:
    chance, time = np.random.default_rng(seed), np.arange(RATE // 2) / RATE
    sound = np.zeros(int(seconds * RATE) + len(time))
    for start in range(0, int(seconds * RATE), RATE // 4):
        base = chance.uniform(200, 600) * chance.choice([1, 2])
        note = np.exp(-5 * time) * sum(np.sin(2 * np.pi * base * part * time) / part for part in (1, 2, 3))
        sound[start : start + len(time)] += note
    return 0.7 * sound / np.abs(sound).max()


def wav(samples: Any, rate: int = RATE, width: int = 2, channels: int = 1) -> Audio:
    scaled = np.clip(samples, -1, 1) * (2 ** (8 * width - 1) - 1)
    raw = (scaled + 128).astype("u1") if width == 1 else scaled.astype(f"<i{width if width != 3 else 4}")
    data = np.repeat(raw, channels)
    payload = data.view("u1").reshape(-1, 4)[:, :3].tobytes() if width == 3 else data.tobytes()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(payload)
    return Audio(buffer.getvalue())


def tune(seed: int) -> Audio:
    return wav(waves(seed))


def test_a_sound_is_known_after_what_usually_happens_to_it() -> None:
    played = waves(1)
    known = audio.frames(wav(played))
    noise = np.random.default_rng(2).normal(0, np.std(played) / 10, len(played))
    changed = (
        wav(played * 0.05), wav(played + noise), wav(played[::2], RATE // 2), wav(played, width=1), wav(played, width=3),
        wav(played, width=4, channels=2), wav(played[RATE * 2 + 333 : RATE * 7 + 333]),
    )  # fmt: skip
    for sound in changed:
        found = audio.frames(sound)
        assert len(np.intersect1d(audio.probes(found), known)) > 0
        assert audio.likeness(found, known) <= audio.SAME


def test_other_sounds_and_silence_are_not() -> None:
    known = audio.frames(tune(1))
    for seed in range(2, 8):
        assert audio.likeness(audio.frames(tune(seed)), known) > audio.SAME
    for sound in (wav(np.zeros(8 * RATE)), wav(waves(1)[: 2 * RATE]), Audio(tune(1).data[:30])):
        assert len(audio.frames(sound)) == 0
    assert (audio.unpack(audio.pack(known)) == known).all()


@given(st.binary(max_size=200))
def test_no_bytes_make_a_fingerprint_crash(data: bytes) -> None:
    for content in (Audio(b"RIFF" + data), Image(b"\x89PNG\r\n\x1a\n" + data), Text(data.decode("latin-1"))):
        assert layer(content).status in ("applied", "not_applicable", "failed")
