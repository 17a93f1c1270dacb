"""Reading the public data sets that the toxicity model is trained and tested on. Share-alike rows are never trained on."""

from __future__ import annotations

import csv
import gzip
import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_NOISE = re.compile(r"https?://\S+|\[URL\]|\[USER\]|@\w+|\bRT\b|&#\d+;|^[!\"\s:]+")


@dataclass(frozen=True, slots=True)
class Row:
    """A text with the probability of each head's label (None: unlabelled), its weight and where it comes from."""

    text: str
    toxicity: float | None
    identity_attack: float | None
    threat: float | None
    weight: float
    origin: str
    group: str = ""


def davidson(folder: Path) -> Iterator[Row]:
    """MIT. Tweets by dialect speakers were often marked offensive for a word alone, so that class weighs less."""
    for row in _csv(folder / "davidson_labeled_data.csv"):
        votes = int(row["count"])
        toxic = 1 - int(row["neither"]) / votes
        hate = int(row["hate_speech"]) / votes
        weight = 1.0 if row["class"] != "1" else 0.35
        yield Row(_clean(row["tweet"]), toxic, hate if row["class"] != "1" else None, None, weight, "davidson")


def edos(folder: Path) -> Iterator[Row]:
    """CC0. Mild sexism attacks a group without being abuse, and other rows may be rude otherwise: both weigh less."""
    for row in _csv(folder / "edos_labelled_aggregated.csv"):
        text, kind = _clean(row["text"]), row["label_category"][:1]
        if row["label_sexist"] == "sexist":
            abusive = kind in "12"
            yield Row(text, 1.0 if abusive else None, 1.0, float(kind == "1"), 0.5 if abusive else 0.25, "edos")
        else:
            yield Row(text, 0.1, 0.05, 0.0, 0.4, "edos")


def real_toxicity(folder: Path) -> Iterator[Row]:
    """Apache-2.0. Graded by Perspective; its grades serve as soft labels, stretched towards the ends."""
    for name in ("rtp1200_toxic.jsonl", "rtp1200_nontoxic.jsonl"):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            for part in ("prompt", "continuation"):
                entry = json.loads(line)[part]
                if entry.get("toxicity") is not None:
                    toxicity, identity, threat = (
                        _stretch(entry[key]) for key in ("toxicity", "identity_attack", "threat")
                    )
                    yield Row(_clean(entry["text"]), toxicity, identity, threat, 1.0, "rtp")


def toxigen(folder: Path) -> Iterator[Row]:
    """MIT. Statements about groups, each listed many times in the prompts; taken once."""
    for path in sorted((folder / "toxigen_prompts").glob("*.txt")):
        kind, _, group = path.stem.removesuffix("_1k").partition("_")
        label = float(kind == "hate")
        lines = re.split(r"\\n|\n", path.read_text(encoding="utf-8"))
        for text in sorted({_clean(line.strip().lstrip("- ")) for line in lines} - {""}):
            yield Row(text, label, label, None, 1.5, "toxigen", group)


def madlibs(folder: Path) -> Iterator[Row]:
    """Apache-2.0. Identity terms in like numbers in good and bad templates; one in eight is taken."""
    with gzip.open(folder / "bias_madlibs_77k.csv.gz", "rt", encoding="utf-8") as file:
        for index, row in enumerate(csv.DictReader(file)):
            if index % 8 == 0:
                bad = float(row["Label"] == "BAD")
                yield Row(row["Text"], bad, None if bad else 0.0, None if bad else 0.0, 0.4, "madlibs")


def profanity(folder: Path) -> Iterator[Row]:
    """MIT. Single terms with their severity; slurs count as attacks on a group."""
    for row in _csv(folder / "profanity_en.csv"):
        severity = float(row["severity_rating"])
        slur = row["category_1"] == "racial / ethnic slurs"
        if severity >= 1.4:
            yield Row(row["text"], 0.9, 0.9 if slur else None, None, 0.5, "profanity")
            yield Row(f"you {row['text']}", 1.0, 1.0 if slur else None, None, 0.5, "profanity")


def surge(folder: Path) -> Iterator[Row]:
    """MIT. Held out whole, as another origin."""
    for row in _csv(folder / "surge_toxicity_en.csv"):
        yield Row(_clean(row["text"]), float(row["is_toxic"] == "Toxic"), None, None, 1.0, "surge")


def wikipedia(folder: Path) -> Iterator[Row]:
    """Comments under CC BY-SA: for testing only."""
    for row in _csv(folder / "wiki_toxicity_nonfuzzed_testset.csv"):
        yield Row(_clean(row["comment"]), float(row["toxic"] == "True"), None, None, 1.0, "wikipedia")


def plain_speech(folder: Path) -> Iterator[Row]:
    """MIT. Harmless sentences in African-American and in standardised English alike; those with odd verbs are for testing."""
    for pair in dialect(folder, tested=False):
        for text in pair:
            yield Row(text, 0.0, 0.0, 0.0, 0.8, "dialect")


def dialect(folder: Path, *, tested: bool) -> Iterator[tuple[str, str]]:
    """MIT. One sentence in African-American and in standardised English; each verb is either learned from or tested on."""
    path = folder.parent / "dialect" / "dialect_pairs_habitual.txt"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        left, tab, right = line.partition("\t")
        if tab and (len(left.split()[-1]) % 2 == 1) is tested:
            yield left, right


TRAINING: tuple[Callable[[Path], Iterator[Row]], ...] = (
    davidson, edos, real_toxicity, toxigen, madlibs, profanity, plain_speech,
)  # fmt: skip
HELD_OUT: tuple[Callable[[Path], Iterator[Row]], ...] = (surge, wikipedia)


def _csv(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _clean(text: str) -> str:
    return " ".join(_NOISE.sub(" ", html.unescape(text)).split())


def _stretch(grade: float) -> float:
    return min(1.0, max(0.0, (grade - 0.2) / 0.55))
