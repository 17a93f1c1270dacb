"""The nouns, and the two Protocols that outsiders implement. Standard library only; everything is frozen.

Text offsets are Python string indices (Unicode code points), start inclusive, end exclusive, into the text of the item.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from guard.content import Audio as Audio
from guard.content import Content as Content
from guard.content import Document as Document
from guard.content import Image as Image
from guard.content import Media as Media
from guard.content import Text as Text
from guard.content import Video as Video
from guard.content import content_from as content_from
from guard.digest import JSON
from guard.errors import Blocked, HeldForReview
from guard.operators import LABEL, Operator
from guard.options import StreamSpec


class Action(enum.IntEnum):
    """What to do with an item; the decision is the greatest action that any rule asks for."""

    ALLOW = 0
    ANNOTATE = 1
    REDACT = 2
    REVIEW = 3
    BLOCK = 4

    @property
    def label(self) -> str:
        """The word used in policies, records and JSON."""
        return self.name.lower()


class Stage(enum.StrEnum):
    """Where in the flow an item is looked at."""

    INPUT = "input"
    OUTPUT = "output"
    TOOL = "tool"


class Status(enum.StrEnum):
    """How a check ended. `skipped` and `error` are not "clean"."""

    OK = "ok"
    SKIPPED = "skipped"
    ERROR = "error"


class State(enum.StrEnum):
    """What became of the content."""

    RELEASED = "released"
    HELD = "held"
    BLOCKED = "blocked"


class Ack(enum.StrEnum):
    """What an outcome waits for, each more than the one before. `durable`: its entry is committed; its number, and with it the
    receipt, comes later or when the receipt is asked for.
    `sequenced`: it is under a signed checkpoint. `witnessed`: somebody else has cosigned that, so that not even whoever
    holds the database and the keys can take it back unseen."""

    DURABLE = "durable"
    SEQUENCED = "sequenced"
    WITNESSED = "witnessed"


def new_id() -> str:
    """A fresh random identifier."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for. `id` is the idempotency key: the same id gives the same outcome, once.

    `tenant` is whom the caller works for, where one deployment serves several. `groups` are demographic tags that the
    caller declares (for fairness reports); nothing infers them. `sources` are texts of data that the answer must keep to.
    `image` is what an image-to-image model starts from; it is checked like the prompt, and keeps its credential.
    """

    prompt: Content
    id: str = field(default_factory=new_id)
    params: Mapping[str, JSON] = field(default_factory=dict)
    requester: str | None = None
    purpose: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    tenant: str | None = None
    sources: tuple[str, ...] = ()
    image: Image | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of content to moderate, with what a checker may need to judge it: prompt and sources of the request.
    `unfinished`: more text may follow; only findings that it cannot change are wanted."""

    content: Content
    stage: Stage
    prompt: Content | None = None
    language: str = "en"
    sources: tuple[str, ...] = ()
    unfinished: bool = False


# --- checking ------------------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text."""

    start: int
    end: int


class Region(NamedTuple):
    """A rectangle in pixels, origin top left."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a checker saw. `message` is for people and never quotes the content."""

    category: str
    score: float
    span: Span | None = None
    region: Region | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One checker's answer for one item. `elapsed` is in seconds; `error` never quotes the content.

    For an unfinished item `findings` are those that start before the character `settled`: more text cannot change them."""

    checker: str
    version: str
    stage: Stage
    status: Status
    findings: tuple[Finding, ...] = ()
    elapsed: float = 0.0
    error: str | None = None
    settled: int | None = None


class Checker(Protocol):
    """What a checker implements. It does not decide, edit, log or catch.

    `version` names the code and, where there is one, the model revision. `kinds` are the contents it reads. `horizon` says
    how much must be seen before it can be sure: "span", "sentence" or "document". `check` answers with one sequence of
    findings for each item, in order; a batch may hold the items of several callers. An optional number `gather` says for how
    many seconds such a batch may wait for them.

    An optional `pending(text) -> int` lets streams pass before their end; `guard.stream` says what it promises.
    """

    name: str
    version: str
    kinds: frozenset[str]
    horizon: str

    def check(self, items: Sequence[Item]) -> Sequence[Sequence[Finding]]: ...


# --- policy --------------------------------------------------------------------------------------------------------


class Mode(enum.StrEnum):
    """A shadow rule is recorded when it fires, and changes nothing."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class CheckerSpec:
    """A checker as a policy declares it: `name` is the policy's own, `use` the registered class."""

    name: str
    use: str
    params: Mapping[str, JSON] = field(default_factory=dict)
    timeout: float = 5.0
    stages: frozenset[Stage] = frozenset(Stage)
    failures: int = 3
    cooldown: float = 30.0


@dataclass(frozen=True, slots=True)
class Rule:
    """When `checker` reports one of `categories` (empty: any) at `threshold` or above and `when` holds, do `action`."""

    id: str
    checker: str
    action: Action
    stages: frozenset[Stage] = frozenset(Stage)
    categories: frozenset[str] = frozenset()
    threshold: float = 0.5
    when: str | None = None
    mode: Mode = Mode.ENFORCE
    description: str = ""
    operator: Operator = LABEL


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """What people are told on the content itself, and other software in it (`metadata`). By default nothing."""

    text: Literal["start", "end"] | None = None
    image: bool = False
    audio: bool = False
    metadata: bool = False
    kind: Literal["ai", "generated", "modified"] = "generated"
    language: str = "en"
    producer: str = ""
    font: str | None = None


@dataclass(frozen=True, slots=True)
class StampSpec:
    """Which marks what is released must carry. A required mark that cannot be made withholds the content.

    `watermark` is how local text models mark their tokens; texts below `min_text_tokens` need no watermark.
    `timestamp` says whether credentials must carry the time of an authority: required, preferred or none. `exports` says where
    a text that leaves as a file has its manifest: embedded or beside.
    """

    text: frozenset[str] = frozenset({"manifest"})
    image: frozenset[str] = frozenset({"manifest"})
    audio: frozenset[str] = frozenset({"manifest"})
    video: frozenset[str] = frozenset({"manifest"})
    document: frozenset[str] = frozenset({"manifest"})
    watermark: Literal["gumbel", "greenlist", "synthid"] | None = "gumbel"
    min_text_tokens: int = 0
    label: LabelSpec = LabelSpec()
    timestamp: str = "none"
    exports: str = "embedded"


@dataclass(frozen=True, slots=True)
class Policy:
    """A validated policy; `digest` covers every field, after `extends` was applied."""

    name: str
    version: str
    digest: str
    checkers: tuple[CheckerSpec, ...]
    rules: tuple[Rule, ...]
    on_error: Action = Action.REVIEW
    otherwise: Action = Action.ALLOW
    stamp: StampSpec = field(default_factory=StampSpec)
    review_within: float = 24 * 3600.0
    acks: Mapping[Action, Ack] = field(default_factory=dict)
    stream: StreamSpec = field(default_factory=StreamSpec)
    description: str = ""


class PolicyRef(NamedTuple):
    """Which policy decided."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`rules` are the enforced rules that fired, `shadow` those that would have; `degraded` says that a check failed."""

    action: Action
    rules: tuple[str, ...]
    policy: PolicyRef
    shadow: tuple[str, ...] = ()
    degraded: bool = False


# --- generating ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layer:
    """One mark: `kind` is manifest, watermark, label or fingerprint; `status` is applied, not_applicable or failed."""

    kind: str
    status: str
    algorithm: str = ""
    detail: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generated:
    """What a generator made, with the facts that the record keeps (model, revision, weight digest, device, seed, …).

    `export` says of a text that it leaves as a file of its own, which may carry its credential itself.
    """

    content: Content
    facts: Mapping[str, JSON] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    export: bool = False


@runtime_checkable
class Generator(Protocol):
    """What makes content. `generate` may be a coroutine function; then only the async calls of Guard take it."""

    name: str

    def generate(self, request: Request) -> Generated | Awaitable[Generated]: ...


# --- releasing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stamp:
    """The marks on the released bytes. `manifest` holds the signed statement where the content cannot carry it (text).

    `traces` are what the record seals, by role, so that the content is found again without its marks. Nobody is handed them.
    """

    digest: str
    layers: tuple[Layer, ...]
    manifest: str | None = None
    traces: Mapping[str, Content] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an entry is in the record (RFC 9162 inclusion proof under a C2SP signed checkpoint).

    `entry` is the index of the leaf, `size` the number of leaves under `root` (hex); `proof` is the audit path (hex).
    """

    entry: int
    size: int
    root: str
    leaf_hash: str
    proof: tuple[str, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one request. `content` is None when nothing is released; `proof` is the receipt, or makes it."""

    request_id: str
    state: State
    decision: Decision
    results: tuple[CheckResult, ...]
    content: Content | None
    proof: Receipt | Callable[[], Receipt] = field(repr=False)
    stamp: Stamp | None = None
    case: str | None = None
    replayed: bool = False

    @property
    def receipt(self) -> Receipt:
        """The proof that its entry is in the record. Where that has no number yet it gets one now; RecordError if it cannot."""
        return self.proof if isinstance(self.proof, Receipt) else self.proof()

    def raise_for_action(self) -> Outcome:
        """Return self when the content was released; raise HeldForReview or Blocked otherwise."""
        rules = ", ".join(self.decision.rules) or "the policy's default"
        if self.state is State.HELD:
            raise HeldForReview(f"request {self.request_id} waits for a reviewer (case {self.case}; {rules})")
        if self.state is State.BLOCKED:
            raise Blocked(f"request {self.request_id} was blocked by {rules}")
        return self
