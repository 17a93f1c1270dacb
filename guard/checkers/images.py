"""What the checkers of images share: how much of a picture is looked at before it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from guard import pictures
from guard.types import Image, Item

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


class Pictures(BaseModel, extra="forbid", frozen=True):
    """Limits; an image beyond them is an error, not a pass."""

    max_pixels: int = Field(pictures.MAX_PIXELS, ge=1, description="most pixels of an image, all its frames together")
    max_frames: int = Field(pictures.MAX_FRAMES, ge=1, description="most frames of a moving image; all are looked at")

    def of(self, item: Item) -> list[Picture]:
        """The frames of an item that a checker with `kinds = {"image"}` is handed."""
        if not isinstance(item.content, Image):
            raise TypeError(f"this checker looks at images, not {item.content.kind}")
        return pictures.frames(item.content, max_pixels=self.max_pixels, max_frames=self.max_frames)
