"""Review: one holder at a time, every change an entry, and a queue that the record alone can make again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from guard import review
from guard.audit.read import Reader
from guard.audit.verify import verify
from guard.errors import RecordError, ReviewError
from guard.review.model import COLUMNS
from guard.store.tables import ReviewCase
from guard.types import Text
from tests import seed


@pytest.fixture
def world(url: str, tmp_path: Path) -> Iterator[Any]:
    made = seed.world(tmp_path, url)
    yield made
    made.engine.dispose()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Any]:
    """A SQLite record, for what no engine changes."""
    made = seed.world(tmp_path)
    yield made
    made.engine.dispose()


def rows(it: Any) -> dict[str, review.Case]:
    with it.engine.connect() as connection:
        return {row.id: review.Case(**row._asdict()) for row in connection.execute(select(*COLUMNS))}


def kinds(it: Any) -> list[str]:
    return [leaf["kind"] for leaf in seed.entries(it)]


def claim(it: Any, who: str = "ada", **more: Any) -> review.Case | None:
    return review.claim(it.engine, it.log, reviewer=who, **more)


def rule(it: Any, case: str, who: str = "ada", ruling: str = "approve", why: str = "fine") -> review.Case:
    return review.rule(it.engine, it.log, case_id=case, reviewer=who, ruling=ruling, rationale=why)


# --- claiming --------------------------------------------------------------------------------------------------------


def test_a_held_outcome_opens_a_case_and_the_most_urgent_is_claimed_first(world: Any) -> None:
    low = seed.held_text(world, severity=1)
    late = seed.held_text(world, severity=3, within=timedelta(hours=30))
    soon = seed.held_text(world, severity=3, within=timedelta(hours=2))
    got = []
    for who in ("ada", "sam", "kim"):
        case = claim(world, who)
        assert case is not None
        got.append(case.seq)
    assert got == [soon.seq, late.seq, low.seq]
    assert claim(world, "eve") is None


def test_a_claim_is_an_entry_with_its_lease_and_commits_with_the_row(world: Any) -> None:
    held = seed.held_text(world)
    case = claim(world)
    assert case is not None
    leaf = seed.entries(world)[-1]
    assert (leaf["kind"], leaf["case"], leaf["of"], leaf["reviewer"]) == ("claim", case.id, held.seq, "ada")
    assert leaf["lease_seconds"] == 600
    assert case.assignee == "ada"
    assert datetime.fromisoformat(str(case.lease_until)) - datetime.fromisoformat(leaf["at"]) == timedelta(minutes=10)


def test_a_reviewer_gets_the_case_back_that_they_hold_without_a_new_entry(world: Any) -> None:
    seed.held_text(world)
    seed.held_text(world)
    first = claim(world)
    before = len(kinds(world))
    world.clock.now += timedelta(minutes=5)
    again = claim(world)
    assert first is not None
    assert again is not None
    assert again.id == first.id
    assert str(again.lease_until) > str(first.lease_until)
    assert len(kinds(world)) == before


def test_a_held_case_cannot_be_claimed_by_name_and_the_error_says_by_whom_and_until_when(small: Any) -> None:
    case = seed.case_of(small, seed.held_text(small))
    claim(small, "sam", case_id=case)
    with pytest.raises(ReviewError, match="held by sam until"):
        claim(small, "ada", case_id=case)
    with pytest.raises(ReviewError, match="there is no case"):
        claim(small, "ada", case_id="nonsense")
    with pytest.raises(ReviewError, match="say who you are"):
        claim(small, "  ", case_id=case)


def test_an_expired_lease_is_claimable_and_the_late_holder_cannot_rule(world: Any) -> None:
    case = seed.case_of(world, seed.held_text(world))
    claim(world, "sam", case_id=case)
    world.clock.now += timedelta(minutes=11)
    taken = claim(world, "ada", case_id=case)
    assert taken is not None
    assert taken.assignee == "ada"
    with pytest.raises(ReviewError, match="held by ada"):
        rule(world, case, "sam")
    assert rule(world, case, "ada").ruling == "approve"


def test_an_own_expired_lease_must_be_claimed_again(small: Any) -> None:
    case = seed.case_of(small, seed.held_text(small))
    claim(small, case_id=case)
    small.clock.now += timedelta(minutes=11)
    assert not review.renew(small.engine, small.log, case_id=case, reviewer="ada")
    with pytest.raises(ReviewError, match="run out; claim it again"):
        rule(small, case)
    claim(small, case_id=case)
    rule(small, case)


def test_a_renewal_extends_the_lease_and_is_no_entry(small: Any) -> None:
    case = seed.case_of(small, seed.held_text(small))
    claim(small, case_id=case)
    before = len(kinds(small))
    small.clock.now += timedelta(minutes=9)
    assert review.renew(small.engine, small.log, case_id=case, reviewer="ada")
    assert not review.renew(small.engine, small.log, case_id=case, reviewer="sam")
    small.clock.now += timedelta(minutes=9)
    rule(small, case)
    assert kinds(small)[before:] == ["ruling"]


def test_many_threads_never_share_a_case(world: Any) -> None:
    for _ in range(24):
        seed.held_text(world)
    got: list[tuple[str, str]] = []
    lock, start = threading.Lock(), threading.Barrier(8)

    def work(name: str) -> None:
        start.wait()
        for turn in range(20):
            case = claim(world, f"{name}-{turn}")
            if case is None:
                return
            with lock:
                got.append((case.id, str(case.assignee)))

    threads = [threading.Thread(target=work, args=(f"r{index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 24
    assert len({case for case, _ in got}) == 24
    assert {case: row.assignee for case, row in rows(world).items()} == dict(got)
    claims = [leaf for leaf in seed.entries(world) if leaf["kind"] == "claim"]
    assert sorted((leaf["case"], leaf["reviewer"]) for leaf in claims) == sorted(got)


def test_two_logs_as_in_two_processes_never_share_a_case(world: Any) -> None:
    """Two writers with locks of their own: only the database keeps them apart."""
    from guard.audit.log import Log
    from guard.keys import KeyRing

    for _ in range(10):
        seed.held_text(world)
    logs = [Log(world.engine, KeyRing(world.folder / "keys"), clock=world.clock) for _ in range(4)]
    got: list[str] = []
    start = threading.Barrier(4)

    def work(index: int) -> None:
        start.wait()
        for turn in range(10):
            case = review.claim(world.engine, logs[index], reviewer=f"{index}-{turn}")
            if case is not None:
                got.append(case.id)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 10


def test_what_cannot_be_recorded_does_not_happen(small: Any) -> None:
    case = seed.case_of(small, seed.held_text(small))
    with small.engine.begin() as connection:
        connection.execute(text("update log_head set size = size + 1"))
    with pytest.raises(RecordError):
        claim(small, case_id=case)
    assert rows(small)[case].assignee is None


# --- giving back and ruling ------------------------------------------------------------------------------------------


def test_a_case_that_was_given_back_is_free(world: Any) -> None:
    case = seed.case_of(world, seed.held_text(world))
    claim(world, case_id=case)
    with pytest.raises(ReviewError, match="held by ada"):
        review.unclaim(world.engine, world.log, case_id=case, reviewer="sam")
    given = review.unclaim(world.engine, world.log, case_id=case, reviewer="ada")
    assert (given.assignee, given.lease_until, given.state) == (None, None, "open")
    assert kinds(world)[-2:] == ["claim", "unclaim"]
    assert claim(world, "sam") is not None


@pytest.mark.parametrize(("ruling", "lets_out"), [("approve", True), ("reject", False)])
def test_a_ruling_is_an_entry_and_decides(world: Any, ruling: str, lets_out: bool) -> None:
    held = seed.held_text(world)
    request = Reader(world.engine).entry(held.seq)
    assert request is not None
    case = claim(world)
    assert case is not None
    assert review.ruling(world.engine, case.request_id) is None
    done = rule(world, case.id, ruling=ruling, why="  It is the customer's own number.  ")
    leaf = seed.entries(world)[-1]
    wanted = ("ruling", case.id, held.seq, "ada", ruling)
    assert tuple(leaf[name] for name in ("kind", "case", "of", "reviewer", "ruling")) == wanted
    assert "customer" not in json.dumps(leaf)
    assert Reader(world.engine, world.log.vault).body(done.ruling_seq or 0, "rationale") == Text(
        "It is the customer's own number."
    )
    assert (done.state, done.ruling, done.decided_at) == ("decided", ruling, leaf["at"])
    with world.engine.connect() as connection:  # the queue does not repeat it
        assert "customer" not in str(connection.execute(select(*ReviewCase.__table__.columns)).all())
    assert review.approved(world.engine, case.request_id) is lets_out
    found = review.ruling(world.engine, case.request_id, of=held.seq)
    assert found is not None
    assert (found.reviewer, found.approved, found.case) == ("ada", lets_out, case.id)
    assert review.ruling(world.engine, case.request_id, of=held.seq + 1) is None


@pytest.mark.parametrize("why", ["", "  \n "])
def test_a_ruling_needs_a_reason_and_the_case(small: Any, why: str) -> None:
    case = seed.case_of(small, seed.held_text(small))
    with pytest.raises(ReviewError, match="claim it again"):
        rule(small, case)
    claim(small, case_id=case)
    before = len(kinds(small))
    with pytest.raises(ReviewError, match="reason"):
        rule(small, case, why=why)
    with pytest.raises(ReviewError, match="shorten"):
        rule(small, case, why="x" * 4_001)
    with pytest.raises(ReviewError, match="one of approve, reject"):
        rule(small, case, ruling="maybe")
    assert len(kinds(small)) == before
    assert rows(small)[case].state == "open"


def test_a_decided_case_stays_decided(small: Any) -> None:
    case = seed.case_of(small, seed.held_text(small))
    claim(small, case_id=case)
    rule(small, case, ruling="reject")
    with pytest.raises(ReviewError, match="already decided"):
        rule(small, case)
    with pytest.raises(ReviewError, match="already decided"):
        claim(small, "sam", case_id=case)
    assert rows(small)[case].ruling == "reject"


def test_an_edited_row_of_the_queue_releases_nothing(small: Any) -> None:
    case = seed.case_of(small, seed.held_text(small))
    with small.engine.begin() as connection:
        connection.execute(update(ReviewCase).values(state="decided", ruling="approve", assignee="eve"))
    assert not review.approved(small.engine, rows(small)[case].request_id)


# --- the queue -------------------------------------------------------------------------------------------------------


def listed(it: Any, **filters: Any) -> list[int]:
    page = review.queue(it.engine, review.Filter(**filters), reviewer="ada", now=it.log.now())
    return [row.case.seq for row in page.rows]


def test_filters_and_counts(world: Any) -> None:
    text_case = seed.held_text(world, severity=4)
    image = seed.held_image(world, severity=2)
    error = seed.held_error(world, severity=3, within=timedelta(minutes=1))
    prompt = seed.held_prompt(world, severity=1)
    world.clock.now += timedelta(minutes=2)
    assert listed(world) == [text_case.seq, error.seq, image.seq, prompt.seq]
    assert listed(world, severity=3) == [text_case.seq, error.seq]
    assert listed(world, kind="image") == [image.seq]
    assert listed(world, stage="input") == [prompt.seq]
    assert listed(world, overdue=True) == [error.seq]
    assert listed(world, checker="toxicity") == [error.seq, prompt.seq]
    assert listed(world, rule="on_error:toxicity") == [error.seq]
    assert listed(world, rule="card-out") == [text_case.seq]
    assert listed(world, rule="nothing") == []
    claim(world, "ada", case_id=seed.case_of(world, image))
    claim(world, "sam", case_id=seed.case_of(world, prompt))
    assert listed(world, who="mine") == [image.seq]
    assert listed(world, who="others") == [prompt.seq]
    assert listed(world, who="free") == [text_case.seq, error.seq]
    rule(world, seed.case_of(world, image))
    counts = review.counts(world.engine, reviewer="ada", now=world.log.now(), today=world.log.now()[:10])
    assert counts == review.Counts(open=3, overdue=1, mine=0, held_by_others=1, decided_today=1)
    world.clock.now += timedelta(minutes=11)
    later = review.counts(world.engine, reviewer="ada", now=world.log.now(), today="9999")
    assert (later.held_by_others, later.decided_today) == (0, 0)


def test_claiming_obeys_the_filter(small: Any) -> None:
    seed.held_text(small, severity=4)
    image = seed.held_image(small, severity=1)
    case = claim(small, where=review.Filter(kind="image"))
    assert case is not None
    assert case.seq == image.seq


def test_claiming_obeys_a_filter_by_checker_or_rule(small: Any) -> None:
    seed.held_text(small, severity=4)
    error = seed.held_error(small, severity=1)
    case = claim(small, where=review.Filter(rule="on_error:toxicity"))
    assert case is not None
    assert case.seq == error.seq
    assert claim(small, "sam", where=review.Filter(checker="imagery")) is None


def test_pages(small: Any) -> None:
    made = [seed.held_text(small).seq for _ in range(7)]
    pages = [
        review.queue(small.engine, review.Filter(), reviewer="", now=small.log.now(), limit=3, offset=at)
        for at in (0, 3, 6)
    ]
    assert [row.case.seq for page in pages for row in page.rows] == made
    assert {page.total for page in pages} == {7}
    filtered = review.queue(
        small.engine, review.Filter(checker="pii"), reviewer="", now=small.log.now(), limit=3, offset=6
    )
    assert ([row.case.seq for row in filtered.rows], filtered.total) == (made[6:], 7)


# --- the record ------------------------------------------------------------------------------------------------------


def test_the_queue_rebuilt_from_the_record_is_the_queue(world: Any) -> None:
    holds = (seed.held_text, seed.held_image, seed.held_error, seed.held_prompt, seed.held_text, seed.held_text)
    cases = [seed.case_of(world, hold(world)) for hold in holds]
    claim(world, "ada", case_id=cases[0])
    rule(world, cases[0], why="fine: größer als vorher")
    claim(world, "sam", case_id=cases[1])
    rule(world, cases[1], "sam", "reject")
    claim(world, "ada", case_id=cases[2])
    review.unclaim(world.engine, world.log, case_id=cases[2], reviewer="ada")
    claim(world, "ada", case_id=cases[3])
    world.clock.now += timedelta(minutes=11)
    claim(world, "sam", case_id=cases[3])
    claim(world, "kim", case_id=cases[4])
    before = rows(world)
    with world.engine.begin() as connection:
        connection.execute(delete(ReviewCase).where(ReviewCase.id == cases[1]))
        connection.execute(update(ReviewCase).values(severity=1, assignee="eve", ruling="approve", state="decided"))
    assert rows(world) != before
    assert review.rebuild(world.engine) == 6
    assert rows(world) == before
    assert verify(world.engine, world.log.vkey).ok


def test_a_rebuilt_lease_ends_no_later(small: Any) -> None:
    case = seed.case_of(small, seed.held_text(small))
    claim(small, case_id=case)
    small.clock.now += timedelta(minutes=5)
    review.renew(small.engine, small.log, case_id=case, reviewer="ada")
    before = rows(small)[case]
    review.rebuild(small.engine)
    after = rows(small)[case]
    assert str(after.lease_until) < str(before.lease_until)
    assert after == replace(before, lease_until=after.lease_until)


# --- words -----------------------------------------------------------------------------------------------------------


def stands(it: Any, seq: int) -> review.Standing | None:
    reader = Reader(it.engine)
    entry = reader.entry(seq)
    assert entry is not None
    return review.standing(entry, reader.history(str(entry.request_id)))


@pytest.mark.parametrize(
    ("hold", "ruling", "state", "words"),
    [
        ("held_text", None, "held", "Held for review"),
        ("held_text", "approve", "approved", "Released after review"),
        ("held_text", "reject", "rejected", "Rejected by reviewer"),
        ("held_prompt", "approve", "resumed", "Approved, not generated yet"),
    ],
)
def test_standing(small: Any, hold: str, ruling: str | None, state: str, words: str) -> None:
    held = getattr(seed, hold)(small)
    if ruling:
        case = seed.case_of(small, held)
        claim(small, case_id=case)
        rule(small, case, ruling=ruling)
    found = stands(small, held.seq)
    assert found is not None
    assert (found.state, found.words) == (state, words)
    assert found.reviewer == ("ada" if ruling else None)


def test_standing_of_what_went_on_after_a_prompt_was_approved(small: Any) -> None:
    held = seed.held_prompt(small, request_id="r1")
    claim(small)
    rule(small, seed.case_of(small, held))
    answer = Text("Here you are.")
    more = seed.outcome(
        small, state="released", action="allow", output=answer, release=answer, request_id="r1", kind="continuation",
        of=held.seq,
    )  # fmt: skip
    first, second = stands(small, held.seq), stands(small, more.seq)
    assert first is not None
    assert second is not None
    assert (first.state, second.state) == ("continued", "released")
    titles = [step.title for step in review.history(Reader(small.engine).history("r1"))]
    assert titles == [
        "Prompt held for review",
        "Claimed for review",
        "Approved by a reviewer",
        "Answer released (after review of the prompt)",
    ]


def fields(**more: Any) -> dict[str, Any]:
    return {"decision": {"rules": []}, "results": [], "redactions": [], **more}


def test_reasons_put_failed_checks_first_and_say_what_failed() -> None:
    found = review.reasons(
        fields(
            decision={"rules": ["a-rule", "on_error:toxicity", "unchecked:output"]},
            results=[seed.result("toxicity", error="timed out after 5 s")],
        )
    )
    assert [(it.kind, it.rule) for it in found] == [
        ("error", "on_error:toxicity"),
        ("unchecked", "unchecked:output"),
        ("rule", "a-rule"),
    ]
    assert found[0].detail == "timed out after 5 s"
    assert review.reasons(fields())[0].kind == "default"


def test_flags_are_numbered_in_reading_order_and_tied_to_rules(small: Any) -> None:
    from guard.policy.load import from_document

    held = seed.held_text(small)
    leaf = seed.entries(small)[held.seq]
    policy = from_document(seed.DOCUMENT)
    flags = review.flags(leaf, "output", policy)
    assert [it.number for it in flags] == [1, 2, 3, 4]
    assert [it.rules for it in flags] == [("card-out",), ("contact-out",), ("contact-out",), ("stereotype-review",)]
    assert next(seed.CARD[slice(*it.span)] for it in flags if it.span) == "4111 1111 1111 1111"
    assert review.flags(leaf, "output")[3].rules == ()
    assert review.descriptions(leaf, policy)["card-out"] == "Card numbers never leave."
    assert review.descriptions(leaf, replace(policy, digest="sha256:other")) == {}
    assert review.flags(leaf, "input", policy) == ()


def test_where_the_redacted_text_differs() -> None:
    original = "call 555 or mail a@b.c now"
    cuts = [
        {"stage": "output", "start": 17, "end": 22, "category": "EMAIL", "rule": "r"},
        {"stage": "output", "start": 5, "end": 8, "category": "PHONE", "rule": "r"},
        {"stage": "input", "start": 0, "end": 4, "category": "X", "rule": "r"},
    ]
    shown = "call [PHONE] or mail [EMAIL] now"
    spots = review.replaced(original, shown, fields(redactions=cuts), "output")
    assert [(shown[start:end], kind) for start, end, kind in spots] == [("[PHONE]", "PHONE"), ("[EMAIL]", "EMAIL")]
    assert review.replaced(original, shown + "!", fields(redactions=cuts), "output") == ()


@pytest.mark.parametrize(
    ("operator", "put"),
    [("mask", "***"), ("redact", ""), ("pseudonym", "[P_1]"), ("hash", "[P:hmac-00000000:ab]"), (None, "[P]")],
)
def test_where_the_redacted_text_differs_whatever_the_operator(operator: str | None, put: str) -> None:
    cuts = [{"stage": "output", "start": 5, "end": 8, "category": "P", "rule": "r", "operator": operator}]
    spots = review.replaced("call 555 now", f"call {put} now", fields(redactions=cuts), "output")
    assert spots == ((5, 5 + len(put), "P"),)
    assert review.replaced("call 555 now", f"call {put} then", fields(redactions=cuts), "output") == ()


def test_a_text_of_ones_own_says_not_where_it_ends() -> None:
    cuts = [{"stage": "output", "start": 5, "end": 8, "category": "P", "rule": "r", "operator": "replace"}]
    assert review.replaced("call 555 now", "call him now", fields(redactions=cuts), "output") == ()


def test_overview_adds_up(small: Any) -> None:
    seed.month(small, outcomes=40)
    seen = review.overview(small.engine, since="0", zone=UTC)
    leaves = [leaf for leaf in seed.entries(small) if leaf["kind"] == "generation"]
    assert seen.total == len(leaves) == sum(seen.states.values()) == sum(seen.by_day.values()) == 40
    assert sum(seen.rules.values()) == sum(len(leaf["decision"]["rules"]) for leaf in leaves)
    assert {it.checker: it.errors for it in seen.checkers}["toxicity"] == sum(
        result["status"] == "error" for leaf in leaves for result in leaf["results"]
    )
    assert sum(seen.rulings.values()) == seen.states["held"]
    assert seen.median_minutes is not None
    assert 5 < seen.median_minutes < 97
    assert review.overview(small.engine, since="9999", zone=UTC) == review.Overview()
