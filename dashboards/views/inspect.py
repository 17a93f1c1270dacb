"""Where does this file come from? What it carries, what the record knows, and the one thing that can be said."""

from collections.abc import Mapping

import streamlit as st

from dashboards import desk, safe, words
from guard.digest import JSON
from guard.errors import GuardError
from guard.provenance.verdict import Inspection, Named

LAYERS = {
    "credential": "Content credential",
    "manifest": "Manifest beside the text",
    "watermark": "Watermark",
    "record": "The record",
    "fingerprint": "Fingerprint",
    "file": "File",
}
WARN = {"invalid", "altered", "contradicted", "transplanted", "unproved", "unreadable"}
zone = desk.zone()


def look(name: str, data: bytes, key: str) -> Inspection | None:
    """Inspect once for each upload, however often the page is drawn."""
    kept = st.session_state.get("inspection")
    if kept is not None and kept[0] == key:
        found: Inspection = kept[1]
        return found
    try:
        with st.spinner("Looking at everything it carries"):
            found = desk.inspector().inspect(data, name=name)
    except GuardError as error:
        st.error("It could not be inspected.", icon=":material/error:")
        st.text(str(error))
        return None
    st.session_state["inspection"] = (key, found)
    return found


def verdict(found: Inspection) -> None:
    """The verdict in words, and where it leads."""
    said = words.verdict(found.verdict.value)
    with st.container(border=True, key="verdict"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader("What can be said", width="content", anchor=False)
            st.badge(said[0], icon=f":material/{said[1]}:", color=said[2])  # type: ignore[arg-type]
        st.text(found.summary)
        if found.reason is not None:
            st.text(words.REASON[found.reason.value])
        safe.facts(
            [
                ("File", found.name),
                ("Kind", words.KIND.get(found.kind, "Unknown")),
                ("Digest", found.digest),
            ],
            mono=("Digest",),
        )
        if found.entry is not None:
            entry(found.entry)


def entry(named: Named) -> None:
    """The entry that is named, with its proof."""
    proof = {True: "In the signed record, unchanged", None: "Not checked: the log's key is not here"}
    safe.facts(
        [
            ("Entry", f"{words.count(named.seq)}, recorded {words.when(named.at, zone)}"),
            ("Request", named.request_id),
            ("Proof", proof.get(named.proved, "Cannot be proved")),
            ("Checkpoint", f"{words.count(named.receipt.size, 'entry', 'entries')}, root {named.receipt.root[:12]}…"),
        ],
        mono=("Request",),
    )
    if st.button(f"Open entry {words.count(named.seq)}", key="open-entry", icon=":material/arrow_forward:"):
        desk.go("views/audit.py", entry=str(named.seq))


def evidence(found: Inspection) -> None:
    """One card for each look."""
    st.subheader("What was looked at", anchor=False)
    safe.why(
        safe.Line(
            f"{LAYERS.get(it.layer, it.layer)}: {it.status.replace('_', ' ')}", it.message, warn=it.status in WARN
        )
        for it in found.evidence
    )
    rows = [(it.layer, name, value) for it in found.evidence for name, value in flat(it.details)]
    if rows:
        with st.expander("Technical details", icon=":material/data_object:"):
            safe.table(["Look", "What", "Value"], rows, name="Details of the evidence")


def flat(value: JSON, path: str = "") -> list[tuple[str, object]]:
    """Nested details as dotted names and plain values; empty ones are left out."""
    if isinstance(value, Mapping):
        return [row for name in value for row in flat(value[name], f"{path}.{name}" if path else str(name))]
    if isinstance(value, list | tuple):
        return [row for number, item in enumerate(value, 1) for row in flat(item, f"{path}[{number}]")]
    return [] if value in (None, "") else [(path, value)]


st.title("Inspect", anchor=False)
st.caption("Upload a file to see what it says about its origin, and whether it was made here. It is not kept.")
upload = st.file_uploader("File", key="file", help="An image, a sound or a UTF-8 text.")
if upload is not None:
    inspected = look(upload.name, upload.getvalue(), str(upload.file_id))
    if inspected is not None:
        verdict(inspected)
        evidence(inspected)
