"""What must be decided next."""

import pandas as pd  # type: ignore[import-untyped]
import streamlit as st

from dashboards import desk, identity, safe, words
from guard import review
from guard.errors import GuardError

PAGE = 25
LEVELS = {4: "Critical only", 3: "High and above", 2: "Medium and above"}
WHAT = {"text": "Text", "image": "Image"}
WHO = {"free": "Free", "mine": "Mine", "others": "Held by others"}
RAMP = {1: ("#c6dbef", "#08306b"), 2: ("#6baed6", "#04152e"), 3: ("#2171b5", "#ffffff"), 4: ("#08306b", "#ffffff")}
FILTERS = {"severity": None, "kind": None, "who": None, "overdue": False, "checker": "", "rule": "", "page": 1}

record, me, now = desk.open_desk(), identity.reviewer(), desk.now()


def start(where: review.Filter) -> None:
    """Claim the most urgent case and open it."""
    try:
        case = review.claim(record.engine, record.log, reviewer=me, where=where)
    except GuardError as error:
        st.session_state["problem"] = str(error)
        return
    if case is None:
        st.session_state["problem"] = "No case is free right now: the open ones are held by others, or filtered out."
    else:
        st.session_state["open_case"] = case.id


def open_row(ids: list[str]) -> None:
    """Remember which row was opened; the page then switches."""
    click = st.session_state.get("open_row")
    if click is not None:
        st.session_state["open_case"] = ids[click.row]


def clear() -> None:
    """Forget every filter."""
    st.session_state.update(FILTERS)


if target := st.session_state.pop("open_case", None):
    desk.go("views/case.py", case=target)

counts = review.counts(record.engine, reviewer=me, now=now, today=desk.today())

with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    with st.container(gap="xxsmall", width="content"):
        st.title("Review queue", anchor=False)
        st.caption("Answers and prompts that the policy did not decide alone. The most severe come first.")
    begin = st.container(width="content")

if problem := st.session_state.pop("problem", None):
    safe.why([safe.Line("Nothing was claimed", problem, warn=True)])
if note := st.session_state.pop("note", None):
    st.success(words.note(note), icon=":material/check_circle:")

cards = st.columns(4)
cards[0].metric("Open", words.count(counts.open), border=True, icon=":material/inbox:")
cards[1].metric("Overdue", words.count(counts.overdue), border=True, icon=":material/alarm:")
cards[2].metric("Held by others", words.count(counts.held_by_others), border=True, icon=":material/group:")
cards[3].metric("Decided today", words.count(counts.decided_today), border=True, icon=":material/task_alt:")

with st.container(horizontal=True, vertical_alignment="bottom", key="filters", gap="small"):
    severity = st.selectbox(
        "Severity", LEVELS, format_func=LEVELS.__getitem__, index=None, key="severity", bind="query-params",
        placeholder="Any", width=160,
    )  # fmt: skip
    kind = st.selectbox(
        "Content", WHAT, format_func=WHAT.__getitem__, index=None, key="kind", bind="query-params",
        placeholder="Any", width=110,
    )  # fmt: skip
    who = st.selectbox(
        "Holder", WHO, format_func=WHO.__getitem__, index=None, key="who", bind="query-params",
        placeholder="Any", width=150,
    )  # fmt: skip
    checker = st.text_input("Checker", key="checker", bind="query-params", placeholder="Any", width=125)
    rule = st.text_input("Rule", key="rule", bind="query-params", placeholder="Any", width=150)
    overdue = st.toggle("Overdue only", key="overdue", bind="query-params")

where = review.Filter(
    severity=severity or 1,
    kind=kind,
    who=who,
    overdue=overdue,
    checker=(checker or "").strip() or None,
    rule=(rule or "").strip() or None,
)
number = max(1, int(st.session_state.get("page") or 1))
found = review.queue(record.engine, where, reviewer=me, now=now, limit=PAGE, offset=(number - 1) * PAGE)

begin.button(
    "Continue reviewing" if counts.mine else "Start reviewing",
    key="start",
    type="primary",
    icon=":material/play_arrow:",
    disabled=not me or not counts.open,
    help=None if me else "Type your name in the sidebar first.",
    on_click=start,
    args=(where,),
)

if not found.rows and not counts.open:
    with st.container(border=True, horizontal_alignment="center", key="empty"):
        st.space("small")
        st.subheader("Nothing waits for review", text_alignment="center", anchor=False)
        st.markdown(
            "When a policy sends an answer to a person, or a check could not be made, it appears here.",
            text_alignment="center",
        )
        st.caption("To see one now, run `guard demo` in a terminal, then reload this page.", text_alignment="center")
        st.space("small")
    st.stop()
if not found.rows:
    with st.container(border=True, horizontal_alignment="center", key="filtered"):
        st.space("small")
        st.subheader("No open case passes these filters", text_alignment="center", anchor=False)
        st.markdown(f"{words.count(counts.open, 'case is', 'cases are')} open in all.", text_alignment="center")
        st.button("Clear the filters", key="clear", on_click=clear, icon=":material/filter_alt_off:")
        st.space("small")
    st.stop()


def why(row: review.Row) -> str:
    """What was found, or what could not be checked, in words."""
    failed = [review.rule_words(it.rule) for it in row.reasons if it.kind in ("error", "unchecked")]
    said = [*failed, *(review.category_words(it) for it in row.found)] or ["the policy's default"]
    text = desk.names(said, 2 if len("".join(said[:2])) < 34 else 1)
    return safe.cell(text[:1].upper() + text[1:], 90)


def what(case: review.Case) -> str:
    """Prompt, answer or image."""
    return (
        "Prompt" if case.stage == "input" else {"text": "Answer"}.get(case.kind, words.KIND.get(case.kind, "Content"))
    )


def held(case: review.Case) -> str:
    """Who has it."""
    holder = case.holder(now)
    return ("You" if holder == me else safe.cell(holder, 40)) if holder else "–"


cases = [row.case for row in found.rows]
frame = pd.DataFrame(
    {
        "Severity": [words.severity(it.severity) for it in cases],
        "What": [what(it) for it in cases],
        "Why": [why(row) for row in found.rows],
        "Rules": [
            safe.cell(desk.names([it.rule for it in row.reasons if it.kind == "rule"], 1), 60) for row in found.rows
        ],
        "Waiting": [words.since(it.opened_at, now) for it in cases],
        "Due": [words.due(it.deadline, now) for it in cases],
        "Held by": [held(it) for it in cases],
        "": ["Open"] * len(cases),
    }
)


def shade(_column: "pd.Series[str]") -> list[str]:
    """The ordered ramp behind the severity."""
    pairs = [RAMP.get(it.severity, RAMP[1]) for it in cases]
    return [f"background-color: {back}; color: {front}" for back, front in pairs]


st.dataframe(
    frame.style.apply(shade, subset=["Severity"]),
    hide_index=True,
    key="cases",
    alt="Open cases, the most severe first",
    row_height=40,
    height="content",
    column_config={
        "Severity": st.column_config.TextColumn(width=105),
        "What": st.column_config.TextColumn(width=70),
        "Why": st.column_config.TextColumn(width=215),
        "Rules": st.column_config.TextColumn(width=140),
        "Waiting": st.column_config.TextColumn(width=85),
        "Due": st.column_config.TextColumn(width=130),
        "Held by": st.column_config.TextColumn(width=90),
        "": st.column_config.ButtonColumn(
            width=65, key="open_row", on_click=open_row, args=([it.id for it in cases],), type="tertiary"
        ),
    },
)
pages = -(-found.total // PAGE)
if pages > 1:
    with st.container(horizontal_alignment="right"):
        st.pagination(pages, key="page", bind="query-params")
st.caption(f"{words.count(found.total, 'case', 'cases')}. Content is shown only after a case is opened.")
