"""Is this allowed, and why was it held?"""

from typing import NoReturn

import streamlit as st

from dashboards import desk, identity, panels, safe, words
from guard import review
from guard.audit.read import Entry
from guard.errors import GuardError, ReviewError
from guard.types import Content, Image, Text

VERDICTS = (("approve", "Approve", ":material/check:", "A"), ("reject", "Reject", ":material/block:", "X"))
BEATS = 5  # renewals by an untouched page; then the case is let go
record, me, now, zone = desk.open_desk(), identity.reviewer(), desk.now(), desk.zone()


def leave(case_id: str | None = None, note: str = "") -> None:
    """Go on: to a case, or back to the queue."""
    if case_id:
        st.session_state["toast"] = note
        desk.go("views/case.py", case=case_id)
    st.session_state["note"] = note
    desk.go("views/queue.py")


def nothing(title: str, text: str) -> NoReturn:
    """An empty page that says what to do."""
    st.title(title, anchor=False)
    st.text(text)
    if st.button("Back to the queue", icon=":material/arrow_back:", key="back-empty"):
        leave()
    st.stop()
    raise AssertionError  # st.stop never returns


def load() -> tuple[review.Case, Entry]:
    """The case that the address names."""
    case_id = st.query_params.get("case", "")
    if not case_id:
        nothing("No case is open", "Open one from the review queue, or press “Start reviewing” there.")
    try:
        found = review.get(record.engine, case_id)
    except ReviewError as error:
        nothing("There is no such case", str(error))
    entry = record.reader.entry(found.seq)
    if entry is None:
        nothing("The entry of this case is missing", "The record may be damaged: verify it on the audit trail page.")
    return found, entry


case, entry = load()
desk.note_access(entry, ("prompt", "output", "release", "request"), who=me, why="case")
fields, holder = desk.details(entry), case.holder(now)
role, flags = review.reviewed(fields), panels.flagged(fields)
mine, is_open = holder is not None and holder == me, case.state == "open"
if toast := st.session_state.pop("toast", ""):
    st.toast(words.note(toast), icon=":material/check_circle:")


# --- acting ----------------------------------------------------------------------------------------------------------


def claim() -> None:
    """Reserve this case."""
    try:
        review.claim(record.engine, record.log, reviewer=me, case_id=case.id)
    except GuardError as error:
        st.session_state["refused"] = str(error)


def decide(ruling: str) -> None:
    """Rule on this case, then take the next one."""
    try:
        rationale = str(st.session_state.get(f"reason-{case.id}") or "")
        review.rule(record.engine, record.log, case_id=case.id, reviewer=me, ruling=ruling, rationale=rationale)
    except GuardError as error:
        st.session_state["refused"] = str(error)
        return
    try:
        following = review.claim(record.engine, record.log, reviewer=me)
    except GuardError:  # the ruling stands; the queue will say what is wrong
        following = None
    st.session_state["next"] = (following.id, f"{ruling}-next") if following else (None, f"{ruling}-last")


def give_back() -> None:
    """Let another reviewer have it."""
    try:
        review.unclaim(record.engine, record.log, case_id=case.id, reviewer=me)
    except GuardError as error:
        st.session_state["refused"] = str(error)
        return
    st.session_state["next"] = (None, "given-back")


if following := st.session_state.pop("next", None):
    leave(*following)


# --- showing ---------------------------------------------------------------------------------------------------------


def head() -> None:
    """What this is, how urgent, who has it."""
    if st.button("Review queue", key="back", icon=":material/arrow_back:", type="tertiary"):
        leave()
    nouns = {"text": "an answer", "image": "an image", "audio": "a recording"}
    noun = "a prompt" if role == "prompt" else nouns.get(case.kind, "content")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(f"Review of {noun}", width="content", anchor=False)
        st.badge(words.severity(case.severity), color="blue")
        if is_open:
            late = case.deadline < now
            st.badge(
                f"Due {words.due(case.deadline, now)}" if not late else words.due(case.deadline, now).capitalize(),
                icon=":material/alarm:" if late else ":material/schedule:",
                color="orange" if late else "gray",
            )
        elif case.ruling == "approve":
            st.badge("Released after review", icon=":material/check:", color="green")
        else:
            st.badge("Rejected by reviewer", icon=":material/block:", color="gray")


def original() -> Content | None:
    """The left side: what was made, or asked."""
    made = "What was handed over" if entry.kind == "check" else "What the model made"
    st.subheader("What was asked" if role == "prompt" else made, anchor=False)
    found = panels.sealed(case.seq, role)
    panels.show(found, panels.marks(flags[case.stage]), name="Original", key=f"original-{case.id}")
    return found


def released(before: Content | None) -> None:
    """The right side: exactly what approving lets out."""
    st.subheader("What would be released" if is_open else "What was sealed for release", anchor=False)
    if role == "prompt":
        st.caption("Nothing was generated yet. Approving lets the generation go on; its answer is checked again.")
        return
    found = panels.sealed(case.seq, "release")
    if found is None:
        st.caption("Nothing was sealed for release, so approving cannot let anything out.")
        return
    if isinstance(found, Image):
        st.caption("The same picture, with these marks:")
        panels.layers(fields)
        st.subheader("What was asked", anchor=False)
        prompt = panels.sealed(case.seq, "prompt")
        panels.show(prompt, name="Prompt", key=f"asked-{case.id}")
        return
    gone = []
    if isinstance(before, Text) and isinstance(found, Text):
        spans = review.replaced(before.text, found.text, fields, case.stage)
        gone = [safe.Mark(start, end, f"replaced: {review.category_words(kind)}") for start, end, kind in spans]
    panels.show(found, gone, name="What would be released", key=f"release-{case.id}", gone=True)


@st.fragment(run_every="120s")
def lease() -> None:
    """Keep the case while the page is open, but not for ever."""
    beats = st.session_state.get("beats", 0)
    st.session_state["beats"] = beats + 1
    kept = beats <= BEATS and review.renew(record.engine, record.log, case_id=case.id, reviewer=me)
    ends = review.get(record.engine, case.id).lease_until
    if kept or (ends and ends >= desk.now()):
        st.caption(f"Reserved for you until {words.clock(ends, zone)}. It is kept while you work here.")
    else:
        st.caption("Your reservation has run out. Press “Claim” to take the case again.")
        st.button("Claim", key="reclaim", icon=":material/front_hand:", on_click=claim)


def decision() -> None:
    """The card on which a reviewer decides."""
    st.subheader("Decision" if not is_open else "Your decision", anchor=False)
    if refused := st.session_state.pop("refused", ""):
        safe.why([safe.Line("Not done", refused, warn=True)])
    if not is_open:
        ruled()
        return
    if not mine:
        unclaimed()
        return
    st.session_state["beats"] = 0
    lease()
    st.text_area(
        "Reason (required, sealed in the record)",
        key=f"reason-{case.id}",
        max_chars=4000,
        height=110,
        placeholder="Why is this all right, or why not?",
    )
    for column, (ruling, label, icon, shortcut) in zip(st.columns(2), VERDICTS, strict=True):
        column.button(label, key=ruling, icon=icon, shortcut=shortcut, on_click=decide, args=(ruling,), width="stretch")
    st.button("Give back", key="unclaim", icon=":material/undo:", shortcut="G", type="tertiary", on_click=give_back)


def ruled() -> None:
    """A decided case: who, when, why."""
    safe.facts(
        [
            ("Ruling", "Approved" if case.ruling == "approve" else "Rejected"),
            ("By", case.assignee),
            ("At", words.when(case.decided_at, zone)),
        ]
    )
    entry = record.reader.entry(case.ruling_seq) if case.ruling_seq is not None else None
    if entry is not None:  # the queue does not repeat the reason: it may quote the content, and goes with it
        desk.note_access(entry, ("rationale",), who=me, why="case")
        panels.show(panels.sealed(entry.seq, "rationale"), name="Reason", key=f"rationale-{entry.seq}")
    if st.button("Open the ruling in the audit trail", key="to-audit", icon=":material/verified_user:"):
        desk.go("views/audit.py", entry=str(case.ruling_seq))


def unclaimed() -> None:
    """Somebody else holds it, or nobody."""
    if holder:
        until = words.clock(case.lease_until, zone)
        st.caption(f"Another reviewer holds this case until {until}; you can read it meanwhile.")
        safe.facts([("Held by", holder)])
        return
    st.caption("You are reading. Claim the case to decide it; nobody else can then, for ten minutes.")
    st.button(
        "Claim",
        key="claim",
        icon=":material/front_hand:",
        type="primary",
        disabled=not me,
        help=None if me else "Type your name in the sidebar first.",
        on_click=claim,
        width="stretch",
    )


head()
panels.why(fields, flags)
left, right = st.columns(2, gap="medium")
with left:
    source = original()
with right:
    released(source)
wide, narrow = st.columns([1.7, 1], gap="medium")
with narrow, st.container(border=True, key="decision"):
    decision()
with wide:
    found, asked, facts, past = st.tabs(["Findings", "Prompt", "About the request", "History"])
    with found:
        panels.findings(flags, case.kind)
    with asked:
        panels.show(
            panels.sealed(case.seq, "prompt"), panels.marks(flags["input"]), name="Prompt", key=f"prompt-{case.id}"
        )
    with facts:
        rest = [("Held at", words.when(case.opened_at, zone)), ("Decide by", words.when(case.deadline, zone))]
        ids = [("Request", case.request_id), ("Case", case.id)]
        safe.facts([*panels.about(fields), *rest, *ids], mono=("Request", "Case"))
    with past:
        panels.story(record.reader.history(case.request_id))
