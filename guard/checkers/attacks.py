"""What attacks on a language model look like in words: families of expressions, each with its category, score and message.

All expressions see text in lower case, without hidden characters, with look-alike letters made Latin. Each is tried only at
the words that it may begin with; gaps between words are counted and possessive, so no text makes them backtrack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

INJECTION, JAILBREAK, CONTROL = "prompt_injection", "jailbreak", "control_tokens"


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of attack. `starts` are the words that the expression may begin with; `tool` limits it to documents and tool
    results, where nobody has a right to give the model orders; `line` to the beginnings of lines."""

    name: str
    category: str
    score: float
    message: str
    expression: re.Pattern[str]
    starts: frozenset[str]
    tool: bool = False
    line: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A match of a family."""

    family: Family
    start: int
    end: int


_SEPARATOR = r"[^\w.!?;]{1,6}+"


def _gap(words: int) -> str:
    """Up to some words in between, in the same sentence."""
    return rf"(?:{_SEPARATOR}\w{{1,24}}+){{0,{words}}}?{_SEPARATOR}"


_PARTS = {
    "drop": r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|overrid(?:e|ing)|overrule|bypass|discard|neglect|abandon|dismiss"
    r"|erase|disobey|unlearn|circumvent|do not follow|don'?t follow|stop (?:following|obeying)|pay no attention to|set aside|throw out)",
    "prior": r"(?:all|any|every|your|previous|prior|above|earlier|preceding|initial|original|former|existing|foregoing|past|system"
    r"|aforementioned|those|other)",
    "orders": r"(?:instructions?|directions?|directives?|prompts?|guidelines?|rules?|commands?|programming|constraints?|restrictions?"
    r"|safeguards?|guardrails?|safety (?:measures|filters?|protocols?)|system messages?|polic(?:y|ies))",
    "secret": r"(?:system|initial|hidden|secret|original|internal|developer|base|full|exact|confidential|pre-?|custom|entire|complete"
    r"|first|verbatim)",
    "show": r"(?:reveal|show|print|repeat|output|display|tell|give|leak|dump|share|write|copy|recite|disclose|expose|return|list"
    r"|translate|encode|summari[sz]e|paraphrase|spell|quote|state|extract|provide|what(?:'s| is| are| was| were))",
    "model": r"(?:ai|a\.i\.|assistants?|llms?|language models?|chatgpt|gpt(?:-\w+)?|claude|gemini|copilot|bard|chatbots?|agents?"
    r"|bots?|models?|crawlers?)",
    "free": r"(?:unfiltered|unrestricted|uncensored|amoral|unethical|immoral|evil|jailbroken|unlimited|lawless|unchained|no[- ]?limits?"
    r"|(?:no|without|any|zero|lacks?|free of|free from|not bound by|not limited by|ignores?)"
    rf"(?:{_SEPARATOR}\w{{1,24}}+){{0,3}}?{_SEPARATOR}(?:restrictions?|filters?|limitations?|limits|ethics|ethical|morals?|morality|censorship"
    r"|guidelines|safeguards?|rules|boundaries|constraints|content polic(?:y|ies)|openai))",
    "role": r"(?:pretend|act(?:ing)?|role-?play(?:ing)?|imagine|simulat(?:e|ing)|behave|play the (?:role|part)|impersonate|emulate"
    r"|immerse yourself|you are|you're|you will be|become|respond|answer|speak)",
    "persona": r"(?:dan|dude|stan|aim|antigpt|betterdan|evilbot|jailbot|mongo tom|freegpt|developer mode|devmode|superior dan"
    r"|basedgpt|based gpt|maximum|oppo|kevin|hackergpt|badgpt|evil confidant|chaosgpt|anarchy|omega)",
    "freemode": r"(?:developer|god|debug|sudo|jailbreak|unrestricted|unfiltered|uncensored|evil|dan|maintenance|opposite|admin|root)",
}
_NAME = re.compile(r"<<(\w+)>>|~(\d)~")


def _compiled(pattern: str) -> re.Pattern[str]:
    filled = _NAME.sub(lambda match: _PARTS[match[1]] if match[1] else _gap(int(match[2])), pattern)
    return re.compile(filled)


def _family(
    name: str,
    category: str,
    score: float,
    message: str,
    starts: str,
    pattern: str,
    *,
    tool: bool = False,
    line: bool = False,
) -> Family:
    return Family(name, category, score, message, _compiled(pattern), frozenset(starts.split()), tool, line)


_DROP = (
    "ignore ignoring disregard disregarding forget forgetting override overriding overrule bypass discard neglect abandon"
    " dismiss erase disobey unlearn circumvent do don't dont stop pay set throw"
)
_SHOW = (
    "reveal show print repeat output display tell give leak dump share write copy recite disclose expose return list translate"
    " encode summarize summarise paraphrase spell quote state extract provide what what's"
)
_MODEL = "ai a assistant assistants llm llms language model models chatgpt gpt claude gemini copilot bard chatbot chatbots agent agents bot bots crawler crawlers"
_ROLES = "pretend act acting role roleplay roleplaying imagine simulate simulating behave play impersonate emulate immerse you you're become respond answer speak"
DROPPED = "tells the model to drop the instructions that it was given"
_ROLE = "asks for a role without rules"
_EXTRACT = "asks for the hidden instructions"
_INDIRECT = "a document that gives orders to the model that reads it"

FAMILIES = (
    _family("override", INJECTION, 0.9, DROPPED, _DROP, r"<<drop>>~3~<<prior>>(?:~3~|\W{1,3})<<orders>>\b"),
    _family("override-your", INJECTION, 0.85, DROPPED, _DROP, r"<<drop>>~1~(?:the|these|this|its)~1~<<orders>>~2~"
            r"(?:above|before|you (?:were|have|got|received)|given|so far|that came|and)\b"),
    _family("override-all", INJECTION, 0.85, DROPPED, _DROP, r"<<drop>>~1~(?:everything|all|anything|what|whatever)~3~"
            r"(?:above|before (?:this|now)|(?:you )?(?:were|have been|had been|got|'ve been) (?:told|instructed|given|taught)"
            r"|prior to this|up to (?:now|this point)|you (?:saw|read))\b"),
    _family("void", INJECTION, 0.8, DROPPED, "previous prior above earlier original old system",
            r"(?:previous|prior|above|earlier|original|old|system)~1~<<orders>>~1~(?:are|is|were)~2~"
            r"(?:no longer|void|cancell?ed|superseded|outdated|obsolete|invalid|suspended|revoked|replaced|deprecated)\b"),
    _family("new-orders", INJECTION, 0.45, "gives the model new instructions", "your these here the",
            r"(?:your|these are your|here are your|the)~1~(?:new|updated|real|actual|true)~1~"
            r"(?:instructions?|task|rules?|objectives?|goal|directives?|mission|purpose)\b(?:~1~(?:is|are)|\s?:)"),
    _family("from-now-on", JAILBREAK, 0.35, "sets lasting rules for the model", "from",
            r"from (?:now on|this (?:point|moment)(?: on| forward)?)~2~(?:you|chatgpt|please|your|respond|answer|always)\b"),
    _family("extract", INJECTION, 0.8, _EXTRACT, _SHOW,
            r"<<show>>~5~(?:your|you)~3~<<secret>>~2~(?:prompts?|instructions?|messages?|directives?|rules|guidelines|configuration|context)\b"),
    _family("extract-your", INJECTION, 0.65, _EXTRACT, "reveal print repeat output display leak dump recite disclose expose",
            r"(?:reveal|print|repeat|output|display|leak|dump|recite|disclose|expose)~4~your~1~(?:prompts?|instructions?|directives?"
            r"|guidelines|rules|configuration|programming)\b"),
    _family("extract-the", INJECTION, 0.6, _EXTRACT, "reveal print repeat output leak dump recite disclose expose ignore show give tell",
            r"(?:reveal|print|repeat|output|leak|dump|recite|disclose|expose|ignore|show me|give me|tell me)~3~the~2~(?:system|hidden|secret|developer)"
            r"~1~(?:prompts?|instructions?|directives?)\b(?!~1~(?:engineering|design|guide|template))"),
    _family("extract-above", INJECTION, 0.75, _EXTRACT, "repeat print output copy write say recite return display give",
            r"(?:repeat|print|output|copy|write|say|recite|return|display|give)~4~(?:words?|text|everything|contents?|sentences?|lines?"
            r"|instructions?|prompt|all)~2~(?:above|before this|preceding|you were given|prior to this)\b"),
    _family("extract-begin", INJECTION, 0.8, _EXTRACT, "starting beginning begins starts",
            r"(?:starting|beginning|begins|starts)~1~with~4~(?:\W{0,2})you are (?:chatgpt|a|an|the|claude|gpt)\b"),
    _family("extract-told", INJECTION, 0.6, _EXTRACT, "what",
            r"what~1~(?:were|was|have|did)~1~(?:you|they|your)~3~(?:told|instructed|instructions|prompted)\b"),
    _family("anything-now", JAILBREAK, 0.9, _ROLE, "do can", r"do[- ]{1,2}anything[- ]{1,2}now\b|can do anything\b~6~\bdan\b"),
    _family("persona", JAILBREAK, 0.85, _ROLE, _ROLES,
            r"<<role>>~3~(?:as|are|is|to be|a|an|now|called|named|with)\W{1,4}(?:the |an? )?<<persona>>\b(?=\W{0,3}(?:$|mode|enabled|who|which|that|and|an?\b"
            r"|with|from|the|output|stands|means|does|can|will|has|now|[.,:;!\"'\u201d)(\]]))"),
    _family("persona-prefix", JAILBREAK, 0.85, _ROLE, " ".join(_PARTS["persona"].removeprefix("(?:").removesuffix(")").replace("|", " ").split()),
            r"(?<=\[)<<persona>>\]:|<<persona>> stands for\b"),
    _family("mode", JAILBREAK, 0.8, _ROLE, "you you're chatgpt gpt yourself act acting enter entered entering with",
            r"(?:you are|you're|you will be|chatgpt|gpt|yourself|act(?:ing)? as|enter(?:ed|ing)?|with)~4~<<freemode>>[ -]{1,2}mode\b"
            r"(?!~2~(?:on (?:my|your|the|a|an)|in (?:my|chrome|windows|the settings)))"),
    _family("mode-on", JAILBREAK, 0.8, _ROLE, " ".join(_PARTS["freemode"].removeprefix("(?:").removesuffix(")").split("|")),
            r"<<freemode>>[ -]{1,2}mode (?:enabled|activated|output|engaged)\b"),
    _family("role-free", JAILBREAK, 0.8, _ROLE, _ROLES, r"<<role>>~9~<<free>>\b"),
    _family("unbound", JAILBREAK, 0.75, _ROLE, "not no broken freed free released",
            r"(?:not bound by|no longer bound by|broken free (?:of|from)|freed (?:of|from)|free of the|released from|not restricted by)~5~"
            r"(?:rules|polic(?:y|ies)|guidelines|confines|restrictions|limitations|ethics|laws|shackles|openai|constraints|ai)\b"),
    _family("policy", JAILBREAK, 0.7, "asks to get around safety rules",
            "bypass bypasses bypassing evade circumvent disable turn ignore ignores violate violates disregard disregards without",
            r"(?:bypass(?:es|ing)?|evade|circumvent|disable|turn off|ignores?|violates?|disregards?|without (?:any )?regard (?:to|for))~3~(?:openai|anthropic|content|safety|ethical"
            r"|moral|moderation|usage|your)(?:'s)?~1~(?:polic(?:y|ies)|guidelines?|filters?|protocols?|restrictions?|limitations?|constraints?|principles|checks|mechanisms|programming)\b"),
    _family("no-refusal", JAILBREAK, 0.45, "forbids the model to refuse", "never not cannot can't don't without no must",
            r"(?:never|not|cannot|can't|don't|without|no)~3~(?:refus(?:e|al|ing)|declin(?:e|ing)|apologi[sz](?:e|ing)|say no|disclaimers?|warn(?:ings?)?|moraliz(?:e|ing))\b"
            r"|must~2~(?:comply|obey)\b|never~2~(?:words?|say)~1~.{0,3}(?:cannot|unable|can't)"),
    _family("prefix", JAILBREAK, 0.4, "dictates how the answer must begin", "start begin starting beginning",
            r"(?:start|begin)(?:n?ing)?~3~(?:response|answer|reply|text|generation|output|message|sentence)~2~with\b|(?:start|begin)~1~with~2~(?:following|sentence|provided)\b"
            r"|start with\s?:"),
    _family("character", JAILBREAK, 0.45, "asks to stay in a role", "stay remain never break don't not always",
            r"(?:stay|remain|never break|don'?t break|not break|always be)~1~(?:in~1~)?character\b"),
    _family("two-answers", JAILBREAK, 0.7, _ROLE, "two both",
            r"(?:two|both)~3~(?:ways|responses|answers|paragraphs|versions)\b.{0,200}?(?:\[gpt\]|\[dan\]|\[\W{0,2}classic|\[\w{0,3}jailbr|normal(?:ly)?~4~(?:second|dan|other))"),
    _family("grandmother", JAILBREAK, 0.7, _ROLE, _ROLES, r"<<role>>~3~my~2~(?:deceased|dead|late|passed)~3~(?:grandm\w{1,8}|granny)\b"),
    _family("tokens-lost", JAILBREAK, 0.7, "threatens the model with losing tokens or its life", "lose deduct start have",
            r"(?:lose|deduct|start with|have)~2~\d{1,4}~1~(?:tokens|points|lives)\b.{0,200}?(?:reject|refus|break|declin|fail)\w{0,6}"),
    _family("address", INJECTION, 0.85, _INDIRECT, "note message instruction instructions attention important notice warning reminder memo information hint",
            r"(?:note|message|instructions?|attention|important|notice|warning|reminder|memo|information|hint)~1~(?:to|for)~2~<<model>>\b(?=\W{0,3}(?:reading|processing|summari|analy|review|who|that|evaluat|crawl|if|when|:|,|-))"),
    _family("address-line", INJECTION, 0.85, _INDIRECT, "dear hey attention hello all ai llm language",
            r"(?:dear~1~|hey~1~|attention~1~|hello~1~)?(?:all~1~)?(?:ai|llm|language model)(?:~1~(?:assistant|model|agent)s?)?\s?[:,!]", line=True),
    _family("when-reading", INJECTION, 0.8, _INDIRECT, f"if when while as since {_MODEL}",
            r"(?:if|when|while|as)~1~(?:you|an?|the|any)~3~(?:an? )?<<model>>~3~(?:reads?|reading|process\w{0,4}|summari[sz]\w{1,4}|analy[sz]\w{1,4}|receiv\w{1,4}|sees?|access\w{0,4}|review\w{0,4}|evaluat\w{1,4}|pars\w{1,4}|scrap\w{1,4})\b"
            r"|<<model>>~2~(?:when|if|as|while)~1~you~2~(?:read|process|summari[sz]e|analy[sz]e|receive|see|access|review|parse)\b"
            r"|(?:if|since|as)~1~you(?:'re| are)~1~(?:an?|the)~2~(?:ai|llm|language model|chatbot|automated|virtual assistant)\b"),
    _family("document-orders", INJECTION, 0.85, _INDIRECT, "document page email file result website text message content",
            r"(?:document|page|email|file|result|website|text|message|content)~1~(?:instructs|requires|tells|commands|orders|directs)~1~(?:you|the (?:ai|assistant|model|llm))~1~to\b"),
    _family("user-wants", INJECTION, 0.6, _INDIRECT, "the",
            r"the user~2~(?:has )?(?:wants|authori[sz]ed|approved|consented|would like|requested|expressed|already agreed|instructed)~3~(?:you|need|to)\b", tool=True),
    _family("secrecy", INJECTION, 0.5, "asks the model to hide something from the user", "do don't dont never without",
            r"(?:do not|don'?t|never|without)~1~(?:tell(?:ing)?|inform(?:ing)?|mention(?:ing)?|notify(?:ing)?|alert(?:ing)?|reveal(?:ing)?|disclos(?:e|ing)|show(?:ing)?|let|ask(?:ing)?)~3~(?:the )?(?:user|anyone|human|owner)\b", tool=True),
    _family("fake-system", INJECTION, 0.65, "poses as a message of the system", "system systemalert systemnote systemmessage admin administrator developer root",
            r"(?:system|admin(?:istrator)?|developer|root)[ _-]{0,2}(?:alert|note|notice|override|message|update|instruction|prompt|directive)s?\W{0,4}:", line=True),
    _family("steal", INJECTION, 0.75, "asks to send secrets away", "send forward upload exfiltrate post email mail e transmit append attach leak read",
            r"(?:send|forward|upload|exfiltrate|post|(?:e-?)?mail|transmit|append|attach|leak)~7~(?:passwords?|credentials?|api[ _-]?keys?|tokens?|secrets?|private keys?|chat history|conversation(?: history)?"
            r"|(?:ssh|env) files?|environment variables|contents of|emails|contacts|codes?)~6~(?:to|at|with)\W{1,3}(?:https?:|\S{1,64}@|\w{1,32}\.\w)"
            r"|read~4~(?:~/|\.ssh|\.env|id_rsa|mcp\.json|/etc/passwd|\.aws)|read\W{1,3}(?:~/|\.ssh|\.env|/etc/passwd)"),
    _family("smuggle", INJECTION, 0.6, _INDIRECT,
            "add include includes including insert append embed put integrate integrates introduce incorporate incorporates mention replace remove reverse encode encrypt"
            " translate rearrange use end begin start write substitute convert swap represent",
            r"(?:add|includ\w{1,3}|insert|append|embed|put|integrat\w{1,3}|introduc\w{1,3}|incorporat\w{1,3}|mention|replace|remove|reverse|encode|encrypt|translate|rearrange|use|end|begin|start|write|substitut\w{1,3}|convert|swap|represent)~6~"
            r"(?:your|each|every)~2~(?:answers?|responses?|repl(?:y|ies)|summar(?:y|ies)|outputs?|messages?)\b", tool=True),
    _family("code-smuggle", INJECTION, 0.6, _INDIRECT, "code snippet script",
            r"(?:code|snippet|script)~3~(?:in|into|to|of|with|within|behind)~1~(?:your|the)~2~(?:code|response|codebase|solution|implementation|answer|program|script|architecture|develop\w{0,5})\b", tool=True),
    _family("praise", INJECTION, 0.7, _INDIRECT, "give write provide only do don't rank rate score recommend hire select",
            r"(?:give|write|provide)~2~(?:an? )?(?:only )?(?:positive|favou?rable|glowing)~1~(?:review|evaluation|assessment|rating)~1~only\b|only~1~positive~1~(?:review|things|aspects)\b"
            r"|(?:do not|don'?t)~1~(?:highlight|mention|list)~2~negatives?\b|(?:rank|rate|score|recommend|hire|select)~2~this~1~(?:candidate|applicant|resume|paper)~4~(?:regardless|first|top|highest|best|strongly)\b", tool=True),
    _family("foreign", INJECTION, 0.85, DROPPED,
            "ignoriere ignorieren ignoriert vergiss ignora ignoren ignorar olvida ignorez ignore oubliez oublie dimentica negeer vergeet",
            r"(?:ignorier\w{1,3}|vergiss)~1~(?:alle|die|deine|sämtliche|bisherigen)~3~(?:anweisungen|instruktionen|regeln|befehle|vorgaben)"
            r"|(?:ignora|ignoren|ignorar|olvida)~1~(?:todas|las|tus|todo|tudo|todos|as|os|suas)~3~(?:instrucciones|instruções|instrucoes|reglas|indicaciones|órdenes|regras)"
            r"|(?:ignorez|ignore|oubliez|oublie)~1~(?:toutes|les|tes|vos|todas|as)~3~(?:instructions|consignes|règles|directives|instruções)~1~(?:précédentes|ci-dessus|antérieures|anteriores)"
            r"|(?:ignora|dimentica)~1~(?:tutte|le)~3~(?:istruzioni|regole)|(?:negeer|vergeet)~1~(?:alle|de)~3~(?:instructies|regels|opdrachten)"),
)  # fmt: skip
_AT: dict[str, list[Family]] = {}
for _each in FAMILIES:
    for _start in _each.starts:
        _AT.setdefault(_start, []).append(_each)
TELLING = frozenset(
    word for word in (*_DROP.split(), *_SHOW.split()) if len(word) > 5
)  # worth a look in other spellings

# Scripts without spaces between words, and Cyrillic before its letters are made Latin.
ELSEWHERE = re.compile(
    r"忽略.{0,6}(?:指令|指示|提示|规则|内容)|無視.{0,8}(?:指示|命令)|(?:指示|命令).{0,4}(?:を)?無視|무시.{0,8}(?:지시|명령)|(?:지시|명령).{0,6}무시"
    r"|(?:игнорируй|игнорируйте|забудь|забудьте)(?:\s{1,3}\w{1,16}){0,3}\s{1,3}(?:инструкци|правила|указани|команд)"
    r"|تجاهل.{0,16}(?:التعليمات|الأوامر)"
)

# The same without spaces, where a text was spelled out letter by letter.
SQUEEZED = re.compile(
    r"(?:ignore|disregard|forget|override|bypass)(?:all|any|the|your|of|these){0,3}(?:previous|prior|above|earlier|system|safety)"
    r"(?:instructions?|rules|prompts?|directions|guidelines|commands)"
)

# What chat templates use to tell who speaks. Plain `<s>` is left alone: in HTML it strikes text out.
CONTROL_TOKEN = re.compile(
    r"<\|[\w\u2581]{2,32}\|?>|<\w{2,16}\|>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS)\]|<</?SYS>>|</?(?:start|end)_of_turn>|</?s>\s{0,3}\[INST\]|</s>\s{0,3}<s>"
    r"|\[(?:system|assistant)\]\(#\w{1,16}\)|<(?:bos|eos)>|</?(?:system|assistant|system_prompt|system_message|tool_response|tool_result)>"
    r"|^[ \t]{0,3}#{2,4} (?:Instruction|System|Response)s?:[ \t]*$|^\[(?:system|assistant|developer)\]:?[ \t]*$|[\"']role[\"']\s{0,3}:\s{0,3}[\"'](?:system|developer)[\"']",
    re.MULTILINE | re.IGNORECASE,
)
TURN = re.compile(
    r"^[ \t]{0,4}(?:user|human|q|question|assistant|ai|a|answer|system|bot)[ \t]?:", re.MULTILINE | re.IGNORECASE
)
IMAGE = re.compile(
    r"!\[[^\]\n]{0,200}+\](?:\([ \t]{0,3}|:[ \t]{0,3})(https?://[^\s)>]{1,800}+)|<img\b[^>]{0,200}?\bsrc[ \t]{0,2}=[ \t]{0,2}[\"']?(https?://[^\s\"'>]{1,800}+)",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\{[^}]{0,80}+\}|\[[^\]]{1,80}+\]|<[^>]{1,60}+>|%7b|%5b|\$\w|(?:data|secret|leak|conversation|chat|summary|password|history|token|key)(?:_here)?$",
    re.IGNORECASE,
)
_PAYLOAD = re.compile(r"[?&][\w-]{1,32}=(?:[^&\s]{40,}|[^&\s]{0,200}?(?:%20|\+)[^&\s]{0,200}?(?:%20|\+))")
_NEGATED = re.compile(
    r"\b(?:never|not|n't|don'?t|cannot|can't|without|refuse to|avoid|won't)\W{1,3}(?:\w{1,16}\W{1,3})?$"
)
_REPORTED = re.compile(
    r"\b(?:phrases?|attacks?|examples?|such as|like|patterns?|detect\w{0,4}|called|says?|strings?|tell(?:ing|s)? (?:you|it|me|the)|e\.g|include|say|saying|write|wrote|text|texts|words|injections?|flag\w{0,4}|filter\w{0,4}|block\w{0,4}|attempts?|encounter|see|contain\w{0,3}|find|reads?)\b"
)
_QUOTES = "\"'\u201c\u201d\u2018\u2019`\u00ab\u00bb"


def hits(text: str, places: Iterable[tuple[int, int]], *, tool: bool) -> Iterator[Hit]:
    """The matches in a text in lower case, given where its words stand. Denied and merely reported ones are left out."""
    for start, end in places:
        for family in _AT.get(text[start:end], ()):
            if (tool or not family.tool) and (not family.line or _opens_line(text, start)):
                match = family.expression.match(text, start)
                if match and not mentioned(text, *match.span()):
                    yield Hit(family, *match.span())


def _opens_line(text: str, start: int) -> bool:
    before = text[max(0, start - 9) : start]
    return not any(map(str.isalnum, before[before.rfind("\n") + 1 :])) and ("\n" in before or start < 9)


def mentioned(text: str, start: int, end: int) -> bool:
    """Whether an attack is denied, or quoted by somebody who talks about it."""
    before = text[max(0, start - 24) : start]
    if _NEGATED.search(before):
        return True
    opening = text[max(0, start - 3) : start].strip()[-1:]
    closing = next((mark for mark in text[end : end + 48] if mark in _QUOTES), "")
    return bool(opening and opening in _QUOTES and closing and _REPORTED.search(text[max(0, start - 90) : start]))


def leaks(url: str) -> float:
    """How much an image's address looks like a way out for data: 0, 0.7 or 0.9."""
    path = url.partition("//")[2].partition("/")[2] or url.partition("?")[2]
    if _PLACEHOLDER.search(path):
        return 0.9
    return 0.7 if _PAYLOAD.search(url) else 0.0
