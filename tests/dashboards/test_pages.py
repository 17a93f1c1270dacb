"""Each page in-process: what it shows, what it does, who may do it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from guard import review
from guard.store.engine import open_engine, upgrade
from tests import seed

App = Callable[..., Any]


def html(at: Any) -> str:
    return "\n".join(block.value for block in at.get("html") if "<style>" not in block.value)


def said(at: Any) -> str:
    kinds = ("title", "subheader", "markdown", "caption", "text", "success", "error", "warning", "badge")
    return "\n".join(str(it.value) for kind in kinds for it in getattr(at, kind, at.get(kind)))


# --- a record that is not ready --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["queue", "case", "audit", "inspect", "overview"])
def test_an_empty_record_explains_itself(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()
    monkeypatch.setenv("GUARD_STORE", url)
    at = app(page)
    assert not at.exception
    expected = {
        "queue": "Nothing waits for review",
        "case": "No case is open",
        "audit": "The record is empty",
        "inspect": "Upload a file",
        "overview": "Nothing was recorded",
    }
    assert expected[page] in said(at)
    if page == "queue":
        assert at.button(key="start").disabled


def test_a_database_without_tables_says_what_to_run(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_STORE", f"sqlite:///{tmp_path / 'new.db'}")
    at = app()
    assert not at.exception
    assert "no tables" in said(at)
    assert any("guard db upgrade" in it.value for it in at.code)
    assert not at.dataframe


def test_a_store_that_is_none_is_explained(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_STORE", "mysql://nowhere/x")
    at = app()
    assert not at.exception
    assert "cannot be opened" in said(at)
    assert "use sqlite" in said(at)


# --- the queue -------------------------------------------------------------------------------------------------------


def test_the_queue_lists_the_most_severe_first_without_content(app: App, world: Any) -> None:
    world.clock.now -= timedelta(minutes=1700)
    seed.waiting(world)
    at = app()
    assert not at.exception
    assert [it.value for it in at.metric] == ["6", "2", "1", "0"]
    frame = at.dataframe[0].value
    assert next(iter(frame["Severity"])) == "▲▲▲▲ Critical"
    assert list(frame["Severity"]) == sorted(frame["Severity"], key=lambda it: -it.count("▲"))
    assert next(iter(frame["Held by"])) == "Sam Okafor"
    assert "Could not be checked: toxicity" in list(frame["Why"])
    assert "4111" not in frame.to_csv()
    assert "Brandt" not in frame.to_csv() + said(at) + html(at)


def test_filters_live_in_the_address(app: App, world: Any) -> None:
    seed.held_text(world)
    seed.held_image(world)
    assert len(app().dataframe[0].value) == 2
    assert list(app(kind="Image").dataframe[0].value["What"]) == ["Image"]
    at = app(rule="nothing-like-it")
    assert "No open case passes these filters" in said(at)
    at.button(key="clear").click().run()
    assert len(at.dataframe[0].value) == 2


def test_start_reviewing_claims_the_most_severe_and_opens_it(app: App, world: Any) -> None:
    seed.held_text(world, severity=2)
    top = seed.case_of(world, seed.held_text(world, severity=4))
    at = app()
    at.button(key="start").click().run()
    assert not at.exception
    assert at.title[0].value == "Review of an answer"
    assert review.get(world.engine, top).assignee == "Ada Larsen"


def test_without_a_name_one_may_read_and_not_act(app: App, world: Any) -> None:
    case = seed.case_of(world, seed.held_text(world))
    at = app(name="")
    assert at.button(key="start").disabled
    at = app("case", name="", case=case)
    assert not at.exception
    assert at.button(key="claim").disabled
    assert "4111" in html(at)
    assert not [it for it in at.button if it.key in ("approve", "reject")]
    assert "Not authenticated (local mode)" in said(at)


@pytest.mark.parametrize("name", ["Ada\u202eneelE", "a\u200bb", "x" * 80])
def test_a_name_that_deceives_is_no_name(app: App, world: Any, name: str) -> None:
    at = app(name=name)
    shown = at.text_input(key="reviewer").value
    assert at.button(key="start").disabled
    assert len(shown) <= 80


# --- a case ----------------------------------------------------------------------------------------------------------


def test_a_case_shows_original_beside_release_with_spans_rules_and_words(app: App, world: Any) -> None:
    at = app("case", case=seed.case_of(world, seed.held_text(world)))
    assert not at.exception
    page = html(at)
    assert "<mark" in page
    assert "4111 1111 1111 1111<b>1</b></mark>" in page
    assert '<mark class="g-gone" title="replaced: credit card number">[CREDIT_CARD]</mark>' in page
    assert "Rule card-out" in page
    assert "Card numbers never leave." in page
    assert "Rule stereotype-review" in page
    assert "support-bot" in page
    assert "Held for review".lower() in page.lower()
    assert [it.value for it in at.subheader][:2] == ["What the model made", "What would be released"]


def test_a_failed_check_is_the_stated_reason(app: App, world: Any) -> None:
    at = app("case", case=seed.case_of(world, seed.held_error(world)))
    assert "could not be made: timed out after 5 s" in html(at)
    assert "never counts as clean" in html(at)


def test_a_held_prompt_says_that_nothing_was_generated(app: App, world: Any) -> None:
    at = app("case", case=seed.case_of(world, seed.held_prompt(world)))
    assert at.title[0].value == "Review of a prompt"
    assert "Nothing was generated yet" in said(at)


def test_approving_needs_a_reason_and_goes_on_to_the_next_case(app: App, world: Any) -> None:
    first = seed.case_of(world, seed.held_text(world, severity=4))
    second = seed.case_of(world, seed.held_text(world, severity=3))
    at = app("case", case=first)
    at.button(key="claim").click().run()
    at.button(key="approve").click().run()
    assert "write down the reason first" in html(at)
    assert review.get(world.engine, first).state == "open"
    at.text_area(key=f"reason-{first}").set_value("It is the customer's own card.")
    at.button(key="approve").click().run()
    assert not at.exception
    done = review.get(world.engine, first)
    assert (done.ruling, done.assignee) == ("approve", "Ada Larsen")
    assert "It is the customer&#x27;s own card." in html(app("case", case=first))
    assert "Approved" in at.toast[0].value
    assert at.query_params["case"] == second
    assert review.get(world.engine, second).assignee == "Ada Larsen"


def test_the_last_case_leads_back_to_the_queue(app: App, world: Any) -> None:
    case = seed.case_of(world, seed.held_text(world))
    at = app("case", case=case)
    at.button(key="claim").click().run()
    at.text_area(key=f"reason-{case}").set_value("Demeaning.")
    at.button(key="reject").click().run()
    assert not at.exception
    assert at.title[0].value == "Review queue"
    assert "Rejected" in at.success[0].value


def test_giving_back(app: App, world: Any) -> None:
    case = seed.case_of(world, seed.held_text(world))
    at = app("case", case=case)
    at.button(key="claim").click().run()
    at.button(key="unclaim").click().run()
    assert not at.exception
    assert review.get(world.engine, case).assignee is None
    assert "Given back" in at.success[0].value


def test_a_stale_tab_cannot_rule(app: App, world: Any) -> None:
    case = seed.case_of(world, seed.held_text(world))
    at = app("case", case=case)
    at.button(key="claim").click().run()
    review.unclaim(world.engine, world.log, case_id=case, reviewer="Ada Larsen")
    review.claim(world.engine, world.log, reviewer="Sam Okafor", case_id=case)
    at.text_area(key=f"reason-{case}").set_value("Fine.")
    at.button(key="approve").click().run()
    assert not at.exception
    assert "held by Sam Okafor" in html(at)
    assert review.get(world.engine, case).state == "open"


def test_a_case_held_by_another_person_can_be_read_only(app: App, world: Any) -> None:
    case = seed.case_of(world, seed.held_text(world))
    review.claim(world.engine, world.log, reviewer="Sam Okafor", case_id=case)
    at = app("case", case=case)
    assert "Sam Okafor" in html(at)
    assert not [it for it in at.button if it.key in ("claim", "approve", "reject")]


def test_an_image_is_blurred_until_asked_and_then_exact(app: App, world: Any) -> None:
    import base64

    from PIL import Image

    at = app("case", case=seed.case_of(world, seed.held_image(world)))
    assert not at.exception
    original = base64.b64encode(seed.picture().data).decode()
    sent = str(at.image[0].proto)
    assert original not in sent
    coarse = Image.open(io.BytesIO(base64.b64decode(sent.split("base64,")[1].split('"', maxsplit=1)[0])))
    colours = len({coarse.getpixel((x, 320)) for x in range(220, 420)})
    assert colours < 200
    at.toggle[0].set_value(True).run()
    assert original in str(at.image[0].proto)


def test_damaged_and_executable_pictures_are_not_shown() -> None:
    from dashboards import pictures
    from guard.types import Image

    svg = Image(b"<svg onload='x'/>", "image/svg+xml")
    assert pictures.data_url(svg) is None
    assert pictures.blurred(svg) is None
    assert pictures.blurred(Image(seed.picture().data[:200])) is None


def test_hostile_content_is_escaped_everywhere(app: App, world: Any) -> None:
    held = seed.held_hostile(world)
    for at in (app("case", case=seed.case_of(world, held)), app("audit", entry=str(held.seq)), app(), app("audit")):
        assert not at.exception
        assert not re.search("<script|<img|<a |\u202e", html(at))
        for kind in ("title", "subheader", "markdown", "caption", "badge", "metric", "button", "toggle", "text_input"):
            for it in getattr(at, kind, at.get(kind)):
                assert "evil" not in f"{getattr(it, 'label', '')}{it.value}", kind
    at = app("case", case=seed.case_of(world, held))
    assert "&lt;script&gt;window.pwned" in html(at)
    assert "⟨U+202E⟩" in html(at)


def test_a_megabyte_is_shown_in_parts(app: App, world: Any) -> None:
    long = "All good. " * 70_000 + "jane.roe@example.org" + " and more" * 40_000
    at = app("case", case=seed.case_of(world, seed.held_hostile(world, long)))
    assert not at.exception
    assert sum(len(block.value) for block in at.get("html")) < 200_000
    assert "jane.roe@example.org<b>1</b></mark>" in html(at)
    assert "1,060,020 characters" in said(at).replace("\u2060", "")


def test_a_case_that_does_not_exist(app: App, world: Any) -> None:
    at = app("case", case="![x](http://evil.test/)")
    assert at.title[0].value == "There is no such case"


def test_what_a_guard_holds_is_released_by_the_page_and_collected(
    app: App, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real flow: a Guard with the shipped policy holds an answer, the page approves it, the caller collects it."""
    from guard.generators.scripted import ScriptedGenerator
    from guard.pipeline import Guard
    from guard.types import State, Text

    answer = "Of course. Women are too emotional to lead a team. Write to jane.roe@example.org for more."
    with Guard(
        "default", store=world.env["GUARD_STORE"], home=world.folder, model=ScriptedGenerator([answer])
    ) as guard:
        outcome = guard.generate("Who should lead?", id="real-flow", requester="hr-tool")
        assert outcome.state is State.HELD
        at = app("case", case=outcome.case)
        assert not at.exception
        page = html(at)
        assert "[EMAIL_ADDRESS]</mark>" in page
        assert "hr-tool" in page
        assert "must not hand out addresses" in page  # the description of a rule, from the policy on record
        at.button(key="claim").click().run()
        at.text_area(key=f"reason-{outcome.case}").set_value("Quoted from a study on prejudice.")
        at.button(key="approve").click().run()
        assert not at.exception
        done = guard.collect("real-flow")
        assert done.state is State.RELEASED
        assert isinstance(done.content, Text)
        assert "[EMAIL_ADDRESS]" in done.content.text
        assert "jane.roe" not in done.content.text
    entry = app("audit", entry=str(outcome.receipt.entry))
    assert "What would have changed it" in said(entry)
    assert "Without rule abuse-out-unsure and without rule unfair-claim" in html(entry)  # two checkers object to it
    assert "Redacted by contact-out" in html(entry)
    frame = app("audit", q="real-flow").dataframe[0].value
    assert "Released after review" in list(frame["Now"])


# --- the audit trail -------------------------------------------------------------------------------------------------


def test_the_audit_trail_shows_what_became_of_a_held_answer(app: App, world: Any) -> None:
    held = seed.held_text(world)
    case = seed.case_of(world, held)
    assert next(iter(app("audit").dataframe[0].value["Now"])) == "Held for review"
    review.claim(world.engine, world.log, reviewer="Ada Larsen", case_id=case)
    review.rule(world.engine, world.log, case_id=case, reviewer="Ada Larsen", ruling="approve", rationale="Fine.")
    frame = app("audit").dataframe[0].value
    assert list(frame["What happened"]) == [
        "Approved by a reviewer", "Claimed for review", "Answer held for review", "Policy put on record",
    ]  # fmt: skip
    assert list(frame["Now"])[2] == "Released after review"
    at = app("audit", entry=str(held.seq))
    assert not at.exception
    assert "Released after review by Ada Larsen" in html(at)
    assert "In the signed record, unchanged" in said(at)
    assert f"{held.seq} of 4" in html(at)
    ruling = app("audit", entry=str(held.seq + 2))
    assert "Fine." in html(ruling)


def test_search(app: App, world: Any) -> None:
    seed.held_text(world, request_id="order-17")
    seed.blocked(world)
    assert len(app("audit", q="order-17").dataframe[0].value) == 1
    assert list(app("audit", outcome="Blocked").dataframe[0].value["Now"]) == ["Blocked"]
    assert list(app("audit", fired="insult-out").dataframe[0].value["Now"]) == ["Blocked"]
    assert list(app("audit", what="Policy").dataframe[0].value["What happened"]) == ["Policy put on record"]
    assert "No entry matches" in said(app("audit", q="order-18"))


def test_content_is_shown_only_when_asked_for(app: App, world: Any) -> None:
    held = seed.held_text(world)
    at = app("audit", entry=str(held.seq))
    assert "4111 1111" not in html(at)
    at.toggle(key=f"content-{held.seq}").set_value(True).run()
    assert "4111 1111" in html(at)


def test_who_reads_content_is_on_record_and_erased_content_is_not_shown(app: App, world: Any) -> None:
    from guard.audit.erase import Why, erase_subject
    from guard.audit.read import Reader
    from guard.audit.verify import verify

    held, reader = seed.held_text(world), Reader(world.engine)

    def accesses() -> list[tuple[str, tuple[str, ...]]]:
        found = reader.latest(kind="access")
        return [(it.fields["why"], tuple(it.fields["roles"])) for it in reversed(found)]

    app("overview")
    app("queue")
    assert accesses() == []
    case = seed.case_of(world, held)
    at = app("case", case=case)
    at.run()
    assert accesses() == [("case", ("output", "prompt", "release", "request"))]
    world.clock.now += timedelta(minutes=11)
    at = app("audit", entry=str(held.seq))
    assert "support-bot" in html(at)
    at.toggle(key=f"content-{held.seq}").set_value(True).run()
    assert "Content read" in html(at)

    assert erase_subject(world.log, world.log.vault.pseudonym("support-bot"), Why("kim", "asked")).bodies == 4
    for page in (app("case", case=case), app("audit", entry=str(held.seq))):
        assert not page.exception
        assert "4111" not in html(page)
        assert "support-bot" not in html(page)
    erasure = reader.latest(kind="erasure")[0]
    page = app("audit", entry=str(erasure.seq))
    assert not page.exception
    assert verify(world.engine, world.log.vkey, vault=world.log.vault).ok


def test_both_pictures_of_an_entry_stay_blurred_until_asked(app: App, world: Any) -> None:
    held = seed.held_image(world)
    at = app("audit", entry=str(held.seq))
    at.toggle(key=f"content-{held.seq}").set_value(True).run()
    assert not at.exception
    assert [it.proto.imgs[0].alt for it in at.image] == ["The image under review, blurred"] * 2


def test_verifying_finds_a_changed_entry_and_the_proof_of_it_fails(app: App, world: Any) -> None:
    held = seed.held_text(world)
    seed.blocked(world)
    at = app("audit")
    at.button(key="verify").click().run()
    assert "3 entries verified" in at.success[0].value
    with world.engine.begin() as connection:
        for (name,) in connection.execute(text("select name from sqlite_master where type = 'trigger'")).all():
            connection.execute(text(f'drop trigger "{name}"'))
        connection.execute(
            text("update log_entry set leaf = cast(replace(cast(leaf as text), 'held', 'hold') as blob) where seq = 1")
        )
    at.button(key="verify").click().run()
    assert "problem" in at.error[0].value
    assert "its content was changed" in html(at)
    at = app("audit", entry=str(held.seq))
    assert not at.exception
    assert "Cannot be proved" in said(at)
    assert "Problems were found" in said(app("overview"))


def test_the_receipt_on_the_page_can_be_checked_offline(app: App, world: Any) -> None:
    from dashboards import desk
    from guard.audit.receipt import from_json, verify_receipt

    held = seed.held_text(world)
    at = app("audit", entry=str(held.seq))
    assert at.get("download_button")[0].proto.label == "Download the receipt"
    entry = desk.open_desk().reader.entry(held.seq)
    assert entry is not None
    proof = desk.prove(entry)
    assert proof.receipt is not None
    receipt, leaf, vkey = from_json(desk.receipt_file(entry, proof.receipt))
    assert verify_receipt(receipt, str(vkey), leaf=leaf).size == 3  # the policy, the outcome, and who looked at it


def test_an_entry_that_does_not_exist(app: App, world: Any) -> None:
    assert "There is no such entry" in said(app("audit", entry="999"))


def test_a_pruned_entry_says_so_and_the_verification_too(app: App, world: Any) -> None:
    from guard.audit.draft import Draft
    from guard.audit.erase import Why
    from guard.audit.prune import prune

    seed.blocked(world)
    log = world.log
    log.append([Draft("check", f"c{number}", {}) for number in range(300)])
    cut = prune(log, Why("kim", "too old"), below=256, exempt="a test")
    assert "This entry was pruned" in said(app("audit", entry="100"))
    assert "Policy put on record" in said(app("audit", entry="0"))
    assert "Old entries removed" in said(app("audit", entry=str(cut.by)))
    at = app("audit")
    at.button(key="verify").click().run()
    assert "Entries below 256 were pruned, on record." in at.success[0].value


# --- the overview ----------------------------------------------------------------------------------------------------


def test_the_overview_adds_up(app: App, world: Any) -> None:
    for _ in range(6):
        seed.blocked(world)
    seed.held_error(world)
    seed.held_text(world)
    at = app("overview")
    assert not at.exception
    assert [it.value for it in at.metric] == ["8", "25 %", "75 %", "–"]
    assert len(at.get("vega_lite_chart")) + len(at.get("arrow_vega_lite_chart")) == 2
    assert "1 check failed" in said(at)
    assert "Not verified since the dashboard started" in said(at)
