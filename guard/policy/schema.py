"""What a policy file may say. The models are strict; `to_policy` turns a valid document into the nouns of `guard.types`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from guard.digest import canonical, label
from guard.operators import LABEL, PARAMETERS, UNSAFE, Operator
from guard.options import StreamSpec
from guard.policy.decide import OURS
from guard.types import Ack, Action, CheckerSpec, LabelSpec, Mode, Policy, Rule, Stage, StampSpec

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = r"^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$"


def _seconds(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(_DURATION, value.strip())
        if match is None:
            raise ValueError("a duration is a number of seconds or text such as 500ms, 2s, 10m, 24h, 7d")
        return float(match[1]) * _UNITS[match[2]]
    return value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": _DURATION}]}),
]
StageName = Literal["input", "output", "tool"]
ActionName = Literal["allow", "annotate", "redact", "review", "block"]
OperatorName = Literal["replace", "redact", "mask", "hash", "encrypt", "pseudonym"]
AckName = Literal["durable", "sequenced", "witnessed"]
LayerName = Literal["manifest", "watermark", "label"]
WatermarkName = Literal["gumbel", "greenlist", "synthid", "off"]
_SWITCH: dict[object, WatermarkName] = {True: "gumbel", False: "off"}  # and YAML reads a bare `off` as false


def _not_reserved(name: str) -> str:
    if name in OURS:
        raise ValueError(f"{name!r} is what the pipeline calls its own marks; choose another name")
    return name


CheckerName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$"), AfterValidator(_not_reserved)]


def _harmless(text: str) -> str:
    if UNSAFE.search(text):
        raise ValueError("quotation marks, backslashes and control characters would break JSON around it")
    return text


def _one_or_many(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item}]})


Stages = Annotated[
    list[StageName],
    BeforeValidator(_as_list),
    Field(min_length=1),
    _one_or_many({"type": "string", "enum": ["input", "output", "tool"]}),
]
HarmlessText = Annotated[str, AfterValidator(_harmless)]
Categories = Annotated[list[str], BeforeValidator(_as_list), _one_or_many({"type": "string"})]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CheckerModel(_Strict):
    """A checker under the policy's own name; two entries may use one class with different parameters."""

    use: str | None = Field(None, description="registered checker; default: the name itself")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters, validated by the checker's own model")
    timeout: Duration = Field(5.0, description="deadline for one item; a check that passes it counts as failed")
    stages: Stages = Field(["input", "output", "tool"], description="where the checker looks")
    failures: int = Field(3, ge=1, description="failures in a row after which the circuit opens")
    cooldown: Duration = Field(30.0, description="how long an open circuit waits before one trial")


class OperatorModel(_Strict):
    """What takes the place of what a rule redacts; names and parameters as in presidio-anonymizer."""

    name: OperatorName = "replace"
    new_value: HarmlessText | None = Field(None, description="replace: the text; default: [CATEGORY]")
    masking_char: HarmlessText = Field("*", min_length=1, max_length=1, description="mask: what stands there then")
    chars_to_mask: int | None = Field(None, ge=1, description="mask: how many characters; default: all")
    from_end: bool = Field(False, description="mask: count from the end")
    shape: Literal["label", "same"] = Field(
        "label", description="pseudonym: [PERSON_1], or letters for letters and digits for digits"
    )
    scope: Literal["request", "subject"] = Field(
        "request",
        description="pseudonym: within which equal values get equal ones; subject: all requests of a requester",
    )
    restore: bool = Field(False, description="pseudonym: those of the prompt are turned back in the answer")

    @model_validator(mode="after")
    def _fitting(self) -> OperatorModel:
        foreign = sorted(self.model_fields_set - {"name", *PARAMETERS[self.name]})
        if foreign:
            takes = ", ".join(PARAMETERS[self.name]) or "no parameters"
            raise ValueError(f"{self.name} takes {takes}; not {foreign[0]}")
        return self


def _operator(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class RuleModel(_Strict):
    """When a checker reports a category at a threshold, and a condition holds, do something."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="unique name, quoted in decisions")
    checker: str
    stage: Stages = Field(["input", "output", "tool"])
    category: Categories = Field(default_factory=list, description="finding categories; none given: any")
    threshold: float = Field(0.5, ge=0, le=1, description="lowest score that counts")
    when: str | None = Field(None, description="CEL condition over request, item and finding")
    action: ActionName
    mode: Literal["enforce", "shadow"] = "enforce"
    description: str = ""
    operator: Annotated[
        OperatorModel | None, BeforeValidator(_operator, json_schema_input_type=OperatorName | OperatorModel | None)
    ] = Field(None, description="with `action: redact`: what takes the place; a name alone will do")

    @model_validator(mode="after")
    def _redacting(self) -> RuleModel:
        if self.operator is not None and self.action != "redact":
            raise ValueError("an operator goes with `action: redact`")
        return self


LanguageName = Literal[
    "bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "ga", "hr", "hu", "it", "ja", "ko", "lt", "lv", "mt", "nl",
    "pl", "pt", "ro", "sk", "sl", "sv", "zh",
]  # fmt: skip


class LabelModel(_Strict):
    """What people are told on the content itself; off unless asked for."""

    text: Literal["start", "end"] | None = Field(None, description="where a sentence stands in released texts")
    image: bool = Field(False, description="a badge on still PNG, JPEG and WebP images")
    audio: bool = Field(False, description="a signal (short, long, short, short) before WAV sounds")
    metadata: bool = Field(False, description="XMP in PNG, JPEG and WebP: digital source type, and AIGC for a producer")
    kind: Literal["ai", "generated", "modified"] = Field(
        "generated", description="what the label says; ai: only that word"
    )
    language: LanguageName = "en"
    producer: str = Field("", description="who AIGC (China, GB 45438) names as the content's producer")
    font: str | None = Field(
        None, description="a font file for badges, for languages that need more than the letters of English"
    )


class StampModel(_Strict):
    """Marks that what is released must carry; a required mark that cannot be made withholds the content."""

    text: list[LayerName] = Field(["manifest"])
    image: list[LayerName] = Field(["manifest"])
    audio: list[LayerName] = Field(["manifest"])
    video: list[LayerName] = Field(["manifest"])
    document: list[LayerName] = Field(["manifest"])
    watermark: Annotated[
        WatermarkName,
        BeforeValidator(
            lambda value: _SWITCH[value] if isinstance(value, bool) else value,
            json_schema_input_type=bool | WatermarkName,
        ),
    ] = Field(
        "gumbel",
        description="how local text models mark their tokens; off also leaves images and sounds unmarked; true is gumbel",
    )
    min_text_tokens: int = Field(0, ge=0, description="a required watermark is required of texts from this many tokens")
    label: LabelModel = Field(default_factory=LabelModel, description="labels that people see")
    timestamp: Literal["required", "preferred", "none"] = Field(
        "none", description="whether credentials carry the time of an RFC 3161 authority (GUARD_TSA)"
    )
    exports: Literal["embedded", "beside"] = Field(
        "embedded", description="where a text that leaves as a file has its manifest; chat answers have it beside them"
    )


class ReviewModel(_Strict):
    """How fast a person must decide."""

    within: Duration = Field(24 * 3600.0)


def _not_durable(name: object) -> object:
    if name == "durable":
        raise ValueError(
            "an outcome that is held opens a case together with its entry, and a case needs the entry's number: say"
            " sequenced or witnessed"
        )
    return name


class WaitModel(_Strict):
    """For each action, what an outcome waits for before it is handed out."""

    allow: AckName = "sequenced"
    annotate: AckName = "sequenced"
    redact: AckName = "sequenced"
    review: Annotated[Literal["sequenced", "witnessed"], BeforeValidator(_not_durable)] = "sequenced"
    block: AckName = "sequenced"


class RecordModel(_Strict):
    """How sure the record must be: `durable` is the fastest, `witnessed` needs a witness (GUARD_WITNESS)."""

    wait_for: WaitModel = Field(default_factory=WaitModel)


class StreamModel(_Strict):
    """How answers leave that come in pieces."""

    release: Literal["strict", "optimistic"] = Field(
        "strict",
        description="strict: a piece leaves when nothing that follows could withhold the answer; optimistic: when it is clean"
        " itself, and what is found later stops the stream",
    )
    notice: str = Field("", description="the last piece of a stream of which something was withheld; default: none")


class PolicyModel(_Strict):
    """A policy file."""

    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    description: str = ""
    extends: str | None = Field(None, description="policy file or folder whose checkers and rules are taken over")
    checkers: dict[CheckerName, CheckerModel] = Field(default_factory=dict)
    rules: list[RuleModel] = Field(default_factory=list)
    on_error: ActionName = Field("review", description="what a failed check leads to")
    otherwise: ActionName = Field("allow", description="the least that happens, whatever fires")
    stamp: StampModel = Field(default_factory=StampModel)
    review: ReviewModel = Field(default_factory=ReviewModel)
    record: RecordModel = Field(default_factory=RecordModel)
    stream: StreamModel = Field(default_factory=StreamModel)


def _stages(names: list[StageName]) -> frozenset[Stage]:
    return frozenset(Stage(name) for name in names)


_LATER_MARKS = ("min_text_tokens", "audio", "video", "document", "timestamp", "exports", "label")


def document(model: PolicyModel) -> dict[str, Any]:
    """The effective policy as plain data: what the digest covers and the record stores."""
    data = model.model_dump(mode="json", exclude={"extends"})
    # Policies that do not speak of what came later keep the digest that they had before it existed.
    if model.record == RecordModel():
        del data["record"]
    if model.stream == StreamModel():
        del data["stream"]
    for name in _LATER_MARKS:
        if getattr(model.stamp, name) == StampModel.model_fields[name].get_default(call_default_factory=True):
            del data["stamp"][name]
    stamp = data["stamp"]
    stamp["watermark"] = next(
        (switch for switch, name in _SWITCH.items() if name == stamp["watermark"]), stamp["watermark"]
    )
    for rule in data["rules"]:
        if rule["operator"] is None:
            del rule["operator"]
        else:
            rule["operator"] = {
                name: rule["operator"][name] for name in ("name", *PARAMETERS[rule["operator"]["name"]])
            }
    return data


def to_policy(model: PolicyModel) -> Policy:
    """Validated document to nouns; the digest covers the effective document, defaults included."""
    return Policy(
        name=model.name,
        version=model.version,
        description=model.description,
        digest=label(canonical(document(model))),
        checkers=tuple(
            CheckerSpec(
                name=name,
                use=checker.use or name,
                params=checker.params,
                timeout=checker.timeout,
                stages=_stages(checker.stages),
                failures=checker.failures,
                cooldown=checker.cooldown,
            )
            for name, checker in model.checkers.items()
        ),
        rules=tuple(
            Rule(
                id=rule.id,
                checker=rule.checker,
                action=Action[rule.action.upper()],
                stages=_stages(rule.stage),
                categories=frozenset(rule.category),
                threshold=rule.threshold,
                when=rule.when,
                mode=Mode(rule.mode),
                description=rule.description,
                operator=Operator(**rule.operator.model_dump()) if rule.operator else LABEL,
            )
            for rule in model.rules
        ),
        on_error=Action[model.on_error.upper()],
        otherwise=Action[model.otherwise.upper()],
        stamp=StampSpec(
            text=frozenset(model.stamp.text),
            image=frozenset(model.stamp.image),
            audio=frozenset(model.stamp.audio),
            video=frozenset(model.stamp.video),
            document=frozenset(model.stamp.document),
            label=LabelSpec(**model.stamp.label.model_dump()),
            timestamp=model.stamp.timestamp,
            exports=model.stamp.exports,
            watermark=None if model.stamp.watermark == "off" else model.stamp.watermark,
            min_text_tokens=model.stamp.min_text_tokens,
        ),
        review_within=model.review.within,
        acks={Action[name.upper()]: Ack(ack) for name, ack in model.record.wait_for if ack != Ack.SEQUENCED},
        stream=StreamSpec(optimistic=model.stream.release == "optimistic", notice=model.stream.notice),
    )
