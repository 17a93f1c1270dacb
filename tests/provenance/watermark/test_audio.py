"""Marks in sounds: what they survive, what they refuse, and how loud they are."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import pytest

from guard.provenance.watermark import audio as marks
from guard.provenance.watermark import key_id
from guard.types import Audio
from tests.sounds import CHANGES, heard, played, spoken, wav

KEY, OTHER = b"k" * 32, b"o" * 32
KEYS = {"audio-mark": KEY}


@pytest.fixture(scope="module")
def marked() -> list[tuple[Any, Any, int]]:
    """A voice and music of 12 s, without and with the mark, and their rate."""
    made = []
    for seed, rate in enumerate((16_000, 22_050)):
        plain = (spoken if seed % 2 else played)(seed, 12, rate)
        audio, layer = marks.embed(wav(plain, rate), 7 + seed, KEY)
        assert layer.status == "applied"
        assert layer.detail == {"provider": 7 + seed, "key_id": key_id(KEY)}
        made.append((plain, heard(audio), rate))
    return made


def test_it_is_far_below_the_sound(marked: list[tuple[Any, Any, int]]) -> None:
    for plain, sound, _ in marked:
        assert 10 * np.log10(np.square(plain).mean() / np.square(sound - plain).mean()) >= 25


@pytest.mark.parametrize("change", CHANGES)
def test_the_provider_is_read_from_what_was_changed(change: str, marked: list[tuple[Any, Any, int]]) -> None:
    for number, (_, sound, rate) in enumerate(marked):
        found = marks.detect(CHANGES[change](sound, rate), KEYS)
        assert found == marks.Found(7 + number, key_id(KEY))


def test_what_has_no_mark_of_ours_gives_none(marked: list[tuple[Any, Any, int]]) -> None:
    for plain, sound, rate in marked:
        assert marks.detect(wav(plain, rate), KEYS) is None
        assert marks.detect(wav(sound, rate), {"other": OTHER}) is None


def test_both_channels_are_marked_and_stay_apart() -> None:
    left, right = spoken(1, 10, 16_000), played(2, 10, 16_000)
    audio, layer = marks.embed(wav(np.stack([left, right], 1), 16_000, 4), 200, KEY)
    assert layer.status == "applied"
    with wave.open(io.BytesIO(audio.data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getnframes()) == (2, 4, 160_000)
        both = np.frombuffer(file.readframes(160_000), "<i4").reshape(-1, 2) / 2.0**31
    for channel, plain in zip(both.T, (left, right), strict=True):
        assert np.corrcoef(channel, plain)[0, 1] > 0.99
        assert marks.detect(wav(channel, 16_000), KEYS) == marks.Found(200, key_id(KEY))


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        (wav(spoken(1, 5, 16_000), 16_000), "too_short"),
        (wav(np.zeros(10 * 16_000), 16_000), "did_not_take"),
        (wav(spoken(1, 10, 16_000), 16_000, 1), "unsupported_mode"),
        (Audio(b"ID3 no wave", "audio/mpeg"), "unsupported_format"),
        (Audio(wav(spoken(1, 10, 16_000), 16_000).data[:30]), "unsupported_format"),
    ],
)
def test_what_takes_no_mark_stays_as_it_was(audio: Audio, reason: str) -> None:
    same, layer = marks.embed(audio, 1, KEY)
    assert same is audio
    assert (layer.kind, layer.status, layer.detail) == ("watermark", "not_applicable", {"reason": reason})
    assert marks.detect(audio, KEYS) is None


def test_noise_without_a_mark_stays_far_below_the_bound() -> None:
    for seed in range(4):
        chance = np.random.default_rng(seed)
        assert marks.detect(wav(chance.normal(0, 0.1, 10 * 8000), 8000), KEYS) is None
