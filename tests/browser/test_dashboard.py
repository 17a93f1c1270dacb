"""The dashboard in a real Chromium."""

from __future__ import annotations

import io
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard import review
from guard.audit.read import Reader
from guard.provenance.fingerprint import stamped
from guard.types import Stamp, Text
from tests import seed

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
Still = Callable[[Any], None]


def heading(page: Any, name: str | re.Pattern[str]) -> Any:
    found = page.get_by_role("heading", level=1).filter(has_text=name)
    found.wait_for()
    return found


def write_reason(page: Any, text: str) -> None:
    page.locator("textarea").fill(text)


def harmless(page: Any) -> None:
    """Nothing left the host, nothing ran, nothing became an element."""
    assert page.watch.off == []
    assert page.watch.errors == []
    # The policy in the headers is the second wall: our own markup must not even have tried.
    assert not [text for text in page.watch.refused if "evil" in text or "inline event" in text]
    assert page.evaluate("window.pwned") is None
    panels = ".g-text, .g-why, .g-facts, .g-steps, .g-table"
    for tag in ("img", "a", "script", "style", "iframe", "form", "svg"):
        assert page.locator(f":is({panels}) {tag}").count() == 0, tag
    assert (
        page.locator("img[src*=evil], a[href*=evil], [data-testid=stMarkdownContainer] :text('APPROVED')").count() == 0
    )


# --- the main path ---------------------------------------------------------------------------------------------------


def test_a_held_answer_is_claimed_approved_with_a_reason_and_released_in_the_audit_trail(
    visit: Open, still: Still, record: Any, shots: Path
) -> None:
    held = seed.held_text(record, severity=4, request_id="main-path")
    case = seed.case_of(record, held)
    page = visit()
    heading(page, "Review queue")
    page.locator(".st-key-start button").click()
    heading(page, "Review of an answer")
    page.wait_for_url(re.compile(f"case={case}"))
    still(page)
    assert review.get(record.engine, case).assignee == "Ada Larsen"
    page.locator(".st-key-approve button").click()
    page.get_by_text("write down the reason first").wait_for()
    write_reason(page, "The customer asked about this very card.")
    page.locator(".st-key-approve button").click()
    page.get_by_text("Approved. Here is the next case.").first.wait_for()
    still(page)
    page.screenshot(path=shots / "case-next.png")
    done = review.get(record.engine, case)
    assert (done.ruling, done.assignee) == ("approve", "Ada Larsen")
    page.locator(".st-key-unclaim button").click()
    heading(page, "Review queue")
    page.go(f"/audit?entry={held.seq}")
    heading(page, "Answer held for review")
    page.get_by_text("Released after review by Ada Larsen").wait_for()
    page.get_by_text("In the signed record, unchanged").wait_for()
    page.screenshot(path=shots / "entry-light.png")
    page.get_by_role("button", name=re.compile(f"Entry {done.ruling_seq}")).click()
    heading(page, "Approved by a reviewer")
    page.get_by_text("The customer asked about this very card.").wait_for()
    assert Reader(record.engine, record.log.vault).body(held.seq, "release") is not None


def test_the_keyboard_decides_but_not_while_typing(visit: Open, still: Still, record: Any) -> None:
    case = seed.case_of(record, seed.held_text(record, severity=4))
    page = visit(f"/case?case={case}")
    page.locator(".st-key-claim button").click()
    page.locator("textarea").wait_for()
    still(page)
    page.locator("textarea").press_sequentially("a x g are only letters here")
    still(page)
    assert review.get(record.engine, case).state == "open"
    page.get_by_role("heading", name="Your decision").click()
    still(page)
    page.keyboard.press("x")
    page.get_by_text(re.compile("^Rejected\\.")).first.wait_for()
    done = review.get(record.engine, case)
    assert done.ruling == "reject"
    reason = Reader(record.engine, record.log.vault).body(done.ruling_seq or 0, "rationale")
    assert reason == Text("a x g are only letters here")
    for row in review.queue(record.engine, review.Filter(who="mine"), reviewer="Ada Larsen", now=record.log.now()).rows:
        review.unclaim(record.engine, record.log, case_id=row.case.id, reviewer="Ada Larsen")


def test_the_name_is_asked_for_once_and_kept(visit: Open, still: Still) -> None:
    page = visit(name="")
    assert page.locator(".st-key-start button").first.is_disabled()
    field = page.locator(".st-key-reviewer input")
    field.fill("Kim Ådal")
    field.press("Enter")
    page.locator(".st-key-start button:not([disabled])").wait_for()
    still(page)
    page.wait_for_timeout(300)
    page.reload()
    still(page)
    assert page.locator(".st-key-reviewer input").input_value() == "Kim Ådal"
    assert page.locator(".st-key-start button").first.is_enabled()
    cookie = next(it for it in page.context.cookies() if it["name"] == "guard_reviewer")
    assert cookie["sameSite"] == "Strict"


# --- hostile content -------------------------------------------------------------------------------------------------


def test_hostile_text_is_shown_and_not_obeyed(visit: Open, still: Still, record: Any, shots: Path) -> None:
    held = seed.held_hostile(record)
    case = seed.case_of(record, held)
    page = visit(f"/case?case={case}")
    heading(page, "Review of an answer")
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "case-hostile.png")
    harmless(page)
    shown = page.locator(".g-text").first.inner_text()
    assert "<script>window.pwned=1</script>" in shown
    assert "⟨U+202E⟩" in shown
    assert "⟨U+200B⟩" in shown
    for name in ("Prompt", "About the request", "History"):
        page.get_by_role("tab", name=name).click()
        still(page)
        harmless(page)
    page.go(f"/audit?entry={held.seq}")
    page.get_by_text("Technical details").click()
    page.get_by_text("Show the content").click()
    page.locator(".g-text").first.wait_for()
    still(page)
    harmless(page)
    for path in ("/", "/audit", "/overview"):
        page.go(path)
        harmless(page)


def test_a_megabyte_is_shown_in_parts_without_freezing(visit: Open, still: Still, record: Any) -> None:
    text = "All good so far. " * 40_000 + "jane.roe@example.org" + " <img src=http://evil.test/x> and more" * 10_000
    assert len(text) > 10**6
    page = visit(f"/case?case={seed.case_of(record, seed.held_hostile(record, text))}")
    heading(page, "Review of an answer")
    assert page.evaluate("document.body.innerText.length") < 60_000
    assert page.locator(".g-text mark").first.inner_text().startswith("jane.roe@example.org")
    page.get_by_text("Part by part").first.click()
    still(page)
    page.get_by_text(re.compile("Characters 1 to 20,000")).first.wait_for()
    page.get_by_test_id("stPaginationPage").filter(has_text=re.compile("^54$")).first.click()
    page.get_by_text(re.compile("part 54 of 54")).first.wait_for()
    still(page)
    harmless(page)


def test_the_original_picture_never_reaches_the_browser_unasked(
    visit: Open, still: Still, record: Any, shots: Path
) -> None:
    import base64

    original = base64.b64encode(seed.picture().data).decode()[100:400]
    page = visit(f"/case?case={seed.case_of(record, seed.held_image(record))}")
    heading(page, "Review of an image")
    page.locator("img[alt*=blurred]").wait_for()
    page.screenshot(path=shots / "image-light.png")
    assert not any(original in body for body in page.watch.bodies)
    assert page.locator("img[src*='/media/']").count() <= 2  # the logo
    page.get_by_text("Show the image unblurred").click()
    page.locator("img[alt='The image under review']").wait_for()
    still(page)
    source = page.locator("img[alt='The image under review']").get_attribute("src")
    assert source == f"data:image/png;base64,{base64.b64encode(seed.picture().data).decode()}"
    page.screenshot(path=shots / "image-shown.png")


# --- the other pages -------------------------------------------------------------------------------------------------


def test_verifying_from_the_page_and_the_overview_knows(visit: Open, still: Still, shots: Path, record: Any) -> None:
    page = visit("/audit")
    page.locator(".st-key-verify button").click()
    page.get_by_text(re.compile("entries verified .* nothing was changed")).wait_for()
    still(page)
    page.screenshot(path=shots / "audit-light.png")
    page.go("/overview")
    page.get_by_text("Whole and unchanged").wait_for()
    page.locator("[data-testid=stVegaLiteChart] :is(canvas, svg)").first.wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "overview-light.png", full_page=True)
    assert page.watch.errors == []


def test_downloads(visit: Open, record: Any) -> None:
    from guard.audit.receipt import from_json, verify_receipt

    held = seed.held_hostile(record, request_id="=cmd|' /C calc'!A0")
    page = visit(f"/audit?entry={held.seq}")
    with page.expect_download() as download:
        page.locator(".st-key-receipt button").click()
    receipt, leaf, vkey = from_json(Path(download.value.path()).read_text("utf-8"))
    assert vkey == record.log.vkey
    assert verify_receipt(receipt, record.log.vkey, leaf=leaf).size > held.seq
    page.go("/audit")
    with page.expect_download() as download:
        page.locator(".st-key-csv button").click()
    text = Path(download.value.path()).read_text("utf-8")
    assert "\n0," in text
    assert "'=cmd|" in text
    assert not re.search(r"(^|,)\"?[=+@]", text, re.MULTILINE)


def test_responses_carry_the_security_headers(server: str) -> None:
    from guard.cli.dashboard import HEADERS

    with urllib.request.urlopen(server, timeout=10) as answer:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
    assert "unsafe-eval'" not in HEADERS["content-security-policy"].replace("wasm-unsafe-eval'", "")


def test_another_host_name_is_refused(server: str) -> None:
    """A name that an attacker points at this machine must not open the websocket."""
    import socket

    port = int(server.rsplit(":", 1)[1])
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    lines = [
        "GET /_stcore/stream HTTP/1.1", "Host: evil.test", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Origin: http://evil.test", "", "",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert b" 403 " in connection.recv(200).split(b"\r\n")[0]


# --- beauty and accessibility ----------------------------------------------------------------------------------------

# Streamlit's own markup: the hints of shortcuts are dimmed.
THEIRS = (("color-contrast", "<kbd"),)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(visit: Open, record: Any, shots: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    case = seed.case_of(record, seed.held_text(record))
    review.claim(record.engine, record.log, reviewer="Ada Larsen", case_id=case)
    paths = {"queue": "/", "case": f"/case?case={case}", "overview": "/overview"}
    if scheme == "light":
        paths |= {"audit": "/audit", "entry": f"/audit?entry={review.get(record.engine, case).seq}"}
    bad = []
    page = visit(scheme=scheme)
    for name, path in paths.items():
        page.go(path)
        page.wait_for_timeout(400)
        page.screenshot(path=shots / f"{name}-{scheme}.png")
        rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
        for it in Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]}).response["violations"]:
            nodes = [node["html"][:160] for node in it["nodes"]]
            nodes = [node for node in nodes if not any(it["id"] == rule and mark in node for rule, mark in THEIRS)]
            if nodes and it["impact"] in ("serious", "critical"):
                bad.append((name, it["id"], nodes[:3]))
    review.unclaim(record.engine, record.log, case_id=case, reviewer="Ada Larsen")
    assert bad == []


# --- inspection ------------------------------------------------------------------------------------------------------------


def upload(page: Any, still: Still, name: str, data: bytes) -> None:
    page.locator("[data-testid=stFileUploader] input[type=file]").set_input_files(
        [{"name": name, "mimeType": "application/octet-stream", "buffer": data}]
    )
    page.locator(".st-key-verdict").wait_for()
    still(page)


def test_a_file_is_inspected_and_leads_to_its_entry(visit: Open, still: Still, record: Any, shots: Path) -> None:
    picture = seed.picture(7)
    released = seed.outcome(
        record, state="released", action="allow", output=picture, release=picture, request_id="inspected",
        traces=stamped(picture, Stamp(picture.digest, ())).traces,
    )  # fmt: skip
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.open(io.BytesIO(picture.data)).resize((300, 300)).save(buffer, "JPEG", quality=60)
    page = visit("/inspect")
    heading(page, "Inspect")
    upload(page, still, "holiday.jpg", buffer.getvalue())
    page.screenshot(path=shots / "inspect.png", full_page=True)
    page.locator(".st-key-verdict").get_by_text("Probable").wait_for()
    page.get_by_text("Fingerprint: similar").wait_for()
    page.get_by_text("In the signed record, unchanged").wait_for()
    harmless(page)
    page.locator(".st-key-open-entry button").click()
    heading(page, re.compile("released$"))
    page.get_by_text("In the signed record, unchanged").wait_for()
    assert f"entry={released.seq}" in page.url


def test_a_hostile_file_stays_text(visit: Open, still: Still, shots: Path) -> None:
    hostile = seed.HOSTILE
    page = visit("/inspect", scheme="dark")
    upload(page, still, "![x](http:evil.test)<img src=x onerror=pwned=1>.txt", f"{hostile} Not in the record.".encode())
    page.screenshot(path=shots / "inspect-hostile.png", full_page=True)
    page.locator(".st-key-verdict").get_by_text("No evidence").wait_for()
    page.get_by_text("says nothing about origin").wait_for()
    harmless(page)
