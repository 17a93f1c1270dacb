"""What the mark in sounds survives: `python -m tests.bench sounds`. The sounds are drawn from a seed: none is a recording."""

from __future__ import annotations

import time

import numpy as np
from rich.console import Console
from rich.table import Table

from guard.provenance.watermark import audio as marks
from tests.bench.marks import KEY, OTHER, share
from tests.bench.measure import quantile
from tests.sounds import CHANGES, heard, played, spoken, wav

SOUNDS, SECONDS = 40, 12
RATES = (16_000, 22_050, 44_100, 48_000)


def main() -> None:
    """Mark voices and music, change them, read them, and print what is left."""
    outcomes: dict[str, list[str]] = {name: [] for name in CHANGES}
    taken, alarms, levels, cost = 0, 0, [], []
    for seed in range(SOUNDS):
        rate, number = RATES[seed // 2 % len(RATES)], seed * 5 % marks.PROVIDERS
        plain = (spoken if seed % 2 else played)(seed, SECONDS, rate)
        alarms += sum(marks.detect(wav(plain, rate), {"": key}) is not None for key in (KEY, OTHER))
        marked, layer = marks.embed(wav(plain, rate), number, KEY)
        if layer.status != "applied":
            continue
        taken, sound = taken + 1, heard(marked)
        levels.append(float(10 * np.log10(np.square(plain).mean() / np.square(sound - plain).mean())))
        for name, change in CHANGES.items():
            audio = change(sound, rate)
            began = time.process_time()
            found = marks.detect(audio, {"": KEY})
            cost.append(time.process_time() - began)
            outcomes[name].append("lost" if found is None else ("right" if found.provider == number else "wrong"))
    table = Table("change", f"of {taken} sounds of {SECONDS} s", title="provider recovered")
    for name, each in outcomes.items():
        table.add_row(name, share(each))
    console = Console(width=120)
    console.print(table)
    console.print(f"taken by {taken} of {SOUNDS}; SNR {min(levels):.1f} to {max(levels):.1f} dB; ", end="")
    console.print(f"false alarms: {alarms} of {2 * SOUNDS}; detection p50 {quantile(cost, 0.5) * 1e3:.0f} ms of CPU")
