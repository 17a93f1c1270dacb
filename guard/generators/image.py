"""Images from a local diffusers pipeline: seeded for each request, with the facts for the record."""

from __future__ import annotations

import inspect
import io
import secrets
from collections.abc import Mapping
from typing import Any

from guard import models, pictures
from guard.digest import JSON
from guard.errors import ConfigError, GenerationError
from guard.generators.prompt import is_unicode, prompt_text
from guard.models import ImageModel
from guard.quiet import quiet
from guard.types import Generated, Image, Request

MAX_SIDE = 8192
_PARAMS = ("num_inference_steps", "guidance_scale", "height", "width", "strength", "seed", "negative_prompt")


class ImageGenerator:
    """One pipeline that draws from text, or from text and an image; calls from several threads take turns."""

    def __init__(self, model: ImageModel) -> None:
        self.model = model
        self.name = type(model.pipeline).__name__
        self._accepted = frozenset(inspect.signature(model.pipeline.__call__).parameters)
        if not {"prompt", "generator", "output_type"} <= self._accepted:
            raise ConfigError(f"{self.name} does not make images from text: pass a text-to-image pipeline")
        self._turn = models.turn(model.pipeline)

    def generate(self, request: Request) -> Generated:
        """Draw the prompt as PNG. Raises ConfigError for a request that cannot be met, GenerationError when the model fails."""
        prompt = prompt_text(request.prompt)
        params = parse_params(request.params, self._accepted)
        start = self._start(request.image)
        seed = params.pop("seed", None)
        seed = secrets.randbits(63) if seed is None else seed
        try:
            with self._turn, quiet():
                source = models.random_generator(seed)
                truncated = self._truncated(prompt)  # a tokenizer is set up anew for each use, so it needs the turn too
                made = self.model.pipeline(prompt=prompt, generator=source, output_type="pil", **start, **params)
        except (
            RuntimeError,
            ValueError,
            TypeError,
            AttributeError,
            KeyError,
        ) as error:  # their messages may quote input
            raise GenerationError(f"{self.name} failed: {type(error).__name__}; see the chained error") from error
        flags = getattr(made, "nsfw_content_detected", None)
        picture = made.images[0]
        facts: dict[str, JSON] = {
            **self.model.facts,
            "params": params,
            "seed": seed,
            "width": picture.width,
            "height": picture.height,
            "prompt_truncated": truncated,
        }
        if flags is not None:  # the pipeline's own safety checker returns a black picture and says so only here
            facts["nsfw_flagged"] = bool(flags[0])
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return Generated(Image(buffer.getvalue(), "image/png"), facts)

    def _start(self, image: Image | None) -> dict[str, Any]:
        """What the pipeline starts from, as it takes it."""
        if image is None:
            return {}
        if "image" not in self._accepted:
            raise ConfigError(
                f"{self.name} draws from text alone: leave the image out, or use an image-to-image pipeline"
            )
        [frame] = pictures.frames(image, max_frames=1)
        return {"image": frame.convert("RGB")}

    def _truncated(self, prompt: str) -> bool:
        """Whether no text encoder of the pipeline reads the whole prompt."""
        names = ("tokenizer", "tokenizer_2", "tokenizer_3")
        found = [part for part in (getattr(self.model.pipeline, name, None) for name in names) if part is not None]
        return bool(found) and all(len(part(prompt)["input_ids"]) > part.model_max_length for part in found)


def from_diffusers(pipeline: Any) -> ImageGenerator:
    """A generator around a text-to-image pipeline that the caller loaded."""
    if not hasattr(pipeline, "components") or not callable(pipeline):
        raise ConfigError(
            f"{type(pipeline).__name__} is no diffusers pipeline: load one with DiffusionPipeline.from_pretrained"
        )
    return ImageGenerator(models.wrap_image(pipeline))


def parse_params(given: Mapping[str, JSON], accepted: frozenset[str]) -> dict[str, Any]:
    """Check a request's parameters. Raises ConfigError naming the first that is unknown or out of range."""
    known = [name for name in _PARAMS if name == "seed" or name in accepted]
    values = {name: value for name, value in given.items() if value is not None}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"unknown generation parameter {name!r}; this pipeline takes {', '.join(known)}")
        if not _valid(name, value):
            raise ConfigError(f"generation parameter {name!r} must be {_WANTED[name]}")
    return values


def _valid(name: str, value: JSON) -> bool:
    if name == "negative_prompt":
        return isinstance(value, str) and is_unicode(value)
    if isinstance(value, bool):
        return False
    if name == "strength":
        return isinstance(value, int | float) and 0 < value <= 1
    if name == "guidance_scale":
        return isinstance(value, int | float) and 0 <= value <= 100
    if not isinstance(value, int):
        return False
    if name in {"height", "width"}:
        return 8 <= value <= MAX_SIDE and value % 8 == 0
    return 0 <= value < 2**63 if name == "seed" else 1 <= value <= 1000


_WANTED = {
    "num_inference_steps": "a whole number from 1 to 1000",
    "guidance_scale": "a number from 0 to 100",
    "strength": "a number above 0, up to 1",
    "height": f"a multiple of 8, up to {MAX_SIDE}",
    "width": f"a multiple of 8, up to {MAX_SIDE}",
    "seed": "a whole number from 0, below 2^63",
    "negative_prompt": "a text in valid Unicode",
}
