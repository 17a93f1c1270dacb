"""The dashboard's entry: one page frame, one sidebar, five pages."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:  # so that `dashboards` can be imported from a wheel as from a checkout
    sys.path.insert(0, str(HERE.parent))

import streamlit as st  # noqa: E402

from dashboards import desk, identity, safe  # noqa: E402

# A local file: for an icon by name the browser would ask a font host on the internet.
st.set_page_config(page_title="genguard", page_icon=HERE / "icon.svg", layout="wide", initial_sidebar_state=232)
st.logo(str(HERE / "logo.svg"), size="large")
safe.styles()
pages = [
    st.Page(HERE / "views" / "queue.py", title="Review queue", icon=":material/inbox:", default=True),
    st.Page(HERE / "views" / "case.py", title="Case", visibility="hidden"),
    st.Page(HERE / "views" / "audit.py", title="Audit trail", icon=":material/verified_user:"),
    st.Page(HERE / "views" / "inspect.py", title="Inspect", icon=":material/search:"),
    st.Page(HERE / "views" / "overview.py", title="Overview", icon=":material/monitoring:"),
]
page = st.navigation(pages)
desk.require_record()
identity.sidebar()
page.run()
