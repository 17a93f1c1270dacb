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

KEY, OTHER = b"k" * 32, b"o" * 32
KEYS = {"audio-mark": KEY}


def drawn(seed: int, seconds: int, count: float) -> Any:
    """A line through random points, so many a second, in [0, 1]; as a function of time."""
    points = np.random.default_rng(seed).random(int(seconds * count) + 2)
    return lambda time: np.interp(time * count, np.arange(len(points)), points)


def spoken(seed: int, seconds: int, rate: int) -> Any:
    """A voice without words: a gliding tone with overtones that come and go, in syllables, and some breath."""
    time = np.arange(seconds * rate) / rate
    phase = 2 * np.pi * np.cumsum(110 + 60 * drawn(seed, seconds, 4)(time)) / rate
    tones = [np.sin(n * phase) * drawn(100 * seed + n, seconds, 8)(time) / n for n in range(1, 25)]
    loudness = drawn(seed + 1, seconds, 7)(time) ** 2
    breath = np.random.default_rng(seed).normal(0, 0.02, len(time))
    sound = sum(tones) * loudness + breath * (loudness + 0.1)
    return sound / abs(sound).max() * 0.7


def played(seed: int, seconds: int, rate: int) -> Any:
    """Chords of plucked strings, two in a second."""
    chance, sound = np.random.default_rng(seed), np.zeros(seconds * rate)
    for start in range(0, len(sound), rate // 2):
        time = np.arange(min(rate, len(sound) - start)) / rate
        for note in 110 * 2 ** (chance.choice([0, 3, 5, 7, 10, 12, 15, 19], 3) / 12):
            for overtone in range(1, 12):
                tone = np.sin(2 * np.pi * note * overtone * time) * np.exp(-time * (2 + overtone)) / overtone
                sound[start : start + rate] += tone
    return sound / abs(sound).max() * 0.8


def wav(samples: Any, rate: int, width: int = 2) -> Audio:
    """Samples, or samples × channels, between -1 and 1."""
    whole = np.clip(np.rint(samples * 2 ** (8 * width - 1)), -(2 ** (8 * width - 1)), 2 ** (8 * width - 1) - 1)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(whole.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
    return Audio(buffer.getvalue())


def heard(audio: Audio) -> Any:
    """16-bit samples of the first channel."""
    with wave.open(io.BytesIO(audio.data)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")[:: file.getnchannels()] / 2.0**15


def resampled(samples: Any, count: int) -> Any:
    return np.fft.irfft(np.fft.rfft(samples)[: count // 2 + 1], count) * (count / len(samples))


def noisy(samples: Any) -> Any:
    return samples + np.random.default_rng(4).normal(0, 0.1 * samples.std(), len(samples))  # 20 dB


CHANGES: dict[str, Any] = {
    "as it is": lambda x, rate: wav(x, rate),
    "20 dB of noise": lambda x, rate: wav(noisy(x), rate),
    "at 8 kHz": lambda x, rate: wav(resampled(x, len(x) * 8000 // rate), 8000),
    "from 1.37 s on": lambda x, rate: wav(x[int(1.37 * rate) :], rate),
    "steps of 8 bits": lambda x, rate: wav(np.round(x * 127) / 127, rate),
    "at a third": lambda x, rate: wav(x / 3, rate),
    "24 bits": lambda x, rate: wav(x, rate, 3),
    "8 s of it": lambda x, rate: wav(x[rate : 9 * rate], rate),
}


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
