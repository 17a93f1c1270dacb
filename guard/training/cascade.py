"""Make the file of tier 1:  python -m guard.training.cascade --data DIR --work DIR --out FILE

Takes what `guard.training.encoder` left in the work folder: exports it as ONNX, rounds weights and word vectors to bytes,
calibrates it by itself and together with tier 0, and finds where tier 0 is not decisive. Rows that were not learned from serve
for that, and others for the report, which goes to standard output as JSON. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from guard.checkers.calibration import bounded
from guard.checkers.cascade import Cascade
from guard.checkers.encoder import MAGIC, WINDOW, Encoder, Head
from guard.checkers.linear import Model, probability
from guard.checkers.toxicity import MODEL
from guard.digest import sha256
from guard.training import encoder, metrics, toxicity
from guard.training.corpus import Row

OPSET = 17
# Tier 0 is not sure of a category from the score that this share of its harmless sentences have: more where it misses more.
HARMLESS = {"harassment": 0.06, "hate": 0.06}
HARMLESS_ELSE = 0.01
SURE = 0.99  # score from which tier 0 is sure


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with davidson_labeled_data.csv and the others")
    parser.add_argument("--work", type=Path, required=True, help="folder in which the training left its weights")
    parser.add_argument(
        "--base", type=Path, help="folder of the BERT that it started from, other than all-MiniLM-L6-v2"
    )
    parser.add_argument("--out", type=Path, required=True, help="model file to write")
    options = parser.parse_args(arguments)
    folder = options.base or encoder.base()
    learn, tune, test = toxicity.split(encoder.rows(options.data))
    first = Model.load(MODEL)
    network = exported(encoder.trained(folder, first.names, options.work))
    words = encoder.vocabulary(folder)
    heads = fitted(first, network, words, tune)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(packed(network, words, heads, first.digest, learn))
    report = tested(Cascade.load(first, options.out), test)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0


# --- the file ------------------------------------------------------------------------------------------------------


def exported(model: Any) -> bytes:
    """The network as ONNX for one line at a time, its weights in bytes.

    Seven bits of them, since without VNNI the sums of eight could overflow, and scores would depend on the processor.
    """
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]

    model = _one_line(copy.deepcopy(model)).eval()
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, and the old exporter's; the new one draws in more packages
        whole, small = Path(place) / "whole.onnx", Path(place) / "small.onnx"
        torch.onnx.export(
            model, (torch.zeros(1, 8, dtype=torch.int64),), whole, dynamo=False, opset_version=OPSET,
            input_names=["ids"], output_names=["logits"], dynamic_axes={"ids": {1: "tokens"}},
        )  # fmt: skip
        quantize_dynamic(
            whole, small, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8, per_channel=True,
            reduce_range=True,
        )  # fmt: skip
        return small.read_bytes()


def _one_line(model: Any) -> Any:
    """The network from ids alone, word vectors as bytes with a scale each, and no more places than a window has."""
    import torch

    class Words(torch.nn.Module):
        scale: Any
        table: Any

        def __init__(self, table: Any) -> None:
            super().__init__()
            scale = table.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
            self.register_buffer("scale", scale)
            self.register_buffer("table", torch.round(table / scale).to(torch.int8))

        def forward(self, ids: Any) -> Any:
            return self.table[ids].float() * self.scale[ids]

    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            parts = model.bert.embeddings
            parts.word_embeddings = Words(parts.word_embeddings.weight.detach())
            parts.position_embeddings.weight.data = parts.position_embeddings.weight.data[:WINDOW].clone()

        def forward(self, ids: Any) -> Any:
            return self.model(ids, torch.ones_like(ids))

    return Line()


def packed(network: bytes, words: Sequence[str], heads: Sequence[Head], first: str, learn: Sequence[Row]) -> bytes:
    """The file: a magic line, a line of JSON, the vocabulary and the network."""
    vocabulary = "\n".join(words).encode()
    facts = {
        "heads": [asdict(head) for head in heads],
        "first": first,
        "vocabulary": len(vocabulary),
        "body": sha256(vocabulary + network).hex(),
        "trained_on": dict(sorted(Counter(row.origin for row in learn).items())),
        "seed": encoder.SEED,
    }
    return MAGIC + json.dumps(facts, sort_keys=True).encode() + b"\n" + vocabulary + network


# --- calibration ---------------------------------------------------------------------------------------------------


def fitted(first: Model, network: bytes, words: Sequence[str], tune: Sequence[Row]) -> list[Head]:
    """Platt scaling of tier 1 and of both, the band in which tier 0 is not decisive, and thresholds of the cascade."""
    reads = first.read([toxicity.line(row.text) for row in tune])
    ones = first.logits_of(reads)
    twos = _second(first, network, words, [Head(name) for name in first.names]).logits(reads)
    heads = []
    for index, name in enumerate(first.names):
        used, labels, chances = _known(tune, name)
        one, two = bounded(ones[used, index]), twos[used, index]
        slope, offset = _platt(two, labels, chances)
        twos[:, index] = twos[:, index] * slope + offset
        joint_slope, joint_offset = _platt((one + twos[used, index]) / 2, labels, chances)
        rate = HARMLESS.get(name, HARMLESS_ELSE)
        low = metrics.threshold_at(rate, one[labels < 0.5], chances[labels < 0.5])
        high = round(math.log(SURE / (1 - SURE)), 8)
        heads.append(Head(name, slope, offset, round(low, 8), high, joint_slope, joint_offset))
    scores = probability(Cascade(first, _second(first, network, words, heads)).combined(reads, ones, twos))
    return [
        replace(head, thresholds=_thresholds(scores[:, index], tune, head.name)) for index, head in enumerate(heads)
    ]


def _second(first: Model, network: bytes, words: Sequence[str], heads: Sequence[Head]) -> Encoder:
    return Encoder(network, words, heads, first=first.digest, digest="")


def _known(rows: Sequence[Row], name: str) -> tuple[list[int], Any, Any]:
    """The rows that know a label, their labels, and their weights: our own sentences count as much as in training."""
    import numpy as np

    used = [place for place, row in enumerate(rows) if name in row.labels]
    labels = np.array([rows[place].labels[name] for place in used])
    return used, labels, toxicity.balanced(labels, encoder.weights([rows[place] for place in used], 1.0) * len(used))


def _platt(logits: Any, labels: Any, weights: Any) -> tuple[float, float]:
    import numpy as np

    slope, offset = metrics.logistic(np.stack([logits, np.ones(len(logits))], axis=1), labels, weights, 1e-6)
    return round(float(slope), 8), round(float(offset), 8)


def _thresholds(scores: Any, tune: Sequence[Row], name: str) -> dict[str, float]:
    used, labels, chances = _known(tune, name)
    calm = labels < 0.5
    return {
        f"{rate:g}": round(metrics.threshold_at(rate, scores[used][calm], chances[calm]), 4) for rate in toxicity.RATES
    }


# --- the report ----------------------------------------------------------------------------------------------------


def tested(model: Cascade, test: Sequence[Row]) -> dict[str, Any]:
    """Figures on the part of the rows that served for nothing else: of each tier, of both, and of both without the band."""
    reads = model.first.read([toxicity.line(row.text) for row in test])
    ones, twos = model.first.logits_of(reads), model.second.logits(reads)
    tables = {
        "tier0": ones, "tier1": twos, "cascade": model.combined(reads, ones, twos), "always both": model.joined(ones, twos),
    }  # fmt: skip
    report: dict[str, Any] = {"digest": model.second.digest, "asked": round(float(model.unsure(reads, ones).mean()), 4)}
    for index, head in enumerate(model.second.heads):
        used, labels, chances = _known(test, head.name)
        figures: dict[str, Any] = {"rows": len(used), "positive": int((labels >= 0.5).sum()), "head": asdict(head)}
        for name, logits in tables.items():
            scores = probability(logits[used, index])
            error, bins = metrics.reliability(labels, scores, chances)
            figures[name] = {
                "auroc": round(metrics.auroc(labels >= 0.5, scores), 4),
                "auprc": round(metrics.auprc(labels >= 0.5, scores), 4),
                "calibration_error": round(error, 4),
                "reliability": bins,
            }
        report[head.name] = figures
    return report


if __name__ == "__main__":
    sys.exit(main())
