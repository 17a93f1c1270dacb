"""Models of the user's own: each kind is made here, saved as anybody would save it, and found names with."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guard.checkers.personal import ner
from guard.checkers.personal.ner import Ner, NerModel
from guard.checkers.pii import PiiChecker
from guard.errors import ConfigError, MissingExtra
from guard.quiet import quiet
from guard.types import Checker, Finding

Ask = Callable[[Checker, str], list[Finding]]
PEOPLE, PLACES = ("Ann Lee", "Bo Marsh", "Cy Stone"), ("Paris", "Rome", "Oslo")
KINDS = frozenset({"PERSON", "LOCATION"})
SENTENCE = "Ann Lee lives in Rome ."


@pytest.fixture(scope="module")
def spacy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that learned three people and three places."""
    import spacy
    from spacy.training import Example
    from thinc.api import fix_random_seed

    nlp = spacy.blank("en")
    nlp.add_pipe("ner", config={"model": {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner",
                 "extra_state_tokens": False, "hidden_width": 16, "maxout_pieces": 2, "use_upper": True,
                 "tok2vec": {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": 16, "depth": 1,
                             "embed_size": 200, "window_size": 1, "maxout_pieces": 2, "subword_features": True}}})  # fmt: skip
    examples = []
    for person in PEOPLE:
        for place in PLACES:
            text = f"{person} lives in {place} ."
            at = text.index(place)
            names = [(0, len(person), "PERSON"), (at, at + len(place), "GPE")]
            examples.append(Example.from_dict(nlp.make_doc(text), {"entities": names}))
    fix_random_seed(0)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(25):
        nlp.update(examples, sgd=optimizer, drop=0.0)
    folder = tmp_path_factory.mktemp("spacy") / "model"
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def tokens_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT for token classification, saved as safetensors, that learned the same."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    every = [*PEOPLE, *PLACES, "lives in", "the and of", "."]
    words = dict.fromkeys(["[PAD]", "[UNK]", *" ".join(every).split()])
    vocabulary = {word: number for number, word in enumerate(words)}
    inner = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]", model_max_length=64
    )
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    size: Any = {"vocab_size": len(vocabulary), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                 "intermediate_size": 32, "max_position_embeddings": 64, "hidden_dropout_prob": 0.0}  # fmt: skip
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        config = BertConfig(
            **size, id2label=dict(enumerate(labels)), label2id={name: at for at, name in enumerate(labels)}
        )
        model: Any = BertForTokenClassification(config)
        texts = [f"{person} lives in {place} ." for person in PEOPLE for place in PLACES]
        ids = torch.tensor([tokenizer(text)["input_ids"] for text in texts])
        tags = torch.tensor([[1, 2, 0, 0, 3, 0]] * len(texts))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(40):
            model(input_ids=ids, labels=tags).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        folder = tmp_path_factory.mktemp("tokens") / "model"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(params=["spacy", "transformers"])
def model(request: pytest.FixtureRequest) -> NerModel:
    folder = request.getfixturevalue("spacy_model" if request.param == "spacy" else "tokens_model")
    return NerModel(engine=request.param, model=str(folder), device=None if request.param == "spacy" else "cpu")


def found(finder: Ner, text: str) -> list[tuple[str, str]]:
    return [(kind, text[slice(*span)]) for kind, _, span in finder.matches(text)]


def test_names_are_found_at_their_characters(model: NerModel) -> None:
    assert found(Ner(model, KINDS), SENTENCE) == [("PERSON", "Ann Lee"), ("LOCATION", "Rome")]


def test_only_the_wanted_kinds(model: NerModel) -> None:
    assert found(Ner(model, frozenset({"LOCATION"})), SENTENCE) == [("LOCATION", "Rome")]


def test_labels_become_the_categories_of_the_policy(model: NerModel) -> None:
    label = "GPE" if model.engine == "spacy" else "LOC"
    own = model.model_copy(update={"labels": {label: "TOWN"}})
    assert found(Ner(own, own.categories), SENTENCE) == [("TOWN", "Rome")]


def test_a_model_without_the_labels_is_refused(model: NerModel) -> None:
    with pytest.raises(ConfigError, match=r"lacks the label DISEASE; it has .*names\.labels"):
        Ner(model.model_copy(update={"labels": {"DISEASE": "DISEASE"}}), frozenset({"DISEASE"}))
    with pytest.raises(ConfigError, match=r"lacks a label for ADDRESS"):
        Ner(model, frozenset({"ADDRESS"}))
    with pytest.raises(ConfigError, match=r"lacks a label for ADDRESS"):
        Ner(model, frozenset({"PERSON", "ADDRESS"}), strict=True)
    params = {"names": model.model_dump(), "entities": ["PERSON", "ADDRESS"], "engine": "native"}
    with pytest.raises(ConfigError, match=r"lacks a label for ADDRESS"):
        PiiChecker(PiiChecker.Params.model_validate(params))


def test_the_end_of_a_long_text_is_read(model: NerModel) -> None:
    text = "the and of . " * 1200 + SENTENCE
    assert ("LOCATION", "Rome") in found(Ner(model, KINDS), text)


def test_the_version_names_the_weights(model: NerModel, tmp_path: Path) -> None:
    finder = Ner(model, KINDS)
    assert finder.version == Ner(model, KINDS).version
    assert finder.version.startswith(f"{model.engine}-")


@pytest.mark.parametrize("engine", ["native", "both", "presidio"])
def test_every_engine_takes_every_model(ask: Ask, model: NerModel, engine: str) -> None:
    params = PiiChecker.Params.model_validate({"engine": engine, "names": model.model_dump()})
    checker = PiiChecker(params)
    text = f"{SENTENCE} Mail a.b@shop.com"
    assert {(it.category, text[slice(*it.span)]) for it in ask(checker, text) if it.span} == {
        ("PERSON", "Ann Lee"), ("LOCATION", "Rome"), ("EMAIL_ADDRESS", "a.b@shop.com"),
    }  # fmt: skip
    assert model.engine in checker.version
    assert checker.pending(text) == len(text)


def test_a_missing_folder_is_an_error_and_not_a_pass(model: NerModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such model folder|pin it"):
        Ner(model.model_copy(update={"model": str(tmp_path / "nothing")}), KINDS)
    with pytest.raises(ConfigError, match="pin it"):
        Ner(model.model_copy(update={"model": "somebody/something"}), KINDS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError):
        Ner(model.model_copy(update={"model": str(tmp_path / "empty")}), KINDS)


def test_a_missing_extra_is_an_error_and_not_a_pass(model: NerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, model.engine, None)
    with pytest.raises(MissingExtra, match=r"pip install 'genguard\["):
        Ner(model, KINDS)


def test_pickles_are_refused(tokens_model: Path, spacy_model: Path, tmp_path: Path) -> None:
    import shutil

    pickled = shutil.copytree(tokens_model, tmp_path / "tokens")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="pickled"):
        Ner(NerModel(engine="transformers", model=str(pickled)), KINDS)
    pickled = shutil.copytree(spacy_model, tmp_path / "spacy")
    (pickled / "ner" / "extra.pkl").write_bytes(b"")
    with pytest.raises(ConfigError, match="pickled"):
        Ner(NerModel(engine="spacy", model=str(pickled)), KINDS)


def test_gliner_without_the_library_or_with_pickles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    (tmp_path / "gliner_config.json").write_text("{}")
    expected = ConfigError if importlib.util.find_spec("gliner") else MissingExtra
    with pytest.raises(expected, match=r"pickled|genguard\[gliner\]"):
        Ner(NerModel(engine="gliner", model=str(tmp_path)), KINDS)


@pytest.mark.skipif(
    importlib.util.find_spec("gliner") is None, reason="gliner wants an older transformers than the others"
)
def test_gliner(tmp_path: Path, tokens_model: Path) -> None:
    folder = tiny_gliner(tmp_path / "gliner", tokens_model)
    finder = Ner(NerModel(engine="gliner", model=str(folder), device="cpu"), KINDS)
    text = "the and of . " * 100 + SENTENCE
    spans = [span for *_, span in finder.matches(text)]
    assert spans
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert {kind for kind, *_ in finder.matches(text)} <= KINDS
    assert any(text[slice(*span)] in SENTENCE for span in spans if span.start >= text.index(SENTENCE))


def tiny_gliner(folder: Path, tokens_model: Path) -> Path:
    """A GLiNER with random weights, saved by its own library."""
    import torch
    from gliner.config import UniEncoderSpanConfig  # type: ignore[import-not-found, unused-ignore]
    from gliner.model import UniEncoderSpanGLiNER  # type: ignore[import-not-found, unused-ignore]
    from transformers import AutoTokenizer

    encoder = json.loads((tokens_model / "config.json").read_text())
    config = UniEncoderSpanConfig(
        model_name="tiny", encoder_config={**encoder, "model_type": "bert", "max_position_embeddings": 512}, hidden_size=16,
        max_width=4, max_len=64, span_mode="markerV0", dropout=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tokens_model, model_max_length=512)
    tokenizer.add_tokens(["[FLERT]", config.ent_token, config.sep_token])
    made = UniEncoderSpanGLiNER(config, tokenizer=tokenizer, backbone_from_pretrained=False)
    made.resize_embeddings() if hasattr(made, "resize_embeddings") else None
    made.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "params",
    [
        {"names": {"engine": "stanza", "model": "x"}},
        {"names": {"engine": "spacy"}},
        {"names": {"engine": "spacy", "model": "x", "trust_remote_code": True}},
        {"entities": ["PERSON"]},
        {"entities": ["PERSON"], "names": {"engine": "spacy", "model": "x", "labels": {"GPE": "PLACE"}}},
        {"entities": ["TOWN"], "names": {"engine": "spacy", "model": "x", "labels": {"GPE": "PLACE"}}},
    ],
)
def test_params_that_cannot_be_met_are_refused(params: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PiiChecker.Params.model_validate(params)


@given(st.text(max_size=200), st.integers(4, 20))
def test_windows_cover_every_word(text: str, most: int) -> None:
    covered: set[int] = set()
    for at, piece in ner.windows(text, most, most // 4):
        assert text[at : at + len(piece)] == piece
        covered.update(range(at, at + len(piece)))
    assert all(place in covered for place, char in enumerate(text) if not char.isspace())


def test_windows_cut_long_words() -> None:
    pieces = list(ner.windows("x" * 1000 + "!" * 1000, 10, 2))
    assert max(len(piece) for _, piece in pieces) <= 1000
    assert len(pieces) > 100
