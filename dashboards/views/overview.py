"""Are we in control?"""

from datetime import UTC, datetime, timedelta

import altair as alt
import pandas as pd  # type: ignore[import-untyped]
import streamlit as st

from dashboards import desk, identity, safe, words
from guard import review
from guard.audit.draft import timestamp

SPANS = {7: "7 days", 30: "30 days", 90: "90 days"}
RAMPS = {
    "light": ["#c6dbef", "#9ecae1", "#6baed6", "#2171b5", "#08306b"],
    "dark": ["#23405f", "#2f6098", "#4a90cf", "#9ecae1", "#e3effa"],
}
record, now, zone = desk.open_desk(), desk.now(), desk.zone()


@st.cache_data(ttl=60, show_spinner="Reading the record")
def numbers(store: str, days: int, place: str) -> review.Overview:
    """A minute old at most."""
    since = timestamp(datetime.now(UTC) - timedelta(days=days))
    return review.overview(record.engine, since=since, zone=zone) if store and place else review.Overview()


with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    with st.container(gap="xxsmall", width="content"):
        st.title("Overview", anchor=False)
        st.caption("What was decided, what fired, and whether the checks themselves work.")
    days = st.segmented_control(
        "Period", list(SPANS), format_func=SPANS.__getitem__, default=30, required=True, key="days",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip

seen = numbers(record.settings.store_url, days or 30, str(zone))
counts = review.counts(record.engine, reviewer=identity.reviewer(), now=now, today=desk.today())
if not seen.total:
    with st.container(border=True, horizontal_alignment="center", key="empty"):
        st.space("small")
        st.subheader("Nothing was recorded in this period", text_alignment="center", anchor=False)
        st.markdown("Wrap a model with `Guard`, and every call appears here.", text_alignment="center")
        st.caption("To fill the record now, run `guard demo` in a terminal.", text_alignment="center")
        st.space("small")
    st.stop()

cards = st.columns(4)
cards[0].metric("Outcomes", words.count(seen.total), border=True, icon=":material/fact_check:")
cards[1].metric("Held for review", words.percent(seen.share("held")), border=True, icon=":material/person_search:")
cards[2].metric("Blocked", words.percent(seen.share("blocked")), border=True, icon=":material/block:")
cards[3].metric(
    "Median time to ruling",
    words.duration(seen.median_minutes * 60) if seen.median_minutes is not None else "–",
    border=True,
    icon=":material/timer:",
)


def volume() -> None:
    """Outcomes by day and action, in the order of the actions."""
    order = list(words.ACTION.values())
    frame = pd.DataFrame(
        [
            {"Day": day, "Action": words.ACTION[action], "Rank": list(words.ACTION).index(action), "Outcomes": number}
            for (day, action), number in seen.by_day.items()
            if action in words.ACTION and day != "unknown"
        ]
    )
    shown = [name for name in order if name in set(frame["Action"])]
    ramp = RAMPS["dark" if st.context.theme.type == "dark" else "light"]
    colours = [ramp[order.index(name)] for name in shown]
    today = datetime.now(zone).date()
    first, last = ((today + timedelta(days=shift)).isoformat() for shift in (1 - (days or 30), 1))
    chart = (
        alt.Chart(frame)
        .mark_bar(cornerRadius=1)
        .encode(
            x=alt.X(
                "utcyearmonthdate(Day):T",
                title=None,
                scale=alt.Scale(type="utc", domain=[first, last]),
                axis=alt.Axis(format="%-d %b", labelAngle=0, grid=False),
            ),
            y=alt.Y("sum(Outcomes):Q", title=None, axis=alt.Axis(tickMinStep=1)),
            color=alt.Color(
                "Action:N",
                sort=shown,
                scale=alt.Scale(domain=shown, range=colours),
                legend=alt.Legend(orient="top", title=None),
            ),
            order=alt.Order("Rank:Q"),
            tooltip=[alt.Tooltip("Day:N"), "Action:N", "Outcomes:Q"],
        )
        .properties(height=230, padding={"top": 0, "left": 5, "right": 5, "bottom": 5})
    )
    st.altair_chart(chart, alt="Outcomes by day, split by the action that the policy took", key="volume")


def rules() -> None:
    """What fired most."""
    top = sorted(seen.rules.items(), key=lambda it: (-it[1], it[0]))[:8]
    if not top:
        st.caption("No rule fired in this period.")
        return
    frame = pd.DataFrame([{"Rule": safe.cell(review.rule_words(name), 40), "Times": number} for name, number in top])
    base = alt.Chart(frame).encode(
        y=alt.Y("Rule:N", sort=None, title=None, axis=alt.Axis(labelLimit=190, ticks=False, domain=False)),
        x=alt.X("Times:Q", title=None, axis=None),
        tooltip=["Rule:N", "Times:Q"],
    )
    bars = base.mark_bar(cornerRadius=2, height=16, color="#4a86c5")
    ink = "#e9eef4" if st.context.theme.type == "dark" else "#0b1118"
    labels = base.mark_text(align="left", dx=5, color=ink).encode(text="Times:Q")
    chart = (bars + labels).properties(height=max(60, 28 * len(top)))
    st.altair_chart(chart, alt="The rules that fired most often, most frequent first", key="rules")


def checkers() -> None:
    """Do the checks themselves work?"""
    rows = [
        (
            it.checker,
            words.count(it.runs),
            words.count(it.errors),
            words.count(it.skipped),
            f"{it.typical:,.1f} ms",
            f"{it.slowest:,.1f} ms",
        )
        for it in seen.checkers
    ]
    head = ["Checker", "Runs", "Errors", "Skipped", "Typical", "Slowest"]
    safe.table(head, rows, name="Health of the checkers", numbers=(1, 2, 3, 4, 5))
    failed = sum(it.errors for it in seen.checkers)
    if failed:
        st.caption(f"{words.count(failed, 'check', 'checks')} failed. A failed check never counts as clean.")


def people() -> None:
    """The human side."""
    safe.facts(
        [
            ("Open cases", words.count(counts.open)),
            ("Overdue", words.count(counts.overdue)),
            ("Approved", words.count(seen.rulings.get("approve", 0))),
            ("Rejected", words.count(seen.rulings.get("reject", 0))),
        ]
    )


def integrity() -> None:
    """Is the record whole?"""
    last = desk.last_verified()
    size = words.count(record.reader.size(), "entry", "entries")
    if last is None:
        st.badge("Not verified since the dashboard started", icon=":material/help:", color="gray")
    elif last.report.ok:
        st.badge("Whole and unchanged", icon=":material/verified:", color="green")
    else:
        st.badge("Problems were found", icon=":material/gpp_bad:", color="red")
    safe.facts([("The record holds", size), ("Last verified", words.when(last.at, zone) if last else "never")])
    if st.button("Verify on the audit trail page", key="to-verify", icon=":material/verified_user:"):
        desk.go("views/audit.py")


with st.container(border=True, key="volume-card"):
    st.subheader("Outcomes by day", anchor=False)
    volume()
left, right = st.columns(2, gap="small")
with left, st.container(border=True, height="stretch", key="rules-card"):
    st.subheader("Rules that fired most", anchor=False)
    rules()
with right, st.container(border=True, height="stretch", key="people-card"):
    st.subheader("Review", anchor=False)
    people()
    st.subheader("The record", anchor=False)
    integrity()
with st.container(border=True, key="checkers-card"):
    st.subheader("Health of the checkers", anchor=False)
    checkers()
