"""Sounds drawn for the tests and the bench, and what may happen to them. None is a recording."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

from guard.types import Audio


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
