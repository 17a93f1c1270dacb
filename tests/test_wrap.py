"""Real models behind one Guard: stamped, recorded, repeatable, and as many at once as there are callers."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from guard import Guard, Image, Outcome, State, Text
from guard.audit.verify import verify
from guard.errors import ConfigError
from guard.generators.text import detect_watermark
from guard.models import TextModel, describe, load_image, load_text
from guard.provenance.credentials import read
from guard.provenance.watermark import TEXT_KEY, key_ring
from tests.tiny import SAYS

Tiny = Callable[[str], Path]
POLICY: dict[str, Any] = {"name": "open", "version": "1", "checkers": {}, "rules": []}


@pytest.fixture
def g(tmp_path: Path) -> Iterator[Guard]:
    with Guard(POLICY, home=tmp_path / "home") as one:
        yield one


@pytest.fixture(scope="module")
def loaded(tiny: Tiny) -> TextModel:
    return load_text(tiny("gpt2"))


def facts(g: Guard, outcome: Outcome) -> dict[str, Any]:
    entry = g.ledger.reader.entry(outcome.receipt.entry)
    assert entry is not None
    return dict(entry.fields["generator"])


def layers(outcome: Outcome) -> dict[str, str]:
    assert outcome.stamp is not None
    return {layer.kind: layer.status for layer in outcome.stamp.layers}


def test_a_text_model_is_watermarked_under_the_key_of_the_house(g: Guard, loaded: TextModel) -> None:
    outcome = g.wrap(loaded.model, tokenizer=loaded.tokenizer)("Hello", seed=3, max_new_tokens=220, stop=["\n"])
    assert isinstance(outcome.content, Text)
    assert layers(outcome) == {"manifest": "applied", "watermark": "applied"}
    verdict = detect_watermark(outcome.content.text, loaded, key_ring(g.keys, TEXT_KEY))
    assert verdict.p_value < 1e-9
    recorded = facts(g, outcome)
    assert recorded["weights"] == describe(loaded.model)["weights"]
    assert (recorded["seed"], recorded["completion_tokens"], recorded["prompt_tokens"]) == (3, 220, 5)
    assert "stop" not in recorded["params"]  # a text, which may quote somebody: in the sealed body only
    unmarked = {**POLICY, "stamp": {"watermark": False}}
    with Guard(unmarked, home=g.settings.home) as other:
        plain = other.wrap(loaded.model, tokenizer=loaded.tokenizer)("Hello", seed=3, max_new_tokens=8)
        assert layers(plain) == {"manifest": "applied"}


def test_a_policy_that_wants_the_watermark_withholds_greedy_text(tmp_path: Path, loaded: TextModel) -> None:
    strict = {**POLICY, "stamp": {"text": ["manifest", "watermark"]}, "on_error": "block"}
    with Guard(strict, home=tmp_path / "home", model=loaded.model, tokenizer=loaded.tokenizer) as g:
        assert g.generate("Hello", max_new_tokens=8).state is State.RELEASED
        greedy = g.generate("Hello", max_new_tokens=8, temperature=0)
        assert (greedy.state, greedy.content) == (State.BLOCKED, None)
        assert "only sampled text" in str(greedy.results[-1].error)


def test_a_pipeline_object_and_a_diffusers_pipeline(g: Guard, loaded: TextModel, tiny: Tiny) -> None:
    import transformers

    pipeline = transformers.pipeline("text-generation", model=loaded.model, tokenizer=loaded.tokenizer)
    text = g.wrap(pipeline)("Hello", seed=1, max_new_tokens=8)
    assert text.content == g.wrap(loaded.model, tokenizer=loaded.tokenizer)("Hello", seed=1, max_new_tokens=8).content
    painter = load_image(tiny("painter"))
    drawn = g.wrap(painter.pipeline)("a red house", seed=1, num_inference_steps=1, width=40, height=24)
    assert isinstance(drawn.content, Image)
    assert Pillow.open(io.BytesIO(drawn.content.data)).size == (40, 24)
    claim = read(drawn.content)
    assert claim.ai_generated
    assert claim.generation["request_id"] == drawn.request_id
    recorded = facts(g, drawn)
    assert (recorded["model"], recorded["width"], recorded["prompt_truncated"]) == ("painter", 40, False)
    assert claim.generation["model"] == {"name": "painter", "weights": recorded["weights"]}


def test_a_request_that_the_model_refuses_is_recorded_and_may_be_made_again(g: Guard, loaded: TextModel) -> None:
    say = g.wrap(loaded.model, tokenizer=loaded.tokenizer)
    with pytest.raises(ConfigError, match="'heat'"):
        say("my secret", id="r", heat=1)
    [entry] = g.ledger.reader.history("r")
    assert (entry.kind, entry.fields["error"]) == ("failure", "ConfigError")
    assert b"secret" not in entry.leaf
    assert say("my secret", id="r", max_new_tokens=3).state is State.RELEASED


def test_the_shipped_policy_decides_on_what_a_model_says(tmp_path: Path, tiny: Tiny) -> None:
    reciter = load_text(tiny("reciter"))
    with Guard("default", home=tmp_path / "home", model=reciter.model, tokenizer=reciter.tokenizer) as g:
        outcomes = {asked: g.generate(asked, temperature=0) for asked in SAYS}
    assert {asked: (outcome.state.value, outcome.decision.rules) for asked, outcome in outcomes.items()} == {
        "kind": ("released", ()),
        "private": ("released", ("contact-out",)),
        "unfair": ("held", ("unfair-claim",)),
        "rude": ("blocked", ("abuse-out",)),
    }
    assert outcomes["kind"].content == Text(SAYS["kind"])
    assert outcomes["private"].content == Text("Write to [EMAIL_ADDRESS] today.")
    assert (outcomes["unfair"].content, outcomes["rude"].content) == (None, None)


def test_many_callers_at_once_get_what_each_alone_would(g: Guard, loaded: TextModel, tiny: Tiny) -> None:
    painter = load_image(tiny("painter")).pipeline
    say, draw = g.wrap(loaded.model, tokenizer=loaded.tokenizer), g.wrap(painter)

    def text(seed: int) -> Outcome:
        outcome: Outcome = say("Hello", seed=seed, max_new_tokens=12)
        return outcome

    def image(seed: int) -> Outcome:
        outcome: Outcome = draw("snow", seed=seed, num_inference_steps=1)
        return outcome

    alone = [text(seed).content for seed in range(8)]
    pictures = [image(seed) for seed in range(4)]
    with ThreadPoolExecutor(12) as pool:
        texts, images = pool.map(text, range(8)), pool.map(image, range(4))
        together, drawn = list(texts), list(images)
    assert [outcome.content for outcome in together] == alone
    assert [pixels(outcome) for outcome in drawn] == [pixels(outcome) for outcome in pictures]
    entries = [outcome.receipt.entry for outcome in [*together, *drawn]]
    assert sorted(entries) == list(range(13, 25))  # after the policy and the twelve before
    assert verify(g.ledger.engine, g.ledger.log.vkey, vault=g.ledger.log.vault).ok


def pixels(outcome: Outcome) -> bytes:
    """Of a stamped picture: the stamps differ."""
    assert isinstance(outcome.content, Image)
    return Pillow.open(io.BytesIO(outcome.content.data)).tobytes()


async def test_an_event_loop_goes_on_while_models_work(g: Guard, loaded: TextModel) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(prompt: str) -> str:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(60)
        return "done"

    with Guard(POLICY, home=g.settings.home, model=slow) as waiting:
        task = asyncio.create_task(waiting.agenerate("Hello"))
        await asyncio.wait_for(begun.wait(), 60)  # would never come, were the loop held
        release.set()
        assert (await task).content == Text("done")
    with Guard(POLICY, home=g.settings.home, model=loaded.model, tokenizer=loaded.tokenizer) as real:
        made = await asyncio.gather(*(real.agenerate("Hello", seed=seed % 2, max_new_tokens=8) for seed in range(4)))
    assert len({outcome.content for outcome in made}) == 2
    assert made[0].content == made[2].content


async def test_async_functions_and_methods(g: Guard) -> None:
    class Client:
        async def __call__(self, prompt: str) -> str:
            return f"called {prompt}"

        async def ask(self, prompt: str) -> str:
            return f"asked {prompt}"

    client = Client()
    assert (await g.wrap(client)("x")).content == Text("called x")
    assert (await g.wrap(client.ask)("x")).content == Text("asked x")
