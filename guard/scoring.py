"""Asking a model that is loaded: class logits, and how likely it is to go on with one of several answers.

Answers are read from the probabilities of tokens, so nothing is sampled. Texts are encoded as text: what looks like a control
token in them is spelt out, so only the pieces of a prompt that say so are control tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from guard import models
from guard.quiet import quiet

if TYPE_CHECKING:
    from guard.models import TextModel

BUDGET = {"cuda": 1 << 14, "cpu": 1 << 11}  # tokens in one batch, padding included; more gains nothing, or costs
PADDING = 1.5  # how much longer than the shortest row of a batch the longest may be
_LONE = re.compile("[\ud800-\udfff]")  # no UTF-8, which tokenizers want

Row = list[int]


class Control(str):
    """A piece of a prompt that is a control token of the model, not text."""

    __slots__ = ()


Prompt = Sequence[str]  # of which some may be Control


def readable(text: str) -> str:
    """The text as tokenizers take it; no character moves."""
    return _LONE.sub("\ufffd", text)


def encode(tokenizer: Any, prompt: Prompt) -> Row:
    """A prompt as tokens. Neighbouring texts are one text, as they are to a tokenizer that reads the whole prompt."""
    row: Row = []
    text = ""
    for piece in (*prompt, Control()):
        if not isinstance(piece, Control):
            text += piece
            continue
        if text:
            row += tokenizer(readable(text), add_special_tokens=False, split_special_tokens=True)["input_ids"]
            text = ""
        if piece:
            row += _control(tokenizer, piece)
    return row


def _control(tokenizer: Any, token: str) -> Row:
    known = tokenizer.convert_tokens_to_ids(str(token))
    if known is not None and known != tokenizer.unk_token_id:
        return [known]
    # A tokenizer that does not know it spells it out, as it would within the whole prompt.
    spelt: Row = tokenizer(str(token), add_special_tokens=False)["input_ids"]
    return spelt


def room(model: TextModel) -> int:
    """How many tokens the model reads, as far as its files say."""
    config = model.model.config.get_text_config()
    limits = [getattr(config, "max_position_embeddings", None), model.tokenizer.model_max_length]
    return min([limit for limit in limits if isinstance(limit, int) and 0 < limit < 1 << 30], default=1 << 14)


def label_logits(model: TextModel, rows: Sequence[Row]) -> Any:
    """Float64 array (rows, labels) of a sequence classifier's logits."""
    return _in_batches(model, rows, lambda inputs: model.model(**inputs).logits, left=False)


def choices(model: TextModel, rows: Sequence[Row], options: Sequence[Row]) -> tuple[Any, Any]:
    """How likely the model is to go on with each option, given that it goes on with one of them: array (rows, options).

    Also how likely it is to take one of their ways at all, where they first part: array (rows,). Options are told apart token
    by token, with one pass over the rows wherever they part, so options of one token each take one pass.
    """
    import numpy as np

    found = np.zeros((len(rows), len(options)))
    begun: list[Any] = []

    def walk(path: Row, members: list[int], reached: Any) -> None:
        ended = [member for member in members if len(options[member]) == len(path)]
        longer = [member for member in members if len(options[member]) > len(path)]
        nexts = sorted({options[member][len(path)] for member in longer})
        if not nexts:
            found[:, ended] = reached[:, None]
            return
        if len(nexts) == 1 and not ended:
            walk([*path, nexts[0]], longer, reached)
            return
        mass = next_tokens(model, [[*row, *path] for row in rows], nexts)
        total = mass.sum(axis=1)
        begun.append(total)
        if ended:  # an option that is the beginning of another: what does not go on, ends
            found[:, ended] = (reached * np.clip(1 - total, 0, None))[:, None]
            total = np.ones(len(rows))
        share = mass / np.maximum(total, np.finfo(float).tiny)[:, None]
        for column, token in enumerate(nexts):
            members = [member for member in longer if options[member][len(path)] == token]
            walk([*path, token], members, reached * share[:, column])

    if rows:
        walk([], list(range(len(options))), np.ones(len(rows)))
    return found, begun[0] if begun else np.ones(len(rows))


def next_tokens(model: TextModel, rows: Sequence[Row], tokens: Sequence[int]) -> Any:
    """Float64 array (rows, tokens): the probability that each token comes next."""

    def run(inputs: Any) -> Any:
        logits = model.model(**inputs, use_cache=False, logits_to_keep=1).logits[:, -1].float()
        return logits.softmax(-1)[:, list(tokens)]

    return _in_batches(model, rows, run, left=True)


def _in_batches(model: TextModel, rows: Sequence[Row], run: Any, *, left: bool) -> Any:
    """The rows' answers in their order. Rows of like length share a batch; padding changes nothing but the last digits."""
    import numpy as np
    import torch

    answers: list[Any] = [None] * len(rows)
    with torch.inference_mode(), models.turn(model.model), quiet():
        budget = BUDGET.get(model.device.partition(":")[0], BUDGET["cpu"])
        for batch in _batches([len(row) for row in rows], budget):
            inputs = _padded(model, [rows[index] for index in batch], left=left)
            answer = run(inputs).float().cpu().numpy().astype(float)
            if not np.isfinite(answer).all():
                raise RuntimeError("the model's scores are not numbers")
            for index, values in zip(batch, answer, strict=True):
                answers[index] = values
    return np.stack(answers)


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Rows by number, from short to long."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        longest = lengths[index]
        if batch and ((len(batch) + 1) * longest > budget or longest > PADDING * lengths[batch[0]] + 8):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _padded(model: TextModel, rows: Sequence[Row], *, left: bool) -> dict[str, Any]:
    """Tensors (rows, longest). Causal models are padded on the left, so that the last position is everybody's last."""
    import torch

    longest = max(map(len, rows))
    fill = model.tokenizer.pad_token_id or 0
    ids, mask = [], []
    for row in rows:
        gap = longest - len(row)
        ids.append([fill] * gap + row if left else row + [fill] * gap)
        mask.append([0] * gap + [1] * len(row) if left else [1] * len(row) + [0] * gap)
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
    if left:
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}
