"""A small sample of the bench part `recover`, with the real mark."""

from __future__ import annotations

from tests.bench import recover


def test_common_changes_are_recovered_from_and_a_copied_mark_never_passes() -> None:
    quick = ("JPEG 50", "half of it, JPEG 80", "mirrored, JPEG 80", "half the size, JPEG 80")
    after, forged = recover.run(3, {name: recover.COMMON[name] for name in quick}, forgeries=6)
    for name, found in after.items():
        assert found == {"recovered": 3}, name
    assert sum(forged.values()) >= 4
    assert set(forged) <= {"transplanted", "no_evidence"}
    assert forged["transplanted"] >= 3


def test_the_interval_is_wilsons() -> None:
    low, high = recover.interval(95, 100)
    assert (round(low, 3), round(high, 3)) == (0.888, 0.978)
    assert recover.interval(0, 0) == (0.0, 1.0)
