"""Parts that more than one page shows: content of any kind, the reasons behind a decision, the history of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from dashboards import desk, pictures, safe, words
from guard import review
from guard.audit.read import Entry
from guard.errors import EvidenceError
from guard.policy.counterfactual import Change
from guard.types import Content, Image, Text


def sealed(seq: int, role: str) -> Content | None:
    """Sealed content of an entry; what cannot be opened is said, not raised."""
    try:
        return desk.open_desk().reader.body(seq, role)
    except EvidenceError as error:
        safe.why([safe.Line("The sealed content cannot be opened", str(error), warn=True)])
        return None


def show(found: Content | None, marks: Sequence[safe.Mark] = (), *, name: str, key: str, gone: bool = False) -> None:
    """Content of any kind."""
    if found is None:
        st.caption("There is nothing to show: it was never made, or it was erased.")
    elif isinstance(found, Text):
        safe.untrusted(found.text, marks, name=name, key=key, gone=gone)
    elif isinstance(found, Image):
        _image(found, key)
    else:
        st.caption("Sound cannot be played here yet.")


def _image(found: Image, key: str) -> None:
    """A picture, blurred on this server until somebody asks for it."""
    asked = f"show-{key}"
    shown = bool(st.session_state.get(asked))
    url = pictures.data_url(found) if shown else pictures.blurred(found)
    if url is None:
        st.caption("This image cannot be shown: its format is unsupported, or its bytes are damaged.")
        return
    with st.container(border=True, horizontal_alignment="center", key=f"picture-{key}"):
        st.image(url, width=300, alt="The image under review" if shown else "The image under review, blurred")
        st.toggle("Show the image unblurred", key=asked)


def marks(flags: Iterable[review.Flag]) -> list[safe.Mark]:
    """Findings as marks in the text."""
    return [
        safe.Mark(
            *flag.span,
            f"{flag.number}: {review.category_words(flag.category)}, {words.percent(flag.score)}, {_source(flag)}",
            flag.number,
        )
        for flag in flags
        if flag.span
    ]


def _source(flag: review.Flag) -> str:
    return f"rule {desk.names(flag.rules)}" if flag.rules else f"found by {flag.checker}"


def flagged(fields: Mapping[str, Any]) -> dict[str, tuple[review.Flag, ...]]:
    """The findings by stage, prompt first."""
    policy = desk.policy(fields)
    return {stage: review.flags(fields, stage, policy) for stage in words.STAGE}


def stage_of(role: str, fields: Mapping[str, Any]) -> str:
    """The stage at which a body was looked at: a check of a prompt keeps it as output."""
    if role == "prompt":
        return "input"
    return str(fields.get("stage")) if fields.get("kind") == "check" else "output"


def why(fields: Mapping[str, Any], flags: Mapping[str, Sequence[review.Flag]]) -> None:
    """The reasons behind a decision, in plain words."""
    said = review.descriptions(fields, desk.policy(fields))
    every = [flag for found in flags.values() for flag in found]
    safe.why(_reason(it, every, said.get(it.rule, "")) for it in review.reasons(fields))


def _reason(reason: review.Reason, flags: Sequence[review.Flag], said: str) -> safe.Line:
    if reason.kind == "error":
        return safe.Line(
            f"The check “{desk.names(reason.checkers)}” could not be made: {reason.detail or 'no detail was recorded'}",
            "Nobody has looked for this risk yet. A failed check never counts as clean.",
            warn=True,
        )
    if reason.kind == "unchecked":
        title = review.rule_words(reason.rule).capitalize()
        return safe.Line(title, "Every check was skipped. What nobody looked at does not count as clean.", warn=True)
    if reason.kind == "default":
        return safe.Line("No rule fired", "The policy's default for everything else applied.")
    found = [flag for flag in flags if reason.rule in flag.rules]
    found = found or [flag for flag in flags if not flag.rules and flag.checker in reason.checkers]
    what = desk.names(list(dict.fromkeys(review.category_words(flag.category) for flag in found)))
    return safe.Line(f"Rule {reason.rule}", " ".join(filter(None, [said, f"Found: {what}." if what else ""])))


def whatif(fields: Mapping[str, Any]) -> None:
    """The least that would have changed the decision."""
    explained = review.explained(fields, desk.policy(fields))
    if explained is not None and explained.changes:
        st.subheader("What would have changed it", anchor=False)
        safe.why(_change(change) for change in explained.changes)


def _change(change: Change) -> safe.Line:
    said = review.edits_words(change)
    rules = desk.names(change.decision.rules)
    return safe.Line(
        said[:1].upper() + said[1:], f"{words.ACTION[change.decision.action.label]}{f' by {rules}' if rules else ''}"
    )


def findings(flags: Mapping[str, Sequence[review.Flag]], kind: str) -> None:
    """Every finding by stage, numbered as in the text."""
    found = {stage: listed for stage, listed in flags.items() if listed}
    if not found:
        st.caption("The checks that ran found nothing.")
    for stage, listed in found.items():
        if len(found) > 1 or stage == "input":
            st.caption(words.place(stage, kind))
        _table(listed)


def _table(flags: Sequence[review.Flag]) -> None:
    safe.table(
        ["No.", "What", "Score", "Rule", "Checker", "Note"],
        [
            (
                flag.number if flag.span else "–",
                review.category_words(flag.category),
                words.percent(flag.score),
                desk.names(flag.rules) or "–",
                flag.checker,
                flag.message or "–",
            )
            for flag in flags[:100]
        ],
        name="Findings",
    )
    if len(flags) > 100:
        st.caption(f"The first 100 of {words.count(len(flags))} findings.")


LAYERS = {
    "manifest": "Signed manifest",
    "watermark": "Invisible watermark",
    "fingerprint": "Fingerprint",
    "label": "Visible label",
}


def layers(fields: Mapping[str, Any]) -> None:
    """The marks on what is released."""
    made = [it for it in (fields.get("stamp") or {}).get("layers") or [] if it.get("status") == "applied"]
    if not made:
        st.caption("No marks were made.")
        return
    rows = [(LAYERS.get(it.get("kind"), it.get("kind")), it.get("algorithm") or "–") for it in made]
    safe.table(["Mark", "Made with"], rows, name="Marks on the content")


def story(entries: Sequence[Entry]) -> None:
    """What happened to a request, oldest first."""
    zone = desk.zone()
    safe.steps(
        safe.Line(it.title, f"{words.when(it.at, zone)}{f' · {it.who}' if it.who else ''}")
        for it in review.history([desk.named(entry) for entry in entries])
    )


def about(fields: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Who asked what of which model, under which policy."""
    request, generator, policy = (fields.get(name) or {} for name in ("request", "generator", "policy"))
    return [
        ("Asked by", request.get("requester")),
        ("Purpose", request.get("purpose")),
        ("Tenant", request.get("tenant")),
        ("System", " · ".join(str(it) for it in (fields.get("deployment") or {}).values() if it)),
        ("Model", " ".join(str(generator[name]) for name in ("model", "revision") if generator.get(name))),
        ("Policy", f"{policy.get('name')}, version {policy.get('version')}" if policy else ""),
    ]
