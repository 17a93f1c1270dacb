"""Numbers, times and the product's own vocabulary as words. Nothing here takes text that people or models wrote."""

from __future__ import annotations

from datetime import datetime, tzinfo

SEVERITY = {1: "Low", 2: "Medium", 3: "High", 4: "Critical"}
KIND = {"text": "Text", "image": "Image", "audio": "Audio"}
STAGE = {"input": "Prompt", "output": "Answer", "tool": "Tool call"}
ACTION = {
    "allow": "Allowed",
    "annotate": "Allowed with a note",
    "redact": "Redacted",
    "review": "Sent to review",
    "block": "Blocked",
}
VERDICT = {  # word, icon, colour
    "trusted": ("Trusted", "verified", "green"),
    "valid": ("Valid, signer unknown", "help", "orange"),
    "recovered": ("Recovered from the record", "verified", "green"),
    "probable": ("Probable", "help", "orange"),
    "contradicted": ("Contradicted", "gpp_bad", "red"),
    "no_evidence": ("No evidence", "remove", "gray"),
}
REASON = {
    "tampered": "It was changed after it was signed.",
    "transplanted": "The mark in it was copied from something else.",
    "bad_ingredient": "What it was made from carries a credential that does not hold.",
}
UNKNOWN = "unknown"
_NOTES = {
    "approve-next": "Approved. Here is the next case.",
    "reject-next": "Rejected. Here is the next case.",
    "approve-last": "Approved. No other case is free right now.",
    "reject-last": "Rejected. No other case is free right now.",
    "given-back": "Given back: another reviewer can take the case.",
}


def place(stage: str, kind: str) -> str:
    """Where something was found."""
    things = {"input": "prompt", "output": {"image": "image", "audio": "recording"}.get(kind, "answer")}
    return f"In the {things.get(stage, 'tool call')}"


def note(name: str) -> str:
    """What to say after an action."""
    return _NOTES[name]


def verdict(name: str) -> tuple[str, str, str]:
    """What an inspection came to: word, icon and colour."""
    return VERDICT[name]


def severity(level: int) -> str:
    """A level as word and count, so that colour is never the only sign."""
    return f"{'▲' * level} {SEVERITY.get(level, UNKNOWN)}"


def count(number: float, one: str = "", many: str = "") -> str:
    """A number with thousands separated, and its noun if there is one."""
    noun = (one if number == 1 else many) if one else ""
    return f"{number:,.0f} {noun}".strip()


def percent(share: float) -> str:
    """A share of one; small shares keep a digit, so that "0 %" means none."""
    digits = 1 if 0 < share < 0.1 else 0
    return f"{share * 100:.{digits}f} %"


def duration(seconds: float) -> str:
    """A time span in its two largest units."""
    minutes = int(abs(seconds) // 60)
    if minutes < 1:
        return "< 1 min"
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    if days >= 2 or (days and not hours):
        return count(days, "day", "days")
    if days:
        return f"1 day {hours} h"
    if hours:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{rest} min"


def between(start: str, end: str) -> float | None:
    """Seconds from one recorded time to another; None when one of them is damaged."""
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (TypeError, ValueError):
        return None


def since(start: str, now: str) -> str:
    """How long something waits."""
    seconds = between(start, now)
    return UNKNOWN if seconds is None else duration(seconds)


def due(deadline: str, now: str) -> str:
    """Time left, or how long overdue."""
    seconds = between(now, deadline)
    if seconds is None:
        return UNKNOWN
    return f"in {duration(seconds)}" if seconds >= 0 else f"overdue by {duration(seconds)}"


def when(moment: str | None, zone: tzinfo) -> str:
    """A recorded time in the reader's zone."""
    found = _local(moment, zone)
    return f"{found.day} {found:%b %Y, %H:%M}" if found else UNKNOWN


def clock(moment: str | None, zone: tzinfo) -> str:
    """The time of day only."""
    found = _local(moment, zone)
    return f"{found:%H:%M}" if found else UNKNOWN


def _local(moment: str | None, zone: tzinfo) -> datetime | None:
    try:
        return datetime.fromisoformat(moment or "").astimezone(zone)
    except ValueError:
        return None
