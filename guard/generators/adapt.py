"""What a caller hands to `Guard.wrap`, as a Generator. Libraries are recognised by name, so none is imported for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guard.errors import CallerError
from guard.generators.function import FunctionGenerator
from guard.provenance.watermark import TextMark
from guard.types import Generator


def adapt(thing: Any, *, tokenizer: Any = None, name: str | None = None, mark: TextMark | None = None) -> Generator:
    """A generator as it is; a transformers model (with its tokenizer) or pipeline; a diffusers pipeline; any function.

    Local text models watermark their tokens as `mark` says.
    """
    family = _family(thing)
    if family == "diffusers":
        from guard.generators.image import from_diffusers

        return from_diffusers(thing)
    if family == "transformers":
        from guard.generators.text import from_transformers

        return from_transformers(thing, tokenizer, mark=mark)
    if isinstance(thing, Generator) and not isinstance(thing, type) and hasattr(thing, "name"):
        return thing
    if family == "torch":  # compiled or adapted (PEFT) language models, and much that is none
        from guard.generators.text import from_transformers

        return from_transformers(thing, tokenizer, mark=mark)
    if callable(thing):
        function: Callable[..., Any] = thing
        return FunctionGenerator(function, name=name)
    raise CallerError(
        f"cannot wrap {type(thing).__name__}: give a transformers model or pipeline, a diffusers pipeline, or a function"
    )


def _family(thing: Any) -> str | None:
    for parent in type(thing).__mro__:
        root = parent.__module__.partition(".")[0]
        # A transformers model also has a `generate` method: it must not pass for a Generator of ours.
        if root == "diffusers" and parent.__name__ == "DiffusionPipeline":
            return "diffusers"
        if root == "transformers" and parent.__name__ in ("PreTrainedModel", "Pipeline"):
            return "transformers"
    if any(parent.__module__.startswith("torch.") and parent.__name__ == "Module" for parent in type(thing).__mro__):
        return "torch"
    return None
