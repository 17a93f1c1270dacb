"""Checks in their own processes: deadlines, crashes, nonsense, circuit breakers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from guard.errors import CallerError
from guard.isolate import Breaker, Call, Workers
from guard.types import CheckerSpec, CheckResult, Image, Item, Stage, Status, Text

Make = Callable[..., Workers]


@pytest.fixture
def workers(sample_plugin: str, tmp_path: Path) -> Iterator[Make]:
    made: list[Workers] = []

    def make(*specs: CheckerSpec) -> Workers:
        made.append(Workers(specs, home=tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.close()


def spec(use: str, name: str | None = None, params: Mapping[str, Any] | None = None, **more: Any) -> CheckerSpec:
    return CheckerSpec(name or use, use, params or {}, **more)


def item(text: str) -> Item:
    return Item(Text(text), Stage.OUTPUT)


def one(workers: Workers, text: str) -> CheckResult:
    [[result]] = workers.check(Stage.OUTPUT, [item(text)])
    return result


def test_two_checkers_of_one_class_stay_two(workers: Make) -> None:
    made = workers(
        spec("sample-words", "red", {"words": ["red"], "category": "colour"}),
        spec("sample-words", "cat", {"words": ["cat"], "category": "animal"}),
    )
    [[red, cat]] = made.check(Stage.OUTPUT, [item("a red cat")])
    assert (red.checker, [finding.category for finding in red.findings]) == ("red", ["colour"])
    assert (cat.checker, [finding.category for finding in cat.findings]) == ("cat", ["animal"])
    assert red.status is cat.status is Status.OK
    assert red.version == "1.0"


def test_a_batch_answers_item_by_item_in_order(workers: Make) -> None:
    made = workers(spec("sample-words", params={"words": ["x"]}))
    rows = made.check(Stage.OUTPUT, [item("x" * n) for n in range(20)])
    assert [len(row[0].findings) for row in rows] == list(range(20))


def test_another_kind_of_content_is_skipped_not_clean(workers: Make) -> None:
    made = workers(spec("sample-words", params={"words": ["x"]}))
    rows = made.check(Stage.OUTPUT, [Item(Image(b"picture"), Stage.OUTPUT), item("x")])
    assert [row[0].status for row in rows] == [Status.SKIPPED, Status.OK]


def test_a_checker_is_not_asked_at_other_stages(workers: Make) -> None:
    made = workers(spec("sample-words", params={"words": ["x"]}, stages=frozenset({Stage.INPUT})))
    assert made.check(Stage.OUTPUT, [item("x")]) == [[]]


@pytest.mark.parametrize(("use", "text"), [("sample-sleep", "sleep"), ("sample-lock", "lock")])
def test_a_deadline_is_kept_and_the_checker_comes_back(workers: Make, use: str, text: str) -> None:
    made = workers(spec(use, timeout=0.5))
    assert one(made, "fine").status is Status.OK
    began = time.perf_counter()
    result = one(made, text)
    waited = time.perf_counter() - began
    assert result.status is Status.ERROR
    assert result.error == "no answer within 0.5 s"
    # Loose on purpose: the point is that a hang of minutes costs about the deadline, not that the machine is quick.
    assert waited < 5
    end = time.monotonic() + 60
    while one(made, "fine").status is not Status.OK:  # calls during the restart fail fast, they do not wait for it
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_caller_keeps_the_interpreter_while_a_check_holds_its_own_lock(workers: Make) -> None:
    made = workers(spec("sample-lock", timeout=1.0))
    one(made, "fine")
    ticks = 0
    thread = threading.Thread(target=one, args=(made, "lock"))
    thread.start()
    while thread.is_alive():
        ticks += 1
        time.sleep(0.01)
    assert ticks > 10


def test_one_bad_item_does_not_spoil_its_batch(workers: Make) -> None:
    made = workers(spec("sample-sleep", timeout=0.4, failures=99))
    one(made, "fine")
    rows = made.check(Stage.OUTPUT, [item("fine"), item("sleep"), item("fine")])
    assert rows[1][0].status is Status.ERROR
    assert rows[0][0].status is Status.OK


def test_a_checker_that_raises_is_an_error_that_quotes_nothing(workers: Make) -> None:
    result = one(workers(spec("sample-raise")), "my secret text")
    assert result.status is Status.ERROR
    assert result.error == "ValueError in the checker"


@pytest.mark.parametrize("use", ["sample-exit", "sample-segfault"])
def test_a_checker_that_dies_is_an_error(workers: Make, use: str) -> None:
    result = one(workers(spec(use)), "x")
    assert result.status is Status.ERROR
    assert "died" in str(result.error)


def test_a_checker_that_cannot_start_is_an_error(workers: Make) -> None:
    result = one(workers(spec("sample-unbuildable")), "x")
    assert result.status is Status.ERROR
    assert "RuntimeError in the checker" in str(result.error)


NONSENSE = (
    "nan score bool span empty-span negative-span float-span category count none text tuple pickle"  # see guard_sample
)


@pytest.mark.parametrize("what", NONSENSE.split())
def test_nonsense_is_an_error(workers: Make, what: str) -> None:
    result = one(workers(spec("sample-nonsense", params={"what": what})), "text")
    assert result.status is Status.ERROR
    assert result.findings == ()


def test_the_circuit_opens_after_failures_in_a_row(workers: Make) -> None:
    made = workers(spec("sample-raise", failures=2, cooldown=60))
    errors = [str(one(made, "x").error) for _ in range(3)]
    assert errors[:2] == ["ValueError in the checker"] * 2
    assert errors[2].startswith("the circuit is open")


def test_breaker_allows_one_trial_after_the_cooldown() -> None:
    now = [0.0]
    breaker = Breaker(2, 10, clock=lambda: now[0])
    breaker.record(success=False)
    assert not breaker.open
    breaker.record(success=False)
    assert breaker.open
    now[0] = 10
    assert not breaker.open
    breaker.record(success=False)
    assert breaker.open
    now[0] = 20
    breaker.record(success=True)
    breaker.record(success=False)
    assert not breaker.open


def test_callers_in_line_give_up_at_their_own_deadline(workers: Make) -> None:
    made = workers(spec("sample-sleep", timeout=0.6, failures=99))
    one(made, "fine")
    results: list[CheckResult] = []
    threads = [threading.Thread(target=lambda: results.append(one(made, "sleep"))) for _ in range(4)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.perf_counter() - began < 5
    assert {result.status for result in results} == {Status.ERROR}


def test_what_a_checker_prints_goes_nowhere(workers: Make, capfd: pytest.CaptureFixture[str]) -> None:
    assert one(workers(spec("sample-noisy")), "my secret text").status is Status.OK
    captured = capfd.readouterr()
    assert "secret" not in captured.out + captured.err


def test_closing_ends_the_processes(workers: Make) -> None:
    made = workers(spec("sample-words", params={"words": []}))
    one(made, "x")
    process = made._workers[0]._process
    assert process is not None
    made.close()
    assert process.poll() is not None
    with pytest.raises(CallerError, match="closed"):
        one(made, "x")


SCRIPT = """
import sys
from pathlib import Path
from guard.isolate import Workers
from guard.types import CheckerSpec, Item, Stage, Text
made = Workers([CheckerSpec("s", "sample-words", {"words": ["x"]})], home=Path(sys.argv[1]))
print(len(made.check(Stage.OUTPUT, [Item(Text("x"), Stage.OUTPUT)])[0][0].findings), made._workers[0]._process.pid)
"""


def test_a_script_needs_no_main_guard_and_leaves_no_process(sample_plugin: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    count, pid = done.stdout.split()
    assert count == "1"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def many(workers: Workers, texts: Sequence[str]) -> list[CheckResult]:
    """The results of as many callers, in their order, who come at once."""
    with ThreadPoolExecutor(len(texts)) as callers:
        return list(callers.map(lambda text: one(workers, text), texts))


def together(result: CheckResult) -> int:
    return int(result.findings[0].category.removeprefix("of-"))


def test_calls_that_wait_are_served_as_one_batch(workers: Make) -> None:
    made = workers(spec("sample-together", timeout=30))
    one(made, "warm")
    texts = [f"text {number}" for number in range(16)]
    for _ in range(2):
        results = many(made, texts)
        assert [result.findings[0].message for result in results] == texts
    # The first goes alone; who comes meanwhile goes together, and once more in the second round.
    assert max(map(together, results)) >= 8


def test_a_caller_alone_waits_for_nobody(workers: Make) -> None:
    made = workers(spec("sample-together", timeout=30))
    many(made, ["a", "b", "c"])
    assert made._workers[0]._company >= 1
    for _ in range(3):
        assert together(one(made, "alone")) == 1
    assert made._workers[0]._company == 1


@pytest.mark.parametrize("what", ["bad", "die"])
def test_one_caller_s_failure_is_not_another_s(workers: Make, what: str) -> None:
    made = workers(spec("sample-together", timeout=60, failures=2, cooldown=60))
    one(made, "warm")
    texts = [f"text {number}" for number in range(6)]
    results = many(made, [*texts[:3], what, *texts[3:]])
    assert [result.status for result in results] == [*[Status.OK] * 3, Status.ERROR, *[Status.OK] * 3]
    assert [result.findings[0].message for result in results if result.findings] == texts


def test_a_batch_keeps_within_the_deadline(workers: Make) -> None:
    made = workers(spec("sample-together", timeout=0.5, failures=99))
    one(made, "warm")  # 0.05 s for an item, so five of them take half of the deadline
    assert len(made._workers[0]._gathered()) == 0
    for text in "abcdefghij":
        made._workers[0]._waiting.append(Call((item(text),), 0.5, time.perf_counter() + 0.5))
    assert 1 <= len(made._workers[0]._gathered()) <= 5


def test_callers_of_a_closed_guard_are_told(workers: Make) -> None:
    made = workers(spec("sample-together", timeout=30))
    one(made, "warm")
    with ThreadPoolExecutor(9) as callers:
        waiting = [callers.submit(one, made, f"text {number}") for number in range(8)]
        time.sleep(0.02)
        made.close()
        began = time.perf_counter()
        for waited in waiting:
            error = waited.exception()
            assert isinstance(error, CallerError) if error else waited.result().status in (Status.ERROR, Status.OK)
    assert time.perf_counter() - began < 15  # not until their deadlines
