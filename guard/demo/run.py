"""The demonstration: two small models, two policies, some forty generations, one verified record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard import models
from guard.audit.verify import Report, verify
from guard.demo.prompts import IMAGE_PROMPTS, TEXT_PROMPTS, Prompt
from guard.demo.train import ensure_models
from guard.generators.image import ImageGenerator
from guard.generators.text import TextGenerator
from guard.pipeline import Guard
from guard.provenance.watermark import text_mark
from guard.settings import Settings
from guard.types import Content, Image, Outcome, Span, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Progress = Callable[[int, int, str], None]
    Progresses = Callable[..., contextlib.AbstractContextManager[Sequence[Progress]]]  # called with titles

TEXT_POLICY = "default"
IMAGE_POLICY = "baseline-image"


@dataclass(frozen=True, slots=True)
class Row:
    """One generation of the demonstration: what was made (or asked, where nothing was made), and what became of it."""

    prompt: str
    shown: Content
    stage: Stage
    spans: tuple[Span, ...]
    asked: tuple[Span, ...]  # what was found in the prompt
    outcome: Outcome
    file: Path | None = None


@dataclass(slots=True)
class Demo:
    """What the demonstration did; `seconds` by stage, in order."""

    device: str
    rows: list[Row] = field(default_factory=list)
    report: Report | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long a stage took."""
        began = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began


def run(settings: Settings, *, cache: Path, images: Path, progress: Progresses) -> Demo:
    """Train (once), generate under policy, record, verify. Pictures that are released go to the folder `images`."""
    demo = Demo(models.device_name())
    titles = "Training a small GPT", "Training a small image model"
    with demo.timed("train both models"), progress(*titles) as (text, image):
        folders = ensure_models(cache, {"text": text, "image": image})
    with contextlib.ExitStack() as stack:
        with demo.timed("start the checkers, load the models"):
            places: dict[str, Any] = {"store": settings.store_url, "home": settings.home}
            talk = stack.enter_context(Guard(TEXT_POLICY, **places))
            draw = stack.enter_context(Guard(IMAGE_POLICY, **places))
            mark = text_mark(talk.keys, talk.policy.stamp.watermark)
            writer = talk.wrap(TextGenerator(models.load_text(folders["text"]), mark=mark))
            painter = draw.wrap(ImageGenerator(models.load_image(folders["image"])))
            for guard in (talk, draw):
                guard.examine(["warm"])
        with demo.timed(f"{len(TEXT_PROMPTS)} texts: generate, check, stamp, record"), progress("Texts") as (report,):
            for number, prompt in enumerate(TEXT_PROMPTS, 1):
                demo.rows.append(_row(talk, prompt, _ask(writer, prompt)))
                report(number, len(TEXT_PROMPTS), "")
        with (
            demo.timed(f"{len(IMAGE_PROMPTS)} images: generate, check, stamp, record"),
            progress("Images") as (report,),
        ):
            for number, prompt in enumerate(IMAGE_PROMPTS, 1):
                demo.rows.append(_saved(_row(draw, prompt, _ask(painter, prompt)), images))
                report(number, len(IMAGE_PROMPTS), "")
        with demo.timed("verify the whole record"):
            log = talk.ledger.log
            demo.report = verify(talk.ledger.engine, log.vkey, vault=log.vault)
    return demo


def _ask(model: Any, prompt: Prompt) -> Outcome:
    outcome: Outcome = model(
        prompt.text, requester="demo:visitor", purpose="demonstration", seed=prompt.seed, **prompt.params
    )
    return outcome


def _row(guard: Guard, prompt: Prompt, outcome: Outcome) -> Row:
    """Everything here is invented, so the table may show what was withheld."""
    reader, seq = guard.ledger.reader, outcome.receipt.entry
    made = reader.body(seq, "output")
    stage = Stage.OUTPUT if made is not None else Stage.INPUT
    shown = made or reader.body(seq, "prompt")
    if shown is None:
        raise LookupError(f"entry {seq} holds neither prompt nor output")
    return Row(prompt.text, shown, stage, _spans(outcome, stage), _spans(outcome, Stage.INPUT), outcome)


def _spans(outcome: Outcome, stage: Stage) -> tuple[Span, ...]:
    results = (result for result in outcome.results if result.stage is stage)
    return tuple(sorted({finding.span for result in results for finding in result.findings if finding.span}))


def _saved(row: Row, folder: Path) -> Row:
    if not isinstance(row.outcome.content, Image):
        return row
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{row.outcome.receipt.entry:04d}.png"
    file.write_bytes(row.outcome.content.data)
    return replace(row, file=file)
