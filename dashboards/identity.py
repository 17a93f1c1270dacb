"""Who reviews. In local mode people say their name; a cookie of this browser remembers it. Nothing proves it, and we say so."""

from __future__ import annotations

from urllib.parse import unquote

import streamlit as st

from dashboards import safe

COOKIE = "guard_reviewer"
LONGEST = 60

_REMEMBER = """export default function (component) {
  const name = encodeURIComponent(component.data || "");
  document.cookie = "guard_reviewer=" + name + "; Path=/; SameSite=Strict; Max-Age=" + (name ? 31536000 : 0);
}"""


def reviewer() -> str:
    """The name for claims and rulings; empty until somebody gave one."""
    return _clean(str(st.session_state.get("reviewer") or ""))


def sidebar() -> None:
    """Ask for the name once, and say plainly that it is not proved."""
    if "reviewer" not in st.session_state:
        st.session_state["reviewer"] = _clean(unquote(st.context.cookies.get(COOKIE, "")))
    with st.sidebar:
        st.text_input(
            "Your name",
            key="reviewer",
            max_chars=LONGEST,
            placeholder="For claims and rulings",
            icon=":material/person:",
            autocomplete="name",
        )
        st.caption("Not authenticated (local mode): this name is recorded with your rulings, and nobody checks it.")
        st.components.v2.component("guard_remember", js=_REMEMBER)(key="remember", data=reviewer(), height=1)


def _clean(name: str) -> str:
    shown = name.strip()[:LONGEST]
    return shown if safe.reveal(shown) == shown and shown.isprintable() else ""
