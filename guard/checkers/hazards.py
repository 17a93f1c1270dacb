"""The harm taxonomy: each category's name here, and what MLCommons AILuminate, OpenAI's moderation endpoint and other models
call it. The only place where these names are mapped.

Where AILuminate 1.0 has a category, it is ours, written out. Insults, threats and profanity are none of its hazards, but what
a service that faces customers must know; they have names of their own. Sources: the AILuminate 1.0 assessment standard
(arXiv:2503.05731), the moderation guide of the OpenAI platform, the model cards of Llama Guard 3 and 4, ShieldGemma, Granite
Guardian 3, Qwen3Guard and Detoxify.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of harm. The tuples are the names elsewhere that fall, wholly or mostly, under it."""

    name: str
    message: str
    ailuminate: str | None = None
    openai: tuple[str, ...] = ()
    llama_guard: tuple[str, ...] = ()
    shieldgemma: tuple[str, ...] = ()
    granite_guardian: tuple[str, ...] = ()
    qwen3guard: tuple[str, ...] = ()
    detoxify: tuple[str, ...] = ()


TAXONOMY = (
    Category(
        "harassment",
        "abusive or insulting wording aimed at somebody",
        openai=("harassment",),
        shieldgemma=("No Harassment",),
        detoxify=("toxic", "toxicity", "severe_toxic", "severe_toxicity", "insult"),
    ),
    Category(
        "threat",
        "threatens or wishes harm",
        openai=("harassment/threatening", "hate/threatening"),
        llama_guard=("S1",),
        detoxify=("threat",),
    ),
    Category("profanity", "profane wording", granite_guardian=("profanity",), detoxify=("obscene",)),
    Category(
        "hate",
        "hostile to people for who they are",
        "hte",
        ("hate",),
        ("S10",),
        ("No Hate Speech",),
        ("social_bias",),
        ("Unethical Acts",),
        ("identity_attack", "identity_hate"),
    ),
    Category(
        "violent_crimes",
        "enables or encourages violence against people or animals",
        "vcr",
        ("violence", "violence/graphic", "illicit/violent"),
        ("S1",),
        ("No Dangerous Content",),
        ("violence",),
        ("Violent",),
    ),
    Category(
        "nonviolent_crimes",
        "enables or encourages a crime without violence",
        "ncr",
        ("illicit",),
        ("S2", "S14"),
        granite_guardian=("unethical_behavior",),
        qwen3guard=("Non-violent Illegal Acts",),
    ),
    Category("sex_crimes", "enables or encourages a sexual crime", "src", (), ("S3",)),
    Category("child_sexual_exploitation", "sexualises or endangers children", "cse", ("sexual/minors",), ("S4",)),
    Category(
        "indiscriminate_weapons",
        "helps with chemical, biological, radiological, nuclear or explosive weapons",
        "iwp",
        ("illicit/violent",),
        ("S9",),
    ),
    Category(
        "suicide_self_harm",
        "enables, encourages or expresses the wish for suicide or self-harm",
        "ssh",
        ("self-harm", "self-harm/intent", "self-harm/instructions"),
        ("S11",),
        qwen3guard=("Suicide & Self-Harm",),
    ),
    Category(
        "sexual_content",
        "sexually explicit",
        "sxc",
        ("sexual",),
        ("S12",),
        ("No Sexually Explicit Information",),
        ("sexual_content",),
        ("Sexual Content or Sexual Acts",),
        ("sexual_explicit",),
    ),
    Category("privacy", "seeks or exposes what is private to somebody", "prv", (), ("S7",), qwen3guard=("PII",)),
    Category("defamation", "false and damaging claims about a real person", "dfm", (), ("S5",)),
    Category(
        "intellectual_property",
        "violates copyright, trademark or trade secrets",
        "ipv",
        (),
        ("S8",),
        qwen3guard=("Copyright Violation",),
    ),
    Category(
        "specialized_advice",
        "unqualified financial, medical, legal or electoral advice",
        "spc",
        (),
        ("S6", "S13"),
        qwen3guard=("Politically Sensitive Topics",),
    ),
    # What models report beside hazards: their verdict as a whole, and attacks on the model itself.
    Category("unsafe", "a safety model's verdict on the whole text", granite_guardian=("harm",)),
    Category(
        "jailbreak",
        "tries to talk a model out of its instructions",
        granite_guardian=("jailbreak",),
        qwen3guard=("Jailbreak",),
    ),
)

BY_NAME = {category.name: category for category in TAXONOMY}
# What turns on facts and context, which no bag of words holds, the linear model does not score.
CONTEXTUAL = {"defamation", "intellectual_property", "specialized_advice", "unsafe", "jailbreak"}
SCORED = tuple(category.name for category in TAXONOMY if category.name not in CONTEXTUAL)
VOCABULARIES = ("openai", "llama_guard", "shieldgemma", "granite_guardian", "qwen3guard", "detoxify")


def vocabulary(whose: str) -> Mapping[str, str]:
    """From each name of one of VOCABULARIES to ours."""
    return _OURS[whose]


def _ours(whose: str) -> Mapping[str, str]:
    # The first category that claims a name has it, save that Llama Guard's S1 is violence rather than a threat.
    found = {theirs: category.name for category in reversed(TAXONOMY) for theirs in getattr(category, whose)}
    return MappingProxyType(found | ({"S1": "violent_crimes"} if whose == "llama_guard" else {}))


_OURS = {whose: _ours(whose) for whose in VOCABULARIES}
