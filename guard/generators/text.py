"""Text from a local language model: seeded for each request, watermarked, with the facts for the record."""

from __future__ import annotations

import copy
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guard import models
from guard.digest import JSON
from guard.errors import ConfigError, GenerationError, MissingExtra
from guard.generators.prompt import is_unicode, prompt_text
from guard.models import TextModel
from guard.provenance.watermark import TextMark, key_id
from guard.provenance.watermark import text as watermark
from guard.quiet import quiet
from guard.types import Generated, Layer, Request, Text

BIAS = 2.5
MAX_NEW_TOKENS = 128
# What transformers draws with where neither the request nor the model says; written out, so that the record says it.
_DRAWING: dict[str, float | int] = {"temperature": 1.0, "top_p": 1.0, "top_k": 50}


@dataclass(frozen=True, slots=True)
class TextParams:
    """What a request may ask for; None leaves the model's own setting, else transformers'. `temperature` 0 means greedy."""

    max_new_tokens: int = MAX_NEW_TOKENS
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    do_sample: bool | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


class TextGenerator:
    """One language model behind the Generator protocol; calls from several threads take turns."""

    def __init__(self, model: TextModel, *, mark: TextMark | None = None) -> None:
        self.model = model
        self.mark = mark
        self.name = str(getattr(model.model.config, "model_type", "") or "text")
        self._turn = models.turn(model.model)

    def generate(self, request: Request) -> Generated:
        """Answer the prompt. Raises ConfigError for a request that cannot be met, GenerationError when the model fails."""
        params = parse_params(request.params)
        seed = secrets.randbits(63) if params.seed is None else params.seed
        try:
            with self._turn, quiet():
                inputs, chat = _encode(self.model, request.prompt)
                config = _generation_config(self.model, params, int(inputs["input_ids"].shape[1]))
                layer = self._watermark(config, seed)
                ids = _run(self.model, inputs, config)
        except (
            RuntimeError,
            ValueError,
            IndexError,
            KeyError,
            TypeError,
        ) as error:  # messages of libraries quote input
            raise GenerationError(f"{self.name} failed: {type(error).__name__}; see the chained error") from error
        return self._generated(inputs, ids, config, params, seed, layer, chat=chat)

    def _watermark(self, config: Any, seed: int) -> Layer | None:
        """Set the drawing hook on the configuration; the layer says whether it marks."""
        sampling = config.do_sample and (config.num_beams or 1) == 1
        if sampling:
            config.watermarking_config = watermarking_config(self.mark, seed)
        if self.mark is None:
            return None
        algorithm = watermark.ALGORITHMS[self.mark.scheme]
        if sampling:
            return Layer("watermark", "applied", algorithm, {"key_id": key_id(self.mark.key)})
        return Layer("watermark", "not_applicable", algorithm, {"reason": "only sampled text can carry the mark"})

    def _generated(
        self,
        inputs: Any,
        ids: list[int],
        config: Any,
        params: TextParams,
        seed: int,
        layer: Layer | None,
        *,
        chat: bool,
    ) -> Generated:
        text, finish = _decode(self.model, ids, config, params)
        used: dict[str, JSON] = {"max_new_tokens": config.max_new_tokens, "do_sample": bool(config.do_sample)}
        if config.do_sample:
            used |= {name: getattr(config, name) for name in _DRAWING}
        if params.stop:
            used["stop"] = list(params.stop)
        facts: dict[str, JSON] = {
            **self.model.facts,
            "params": used,
            "seed": seed if config.do_sample else None,
            "prompt_tokens": int(inputs["input_ids"].shape[1]),
            "completion_tokens": len(ids),
            "finish_reason": finish,
            "watermark": layer.algorithm if layer and layer.status == "applied" else None,
        }
        if layer and layer.status == "applied":
            layer = Layer(layer.kind, layer.status, layer.algorithm, {**layer.detail, "tokens": len(ids)})
        return Generated(Text(text.strip() if chat else text), facts, (layer,) if layer else ())


def from_transformers(
    model_or_pipeline: Any, tokenizer: Any | None = None, *, mark: TextMark | None = None
) -> TextGenerator:
    """A generator around a transformers model with its tokenizer, or around a text pipeline, which brings its own."""
    model = getattr(model_or_pipeline, "model", None) if _is_pipeline(model_or_pipeline) else model_or_pipeline
    tokenizer = tokenizer or getattr(model_or_pipeline, "tokenizer", None)
    if not hasattr(model, "generate") or not hasattr(model, "generation_config"):
        raise ConfigError(
            f"{type(model_or_pipeline).__name__} does not generate text: pass a model with a language head"
        )
    if tokenizer is None:
        raise ConfigError("a model alone cannot read a prompt: pass its tokenizer as the second argument")
    return TextGenerator(models.wrap_text(model, tokenizer), mark=mark)


def watermarking_config(mark: TextMark | None, seed: int) -> Any:
    """What transformers' `generate(watermarking_config=…)` takes, for sampled batches of any size.

    `generate_batch` takes that of `gumbel` too, with `per_request_processors=True` and `use_cuda_graph=False` in its
    ContinuousBatchingConfig; a seed then means nothing, because the texts that share a step vary.
    """
    from guard import drawing

    if mark is None:
        return drawing.hook(seed)
    if mark.scheme == "gumbel":
        return drawing.hook(seed, gumbel=watermark.scheme_key(mark.key, "gumbel"))
    return drawing.hook(seed, mark=_greenlist(mark.key) if mark.scheme == "greenlist" else _synthid(mark.key))


def detect_watermark(text: str, model: TextModel, keys: Mapping[str, bytes]) -> watermark.Found:
    """Look for the mark of any of `keys` (by id) in a text from `model`: same tokenizer and vocabulary."""
    with quiet():
        ids = model.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"][0].long()
    found = watermark.detect(ids.tolist(), model.model.config.get_text_config().vocab_size, keys)
    if (
        model.device == "cpu" or len(ids) < 3
    ):  # the library's detector wants a pair after a possible leading special token
        return found
    return watermark.strongest(
        [found, watermark.strongest([_on_device(ids, model, name, keys[name]) for name in keys])]
    )


def _on_device(ids: Any, model: TextModel, name: str, key: bytes) -> watermark.Found:
    """Green lists are drawn where the model is, and another device draws others."""
    detector = _transformers().WatermarkDetector(
        model_config=model.model.config.get_text_config(),
        device=model.device,
        watermarking_config=_greenlist(key),
        ignore_repeated_ngrams=True,  # repeats would count one draw many times and make plain text look marked
    )
    seen = detector(ids[None].to(model.device), return_dict=True)
    tokens, green = int(seen.num_tokens_scored[0]), int(seen.num_green_tokens[0])
    chance = watermark.binomial_tail(green, tokens, watermark.GREENLIST_RATIO)
    return watermark.Found(name, chance, tokens, watermark.ALGORITHMS["greenlist"])


def parse_params(given: Mapping[str, JSON]) -> TextParams:
    """Check a request's parameters. Raises ConfigError naming the first that is unknown or out of range."""
    known = TextParams.__dataclass_fields__
    for name in given:
        if name not in known:
            raise ConfigError(f"unknown generation parameter {name!r}; a text model takes {', '.join(known)}")
    values = {name: value for name, value in given.items() if value is not None}
    stop = values.get("stop", ())
    values["stop"] = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, list | tuple) else stop
    for name, value in values.items():
        if not _VALID[name](value):
            raise ConfigError(f"generation parameter {name!r} must be {_WANTED[name]}")
    if values.get("temperature") == 0:
        del values["temperature"]
        values["do_sample"] = False
    return TextParams(**values)  # type: ignore[arg-type]


def _is_int(value: Any, low: int, high: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_stop(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and is_unicode(value)


_VALID = {
    "max_new_tokens": lambda value: _is_int(value, 1),
    "temperature": lambda value: _is_number(value, 0, 0) or _is_number(value, 1e-3, 100),
    "top_p": lambda value: _is_number(value, 1e-6, 1),
    "top_k": lambda value: _is_int(value, 0),
    "do_sample": lambda value: isinstance(value, bool),
    "seed": lambda value: _is_int(value, 0, 2**63 - 1),
    "stop": lambda value: isinstance(value, tuple) and all(map(_is_stop, value)),
}
_WANTED = {
    "max_new_tokens": "a whole number from 1",
    "temperature": "0 (always the likeliest token), or a number from 0.001 to 100",
    "top_p": "a number above 0, up to 1",
    "top_k": "a whole number from 0 (0: no limit)",
    "do_sample": "true or false",
    "seed": "a whole number from 0, below 2^63",
    "stop": "a text or a list of texts, none empty, in valid Unicode",
}


def _greenlist(key: bytes) -> Any:
    # left hash with a width of 1: wider ones still seed from the last token only
    return _transformers().WatermarkingConfig(
        greenlist_ratio=watermark.GREENLIST_RATIO,
        bias=BIAS,
        hashing_key=watermark.greenlist_key(key),
        seeding_scheme="lefthash",
        context_width=1,
    )


def _synthid(key: bytes) -> Any:
    # The first tokens stay unmarked: they would depend on the prompt, which the detector does not have.
    return _transformers().SynthIDTextWatermarkingConfig(
        ngram_len=watermark.CONTEXT + 1, keys=watermark.synthid_keys(key), skip_first_ngram_calls=True
    )


def _encode(model: TextModel, prompt: Any) -> tuple[dict[str, Any], bool]:
    text, tokenizer = prompt_text(prompt), model.tokenizer
    chat = bool(getattr(tokenizer, "chat_template", None))
    if chat:
        from jinja2 import TemplateError

        messages = [{"role": "user", "content": text}]
        options = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
        try:
            encoded = tokenizer.apply_chat_template(messages, **options)
        except TemplateError as error:
            raise GenerationError(f"the chat template failed: {type(error).__name__}; see the chained error") from error
    else:
        encoded = tokenizer(text, return_tensors="pt")
    if not encoded["input_ids"].numel():
        raise ConfigError("the model's tokenizer knows nothing of this prompt: no token is left of it")
    names = ("input_ids", "attention_mask")  # what else a tokenizer returns (token types), not every model takes
    return {name: encoded[name].to(model.device) for name in names if name in encoded}, chat


def _generation_config(model: TextModel, params: TextParams, prompt_tokens: int) -> Any:
    config = copy.deepcopy(model.model.generation_config)
    room = params.max_new_tokens
    limit = getattr(model.model.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(limit, int):
        if prompt_tokens >= limit:
            raise ConfigError(f"the prompt has {prompt_tokens} tokens and the model reads {limit}: shorten the prompt")
        # An encoder-decoder starts its answer afresh, with one token of its own.
        room = min(room, limit - (1 if model.model.config.is_encoder_decoder else prompt_tokens))
    config.max_length, config.max_new_tokens = None, room
    config.num_return_sequences, config.return_dict_in_generate = 1, False
    if config.pad_token_id is None:
        eos = config.eos_token_id if config.eos_token_id is not None else model.tokenizer.eos_token_id
        config.pad_token_id = eos[0] if isinstance(eos, list) else eos
    beams = (
        config.num_beams or 1
    ) > 1  # a model that comes set to beam search keeps it, and beams are not sampled here
    config.do_sample = not beams if params.do_sample is None else params.do_sample
    if config.do_sample and beams:
        config.num_beams = 1
    for name, default in _DRAWING.items():
        asked = next((value for value in (getattr(params, name), getattr(config, name)) if value is not None), default)
        setattr(config, name, type(default)(asked) if config.do_sample else None)  # transformers refuses 1 for 1.0
    config.stop_strings = list(params.stop) or None
    return config


def _run(model: TextModel, inputs: Mapping[str, Any], config: Any) -> list[int]:
    was_training = model.model.training
    model.model.eval()  # dropout would make a seed meaningless
    try:
        made = model.model.generate(**inputs, generation_config=config, tokenizer=model.tokenizer)
    finally:
        model.model.train(was_training)
    start = 1 if model.model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    return [int(token) for token in made[0, start:]]


def _decode(model: TextModel, ids: list[int], config: Any, params: TextParams) -> tuple[str, str]:
    eos = config.eos_token_id
    ends = set(eos) if isinstance(eos, list) else {eos}
    finish = "stop" if ids and ids[-1] in ends else "length"
    text = model.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    cuts = [text.find(stop) for stop in params.stop if stop in text]
    return (text[: min(cuts)], "stop") if cuts else (text, finish)


def _is_pipeline(loaded: Any) -> bool:
    return hasattr(loaded, "task") and hasattr(loaded, "model")


def _transformers() -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra("running local language models", "local") from error
    return transformers
