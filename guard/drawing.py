"""How tokens are drawn: from a private seed, or as a watermark wants them, through transformers' own hook.

transformers samples from torch's global generator, which concurrent callers share, so that a seed would mean nothing under
threads. The processors here run after every other one, draw, and leave one token standing.
"""

from __future__ import annotations

import math
from collections import deque
from functools import cache
from typing import Any

import numpy as np

from guard import models
from guard.provenance.watermark.text import CONTEXT, Hashes, context_hashes, synthid_table, uniform

PRIVATE = 0.1  # share of tokens that the seed draws in marked text: without them one prompt would have one answer
_WIDTH, _BLOCKS = 32, 64  # the race is run among the tokens of the 64 likeliest blocks of 32 numbers
_FAR = -1  # who races for all other tokens


class Stream:
    """What one text has drawn so far. A context is marked at its first place only: so does the detector count."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=CONTEXT)
        self._seen: set[tuple[int, ...]] = set()

    def context(self) -> tuple[int, ...] | None:
        """The last tokens drawn, where they are enough and new. The prompt is none of them: the detector does not have it."""
        context = tuple(self._recent)
        if len(context) < CONTEXT or context in self._seen:
            return None
        self._seen.add(context)
        return context

    def append(self, token: int) -> None:
        """Go on by a token."""
        self._recent.append(token)


class Race:
    """Draws the tokens of many texts at once by the Gumbel-max trick, keyed; each text has its own memory."""

    def __init__(self, key: int, seed: int) -> None:
        self.key, self.random = key, models.random_generator(seed)

    def choose(self, scores: Any, streams: list[Stream]) -> Any:
        """A token (n, 1) for each row of scores (n, vocabulary) and its text: as likely, over all keys, as the model says."""
        import torch

        private, points = torch.rand(2, len(streams), 1, generator=self.random, dtype=torch.float64)
        contexts = [stream.context() for stream in streams]
        marked = [row for row, context in enumerate(contexts) if context and float(private[row]) >= PRIVATE]
        rest = sorted({*range(len(streams))} - {*marked})
        points = points.to(scores.device)
        chosen = points.long()
        if rest:
            chosen[rest] = pick(scores[rest], points[rest])
        if marked:
            hashes = context_hashes(self.key, np.array([contexts[row] for row in marked], np.int64))
            runners = scores[marked] if rest else scores  # such a copy costs a tenth of a millisecond
            chosen[marked] = race(runners, hashes, points[marked])
        for stream, token in zip(streams, chosen[:, 0].tolist(), strict=True):
            stream.append(token)
        return chosen


def require_numbers(peaks: Any) -> None:
    """Raise RuntimeError where the highest scores are no numbers: torch's own sampling, which comes after, would not notice."""
    if not all(map(math.isfinite, peaks.tolist())):
        raise RuntimeError("the model's scores are not numbers")


def pick(scores: Any, points: Any) -> Any:
    """The token (n, 1) at each point (n, 1, from 0 to 1) of the probabilities that scores (n, vocabulary) stand for."""
    import torch

    require_numbers(scores.amax(-1))
    mass = torch.softmax(scores.float(), dim=-1).double().cumsum(dim=-1)
    return torch.searchsorted(mass, points * mass[:, -1:], right=True).clamp(max=scores.shape[-1] - 1)


def race(scores: Any, hashes: Hashes, points: Any) -> Any:
    """The token (n, 1) with the smallest -ln(u)/probability, u being keyed by the hash of the context (n).

    Such a time is exponential with the probability as its rate, so a token wins as often as the model says. To hash a
    vocabulary of 152,000 for each token would cost more than the whole budget, so the tokens of the likeliest blocks race one
    by one, and all others as one runner with the sum of their rates; where that one wins, `points` draws among them. The odds
    stay exactly the model's. The race itself is run by the processor, where the detector computes the same numbers.
    """
    import torch

    missing = -scores.shape[1] % _WIDTH
    padded = torch.nn.functional.pad(scores.float(), (0, missing), value=-torch.inf) if missing else scores.float()
    blocks = padded.unflatten(1, (-1, _WIDTH))
    peaks, order = blocks.amax(-1).topk(min(_BLOCKS + 1, blocks.shape[1]))
    require_numbers(peaks[:, 0])
    near, peak = order[:, :_BLOCKS], peaks[:, :1]
    whole = near[..., None].expand(-1, -1, _WIDTH)
    rates = np.exp((blocks.gather(1, whole).flatten(1) - peak).double().cpu().numpy())
    tokens = (near[..., None].cpu().numpy() * _WIDTH + np.arange(_WIDTH)).reshape(len(scores), -1)
    if order.shape[1] > _BLOCKS and (peaks[:, _BLOCKS] > -torch.inf).any():
        far = (blocks - peak[..., None]).exp_().sum(-1).scatter_(1, near, 0.0).sum(-1, keepdim=True)
        tokens = np.concatenate([np.full_like(tokens[:, :1], _FAR), tokens], 1)
        rates = np.concatenate([far.double().cpu().numpy(), rates], 1)
    with np.errstate(divide="ignore"):  # a token that is ruled out never arrives
        times = -np.log(uniform(hashes[:, None], tokens)) / rates
    winners = torch.from_numpy(np.take_along_axis(tokens, times.argmin(1)[:, None], 1)).to(scores.device)
    lost = (winners[:, 0] == _FAR).nonzero()[:, 0]
    if len(lost):
        others = blocks[lost].scatter(1, whole[lost], -torch.inf).flatten(1)[:, : scores.shape[1]]
        winners[lost] = pick(others, points[lost])
    return winners


def hook(seed: int, *, mark: Any | None = None, gumbel: int | None = None) -> Any:
    """What `generate(watermarking_config=…)` takes: draws from a private seed; with the key `gumbel` it draws marked text.

    `mark` is a watermarking configuration of transformers, which changes the scores before the seed draws from them. Not for
    beam search: it leaves one token standing. `generate_batch` takes a Gumbel hook too, with `per_request_processors=True` and
    `use_cuda_graph=False` in its ContinuousBatchingConfig: what is replayed from a graph remembers no text.
    """
    import torch
    from transformers.generation.configuration_utils import BaseWatermarkingConfig

    drawing, racing = _processors()

    class Hook(BaseWatermarkingConfig):
        def validate(self) -> None:
            if mark:
                mark.validate()

        def construct_processor(self, vocab_size: int, device: Any) -> Any:  # type: ignore[override]
            if gumbel is not None:
                return racing(Race(gumbel, seed))
            processor: Any = mark.construct_processor(vocab_size, device) if mark else None
            if hasattr(processor, "sampling_table"):  # SynthID's, which another device's generator would fill otherwise
                processor.sampling_table = torch.from_numpy(synthid_table()).long().to(device)
            return drawing(processor, seed)

    return Hook()


@cache
def _processors() -> tuple[Any, Any]:
    """The two processors as transformers wants them."""
    import torch
    from transformers import LogitsProcessor

    def only(scores: Any, chosen: Any) -> Any:
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)

    class Draw(LogitsProcessor):
        def __init__(self, mark: Any | None, seed: int) -> None:
            self.mark, self.random = mark, models.random_generator(seed)

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            marked = self.mark(input_ids, scores) if self.mark else scores
            points = torch.rand(len(scores), 1, generator=self.random, dtype=torch.float64).to(scores.device)
            return only(scores, pick(marked, points))

    class Racing(LogitsProcessor):
        supports_continuous_batching = True

        def __init__(self, race: Race) -> None:
            self.race = race
            self.streams: list[Stream] = []

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            if input_ids.dim() == 1:
                raise ValueError(
                    "continuous batching does not say which text a row belongs to: set per_request_processors=True in"
                    " its ContinuousBatchingConfig"
                )
            self.streams = self.streams or [Stream() for _ in range(len(scores))]
            return only(scores, self.race.choose(scores, self.streams))

    try:
        from transformers.generation.continuous_batching import cb_logits_processors as continuous
    except ImportError:  # an older transformers, whose continuous batching knows no texts
        return Draw, Racing

    class ContinuousRacing(continuous.ContinuousBatchingLogitsProcessor):
        supported_kwargs: dict[str, type] = {}  # noqa: RUF012  (as the base class declares it)
        ignored_kwargs = ()

        def __init__(self, processor: Racing) -> None:
            self.race = processor.race
            self.texts: dict[int, tuple[Any, Stream]] = {}
            self.count = 0

        def fill_defaults(self, int32_tensor: Any) -> None:
            int32_tensor.fill_(-1)

        def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> Any:
            """The number of each request's text; those of finished requests are forgotten."""
            known = {id(state): number for number, (state, _) in self.texts.items()}
            for request in requests_with_new_token:
                if id(request.state) not in known:
                    known[id(request.state)] = self.count
                    self.texts[self.count] = (request.state, Stream())
                    self.count += 1
            numbers = [known[id(request.state)] for request in requests_with_new_token]
            ended = ("FINISHED", "FAILED")
            self.texts = {
                number: text
                for number, text in self.texts.items()
                if number in numbers or text[0].status.name not in ended
            }
            return torch.tensor(numbers, dtype=torch.int32)

        def __call__(self, scores: Any, tensor_arg: Any) -> Any:
            # A text that has ended while its last batch was under way is drawn without a memory, and not handed out.
            numbers = tensor_arg[: len(scores)].tolist()
            streams = [self.texts[number][1] if number in self.texts else Stream() for number in numbers]
            return only(scores, self.race.choose(scores, streams))

    continuous.CLASSIC_TO_CB_PROCESSORS_MAP[Racing] = ContinuousRacing
    return Draw, Racing
