"""A small GPT, trained on the synthetic support corpus with transformers' own code."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.demo import corpus
from guard.models import device_name, quiet

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
    vocabulary: int = 512
    layers: int = 3
    width: int = 128
    heads: int = 4
    steps: int = 500
    batch: int = 16
    rate: float = 8e-3
    matrix_rate: float = 0.015
    warmup: int = 20


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
        optimizers = _optimizers(model, recipe)
        rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
        for step, batch in zip(range(recipe.steps), _batches(examples, recipe.batch), strict=False):
            share = min(1.0, (step + 1) / recipe.warmup) * (1 - max(0.0, (step / recipe.steps - 0.3) / 0.7) * 0.97)
            for optimizer, base in zip(optimizers, rates, strict=True):
                for group, rate in zip(optimizer.param_groups, base, strict=True):
                    group["lr"] = rate * share
            ids, labels = (torch.tensor(rows, device=device) for rows in batch)
            loss = model(input_ids=ids, labels=labels, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            progress(step + 1, recipe.steps, f"loss {loss.item():.2f}")
        model.generation_config.do_sample = True
        model.cpu().eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _tokenizer(chats: list[corpus.Chat], recipe: TextRecipe) -> Any:
    """Byte-level BPE that splits digits one by one, so that numbers are learned and streamed digit by digit."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_of])
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


def _optimizers(model: Any, recipe: TextRecipe) -> list[Any]:
    """Muon (Jordan et al. 2024) for the matrices inside the blocks, AdamW for the rest: half the steps of AdamW alone."""
    import torch

    class Muon(torch.optim.Optimizer):
        """Momentum whose update is orthogonalised by a Newton–Schulz iteration; matrices of one shape go together."""

        def __init__(self, parameters: list[Any], rate: float) -> None:
            by_shape: dict[tuple[int, ...], list[Any]] = {}
            for parameter in parameters:
                by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            super().__init__([{"params": group} for group in by_shape.values()], {"lr": rate})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
            for group in self.param_groups:
                parameters = group["params"]
                gradient = torch.stack([parameter.grad for parameter in parameters])
                momentum = self.state[parameters[0]].setdefault("momentum", torch.zeros_like(gradient))
                momentum.lerp_(gradient, 0.05)
                update = _orthogonal(gradient.lerp(momentum, 0.95))
                scale: float = 0.2 * max(gradient.shape[-2:]) ** 0.5
                for parameter, change in zip(parameters, update, strict=True):
                    parameter.add_(change, alpha=-group["lr"] * scale)

    named = list(model.named_parameters())
    matrices = [parameter for name, parameter in named if parameter.ndim == 2 and ".h." in name]
    rest = [parameter for name, parameter in named if not (parameter.ndim == 2 and ".h." in name)]
    return [
        torch.optim.AdamW(rest, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.0),
        Muon(matrices, recipe.matrix_rate),
    ]


def _orthogonal(gradient: Any) -> Any:
    turned = gradient.shape[-2] > gradient.shape[-1]
    matrix = gradient.mT if turned else gradient
    matrix = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = matrix @ matrix.mT
        matrix = 3.4445 * matrix + (-4.775 * square + 2.0315 * square @ square) @ matrix
    return matrix.mT if turned else matrix
