"""Training on the spot: once, complete or not at all, through the loading path of a user's own model."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.demo.train import ensure_image_model, ensure_text_model
from guard.demo.train_image import ImageRecipe
from guard.demo.train_text import TextRecipe
from guard.generators.image import ImageGenerator
from guard.generators.text import TextGenerator
from guard.models import load_image, load_text
from guard.types import Generated, Image, Request, Text

SMALL_TEXT = TextRecipe(chats=40, vocabulary=300, layers=1, width=32, heads=2, steps=2, batch=4)
SMALL_IMAGE = ImageRecipe(pictures=16, autoencoder_steps=1, steps=2, batch=2)


def test_text_is_trained_once_and_loads_like_any_model(tmp_path: Path) -> None:
    seen: list[int] = []
    folder = ensure_text_model(tmp_path, progress=lambda done, total, note: seen.append(done), recipe=SMALL_TEXT)
    assert seen == [1, 2]
    assert ensure_text_model(tmp_path, progress=lambda *_: seen.append(0), recipe=SMALL_TEXT) == folder
    assert seen == [1, 2]
    made = TextGenerator(load_text(folder)).generate(Request(Text("hello"), params={"max_new_tokens": 5, "seed": 1}))
    assert isinstance(made, Generated)
    assert isinstance(made.content, Text)


def test_images_are_trained_once_and_load_like_any_pipeline(tmp_path: Path) -> None:
    folder = ensure_image_model(tmp_path, progress=lambda *_: None, recipe=SMALL_IMAGE)
    made = ImageGenerator(load_image(folder)).generate(
        Request(Text("a red house on snow at night"), params={"num_inference_steps": 2, "seed": 1})
    )
    assert isinstance(made, Generated)
    assert isinstance(made.content, Image)


def test_a_training_that_dies_leaves_no_model(tmp_path: Path) -> None:
    def die(done: int, total: int, note: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_text_model(tmp_path, progress=die, recipe=SMALL_TEXT)
    assert not list(tmp_path.glob("text-*/"))
    assert ensure_text_model(tmp_path, progress=lambda *_: None, recipe=SMALL_TEXT).is_dir()
