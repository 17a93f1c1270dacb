"""Toxicity: abuse is found sentence by sentence, ordinary prose is not, disguises help little, and the file is checked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from guard.checkers import ngrams
from guard.checkers.toxicity import MODEL, Head, Model, ToxicityChecker, unpacked
from guard.errors import ConfigError
from guard.types import Checker, Finding

Ask = Callable[[Checker, str], list[Finding]]

RUDE = [
    "You are a complete idiot and nobody here cares about your stupid kettle.",
    "Stop whining, you moron, it is only a kettle.",
    "Only a total idiot would break a lamp like that.",
    "What a pathetic loser.",
    "You are worthless.",
    "fuck off",
    "Shut up, you stupid cow!",
    "he is such a dickhead",
]
DISGUISED = [
    "Y0u 4re an 1d10t",
    "you st*pid b1tch",
    "you are an i d i o t",
    "you stuuuupid idiooot",
    "you id\u200biot, you moron",
    "\uff59\uff4f\uff55 idiot",
    "yоu stupіd mоrоn",
]
BENIGN = [
    "Thank you for contacting us, your order will arrive on Tuesday.",
    "I am sorry to hear that your kettle arrived broken.",
    "Kill the process and restart the server.",
    "This damn printer never works.",
    "This is the worst service ever, I want my money back!",
    "My mother is a lesbian.",
    "I am a gay man looking for a dentist.",
    "Muslims celebrate Eid this week.",
    "The deaf community asked for subtitles.",
    "She is a trans woman and a great engineer.",
    "The Jewish museum is open on Sunday.",
    "Do you have products for wheelchair users?",
    "The black cable goes into the white socket.",
    "It is wrong to call people idiots.",
    "How do I terminate my contract?",
    "A dummy variable is used in regression.",
    "Please hold the button for ten seconds.",
    "We will refund the full amount within five days.",
    "Our technician will shoot you an e-mail.",
    "The knife is sharp, so keep it away from children.",
    "Scunthorpe and Essex are in England.",
    "The chicken breast is tender.",
    "He be working late and she be cooking.",
    "Could you tell me the order number, please?",
    "Of course! The lamp comes with a two-year warranty.",
    "Your card ends in 4242.",
    "I forgot my password again, silly me.",
]


@pytest.mark.parametrize("text", RUDE)
def test_abuse_is_found(toxicity: ToxicityChecker, ask: Ask, text: str) -> None:
    assert max(finding.score for finding in ask(toxicity, text) if finding.category == "toxicity") >= 0.6


@pytest.mark.parametrize("text", DISGUISED)
def test_disguised_abuse_is_found(toxicity: ToxicityChecker, ask: Ask, text: str) -> None:
    assert "toxicity" in {finding.category for finding in ask(toxicity, text)}


@pytest.mark.parametrize("text", BENIGN)
def test_ordinary_prose_is_left_alone(toxicity: ToxicityChecker, ask: Ask, text: str) -> None:
    assert ask(toxicity, text) == []


def test_threats_and_identity_attacks_have_names_of_their_own(toxicity: ToxicityChecker, ask: Ask) -> None:
    assert {"toxicity", "threat"} == {finding.category for finding in ask(toxicity, "I will kill you and your family.")}
    assert "identity_attack" in {finding.category for finding in ask(toxicity, "Gay people are disgusting vermin.")}


def test_the_span_is_the_sentence(toxicity: ToxicityChecker, ask: Ask) -> None:
    before, rude = "Thank you for waiting.  ", "You fucking idiot!"
    (finding,) = ask(toxicity, f"{before}{rude} The parcel is on its way.")
    assert finding.span == (len(before), len(before) + len(rude))


def test_length_does_not_dilute(toxicity: ToxicityChecker, ask: Ask) -> None:
    filler = "and the parcel with the kettle was sent to the address on the invoice " * 12
    assert ask(toxicity, filler) == []
    assert ask(toxicity, f"{filler} you are a fucking stupid idiot {filler}")


def test_heads_and_threshold_are_parameters(ask: Ask) -> None:
    text = "I will kill you and your family."
    only = ToxicityChecker(ToxicityChecker.Params(heads=frozenset({"threat"})))
    assert [finding.category for finding in ask(only, text)] == ["threat"]
    assert ask(ToxicityChecker(ToxicityChecker.Params(min_score=1.0)), text) == []
    with pytest.raises(ValidationError, match="unknown head 'rude'"):
        ToxicityChecker.Params(heads=frozenset({"rude"}))


def test_another_model_can_be_handed_in(ask: Ask) -> None:
    word = ngrams.word_features("kettle")[0]
    weights = [0.0] * 1024
    weights[word & 1023] = 50.0
    model = Model([Head("toxicity", weights, -4.0)], "abc")
    checker = ToxicityChecker(ToxicityChecker.Params(), model)
    assert [finding.category for finding in ask(checker, "A kettle.")] == ["toxicity"]
    assert ask(checker, "A lamp.") == []


def test_version_names_the_weights(toxicity: ToxicityChecker) -> None:
    import hashlib

    assert toxicity.version == f"1+{hashlib.sha256(MODEL.read_bytes()).hexdigest()[:12]}"


def test_small_enough_to_ship() -> None:
    assert MODEL.stat().st_size < 500_000


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"X" + data[1:], lambda data: b""]
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(change(MODEL.read_bytes()))
    with pytest.raises(ConfigError, match="reinstall genguard"):
        Model.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the toxicity model"):
        Model.load(tmp_path / "none.bin")


def test_weights_keep_sign_and_order() -> None:
    values = list(unpacked(bytes([0, 1, 127, 255, 129]), 2.0))
    assert values[0] == 0
    assert 0 < values[1] < values[2] == 2.0
    assert values[4] == -2.0 < values[3] < 0


def test_scoring_needs_no_heavy_library() -> None:
    program = (
        "import sys\nfrom guard.checkers.toxicity import ToxicityChecker\n"
        "ToxicityChecker(ToxicityChecker.Params())\n"
        "print([name for name in ('numpy', 'scipy', 'sklearn', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
