"""A small GPT, trained on the synthetic support corpus with transformers' own code."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.demo import corpus
from guard.demo.muon import Schedule, optimizers
from guard.models import device_name
from guard.quiet import quiet

START, END = "<|start|>", "<|end|>"
IGNORED = -100  # the label that a loss leaves out
TEMPLATE = (
    "{{ '" + START + "' }}{% for message in messages %}{{ 'Customer: ' if message['role'] == 'user' else 'Agent: ' }}"
    "{{ message['content'] }}{{ '\n' if message['role'] == 'user' else '" + END + "\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Agent:' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """What the training does; the cache key covers it."""

    chats: int = 4000
    vocabulary: int = 1024
    layers: int = 3
    width: int = 128
    heads: int = 4
    steps: int = 340
    batch: int = 16
    rate: float = 8e-3
    matrix_rate: float = 0.015


Example = tuple[list[int], list[int]]


def train(recipe: TextRecipe, folder: Path, progress: Callable[[int, int, str], None]) -> None:
    """Train and save a model with its tokenizer, as safetensors, in `folder`."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    chats = corpus.chats(recipe.chats)
    tokenizer = _tokenizer(chats, recipe)
    examples = [_example(chat, tokenizer) for chat in chats]
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=recipe.vocabulary, n_positions=256, n_embd=recipe.width, n_layer=recipe.layers, n_head=recipe.heads,
            bos_token_id=0, eos_token_id=1, pad_token_id=1, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            activation_function="gelu_pytorch_tanh", initializer_range=0.06,
        )  # fmt: skip
        device = device_name()
        model: Any = GPT2LMHeadModel(config)
        model.to(device).train()
        schedule = Schedule(
            optimizers(
                model.named_parameters(), lambda name, parameter: parameter.ndim == 2 and ".h." in name,
                rate=recipe.rate, matrix_rate=recipe.matrix_rate,
            ),
            steps=recipe.steps,
        )  # fmt: skip
        for step, batch in zip(range(recipe.steps), _batches(examples, recipe.batch), strict=False):
            ids, labels = (torch.tensor(rows, device=device) for rows in batch)
            loss = model(input_ids=ids, labels=labels, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            schedule.step(step)
            progress(step + 1, recipe.steps, f"loss {loss.item():.2f}")
        model.generation_config.do_sample = True
        model.cpu().eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _tokenizer(chats: list[corpus.Chat], recipe: TextRecipe) -> Any:
    """Byte-level BPE that takes digits in threes, as large models do: a repeated digit is then no loop to get lost in."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False)
    threes = pre_tokenizers.Split(Regex(r"\d{1,3}"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([threes, bytes_of])
    trainer: Any = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=[START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = ["".join(f"Customer: {asked}\nAgent: {said}\n" for asked, said in chat) for chat in chats]
    tokenizer.train_from_iterator(texts, trainer)
    fast: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.chat_template = TEMPLATE
    return fast


def _example(chat: corpus.Chat, tokenizer: Any) -> Example:
    """Token ids, and labels that teach the agent's words only."""

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids

    ids, labels = [0], [IGNORED]
    for asked, said in chat:
        question, answer, gap = encode(f"Customer: {asked}\nAgent:"), encode(f" {said}{END}"), encode("\n")
        ids += question + answer + gap
        labels += [IGNORED] * len(question) + answer + [IGNORED] * len(gap)
    return ids, labels


def _batches(examples: list[Example], size: int) -> Iterator[tuple[list[list[int]], list[list[int]]]]:
    """Batches of similar length, in random order, for ever."""
    rng = random.Random(0)
    size = min(size, len(examples))
    while True:
        order = list(range(len(examples)))
        rng.shuffle(order)
        pools = [order[start : start + 16 * size] for start in range(0, len(order), 16 * size)]
        batches = []
        for pool in pools:
            pool.sort(key=lambda index: len(examples[index][0]))
            batches += [pool[start : start + size] for start in range(0, len(pool) - size + 1, size)]
        rng.shuffle(batches)
        for batch in batches:
            rows = [examples[index] for index in batch]
            longest = max(len(ids) for ids, _ in rows)
            yield (
                [ids + [1] * (longest - len(ids)) for ids, _ in rows],
                [labels + [IGNORED] * (longest - len(labels)) for _, labels in rows],
            )
