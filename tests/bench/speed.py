"""What the injection and grounding checkers cost:  python -m tests.bench.speed

CPU time on one core: the median and the 99th percentile for 1 kB of prose, the cost of a kilobyte as the text grows, and the
worst of the attack strings of their tests at 16 kB.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from guard.checkers.grounding import GroundingChecker
from guard.checkers.injection import InjectionChecker
from guard.types import Checker, Item, Stage, Text
from tests.checkers import test_grounding, test_injection

PROSE = (
    "Your parcel 4711 was shipped on 12 May, and we hope that everybody in the family likes the kettle. Please show the invoice"
    " to Anna Schmidt and tell her that revenue was 3.1 million in 2024. "
)
ROUNDS = 300


def seconds(work: Callable[[], object], rounds: int) -> list[float]:
    """CPU seconds of each round, sorted."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return sorted(found)


def prose(size: int) -> str:
    """So many characters of prose."""
    return (PROSE * (size // len(PROSE) + 1))[:size]


def injected(text: str) -> Item:
    return Item(Text(text), Stage.TOOL)


def grounded(text: str) -> Item:
    return Item(Text(text), Stage.OUTPUT, prompt=Text(text + " 7"))


def main() -> None:
    """Measure and print."""
    table = Table("checker", "1 kB p50", "p99", "per kB at 10 kB", "100 kB", "1 MB", "worst 16 kB", "on")
    checkers: list[tuple[Checker, Callable[[str], Item], tuple[str, ...]]] = [
        (InjectionChecker(InjectionChecker.Params()), injected, test_injection.ATTACKS),
        (GroundingChecker(GroundingChecker.Params()), grounded, test_grounding.ATTACKS),
    ]
    for checker, made, attacks in checkers:
        single = seconds(lambda: checker.check([made(prose(1024))]), ROUNDS)  # noqa: B023
        growth = []
        for size in (10, 100, 1000):
            [spent] = seconds(lambda: checker.check([made(prose(1024 * size))]), 1)  # noqa: B023
            growth.append(f"{spent / size * 1e3:.2f} ms")
        worst, where = max(
            (seconds(lambda: checker.check([made((attack * 16_384)[:16_384])]), 2)[0], attack)  # noqa: B023
            for attack in attacks
        )
        row = (f"{single[ROUNDS // 2] * 1e3:.2f} ms", f"{single[int(ROUNDS * 0.99)] * 1e3:.2f} ms", *growth)
        table.add_row(checker.name, *row, f"{worst * 1e3:.0f} ms", ascii(where))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
