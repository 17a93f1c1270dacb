"""What may be wrapped: models and pipelines are known by their libraries, functions by being called, the rest is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.errors import CallerError, ConfigError
from guard.generators.adapt import adapt
from guard.generators.image import ImageGenerator
from guard.generators.text import TextGenerator
from guard.models import TextModel, load_image, load_text
from guard.provenance.watermark import TextMark
from guard.types import Generated, Image, Request, Text

Tiny = Callable[[str], Path]
MARK = TextMark("gumbel", b"k" * 32)


@pytest.fixture(scope="module")
def loaded(tiny: Tiny) -> TextModel:
    return load_text(tiny("gpt2"))


def answer(generator: Any, **params: Any) -> Generated:
    made = generator.generate(Request(Text("Hello"), params=params))
    assert isinstance(made, Generated)
    return made


def test_a_transformers_model_with_its_tokenizer(loaded: TextModel) -> None:
    generator = adapt(loaded.model, tokenizer=loaded.tokenizer, mark=MARK)
    assert isinstance(generator, TextGenerator)
    made = answer(generator, seed=1, max_new_tokens=8)
    assert made.content == answer(TextGenerator(loaded, mark=MARK), seed=1, max_new_tokens=8).content
    assert made.layers[0].status == "applied"
    assert made.facts["weights_form"] == "state_dict"
    with pytest.raises(ConfigError, match="pass its tokenizer"):
        adapt(loaded.model)


def test_a_text_pipeline_brings_its_tokenizer(loaded: TextModel) -> None:
    import transformers

    pipeline = transformers.pipeline("text-generation", model=loaded.model, tokenizer=loaded.tokenizer)
    generator = adapt(pipeline, mark=MARK)
    assert isinstance(generator, TextGenerator)
    wanted = answer(adapt(loaded.model, tokenizer=loaded.tokenizer, mark=MARK), seed=1, max_new_tokens=8)
    assert answer(generator, seed=1, max_new_tokens=8) == wanted


def test_a_model_of_a_subclass_and_one_inside_another_module(loaded: TextModel) -> None:
    import torch
    from transformers import GPT2LMHeadModel

    class Mine(GPT2LMHeadModel):  # type: ignore[no-untyped-call]
        """Somebody's own."""

    wanted = answer(TextGenerator(loaded), seed=1, max_new_tokens=8).content

    class Adapted(torch.nn.Module):
        """As PEFT and torch.compile do: the model is inside, and what is not here is there."""

        def __init__(self, base: Any) -> None:
            super().__init__()
            self.base = base

        def __getattr__(self, name: str) -> Any:
            return super().__getattr__(name) if name == "base" else getattr(self.base, name)

    mine = Mine(loaded.model.config)
    mine.load_state_dict(loaded.model.state_dict())
    mine.generation_config = loaded.model.generation_config
    for model in (mine, Adapted(loaded.model)):
        generator = adapt(model, tokenizer=loaded.tokenizer)
        assert isinstance(generator, TextGenerator)
        assert answer(generator, seed=1, max_new_tokens=8).content == wanted


def test_a_diffusers_pipeline(tiny: Tiny) -> None:
    pipeline = load_image(tiny("painter")).pipeline
    generator = adapt(pipeline, mark=MARK)
    assert isinstance(generator, ImageGenerator)
    made = answer(generator, seed=1, num_inference_steps=1)
    assert isinstance(made.content, Image)
    assert made.layers == ()
    with pytest.raises(ConfigError, match="UNet2DConditionModel does not generate text"):
        adapt(pipeline.unet)


def test_models_that_do_not_write_are_refused(loaded: TextModel) -> None:
    import torch
    import transformers
    from transformers import BertConfig, BertForSequenceClassification, BertModel, GPT2Model

    size: Any = {"vocab_size": 257, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(**size, intermediate_size=32)
    judge = BertForSequenceClassification(config)
    models: list[Any] = [torch.nn.Linear(2, 2), GPT2Model(loaded.model.config), BertModel(config), judge]
    models.append(transformers.pipeline("text-classification", model=judge, tokenizer=loaded.tokenizer))
    for model in models:
        with pytest.raises(ConfigError, match=f"^{type(model).__name__} does not generate text"):
            adapt(model, tokenizer=loaded.tokenizer)


class Client:
    """A user's own, in the three ways in which one is called."""

    def __init__(self, tail: str) -> None:
        self.tail = tail

    def __call__(self, prompt: str) -> str:
        return prompt + self.tail

    def ask(self, prompt: str, tone: str = "!") -> str:
        return prompt + self.tail + tone

    @staticmethod
    def echo(prompt: str) -> str:
        return prompt


def test_methods_instances_and_classes_that_are_called() -> None:
    client = Client("?")
    for thing, said, name in (
        (client, "Hello?", "Client"),
        (client.ask, "Hello?!", "Client.ask"),
        (Client.echo, "Hello", "Client.echo"),
        (str, "Hello", "str"),
    ):
        generator = adapt(thing)
        assert answer(generator).content == Text(said)
        assert (generator.name, answer(generator).facts["model"]) == (name, name)
    assert answer(adapt(client.ask), tone=".").content == Text("Hello?.")
    assert adapt(client, name="mine").name == "mine"


def test_a_generator_is_one_by_its_method_and_its_name() -> None:
    class Own:
        name = "own"

        def generate(self, request: Request) -> Generated:
            return Generated(request.prompt)

    own = Own()
    assert adapt(own) is own
    for thing in (3, None, "gpt2", object(), {"model": 1}):
        with pytest.raises(CallerError, match=f"cannot wrap {type(thing).__name__}"):
            adapt(thing)
