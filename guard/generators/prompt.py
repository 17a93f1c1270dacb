"""What a local model can be asked: text that is there, and that its tokenizer can read."""

from __future__ import annotations

import re

from guard.errors import ConfigError, ContentError
from guard.types import Content, Text

_SURROGATES = re.compile("[\ud800-\udfff]")


def prompt_text(prompt: Content) -> str:
    """The text of a prompt. Raises ConfigError where it is none or empty, ContentError where no tokenizer could read it."""
    if not isinstance(prompt, Text):
        raise ConfigError(f"a local model takes a text prompt, not {prompt.kind}")
    if not prompt.text.strip():
        raise ConfigError("the prompt is empty")
    if not is_unicode(prompt.text):
        raise ContentError("the prompt is not valid Unicode: it holds half of a surrogate pair")
    return prompt.text


def is_unicode(text: str) -> bool:
    """Whether a string can be written as UTF-8; Python's may hold lone surrogates, which cannot."""
    return not _SURROGATES.search(text)
