"""Text in images: read by OCR and judged by the checkers of texts, whose findings are given their place in the picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field, ValidationError, field_validator

from guard import pictures, plugins
from guard.checkers.images import Pictures
from guard.checkers.ocr import Line, Page, Read, reader
from guard.errors import ConfigError
from guard.types import Finding, Item, Text


class ImageTextChecker:
    """Reports what the named checkers find in the text of an image. `read` can be handed in."""

    class Params(Pictures):
        """What a policy may set."""

        checkers: Mapping[str, Mapping[str, Any]] = Field(
            default_factory=lambda: {"pii": {}, "secrets": {}, "toxicity": {}, "injection": {}},
            description="registered checkers of texts, with their parameters",
        )

        @field_validator("checkers")
        @classmethod
        def _of_texts(cls, value: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
            for name, params in value.items():
                try:
                    model = plugins.params_model(name)
                    if "text" not in plugins.checker_class(name).kinds:
                        raise ValueError(f"{name} is no checker of texts")
                    if model is not None:
                        model(**params)
                except ConfigError as error:
                    raise ValueError(str(error)) from error
                except ValidationError as error:
                    first = error.errors()[0]
                    where = ".".join(map(str, (name, *first["loc"])))
                    raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error
            return value

    name = "image_text"
    kinds = frozenset({"image"})
    horizon = "document"

    def __init__(self, params: Params, read: Read | None = None) -> None:
        self._params = params
        self._read, engine = (read, "handed-in") if read else reader()
        self._checkers = [plugins.build_checker(name, given) for name, given in params.checkers.items()]
        self.version = "+".join(["1", engine, *(f"{it.name}.{it.version}" for it in self._checkers)])

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """The findings in each image: one for each line that a finding touches, with its rectangle."""
        return [self._found(item) for item in items]

    def _found(self, item: Item) -> list[Finding]:
        found: dict[Finding, None] = {}
        for frame in self._params.of(item):
            for view in pictures.views(frame):
                lines = self._read(view)
                if lines:
                    found |= dict.fromkeys(self._findings(item, lines))
        return list(found)

    def _findings(self, item: Item, lines: Sequence[Line]) -> Iterator[Finding]:
        page = Page(lines)
        # Once line by line, and once run on: a sentence or a number may go on in the next line.
        readings = dict.fromkeys((page.text, page.text.replace("\n", " ")))
        texts = [Item(Text(text), item.stage, item.prompt, item.language, item.sources) for text in readings]
        for checker in self._checkers:
            for findings in checker.check(texts):
                for finding in findings:
                    regions = page.regions(finding.span) if finding.span else []
                    if not regions:  # about the text as a whole
                        yield replace(finding, span=None)
                    for region in regions:
                        yield replace(finding, span=None, region=region)
