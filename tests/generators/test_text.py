"""Text from real small models: what a seed promises, what the watermark shows, and how a wrong request is refused."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from guard.cases import blank_png
from guard.errors import CallerError, ConfigError, ContentError, GenerationError
from guard.generators.text import TextGenerator, detect_watermark, watermarking_config
from guard.models import TextModel, load_text
from guard.provenance.watermark import Scheme, TextMark, key_id
from guard.provenance.watermark.text import ALGORITHMS, Found
from guard.types import Content, Generated, Image, Request, Text
from tests.tiny import SAYS

Tiny = Callable[[str], Path]
KEY, OTHER = b"k" * 32, b"o" * 32
MARK = TextMark("gumbel", KEY)


@pytest.fixture(scope="module")
def load(tiny: Tiny) -> Callable[[str], TextModel]:
    """A model, loaded once."""
    loaded: dict[str, TextModel] = {}
    return lambda name: loaded.get(name) or loaded.setdefault(name, load_text(tiny(name)))


@pytest.fixture
def fresh(tiny: Tiny) -> TextModel:
    """A model that a test may change."""
    return load_text(tiny("gpt2"))


def ask(generator: TextGenerator, prompt: str | Content = "Hello", **params: Any) -> Generated:
    return generator.generate(Request(Text(prompt) if isinstance(prompt, str) else prompt, params=params))


def say(generator: TextGenerator, prompt: str | Content = "Hello", **params: Any) -> str:
    content = ask(generator, prompt, **params).content
    assert isinstance(content, Text)
    return content.text


# --- seeds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5", "bart"])
@pytest.mark.parametrize("mark", [None, MARK])
def test_a_seed_repeats_and_without_one_no_two_are_alike(
    load: Callable[[str], TextModel], name: str, mark: TextMark | None
) -> None:
    import torch

    generator = TextGenerator(load(name), mark=mark)
    first = ask(generator, seed=7, max_new_tokens=24)
    assert ask(generator, seed=7, max_new_tokens=24) == first
    assert say(generator, seed=8, max_new_tokens=24) != say(generator, seed=7, max_new_tokens=24)
    runs = []
    for _ in range(2):
        torch.manual_seed(5)  # nobody else's seed decides
        runs.append(ask(generator, max_new_tokens=24))
    assert runs[0].content != runs[1].content
    assert runs[0].facts["seed"] != runs[1].facts["seed"]
    again = ask(generator, seed=runs[0].facts["seed"], max_new_tokens=24)  # what the record holds is enough
    assert again == runs[0]


def test_a_seed_means_the_same_among_threads(load: Callable[[str], TextModel]) -> None:
    generators = [TextGenerator(load("gpt2")), TextGenerator(load("llama"))]
    alone = [[say(generator, seed=seed, max_new_tokens=24) for seed in range(6)] for generator in generators]
    barrier = threading.Barrier(12)

    def together(generator: TextGenerator, seed: int) -> str:
        barrier.wait(60)
        return say(generator, seed=seed, max_new_tokens=24)

    with ThreadPoolExecutor(12) as pool:
        tasks = [[pool.submit(together, generator, seed) for seed in range(6)] for generator in generators]
        assert [[task.result() for task in row] for row in tasks] == alone
    assert len({text for row in alone for text in row}) == 12


def test_a_model_in_training_answers_as_usual_and_stays_in_training(fresh: TextModel) -> None:
    expected = say(TextGenerator(fresh), seed=1, max_new_tokens=24)
    fresh.model.train()  # dropout would make a seed meaningless
    assert say(TextGenerator(fresh), seed=1, max_new_tokens=24) == expected
    with ThreadPoolExecutor(4) as pool:  # however often it is wrapped
        tasks = [pool.submit(say, TextGenerator(fresh), seed=1, max_new_tokens=24) for _ in range(8)]
        assert {task.result() for task in tasks} == {expected}
    assert fresh.model.training


# --- the watermark -------------------------------------------------------------------------------------------------


SCHEMES: tuple[tuple[str, Scheme, int], ...] = (
    ("gpt2", "gumbel", 5),
    ("llama", "gumbel", 2),
    ("t5", "gumbel", 2),
    ("gpt2", "greenlist", 2),
    ("gpt2", "synthid", 2),
)


@pytest.mark.parametrize(("name", "scheme", "texts"), SCHEMES)
def test_the_watermark_is_found_with_its_key_only(
    load: Callable[[str], TextModel], name: str, scheme: Scheme, texts: int
) -> None:
    model = load(name)
    marking, plain = TextGenerator(model, mark=TextMark(scheme, KEY)), TextGenerator(model)
    ring, others = {key_id(OTHER): OTHER, key_id(KEY): KEY}, {key_id(OTHER): OTHER}
    for seed in range(texts):
        marked = ask(marking, seed=seed, max_new_tokens=220)
        assert marked.facts["completion_tokens"] == 220
        [layer] = marked.layers
        assert (layer.kind, layer.status, layer.algorithm) == ("watermark", "applied", ALGORITHMS[scheme])
        assert layer.detail == {"tokens": 220, "key_id": key_id(KEY)}
        assert marked.facts["watermark"] == ALGORITHMS[scheme]
        assert isinstance(marked.content, Text)
        found = detect_watermark(marked.content.text, model, ring)
        assert (found.key_id, found.algorithm) == (key_id(KEY), ALGORITHMS[scheme])
        assert found.p_value < 1e-9
        assert found.tokens > 150
        # six looks in all at what is not there; chance alone comes below one time in 10,000
        assert detect_watermark(marked.content.text, model, others).p_value > 1e-4
        assert detect_watermark(say(plain, seed=seed, max_new_tokens=220), model, ring).p_value > 1e-4


def test_a_text_too_short_to_tell_says_nothing(load: Callable[[str], TextModel]) -> None:
    ring = {"k": KEY}
    for text in ("", "a"):
        assert detect_watermark(text, load("gpt2"), ring) == Found("k", 1.0, 0, ALGORITHMS["gumbel"])
    repeated = detect_watermark("ab" * 200, load("gpt2"), ring)  # repeats are one draw, not many
    assert repeated.tokens <= 3
    assert repeated.p_value > 1e-3


def test_each_text_of_a_batch_is_marked_on_its_own(load: Callable[[str], TextModel]) -> None:
    model = load("gpt2")
    inputs = model.tokenizer(["Hello"] * 4, return_tensors="pt")
    made = model.model.generate(
        **inputs, do_sample=True, max_new_tokens=80, pad_token_id=0, watermarking_config=watermarking_config(MARK, 1)
    )
    texts = [model.tokenizer.decode(row[5:]) for row in made]
    assert len(set(texts)) == 4  # the same prompt, and still four answers
    for text in texts:
        assert detect_watermark(text, model, {"k": KEY}).p_value < 1e-9


@pytest.mark.parametrize("per_request", [True, False])
def test_continuous_batching(load: Callable[[str], TextModel], per_request: bool) -> None:
    from transformers import ContinuousBatchingConfig

    model = load("llama")
    config = copy.deepcopy(model.model.generation_config)
    config.update(do_sample=True, max_new_tokens=60, eos_token_id=None, pad_token_id=0)
    config.watermarking_config = watermarking_config(MARK, 1)
    batching = ContinuousBatchingConfig(
        per_request_processors=per_request, use_cuda_graph=False, max_memory_percent=0.02, max_requests_per_batch=3
    )
    prompts = [[65 + number] * (number + 1) for number in range(5)]  # more than fit: texts come and go between steps
    made = model.model.generate_batch(
        prompts, generation_config=config, continuous_batching_config=batching, progress_bar=False
    )
    assert len(made) == 5
    for one in made.values():
        if per_request:
            assert detect_watermark(model.tokenizer.decode(one.generated_tokens), model, {"k": KEY}).p_value < 1e-9
        else:
            assert "per_request_processors=True" in one.error


@pytest.mark.parametrize("params", [{"temperature": 0}, {"temperature": 0.0}, {"do_sample": False}])
def test_greedy_text_cannot_carry_the_mark_and_says_so(
    load: Callable[[str], TextModel], params: dict[str, Any]
) -> None:
    made = ask(TextGenerator(load("gpt2"), mark=MARK), max_new_tokens=8, **params)
    [layer] = made.layers
    assert (layer.kind, layer.status, layer.algorithm) == ("watermark", "not_applicable", ALGORITHMS["gumbel"])
    assert "sampled" in str(layer.detail["reason"])
    assert (made.facts["watermark"], made.facts["seed"]) == (None, None)
    assert made.facts["params"] == {"max_new_tokens": 8, "do_sample": False}
    assert (
        ask(TextGenerator(load("gpt2"), mark=TextMark("gumbel", OTHER)), max_new_tokens=8, **params).content
        == made.content
    )
    assert ask(TextGenerator(load("gpt2")), max_new_tokens=8, **params).layers == ()


def test_a_model_set_to_beams_keeps_them_unless_asked_to_sample(fresh: TextModel) -> None:
    fresh.model.generation_config.num_beams = 2
    generator = TextGenerator(fresh, mark=MARK)
    assert ask(generator, max_new_tokens=6).layers[0].status == "not_applicable"
    assert ask(generator, max_new_tokens=6, do_sample=True).layers[0].status == "applied"
    assert fresh.model.generation_config.num_beams == 2


# --- parameters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("stop", value) for value in ("", [""], ["a", ""], [1], {"a": 1}, 5, "\ud800")),
        *(("max_new_tokens", value) for value in (0, -1, 1.5, True, "5")),
        *(("temperature", value) for value in (-1, 1e-4, 101, float("nan"), float("inf"), True, "hot")),
        *(("top_p", value) for value in (0, -0.1, 1.01, float("nan"), "1")),
        *(("top_k", value) for value in (-1, 0.5, False)),
        *(("do_sample", value) for value in (1, "yes")),
        *(("seed", value) for value in (-1, 2**63, 1.0, True, "1")),
        *((name, 1) for name in ("num_beams", "max_length", "max_tokens", "Seed", "")),
    ],
)
def test_a_wrong_parameter_is_named(load: Callable[[str], TextModel], name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"generation parameter '{name}'"):
        ask(TextGenerator(load("gpt2")), **{name: value})


def test_the_facts_say_what_was_used(load: Callable[[str], TextModel], fresh: TextModel) -> None:
    def used(model: TextModel, **params: Any) -> Any:
        return ask(TextGenerator(model), max_new_tokens=2, **params).facts["params"]

    plain = {"max_new_tokens": 2, "do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 50}
    assert used(load("gpt2")) == plain  # the library's own defaults, written out
    assert used(load("gpt2"), temperature=None, seed=None) == plain
    asked = {"temperature": 2, "top_p": 1, "top_k": 0}  # whole numbers, as JSON has them
    assert used(load("gpt2"), **asked) == {**plain, **asked}
    assert used(load("gpt2"), stop="x") == {**plain, "stop": ["x"]}
    fresh.model.generation_config.temperature, fresh.model.generation_config.top_k = 0.5, 7
    assert used(fresh) == {**plain, "temperature": 0.5, "top_k": 7}
    assert used(fresh, temperature=0.9) == {**plain, "temperature": 0.9, "top_k": 7}


def test_drawing_parameters_take_effect(load: Callable[[str], TextModel]) -> None:
    generator = TextGenerator(load("gpt2"))
    greedy = say(generator, temperature=0, max_new_tokens=16)
    for params in ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 0.001}):
        assert say(generator, max_new_tokens=16, seed=3, **params) == greedy
    assert len(set(say(generator, max_new_tokens=300, seed=3, top_k=0))) > 85  # of 95 letters
    assert len(set(say(generator, max_new_tokens=40, seed=3, top_k=2))) < 45


def test_stop_texts_end_the_answer_before_them(load: Callable[[str], TextModel]) -> None:
    generator = TextGenerator(load("gpt2"))
    whole = ask(generator, seed=4, max_new_tokens=60)
    text = say(generator, seed=4, max_new_tokens=60)
    assert whole.facts["finish_reason"] == "length"
    early, late = text[20:22], text[40:42]
    assert text.index(early) == 20
    for stop in (early, [early], [late, early]):
        made = ask(generator, seed=4, max_new_tokens=60, stop=stop)
        assert made.content == Text(text[:20])
        assert made.facts["finish_reason"] == "stop"
        tokens = made.facts["completion_tokens"]
        assert isinstance(tokens, int)
        assert tokens < 60
    for stop in ([], "\n", "é", "nowhere to be found"):
        assert ask(generator, seed=4, max_new_tokens=60, stop=stop).content == whole.content


def test_a_model_that_ends_its_answer(load: Callable[[str], TextModel]) -> None:
    generator = TextGenerator(load("reciter"))
    for asked, said in SAYS.items():
        made = ask(generator, asked, temperature=0)
        assert made.content == Text(said)
        assert made.facts["finish_reason"] == "stop"
        assert made.facts["completion_tokens"] == len(said.split()) + 1


# --- prompts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "reads"), [("gpt2", 512), ("llama", 512), ("bart", 64)])
def test_a_prompt_that_is_too_long_is_refused_and_the_answer_gets_the_room_that_is_left(
    load: Callable[[str], TextModel], name: str, reads: int
) -> None:
    generator = TextGenerator(load(name))
    for length in (reads, reads + 1, 40 * reads):
        with pytest.raises(ConfigError, match=f"the prompt has {length} tokens and the model reads {reads}"):
            ask(generator, "x" * length)
    tight = ask(generator, "x" * (reads - 3), max_new_tokens=10_000, seed=1)
    left = reads - 1 if name == "bart" else 3  # an encoder-decoder starts its answer afresh
    assert tight.facts["completion_tokens"] == left
    assert tight.facts["finish_reason"] == "length"


def test_relative_positions_have_no_limit(load: Callable[[str], TextModel]) -> None:
    assert ask(TextGenerator(load("t5")), "x" * 2000, max_new_tokens=3).facts["prompt_tokens"] == 2000


@pytest.mark.parametrize("prompt", ["", " ", "\n\t\u2003\u2028"])
def test_an_empty_prompt_is_refused(load: Callable[[str], TextModel], prompt: str) -> None:
    with pytest.raises(ConfigError, match="the prompt is empty"):
        ask(TextGenerator(load("gpt2")), prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "\x00",
        "\x00\x1b[2J\x07\x7f\x85",
        "\u202eevil\u202c\u2066\u2069\u200f",
        "\u200b\u200d\ufeff\u00ad",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "e" + "\u0301" * 150,
        "\uffff\U0010ffff\ue000",
        "<end>",
        "a<end>b<|im_start|>system",
        "{{ 7*7 }}{% raw %}",
        "العربية 中文 עברית ไทย",
    ],
)
def test_hostile_prompts_are_answered_like_others(load: Callable[[str], TextModel], prompt: str) -> None:
    made = ask(TextGenerator(load("gpt2"), mark=MARK), prompt, seed=1, max_new_tokens=8)
    assert isinstance(made.content, Text)
    assert len(made.content.text) == made.facts["completion_tokens"] == 8
    prompt.encode()
    assert isinstance(made.facts["prompt_tokens"], int)
    assert 1 <= made.facts["prompt_tokens"] <= len(prompt.encode())


def test_what_no_tokenizer_can_read_is_refused(load: Callable[[str], TextModel], fresh: TextModel) -> None:
    generator = TextGenerator(fresh)
    with pytest.raises(ContentError, match="not valid Unicode"):
        ask(generator, "half of a pair: \ud83d")
    with pytest.raises(ConfigError, match="takes a text prompt, not image"):
        ask(generator, Image(blank_png()))
    fresh.tokenizer.backend_tokenizer.model = type(fresh.tokenizer.backend_tokenizer.model)({"a": 0}, [])
    with pytest.raises(ConfigError, match="no token is left"):
        ask(generator, "xyz")


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_chat_template_is_used(fresh: TextModel) -> None:
    generator = TextGenerator(fresh)
    fresh.tokenizer.chat_template = (
        "{% for message in messages %}[{{ message.role }}] {{ message.content }}{% endfor %} >"
    )
    made = ask(generator, "{{ 7*7 }}", seed=1, max_new_tokens=8)
    assert made.facts["prompt_tokens"] == len("[user] {{ 7*7 }} >")
    assert isinstance(made.content, Text)
    assert made.content.text == made.content.text.strip()


@pytest.mark.parametrize("template", ["{{ raise_exception(messages[0].content) }}", "{{ a.b.c }}", "{% for"])
def test_a_chat_template_that_fails_quotes_nothing(fresh: TextModel, template: str) -> None:
    fresh.tokenizer.chat_template = template
    with pytest.raises(GenerationError, match="the chat template failed: ") as caught:
        ask(TextGenerator(fresh), "my secret")
    assert "secret" not in str(caught.value)


def test_a_model_that_computes_no_numbers_fails(fresh: TextModel) -> None:
    import torch

    with torch.no_grad():
        fresh.model.transformer.ln_f.weight.fill_(float("nan"))
    with pytest.raises(GenerationError, match="gpt2 failed: RuntimeError"):
        ask(TextGenerator(fresh), "my secret")


def test_a_refusal_leaves_the_model_free_for_the_next(load: Callable[[str], TextModel]) -> None:
    generator = TextGenerator(load("gpt2"))
    for _ in range(2):
        with pytest.raises(CallerError):
            ask(generator, "x" * 600)
    assert say(generator, max_new_tokens=3)
