"""The part `textmarks`: how often a text mark is found, how often where there is none, after edits, and what it costs.

Simulated models draw each token from a power law over 64 candidates whose exponent changes from step to step, between almost
certain and open; the mean entropy says how much choice is left. The real model is the demonstration's. Everything goes through
the drawing hook and the detector that ship, which pays for three schemes. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from guard import drawing, intervals
from guard.generators.text import watermarking_config
from guard.provenance.watermark import Scheme, TextMark
from guard.provenance.watermark.text import _READERS, ALGORITHMS, Tokens, detect

KEY = b"k" * 32
RING = {"k": KEY}
VOCABULARY, CANDIDATES = 1024, 64
OPEN = {"code, low temperature": (2.0, 5.0), "chat": (1.1, 2.5), "free prose": (0.55, 1.7)}  # exponents of open steps
CACHE = Path(".bench")
LENGTHS = (50, 100, 200, 400)


def wilson(hits: int, trials: int) -> str:
    """A share with its 95 % interval."""
    low, high = intervals.wilson(hits, trials)
    return f"{hits / trials:.3f} [{low:.3f}, {high:.3f}]"


def simulated(
    exponents: tuple[float, float], mark: TextMark | None, rows: int, length: int, seed: int = 1
) -> tuple[Tokens, float]:
    """Texts (rows, length) of a simulated model, drawn through the hook, and the mean entropy of its steps in nats."""
    import torch

    rng = np.random.default_rng(seed)
    processor = watermarking_config(mark, seed).construct_processor(VOCABULARY, "cpu")
    ids = torch.zeros(rows, 1, dtype=torch.long)
    entropy = []
    for _ in range(length):
        sure = rng.random((rows, 1)) < 0.45
        power = np.where(sure, rng.uniform(4.5, 8, (rows, 1)), rng.uniform(*exponents, (rows, 1)))
        logs = -power * np.log(np.arange(1, CANDIDATES + 1))
        shares = np.exp(logs) / np.exp(logs).sum(1, keepdims=True)
        entropy.append(-(shares * np.log(shares)).sum(1).mean())
        tokens = np.argsort(rng.random((rows, VOCABULARY)), axis=1)[:, :CANDIDATES]
        scores = torch.full((rows, VOCABULARY), -torch.inf)
        scores.scatter_(1, torch.from_numpy(tokens), torch.from_numpy(logs).float())
        ids = torch.cat([ids, processor(ids, scores).argmax(-1, keepdim=True)], 1)
    return ids[:, 1:].numpy(), float(np.mean(entropy))


def found(texts: Iterable[Any], limit: float, vocabulary: int = VOCABULARY) -> int:
    """How many of the texts show a mark with a p-value below the limit."""
    return sum(detect(ids, vocabulary, RING).p_value < limit for ids in texts)


def swapped(ids: Tokens, share: float, rng: np.random.Generator) -> Tokens:
    """A share of the words changes places with the next one."""
    ids = ids.copy()
    for place in rng.permutation(len(ids) - 1)[: int(share * len(ids) / 2)]:
        ids[place], ids[place + 1] = ids[place + 1], ids[place]
    return ids


def replaced(ids: Tokens, share: float, rng: np.random.Generator) -> Tokens:
    """A share of the words gives way to others."""
    ids = ids.copy()
    places = rng.permutation(len(ids))[: int(share * len(ids))]
    ids[places] = rng.integers(0, VOCABULARY, len(places))
    return ids


def unmarked(kind: str, count: int, rng: np.random.Generator) -> list[Tokens]:
    """Texts that nobody marked: plain, forms that differ in a fifth of their words, or a line over and over."""
    if kind == "plain":
        return list(rng.zipf(1.3, (count, 200)) % VOCABULARY)
    if kind == "repetitive":
        return [np.tile(rng.integers(0, VOCABULARY, 12), 17) for _ in range(count)]
    form = rng.integers(0, VOCABULARY, 200)
    texts = np.tile(form, (count, 1))
    slots = rng.permutation(200)[:40]
    texts[:, slots] = rng.integers(0, VOCABULARY, (count, 40))
    return list(texts)


def false_alarms(texts: Sequence[Tokens], limit: float, keys: Sequence[bytes]) -> int:
    """How many texts show the Gumbel mark of a key that did not mark them, one key after another."""
    read = _READERS["gumbel"]
    return sum(read(ids, VOCABULARY, keys[number % len(keys)])[0] < limit for number, ids in enumerate(texts))


# --- the tables --------------------------------------------------------------------------------------------------------


def detection(rows: int) -> Table:
    """Detection by scheme, entropy and length."""
    table = Table(
        "scheme", "entropy", "p <", *(f"{length} tokens" for length in LENGTHS), title=f"found, of {rows} texts"
    )
    for name, exponents in OPEN.items():
        for scheme in ALGORITHMS:
            texts, entropy = simulated(exponents, TextMark(scheme, KEY), rows, LENGTHS[-1])
            for limit in (1e-2, 1e-6):
                shares = [wilson(found(texts[:, :length], limit), rows) for length in LENGTHS]
                table.add_row(scheme, f"{entropy:.2f} ({name})", f"{limit:g}", *shares)
    return table


def edits(rows: int) -> Table:
    """Detection after edits, at about one nat."""
    table = Table(
        "edit", "share", "p <", "200 tokens", "400 tokens", title=f"found after edits, gumbel, chat, of {rows} texts"
    )
    texts, _ = simulated(OPEN["chat"], TextMark("gumbel", KEY), rows, 400)
    edit: Callable[..., Tokens]
    for edit in (swapped, replaced):
        for share in (0.1, 0.2, 0.3):
            rng = np.random.default_rng(2)
            edited = np.stack([edit(ids, share, rng) for ids in texts])
            for limit in (1e-2, 1e-6):
                shares = [wilson(found(edited[:, :length], limit), rows) for length in (200, 400)]
                table.add_row(edit.__name__, f"{share:.0%}", f"{limit:g}", *shares)
    return table


def alarms(count: int) -> Table:
    """False alarms by kind of text; forms also under one key for all, where the worst of twenty keys is shown."""
    table = Table(
        "text", "keys", "p < 0.01, times nominal", "p < 0.001, times nominal", title=f"unmarked, {count} texts each"
    )
    rng = np.random.default_rng(5)
    for kind in ("plain", "templated", "repetitive"):
        texts = unmarked(kind, count, rng)
        keys = [rng.bytes(32) for _ in range(count)]
        ratios = [f"{false_alarms(texts, limit, keys) / count / limit:.2f}" for limit in (1e-2, 1e-3)]
        table.add_row(kind, "one for each text", *ratios)
    texts = unmarked("templated", count // 20, rng)
    worst = [max(false_alarms(texts, limit, [rng.bytes(32)]) for _ in range(20)) for limit in (1e-2, 1e-3)]
    shown = [f"{hits / len(texts) / limit:.1f}" for hits, limit in zip(worst, (1e-2, 1e-3), strict=True)]
    table.add_row("templated, one form", "the worst of twenty", *shown)
    return table


def likely_scores(rows: int, vocabulary: int) -> Any:
    """Scores like those of a language model at temperature 1: 2.3 nats, a few per cent outside the 4,096 likeliest."""
    import torch

    peaks = (16 - 2.2 * torch.log(torch.arange(1, 201.0)))[None].repeat(rows, 1)
    return (torch.randn(rows, vocabulary) * 2).scatter(1, torch.rand(rows, vocabulary).argsort(-1)[:, :200], peaks)


def cost(processor: Any, scores: Sequence[Any], steps: int) -> tuple[float, float]:
    """Milliseconds of one thread's CPU for a step: the median, and the least, which other loads disturb least."""
    import torch

    ids = torch.zeros(len(scores[0]), 5, dtype=torch.long)
    times = []
    for step in range(steps + 8):
        began = time.thread_time()
        processor(ids, scores[step % len(scores)])
        times.append((time.thread_time() - began) * 1e3)
    return statistics.median(times[8:]), min(times[8:])


def costs(steps: int) -> Table:
    """What a step costs, by scheme, vocabulary and batch; `plain` is what drawing costs without a mark."""
    table = Table("vocabulary", "batch", "scheme", "ms a step, median", "least", title="one thread of the CPU")
    schemes: tuple[Scheme | None, ...] = (None, *ALGORITHMS)
    for vocabulary in (50_257, 151_936):
        for rows in (1, 8):
            scores = [likely_scores(rows, vocabulary) for _ in range(4)]
            for scheme in schemes:
                config = watermarking_config(TextMark(scheme, KEY) if scheme else None, 1)
                fewer = steps if scheme in (None, "gumbel") else max(3, steps // 20)
                figures = cost(config.construct_processor(vocabulary, "cpu"), scores, fewer)
                table.add_row(f"{vocabulary:,}", str(rows), scheme or "plain", *(f"{figure:.2f}" for figure in figures))
    return table


def real(rows: int, cache: Path) -> Table:
    """The demonstration's model at three temperatures, its texts read back from characters, whole and with words replaced."""
    from guard.demo.train import ensure_text_model
    from guard.models import load_text

    model = load_text(ensure_text_model(cache, progress=lambda done, total, note: None), device="cpu")
    lengths = (50, 100, 200)
    table = Table(
        "temperature", "entropy", "edit", "p <", *(f"{length} tokens" for length in lengths), title="the demo's model"
    )
    for temperature in (0.9, 1.3, 1.6):
        marked, entropy = _sampled(model, temperature, rows, TextMark("gumbel", KEY))
        plain, _ = _sampled(model, temperature, rows, None)
        words = [word for text in plain for word in text.split(" ")]
        rng = np.random.default_rng(4)

        def other(text: str, words: list[str] = words, rng: np.random.Generator = rng) -> str:
            return " ".join(words[rng.integers(len(words))] if rng.random() < 0.1 else word for word in text.split(" "))

        for edit, texts in (("none", marked), ("10 % of words", [other(text) for text in marked]), ("unmarked", plain)):
            ids = [model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
            for limit in (1e-2, 1e-6):
                hits = [found([one[:length] for one in ids], limit) for length in lengths]
                table.add_row(
                    str(temperature), f"{entropy:.2f}", edit, f"{limit:g}", *(wilson(hit, rows) for hit in hits)
                )
    return table


def _sampled(model: Any, temperature: float, rows: int, mark: TextMark | None) -> tuple[list[str], float]:
    import torch

    asked = [{"role": "user", "content": "Where is my order?"}]
    options: dict[str, Any] = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
    prompt = model.tokenizer.apply_chat_template(asked, **options)["input_ids"]
    ends = [model.tokenizer.eos_token_id, *model.tokenizer.all_special_ids]
    with torch.no_grad():
        made = model.model.generate(
            prompt.repeat(rows, 1), attention_mask=torch.ones_like(prompt).repeat(rows, 1), do_sample=True, top_k=0,
            temperature=temperature, max_new_tokens=220, suppress_tokens=ends, pad_token_id=0,
            watermarking_config=watermarking_config(mark, 1),
        )  # fmt: skip
        logits = model.model(made).logits[:, prompt.shape[1] - 1 : -1] / temperature
    logits[..., ends] = -torch.inf
    shares = torch.softmax(logits, -1)
    entropy = -(shares * torch.log(shares.clamp_min(1e-30))).sum(-1).mean()
    return model.tokenizer.batch_decode(made[:, prompt.shape[1] :]), float(entropy)


def main() -> None:
    """Print every table."""
    import torch

    torch.set_num_threads(1)
    console = Console(width=170)
    tables: list[Callable[[], Table]] = [
        lambda: costs(200),
        lambda: detection(100),
        lambda: alarms(20_000),
        lambda: edits(100),
        lambda: real(100, CACHE),
    ]
    for table in tables:
        console.print(table())
    console.print(f"One token in {1 / drawing.PRIVATE:.0f} of marked text is drawn from the seed.")
