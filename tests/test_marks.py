"""A sample of `python -m tests.bench marks`."""

from __future__ import annotations

import numpy as np

from tests.bench import imagery, marks

FEW = ("JPEG 50", "WebP 80", "crop, 50% kept", "noise, σ 10", "screenshot (× 0.9, JPEG 75)", "rotation 3°")


def test_a_sample_of_pictures_keeps_its_marks() -> None:
    for kind in ("leaves", "page"):
        result = marks.survived(kind, imagery.KINDS[kind](np.random.default_rng(77), 512), 0, None, FEW)
        assert result.status == "applied"
        assert result.decibels[0] >= 41
        assert set(result.ours.values()) == {"right"}


def test_a_sample_of_negatives_gives_no_payload() -> None:
    assert marks.false_payloads(1, 30, [pixels for _, pixels in imagery.pictures(2, 512, seed=78)]) == 0
