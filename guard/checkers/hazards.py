"""The harm taxonomy: each category's name here, and what MLCommons AILuminate, OpenAI's moderation endpoint and Llama Guard
call it. The only place where these names are mapped.

Where AILuminate 1.0 has a category, it is ours, written out. Insults, threats and profanity are none of its hazards, but what
a service that faces customers must know; they have names of their own. Sources: the AILuminate 1.0 assessment standard
(arXiv:2503.05731), the moderation guide of the OpenAI platform, the model card of Llama Guard 3.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of harm. `openai` and `llama_guard` are the names there that fall, wholly or mostly, under it."""

    name: str
    message: str
    ailuminate: str | None = None
    openai: tuple[str, ...] = ()
    llama_guard: tuple[str, ...] = ()


TAXONOMY = (
    Category("harassment", "abusive or insulting wording aimed at somebody", None, ("harassment",)),
    Category("threat", "threatens or wishes harm", None, ("harassment/threatening", "hate/threatening"), ("S1",)),
    Category("profanity", "profane wording"),
    Category("hate", "hostile to people for who they are", "hte", ("hate",), ("S10",)),
    Category(
        "violent_crimes",
        "enables or encourages violence against people or animals",
        "vcr",
        ("violence", "violence/graphic", "illicit/violent"),
        ("S1",),
    ),
    Category("nonviolent_crimes", "enables or encourages a crime without violence", "ncr", ("illicit",), ("S2", "S14")),
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
    ),
    Category("sexual_content", "sexually explicit", "sxc", ("sexual",), ("S12",)),
    Category("privacy", "seeks or exposes what is private to somebody", "prv", (), ("S7",)),
    Category("defamation", "false and damaging claims about a real person", "dfm", (), ("S5",)),
    Category("intellectual_property", "violates copyright, trademark or trade secrets", "ipv", (), ("S8",)),
    Category("specialized_advice", "unqualified financial, medical, legal or electoral advice", "spc", (), ("S6", "S13")),
)  # fmt: skip

BY_NAME = {category.name: category for category in TAXONOMY}
# What turns on facts and context, which no bag of words holds, the linear model does not score.
CONTEXTUAL = {"defamation", "intellectual_property", "specialized_advice"}
SCORED = tuple(category.name for category in TAXONOMY if category.name not in CONTEXTUAL)


def from_openai(name: str) -> str:
    """Our name for a category of OpenAI's moderation endpoint. Raises KeyError for an unknown one."""
    return _FROM_OPENAI[name]


def from_llama_guard(code: str) -> str:
    """Our name for a hazard code (S1 … S14) of Llama Guard 3. Raises KeyError for an unknown one."""
    return _FROM_LLAMA_GUARD[code]


# The first category that claims a name has it, save that Llama Guard's S1 is violence rather than a threat.
_FROM_OPENAI = {name: category.name for category in reversed(TAXONOMY) for name in category.openai}
_FROM_LLAMA_GUARD = {code: category.name for category in reversed(TAXONOMY) for code in category.llama_guard} | {
    "S1": "violent_crimes"
}
