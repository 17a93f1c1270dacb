"""What happened, and can it be proved that nothing was changed?"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import streamlit as st

from dashboards import desk, identity, panels, safe, words
from guard import review
from guard.audit.read import Entry

PAGE, EXPORT = 18, 20_000
KINDS = [
    "generation",
    "continuation",
    "check",
    "claim",
    "unclaim",
    "ruling",
    "release",
    "opening",
    "failure",
    "policy",
    "access",
    "erasure",
    "hold",
    "release_hold",
    "prune",
    "report",
]
STATES = {"released": "Released", "held": "Held for review", "blocked": "Blocked"}
LOOKS = {
    "released": ("check", "green"),
    "approved": ("check", "green"),
    "continued": ("check", "green"),
    "resumed": ("play_arrow", "blue"),
    "held": ("hourglass_top", "orange"),
    "rejected": ("block", "gray"),
    "blocked": ("block", "red"),
}
record, zone = desk.open_desk(), desk.zone()


def open_row(ids: list[int]) -> None:
    """Remember which row was opened."""
    click = st.session_state.get("open_entry")
    if click is not None:
        st.session_state["entry_wanted"] = ids[click.row]


if (wanted := st.session_state.pop("entry_wanted", None)) is not None:
    st.query_params["entry"] = str(wanted)


def standing(entry: Entry) -> review.Standing | None:
    """Where an outcome stands now, rulings included."""
    others = record.reader.history(entry.request_id) if entry.state == "held" and entry.request_id else ()
    return review.standing(entry, others)


# --- the whole record ------------------------------------------------------------------------------------------------


def verification() -> None:
    """The result of the last verification, in one line and, where needed, the problems."""
    last = desk.last_verified()
    if last is None:
        return
    report = last.report
    size = words.count(report.size, "entry", "entries")
    if report.ok:
        gone = f" Entries below {words.count(report.minimum)} were pruned, on record." if report.minimum else ""
        st.success(
            f"{size} verified {words.when(last.at, zone)}: nothing was changed, removed or reordered.{gone}",
            icon=":material/verified:",
        )
        return
    st.error(
        f"{words.count(len(report.problems), 'problem', 'problems')} in {size}. "
        "Keep a copy of the database as it is, and find out who could write to it.",
        icon=":material/gpp_bad:",
    )
    rows = [("–" if it.seq is None else it.seq, it.what) for it in report.problems[:50]]
    safe.table(["Entry", "What does not hold"], rows, name="Problems found")


def export(wanted: desk.Search) -> bytes:
    """The found entries as CSV, without content, with no cell that a spreadsheet would run."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["entry", "time", "kind", "request", "state", "action", "rules", "reviewer", "leaf_hash"])
    for it in desk.search(wanted, limit=EXPORT):
        decision: Mapping[str, Any] = it.fields.get("decision") or {}
        cells = [it.seq, it.at, it.kind, it.request_id, it.state, it.action]
        more = [" ".join(decision.get("rules") or ()), it.fields.get("reviewer"), it.leaf_hash.hex()]
        writer.writerow([safe.spreadsheet(value) for value in (*cells, *more)])
    return out.getvalue().encode("utf-8", "backslashreplace")


def listing() -> None:
    """Search, and a page of entries."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(gap="xxsmall", width="content"):
            st.title("Audit trail", anchor=False)
            st.caption("Every decision, claim and ruling, in the order in which it was recorded.")
        verify = st.button("Verify the whole record", key="verify", icon=":material/verified_user:", type="primary")
    if verify:
        with st.spinner("Recomputing every hash and signature"):
            desk.verify_record()
    verification()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="search"):
        text = st.text_input(
            "Request or entry", key="q", bind="query-params", icon=":material/search:",
            placeholder="A request id or an entry number",
        )  # fmt: skip
        kind = st.selectbox(
            "Kind", KINDS, index=None, key="what", bind="query-params", format_func=review.kind_words,
            placeholder="Any", width=150,
        )  # fmt: skip
        state = st.selectbox(
            "Outcome", STATES, index=None, key="outcome", bind="query-params", format_func=STATES.__getitem__,
            placeholder="Any", width=165,
        )  # fmt: skip
        rule = st.text_input("Rule", key="fired", bind="query-params", placeholder="Any", width=150)
    wanted = desk.Search((text or "").strip(), kind, state, (rule or "").strip())
    before = st.session_state.get("before")
    found = desk.search(wanted, limit=PAGE + 1, before=before)
    if not found:
        nothing_found(wanted)
        return
    rows = found[:PAGE]
    table(rows)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if before is not None and st.button("Newest", key="newest", icon=":material/first_page:"):
            st.session_state["before"] = None
            st.rerun()
        if len(found) > PAGE and st.button("Older", key="older", icon=":material/chevron_right:"):
            st.session_state["before"] = rows[-1].seq
            st.rerun()
        st.download_button(
            "Download as CSV", lambda: export(wanted), "audit-trail.csv", "text/csv", key="csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip


def nothing_found(wanted: desk.Search) -> None:
    """An empty list that says why."""
    with st.container(border=True, horizontal_alignment="center", key="empty"):
        st.space("small")
        if wanted == desk.Search() and st.session_state.get("before") is None:
            st.subheader("The record is empty", text_alignment="center", anchor=False)
            st.markdown("Every call that goes through `Guard` leaves an entry here.", text_alignment="center")
            st.caption("To fill it now, run `guard demo` in a terminal.", text_alignment="center")
        else:
            st.subheader("No entry matches", text_alignment="center", anchor=False)
            st.markdown("Search by a whole request id or an entry number.", text_alignment="center")
        st.space("small")


def table(rows: Sequence[Entry]) -> None:
    """A page of entries."""
    stands = [standing(it) for it in rows]
    frame = pd.DataFrame(
        {
            "Entry": [it.seq for it in rows],
            "Time": [words.when(it.at, zone) for it in rows],
            "What happened": [review.title(it) for it in rows],
            "Now": [stand.words if stand else "" for stand in stands],
            "Rules or reviewer": [safe.cell(rules(it), 80) for it in rows],
            "Request": [safe.cell(it.request_id or "", 60) for it in rows],
            "": ["Open"] * len(rows),
        }
    )
    st.dataframe(
        frame,
        hide_index=True,
        key="entries",
        alt="Entries of the record, newest first",
        row_height=36,
        height="content",
        column_config={
            "Entry": st.column_config.NumberColumn(width=60, format="%d"),
            "Time": st.column_config.TextColumn(width=140),
            "What happened": st.column_config.TextColumn(width=190),
            "Now": st.column_config.TextColumn(width=160),
            "Rules or reviewer": st.column_config.TextColumn(width=180),
            "Request": st.column_config.TextColumn(width=120),
            "": st.column_config.ButtonColumn(
                width=70, key="open_entry", on_click=open_row, args=([it.seq for it in rows],), type="tertiary"
            ),
        },
    )


def rules(entry: Entry) -> str:
    """What fired, or who acted."""
    fired = (entry.fields.get("decision") or {}).get("rules") or []
    return desk.names([review.rule_words(rule) for rule in fired], 2 if len("".join(fired[:2])) < 26 else 1) or str(
        entry.fields.get("reviewer") or ""
    )


# --- one entry -------------------------------------------------------------------------------------------------------


def close() -> None:
    """Back to the list."""
    st.query_params.pop("entry", None)


def detail(seq: int) -> None:
    """One entry in human words, with its proof."""
    st.button("All entries", key="close", icon=":material/arrow_back:", type="tertiary", on_click=close)
    entry = record.reader.entry(seq)
    if entry is None and (pruned := record.reader.pruned()).allows(seq):
        st.title("This entry was pruned", anchor=False)
        st.text(f"It was too old to keep, as entry {words.count(pruned.by or 0)} says. Receipts of it still verify.")
        return
    if entry is None:
        st.title("There is no such entry", anchor=False)
        st.text("It may belong to another database, or it was removed: verify the whole record.")
        return
    stand = standing(entry)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(review.title(entry), width="content", anchor=False)
        if stand:
            icon, colour = LOOKS[stand.state]
            st.badge(stand.words, icon=f":material/{icon}:", color=colour)  # type: ignore[arg-type]
    st.caption(f"Entry {words.count(entry.seq)}, recorded {words.when(entry.at, zone)}")
    if stand and stand.reviewer:
        verb = "Rejected" if stand.state == "rejected" else stand.words
        safe.why([safe.Line(f"{verb} by {stand.reviewer}", f"Entry {stand.seq} holds the reason.")])
    left, right = st.columns([1.7, 1], gap="medium")
    with right:
        proof(entry)
        with st.container(border=True, key="past"):
            st.subheader("History of the request", anchor=False)
            past = record.reader.history(entry.request_id) if entry.request_id else [entry]
            panels.story(past)
            related(past, entry.seq)
    with left:
        if entry.kind in ("generation", "continuation", "check"):
            outcome(entry)
        else:
            action(entry)
    with st.expander("Technical details", icon=":material/data_object:"):
        safe.table(["Field", "Value"], flat(entry.fields), name="Fields of the entry")


def outcome(entry: Entry) -> None:
    """A decided generation."""
    desk.note_access(entry, ("request",), who=identity.reviewer(), why="audit trail")
    fields = desk.details(entry)
    flags = panels.flagged(fields)
    st.subheader("Why", anchor=False)
    panels.why(fields, flags)
    safe.facts([*panels.about(fields), ("Request", entry.request_id)], mono=("Request",))
    content(entry, flags)
    st.subheader("Findings", anchor=False)
    panels.findings(flags, str(fields.get("content_kind")))
    panels.whatif(fields)


def content(entry: Entry, flags: Mapping[str, Sequence[review.Flag]]) -> None:
    """The sealed content, only when asked for."""
    roles = {"prompt": "What was asked", "output": "What the model made", "release": "What was sealed for release"}
    has = [role for role in roles if role in (entry.fields.get("bodies") or {})]
    if not has or not st.toggle("Show the content", key=f"content-{entry.seq}"):
        return
    desk.note_access(entry, has, who=identity.reviewer(), why="audit trail")
    for role, tab in zip(has, st.tabs([roles[role] for role in has]), strict=True):
        with tab:
            spans = panels.marks(flags[panels.stage_of(role, entry.fields)]) if role != "release" else []
            panels.show(panels.sealed(entry.seq, role), spans, name=roles[role], key=f"{role}-{entry.seq}")


def action(entry: Entry) -> None:
    """What a reviewer did."""
    fields = entry.fields
    pairs: list[tuple[str, object]] = [
        ("Reviewer", fields.get("reviewer")),
        ("Ruling", {"approve": "Approved", "reject": "Rejected"}.get(str(fields.get("ruling")))),
        ("About entry", fields.get("of")),
        ("Case", fields.get("case")),
        ("Request", entry.request_id),
    ]
    safe.facts(pairs, mono=("Case", "Request"))
    if "rationale" in (fields.get("bodies") or {}):
        desk.note_access(entry, ("rationale",), who=identity.reviewer(), why="audit trail")
        st.subheader("Reason", anchor=False)
        panels.show(panels.sealed(entry.seq, "rationale"), name="Reason", key=f"rationale-{entry.seq}")


def proof(entry: Entry) -> None:
    """Is this entry in the signed record? Checked on this page, each time."""
    with st.container(border=True, key="proof"):
        st.subheader("Proof", anchor=False)
        checked = desk.prove(entry)
        if checked.problem or checked.receipt is None or checked.checkpoint is None:
            st.badge("Cannot be proved", icon=":material/gpp_bad:", color="red")
            safe.facts([("Because", checked.problem)])
            return
        st.badge("In the signed record, unchanged", icon=":material/verified:", color="green")
        root = checked.checkpoint.root.hex()
        safe.facts(
            [
                ("Entry", f"{words.count(entry.seq)} of {words.count(checked.checkpoint.size)}"),
                ("Proof", words.count(len(checked.receipt.proof), "hash", "hashes")),
                ("Signed root", f"{root[:12]}…{root[-6:]}"),
            ],
            mono=("Signed root",),
        )
        text = desk.receipt_file(entry, checked.receipt)
        st.download_button(
            "Download the receipt", text, f"receipt-{entry.seq}.json", "application/json", key="receipt",
            icon=":material/download:", on_click="ignore", width="stretch",
        )  # fmt: skip


def related(entries: Sequence[Entry], current: int) -> None:
    """Jump to the other entries of the request."""
    with st.container(horizontal=True, gap="xsmall"):
        for entry in [it for it in entries if it.seq != current][-8:]:
            if st.button(f"Entry {words.count(entry.seq)}", key=f"to-{entry.seq}", type="secondary"):
                st.session_state["entry_wanted"] = entry.seq
                st.rerun()


def flat(value: object, path: str = "") -> list[tuple[str, object]]:
    """Nested fields as dotted names and plain values."""
    if isinstance(value, Mapping) and value:
        return [row for name in value for row in flat(value[name], f"{path}.{name}" if path else str(name))]
    if isinstance(value, list) and value:
        return [row for index, item in enumerate(value) for row in flat(item, f"{path}[{index}]")]
    return [(path, "–" if value in (None, "", [], {}) else value)]


chosen = st.query_params.get("entry", "")
if chosen.isascii() and chosen.isdigit() and len(chosen) < 16:
    detail(int(chosen))
else:
    listing()
