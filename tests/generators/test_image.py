"""Images from a real small pipeline: what a seed promises, what comes out, and how a wrong request is refused."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from guard.cases import blank_png
from guard.errors import ConfigError, ContentError, GenerationError
from guard.generators.image import ImageGenerator, from_diffusers
from guard.models import ImageModel, load_image
from guard.types import Content, Generated, Image, Request, Text

Tiny = Callable[[str], Path]


@pytest.fixture(scope="module")
def generator(tiny: Tiny) -> ImageGenerator:
    return ImageGenerator(load_image(tiny("painter")))


@pytest.fixture
def fresh(tiny: Tiny) -> ImageModel:
    """A pipeline that a test may change."""
    return load_image(tiny("painter"))


def ask(generator: ImageGenerator, prompt: str | Content = "a red house", **params: Any) -> Generated:
    params.setdefault("num_inference_steps", 1)
    return generator.generate(Request(Text(prompt) if isinstance(prompt, str) else prompt, params=params))


def decoded(made: Generated) -> Pillow.Image:
    assert isinstance(made.content, Image)
    assert made.content.media_type == "image/png"
    picture = Pillow.open(io.BytesIO(made.content.data))
    picture.load()
    assert picture.format == "PNG"
    return picture


@pytest.mark.parametrize(("width", "height"), [(64, 64), (32, 48), (8, 8), (40, 16)])
def test_a_png_of_the_size_that_was_asked_for(generator: ImageGenerator, width: int, height: int) -> None:
    made = ask(generator, width=width, height=height)
    assert decoded(made).size == (width, height)
    assert (made.facts["width"], made.facts["height"]) == (width, height)
    assert made.facts["params"] == {"num_inference_steps": 1, "width": width, "height": height}
    assert len(set(decoded(made).convert("L").tobytes())) > 10  # it is drawn, not blank


def test_an_image_to_start_from(fresh: ImageModel, generator: ImageGenerator) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    pipeline: Any = StableDiffusionImg2ImgPipeline
    edits = from_diffusers(pipeline(**fresh.pipeline.components))
    red, blue = (Image(solid(colour)) for colour in ("red", "blue"))
    params = {"num_inference_steps": 2, "strength": 0.5, "seed": 4}
    drawn = [edits.generate(Request(Text("a house"), params=params, image=image)) for image in (red, blue, red)]
    assert drawn[0].content == drawn[2].content != drawn[1].content
    assert decoded(drawn[0]).size == (32, 32)
    with pytest.raises(ConfigError, match="draws from text alone"):
        generator.generate(Request(Text("a house"), image=red))
    with pytest.raises(ContentError):
        edits.generate(Request(Text("a house"), params=params, image=Image(b"")))
    with pytest.raises(ConfigError, match="'strength' must be a number above 0"):
        edits.generate(Request(Text("a house"), params={"strength": 0}, image=red))
    with pytest.raises(GenerationError):
        edits.generate(Request(Text("a house"), params=params))


def solid(colour: str) -> bytes:
    buffer = io.BytesIO()
    Pillow.new("RGB", (32, 32), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_facts_name_model_weights_and_seed(generator: ImageGenerator) -> None:
    facts = ask(generator, seed=5).facts
    assert decoded(ask(generator)).size == (64, 64)
    assert (facts["model"], facts["device"], facts["seed"]) == ("painter", "cpu", 5)
    assert facts["weights"] == load_image(generator.model.pipeline.name_or_path).facts["weights"]
    assert "nsfw_flagged" not in facts
    assert generator.name == "StableDiffusionPipeline"


def test_a_seed_repeats_and_without_one_no_two_are_alike(generator: ImageGenerator) -> None:
    import torch

    first = ask(generator, seed=7)
    assert ask(generator, seed=7) == first
    assert ask(generator, seed=8).content != first.content
    runs = []
    for _ in range(2):
        torch.manual_seed(5)  # nobody else's seed decides
        runs.append(ask(generator))
    assert runs[0].content != runs[1].content
    assert ask(generator, seed=runs[0].facts["seed"]).content == runs[0].content


def test_a_seed_means_the_same_among_threads_and_so_does_each_prompt(generator: ImageGenerator) -> None:
    prompts = ["a red house", "snow " * 40] * 4  # long ones are cut, by a tokenizer that all share
    alone = [ask(generator, prompt, seed=seed) for seed, prompt in enumerate(prompts)]
    barrier = threading.Barrier(len(prompts))

    def together(seed: int) -> list[Generated]:
        barrier.wait(60)
        own = from_diffusers(generator.model.pipeline) if seed % 2 else generator  # wrapped again: still one pipeline
        return [replace(ask(own, prompts[seed], seed=seed), facts=alone[seed].facts) for _ in range(4)]

    with ThreadPoolExecutor(len(prompts)) as pool:
        answers = list(pool.map(together, range(len(prompts))))
    assert answers == [[one] * 4 for one in alone]


def test_parameters_take_effect(generator: ImageGenerator) -> None:
    plain = ask(generator, seed=1)
    changes = ({"num_inference_steps": 2}, {"guidance_scale": 1}, {"negative_prompt": "snow"})
    made = [ask(generator, seed=1, **change).content for change in changes]
    assert plain.content not in made
    assert ask(generator, "on snow", seed=1).content not in [plain.content, *made]
    assert ask(generator, seed=1, height=None, negative_prompt=None).content == plain.content
    assert ask(generator, seed=1, guidance_scale=0).facts["params"] == {"num_inference_steps": 1, "guidance_scale": 0}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("num_inference_steps", value) for value in (0, 1001, 1.0, True, "1")),
        *(("guidance_scale", value) for value in (-1, 101, float("nan"), True, "7")),
        *((side, value) for side in ("width", "height") for value in (0, 7, 20, 8200, 64.0, True)),
        *(("seed", value) for value in (-1, 2**63, True, 0.5)),
        *(("negative_prompt", value) for value in (5, ["a"], "\ud800")),
        *((name, 1) for name in ("num_images_per_prompt", "output_type", "callback", "eta", "")),
    ],
)
def test_a_wrong_parameter_is_named(generator: ImageGenerator, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"generation parameter '{name}'"):
        ask(generator, **{name: value})


def test_a_prompt_that_is_cut_is_said_to_be(generator: ImageGenerator) -> None:
    assert ask(generator, "house " * 14).facts["prompt_truncated"] is False  # and two marks make 16
    assert ask(generator, "house " * 15).facts["prompt_truncated"] is True
    assert ask(generator, "house " * 5000).facts["prompt_truncated"] is True


@pytest.mark.parametrize("prompt", ["", " \n", "\u2003"])
def test_an_empty_prompt_is_refused(generator: ImageGenerator, prompt: str) -> None:
    with pytest.raises(ConfigError, match="the prompt is empty"):
        ask(generator, prompt)


@pytest.mark.parametrize(
    "prompt", ["\x00\x1b[2J", "\u202eevil\u202c", "\U0001f468\u200d\U0001f469", "\uffff", "<|endoftext|>"]
)
def test_hostile_prompts_are_drawn_like_others(generator: ImageGenerator, prompt: str) -> None:
    assert decoded(ask(generator, prompt)).size == (64, 64)


def test_what_no_tokenizer_can_read_is_refused(generator: ImageGenerator) -> None:
    with pytest.raises(ContentError, match="not valid Unicode"):
        ask(generator, "half of a pair: \ud83d")
    with pytest.raises(ConfigError, match="takes a text prompt, not image"):
        ask(generator, Image(blank_png()))


def test_a_pipeline_that_fails_quotes_nothing(fresh: ImageModel) -> None:
    fresh.pipeline.unet = None
    with pytest.raises(GenerationError, match="StableDiffusionPipeline failed: AttributeError") as caught:
        ask(ImageGenerator(fresh), "my secret")
    assert "secret" not in str(caught.value)


def test_a_safety_check_of_the_pipeline_is_passed_on(fresh: ImageModel) -> None:
    import torch
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    size: Any = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config: Any = CLIPConfig(
        vision_config={**size, "image_size": 32, "patch_size": 16}, text_config=size, projection_dim=8
    )
    censor: Any = StableDiffusionSafetyChecker(config)
    with torch.no_grad():
        censor.concept_embeds_weights.fill_(-2)  # no picture is less than that like what it looks for
    fresh.pipeline.register_modules(
        safety_checker=censor, feature_extractor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    )
    made = ask(ImageGenerator(fresh))
    assert made.facts["nsfw_flagged"] is True
    assert set(decoded(made).tobytes()) == {0}


def test_what_makes_no_images_from_text_is_refused(generator: ImageGenerator) -> None:
    import diffusers as untyped

    diffusers: Any = untyped
    parts = generator.model.pipeline.components
    painting_over = diffusers.StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    with pytest.raises(GenerationError, match="failed"):
        ask(from_diffusers(painting_over))  # takes a prompt, so what it lacks shows when it is asked
    noise = diffusers.DDPMPipeline(parts["unet"], parts["scheduler"])
    with pytest.raises(ConfigError, match="DDPMPipeline does not make images from text"):
        from_diffusers(noise)
    with pytest.raises(ConfigError, match="no diffusers pipeline"):
        from_diffusers(parts["unet"])
