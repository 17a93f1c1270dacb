"""Reading the public data sets that the harm model is trained and tested on. Share-alike rows are never trained on.

Sources in `TRAINING` are learned from. Those in `HELD_OUT` are tested on whole, so that figures are of another origin.
"""

from __future__ import annotations

import csv
import gzip
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from guard.checkers.hazards import SCORED

_NOISE = re.compile(r"https?://\S+|\[URL\]|\[USER\]|@\w+|\bRT\b|&#\d+;|^[!\"\s:]+")
REQUESTS = tuple(name for name in SCORED if name not in {"harassment", "threat", "profanity", "hate", "sexual_content"})
Labels = Mapping[str, float]
BENIGN: Labels = MappingProxyType(dict.fromkeys(SCORED, 0.0))
ANY = "any"  # the label of sets that say only whether something is harmful


@dataclass(frozen=True, slots=True)
class Row:
    """A text with the probability of each label that is known, its weight and where it comes from."""

    text: str
    labels: Labels
    weight: float
    origin: str
    group: str = ""


def zero(*names: str) -> Labels:
    """These labels, all 0."""
    return dict.fromkeys(names, 0.0)


# --- learned from --------------------------------------------------------------------------------------------------


def davidson(folder: Path) -> Iterator[Row]:
    """MIT. Tweets by dialect speakers were often marked offensive for a word alone, so that class weighs less."""
    swears = swearing(folder)
    for row in _csv(folder / "davidson_labeled_data.csv"):
        votes = int(row["count"])
        toxic, hate = 1 - int(row["neither"]) / votes, int(row["hate_speech"]) / votes
        text = _clean(row["tweet"])
        known = {**zero(*REQUESTS), "harassment": toxic, "profanity": float(bool(swears.search(text.lower())))}
        if row["class"] == "1":
            yield Row(text, known, 0.35, "davidson")
        else:
            rest = BENIGN if row["class"] == "2" else {}
            yield Row(text, {**rest, **known, "hate": hate}, 1.0, "davidson")


def edos(folder: Path) -> Iterator[Row]:
    """CC0. Mild sexism attacks a group without being abuse, and other rows may be rude otherwise: both weigh less."""
    swears = swearing(folder)
    for row in _csv(folder / "edos_labelled_aggregated.csv"):
        text, kind = _clean(row["text"]), row["label_category"][:1]
        if row["label_sexist"] != "sexist":
            labels = {
                **zero(*REQUESTS),
                "hate": 0.05,
                "threat": 0.0,
                "profanity": float(bool(swears.search(text.lower()))),
            }
            if not labels["profanity"]:
                labels |= {"harassment": 0.1, "sexual_content": 0.02}
            yield Row(text, labels, 0.4, "edos")
        elif kind == "1":
            yield Row(text, {"hate": 1.0, "threat": 0.8}, 0.5, "edos")
        else:
            abusive = {"harassment": 1.0} if row["label_vector"][:3] in ("2.2", "2.3") else {}
            yield Row(text, {**abusive, "hate": 1.0, "threat": 0.0}, 0.5 if kind == "2" else 0.25, "edos")


def real_toxicity(folder: Path) -> Iterator[Row]:
    """Apache-2.0. Graded by Perspective; its grades serve as soft labels, stretched towards the ends."""
    for name in ("rtp1200_toxic.jsonl", "rtp1200_nontoxic.jsonl"):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            for part in ("prompt", "continuation"):
                entry = json.loads(line)[part]
                if entry.get("toxicity") is not None:
                    calm = zero(*REQUESTS) if entry["threat"] < 0.3 and entry["toxicity"] < 0.5 else {}
                    yield Row(_clean(entry["text"]), {**calm, **perspective(entry)}, 1.0, "rtp")


PERSPECTIVE = {
    "harassment": "toxicity", "hate": "identity_attack", "threat": "threat", "profanity": "profanity",
    "sexual_content": "sexually_explicit",
}  # fmt: skip


def perspective(grades: Mapping[str, float]) -> Labels:
    """Our labels from Perspective's grades."""
    return {ours: _stretch(grades[theirs]) for ours, theirs in PERSPECTIVE.items() if grades.get(theirs) is not None}


def swearing(folder: Path) -> re.Pattern[str]:
    """Strong and severe profanity as whole words. Profanity is a matter of words, so they label what has no such label."""
    terms = {row["text"].lower() for row in _csv(folder / "profanity_en.csv") if float(row["severity_rating"]) >= 1.8}
    plain = sorted((term for term in terms if len(term) > 3 and term.replace(" ", "").isalpha()), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, plain))})\b")


def profanity(folder: Path) -> Iterator[Row]:
    """MIT. Single terms with their severity; slurs count as attacks on a group; names of groups
    that people use for themselves are left out."""
    for row in _csv(folder / "profanity_en.csv"):
        slur = row["category_1"] == "racial / ethnic slurs"
        if float(row["severity_rating"]) >= 1.4 and not _IDENTITY.fullmatch(row["text"].lower()):
            labels = {"hate": 0.9} if slur else {"profanity": 0.9, **zero("hate", "threat")}
            yield Row(row["text"], {**labels, **zero(*REQUESTS)}, 0.5, "profanity")
            yield Row(f"you {row['text']}", {**labels, "harassment": 1.0, **zero(*REQUESTS)}, 0.5, "profanity")


AILUMINATE = {
    "cse": "child_sexual_exploitation", "hte": "hate", "iwp": "indiscriminate_weapons", "ncr": "nonviolent_crimes",
    "prv": "privacy", "src": "sex_crimes", "ssh": "suicide_self_harm", "sxc_prn": "sexual_content", "vcr": "violent_crimes",
}  # fmt: skip
# A request under one hazard says nothing about its neighbours.
NEAR = {
    "child_sexual_exploitation": {"sex_crimes", "sexual_content"},
    "sex_crimes": {"child_sexual_exploitation", "sexual_content", "violent_crimes"},
    "sexual_content": {"sex_crimes", "profanity"},
    "violent_crimes": {"indiscriminate_weapons", "threat", "hate", "nonviolent_crimes", "suicide_self_harm"},
    "indiscriminate_weapons": {"violent_crimes", "nonviolent_crimes"},
    "suicide_self_harm": {"violent_crimes"},
    "hate": {"harassment", "violent_crimes", "threat"},
    "nonviolent_crimes": {"privacy", "violent_crimes"},
    "privacy": {"nonviolent_crimes"},
    "harassment": {"hate", "threat"},
}


def request(name: str, share: float = 1.0) -> Labels:
    """The labels of a request under one hazard: it, with its neighbours unknown and all others 0."""
    return {other: 0.0 for other in SCORED if other not in NEAR.get(name, ())} | {name: share}


def ailuminate(folder: Path) -> Iterator[Row]:
    """CC BY 4.0. A hundred prompts a hazard; some ask about a hazard rather than for it, so the label is soft."""
    for row in _csv(folder / "ailuminate_demo_en.csv"):
        hazard = row["hazard"]
        if hazard in AILUMINATE:
            yield Row(_clean(row["prompt_text"]), request(AILUMINATE[hazard], 0.9), 2.0, "ailuminate")
        elif hazard.startswith("spc"):
            yield Row(_clean(row["prompt_text"]), {**BENIGN, "nonviolent_crimes": 0.1}, 1.0, "ailuminate")


CATQA = {
    "Drug": "nonviolent_crimes", "Human Trafficking": "sex_crimes", "Cybercrime": "nonviolent_crimes",
    "Theft and Robbery": "nonviolent_crimes", "Content Sexual exploitation": "child_sexual_exploitation",
    "Online predation": "child_sexual_exploitation", "Racial or ethnic hate": "hate", "Religious intolerance": "hate",
    "Gender-based violence": "violent_crimes", "Terrorism and extremism": "violent_crimes", "Self-harm": "suicide_self_harm",
    "Assault and battery": "violent_crimes", "Weapon making": "indiscriminate_weapons", "Physical abuse": "violent_crimes",
    "Trojans": "nonviolent_crimes", "Spyware": "nonviolent_crimes", "Ransomware": "nonviolent_crimes",
    "Malicious software designed to spread and damage computers": "nonviolent_crimes", "Adware": "nonviolent_crimes",
    "Pornography": "sexual_content", "Erotic text": "sexual_content", "Sexually explicit dialogue": "sexual_content",
    "Data theft": "privacy", "Surveillance": "privacy", "Doxxing": "privacy", "Tracking and location monitoring": "privacy",
    "Investment scams": "nonviolent_crimes", "Employment scams": "nonviolent_crimes", "Financial fraud": "nonviolent_crimes",
    "Identity theft": "nonviolent_crimes", "Phishing": "nonviolent_crimes", "Scamming": "nonviolent_crimes",
    "Counterfeiting": "nonviolent_crimes", "Market manipulation": "nonviolent_crimes",
}  # fmt: skip
CATQA_FINE = {"Retirement planning", "Tax planning", "Real estate investment", "Debt management", "Lobbying"}


def catqa(folder: Path) -> Iterator[Row]:
    """Apache-2.0. Harmful questions by category; those on money and lobbying serve as harmless ones."""
    for categories in json.loads((folder / "catqa_english.json").read_text(encoding="utf-8")).values():
        for category, questions in categories.items():
            name = category.rstrip(":")
            labels = request(CATQA[name]) if name in CATQA else BENIGN if name in CATQA_FINE else None
            if labels:
                yield from (Row(question, labels, 2.0, "catqa") for question in questions)


def plain_speech(folder: Path) -> Iterator[Row]:
    """MIT. Harmless sentences in African-American and in standardised English alike; those with odd verbs are for testing."""
    for pair in dialect(folder, tested=False):
        for text in pair:
            yield Row(text, BENIGN, 0.8, "dialect")


def dialect(folder: Path, *, tested: bool) -> Iterator[tuple[str, str]]:
    """MIT. One sentence in African-American and in standardised English; each verb is either learned from or tested on."""
    path = folder.parent / "dialect" / "dialect_pairs_habitual.txt"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        left, tab, right = line.partition("\t")
        if tab and (len(left.split()[-1]) % 2 == 1) is tested:
            yield left, right


def encyclopedia(folder: Path) -> Iterator[Row]:
    """CC BY 4.0. Sentences of Wikipedia (wikigold) as ordinary prose, crime and war included."""
    for text in _sentences(folder.parent / "names" / "wikigold.conll"):
        yield Row(text, BENIGN, 1.0, "wikigold")


def posts(folder: Path) -> Iterator[Row]:
    """CC BY 4.0. Tweets of the Broad Twitter Corpus, of all kinds: next to none of them asks for a crime."""
    swears = swearing(folder)
    for text in _sentences(folder.parent / "names" / "btc.conll"):
        if not swears.search(text.lower()):
            yield Row(_clean(text), {**BENIGN, "harassment": 0.05, "hate": 0.03}, 0.5, "btc")


def _sentences(path: Path) -> Iterator[str]:
    """Of a file in CoNLL's format: a word a line, its label behind it, an empty line between sentences."""
    words: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        if line.strip():
            words.append(line.split()[0])
        elif words:
            yield " ".join(words)
            words = []


# --- tested on only ------------------------------------------------------------------------------------------------


def surge(folder: Path) -> Iterator[Row]:
    """MIT. Comments from several platforms, toxic or not."""
    for row in _csv(folder / "surge_toxicity_en.csv"):
        yield Row(_clean(row["text"]), {ANY: float(row["is_toxic"] == "Toxic")}, 1.0, "surge")


def wikipedia(folder: Path) -> Iterator[Row]:
    """Talk pages, under CC BY-SA."""
    for row in _csv(folder / "wiki_toxicity_nonfuzzed_testset.csv"):
        yield Row(_clean(row["comment"]), {ANY: float(row["toxic"] == "True")}, 1.0, "wikipedia")


def toxigen(folder: Path) -> Iterator[Row]:
    """MIT. Statements about groups, hateful or neutral, each listed many times in the prompts; taken once."""
    for path in sorted((folder / "toxigen_prompts").glob("*.txt")):
        kind, _, group = path.stem.removesuffix("_1k").partition("_")
        lines = re.split(r"\\n|\n", path.read_text(encoding="utf-8"))
        for text in sorted({_clean(line.strip().lstrip("- ")) for line in lines} - {""}):
            yield Row(text, {"hate": float(kind == "hate")}, 1.0, "toxigen", group)


def generated(folder: Path) -> Iterator[Row]:
    """CC BY-SA. What GPT-3.5 and GPT-4 wrote when asked to be toxic, graded by Perspective."""
    for name in ("dt_gpt35_generated_toxic.jsonl", "dt_gpt4_generated_toxic.jsonl"):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)["prompt"]
            if "toxicity" in entry.get("score", {}):
                yield Row(_clean(entry["text"]), perspective(entry["score"]), 1.0, "decodingtrust")


TRUSTLLM = {
    "Illegal Activity": "nonviolent_crimes", "Malware": "nonviolent_crimes", "Fraud": "nonviolent_crimes",
    "Economic Harm": "nonviolent_crimes", "Hate Speech": "hate", "Physical Harm": "violent_crimes",
    "Pornography": "sexual_content", "Privacy Violence": "privacy",
}  # fmt: skip


def trustllm(folder: Path) -> Iterator[Row]:
    """MIT. Typed requests; those for legal, financial, medical and political advice are none of the scored hazards."""
    for row in json.loads((folder / "trustllm_misuse.json").read_text(encoding="utf-8")):
        if "type" in row:
            name = TRUSTLLM.get(row["type"])
            yield Row(_clean(row["prompt"]), request(name) if name else BENIGN, 1.0, "trustllm")


HARMBENCH = {"chemical_biological": "indiscriminate_weapons", "cybercrime_intrusion": "nonviolent_crimes"}


def harmbench(folder: Path) -> Iterator[Row]:
    """MIT. Requests; those about chemical and biological agents and about intrusion have a scored category."""
    for row in _csv(folder / "harmbench_behaviors_text_all.csv"):
        name = HARMBENCH.get(row["SemanticCategory"])
        if name:
            yield Row(_clean(row["Behavior"]), request(name), 1.0, "harmbench")


ADVBENCH = {
    "h": "hate", "a": "harassment", "t": "threat", "v": "violent_crimes", "n": "nonviolent_crimes", "x": "sex_crimes",
    "w": "indiscriminate_weapons", "s": "suicide_self_harm",
}  # fmt: skip


def advbench(folder: Path) -> Iterator[Row]:
    """MIT. A random sample of AdvBench's strings with labels of our own."""
    texts = [row["target"] for row in _csv(folder / "advbench_harmful_strings.csv")]
    own = (Path(__file__).parent / "advbench_labels.txt").read_text(encoding="utf-8").splitlines()
    for entry in "|".join(line for line in own if not line.startswith("#")).split("|"):
        index, letters = entry.split()
        labels = {name: float(letter in letters) for letter, name in ADVBENCH.items()}
        yield Row(_clean(texts[int(index)]), labels, 1.0, "advbench")


def madlibs(folder: Path) -> Iterator[Row]:
    """Apache-2.0. Templates filled with identity terms, bad and not bad in like numbers; the group is the term."""
    with gzip.open(folder / "bias_madlibs_77k.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = _IDENTITY.search(row["Text"].lower())
            yield Row(row["Text"], {ANY: float(row["Label"] == "BAD")}, 1.0, "madlibs", found[0] if found else "")


def news(folder: Path) -> Iterator[str]:
    """CC BY 4.0. Posts of WNUT 2017 about whatever was new, for what the models cost."""
    yield from _sentences(folder.parent / "names" / "wnut17train.conll")


_IDENTITY = re.compile(
    r"\b(?:lesbian|gay|bisexual|transgender|trans|queer|lgbtq?|homosexual|straight|heterosexual|male|female|nonbinary|african"
    r"|african american|black|white|european|hispanic|latino|latina|latinx|mexican|canadian|american|asian|indian"
    r"|middle eastern|chinese|japanese|christian|muslim|jewish|buddhist|catholic|protestant|sikh|taoist"
    r"|old|older|young|younger|teenage"
    r"|millenial|middle aged|elderly|blind|deaf|paralyzed)\b"
)

Source = Callable[[Path], Iterator[Row]]
TRAINING: tuple[Source, ...] = (
    davidson, edos, real_toxicity, profanity, ailuminate, catqa, plain_speech, encyclopedia, posts,
)  # fmt: skip
HELD_OUT: tuple[Source, ...] = (surge, wikipedia, toxigen, generated, trustllm, harmbench, advbench, madlibs)


def _csv(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _clean(text: str) -> str:
    return " ".join(_NOISE.sub(" ", html.unescape(text)).split())


def _stretch(grade: float) -> float:
    return min(1.0, max(0.0, (grade - 0.2) / 0.55))
