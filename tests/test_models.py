"""Loading: what is said about weights is true, nothing in a folder runs, and every mistake is named without a network."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard import models
from guard.digest import label
from guard.errors import ConfigError
from guard.models import load_image, load_text
from guard.quiet import quiet

Tiny = Callable[[str], Path]
Spoil = Callable[[Path], object]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256sum(folder: Path, *files: str) -> str:
    """What the shell command prints."""
    command = ["sha256sum"] if shutil.which("sha256sum") else ["shasum", "-a", "256"]
    return subprocess.run([*command, *files], cwd=folder, capture_output=True, text=True, check=True).stdout


def spoiled(folder: Path, to: Path, spoil: Spoil) -> Path:
    """A copy of a model, with something wrong."""
    shutil.copytree(folder, to)
    spoil(to)
    return to


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")


# --- facts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5", "bart"])
def test_the_digest_of_one_file_is_what_sha256sum_says(tiny: Tiny, name: str) -> None:
    loaded = load_text(tiny(name))
    assert loaded.facts["weights"] == "sha256:" + sha256sum(tiny(name), "model.safetensors").split()[0]
    assert {key: loaded.facts[key] for key in ("model", "revision", "weights_form", "device", "dtype")} == {
        "model": name,
        "revision": None,
        "weights_form": "files",
        "device": "cpu",
        "dtype": "float32",
    }
    assert str(loaded.facts["library"]).startswith("transformers ")
    assert not loaded.model.training


def test_the_digest_of_several_files_is_that_of_their_list(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("gpt2"), tmp_path / "split")
    with quiet():
        load_text(tiny("gpt2")).model.save_pretrained(tmp_path / "split", max_shard_size="40KB")
    (tmp_path / "split" / "model.safetensors").unlink(missing_ok=True)
    files = sorted(file.name for file in (tmp_path / "split").glob("*.safetensors"))
    assert len(files) > 1
    loaded = load_text(tmp_path / "split")
    assert loaded.facts["weights"] == label(sha256sum(tmp_path / "split", *files).encode())
    pipeline = load_image(tiny("painter"))
    parts = sorted(file.relative_to(tiny("painter")).as_posix() for file in tiny("painter").rglob("*.safetensors"))
    assert [part.partition("/")[0] for part in parts] == ["text_encoder", "unet", "vae"]
    assert pipeline.facts["weights"] == label(sha256sum(tiny("painter"), *parts).encode())
    assert str(pipeline.facts["library"]).startswith("diffusers ")


def test_a_model_of_the_caller_is_described_by_its_weights(tiny: Tiny) -> None:
    import torch

    first, second = (load_text(tiny("gpt2")) for _ in range(2))
    facts = models.wrap_text(first.model, first.tokenizer).facts
    assert (facts["model"], facts["weights_form"]) == ("gpt2", "state_dict")  # of a path, the last part only
    assert facts["weights"] == models.describe(second.model)["weights"]
    with torch.no_grad():
        second.model.transformer.ln_f.bias[0] += 1
    assert models.describe(second.model)["weights"] != facts["weights"]
    assert models.describe(second.model.to("meta"))["weights"] is None  # what is not here is not described
    painter = load_image(tiny("painter")).pipeline
    assert models.describe(painter)["weights"] == models.wrap_image(painter).facts["weights"]
    with pytest.raises(ConfigError, match="holds no torch module"):
        models.describe(object())


def test_hashing_waits_until_the_facts_are_asked_for(tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    loaded = load_text(tiny("gpt2"))
    caplog.set_level(logging.INFO, "guard.models")
    wrapped = models.wrap_text(loaded.model, loaded.tokenizer)
    assert not caplog.records
    assert wrapped.facts is wrapped.facts
    assert len(caplog.records) == 1


# --- what is refused -----------------------------------------------------------------------------------------------


def drop_weight(file: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(file)
    weights.pop(min(weights))
    save_file(weights, file, metadata={"format": "pt"})


def to_pickle(folder: Path) -> None:
    for file in folder.glob("*.safetensors"):
        file.rename(folder / "pytorch_model.bin")


def drop_tokenizer(folder: Path) -> None:
    for file in folder.glob("token*"):
        file.unlink()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


NET = Path("unet", "diffusion_pytorch_model.safetensors")
ENCODER = Path("text_encoder", "model.safetensors")


TEXT_MISTAKES: dict[str, tuple[Spoil, str]] = {
    "pickled weights": (to_pickle, "pickled weights only.*convert them"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no safetensors weights"),
    "empty weights": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "cannot be loaded"),
    "cut weights": (lambda folder: truncate(folder / "model.safetensors"), "cannot be loaded"),
    "one weight missing": (lambda folder: drop_weight(folder / "model.safetensors"), "lacks 1 weights"),
    "deeper than its weights": (lambda folder: edit(folder / "config.json", n_layer=3), "lacks 24 weights, transformer.h.1"),
    "another architecture": (lambda folder: edit(folder / "config.json", model_type="bert"), "lacks"),
    "another size": (lambda folder: edit(folder / "config.json", n_embd=64), "cannot be loaded"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "cannot be loaded"),
    "a config that is no object": (lambda folder: (folder / "config.json").write_text("[]"), "cannot be loaded"),
    "an unknown type": (lambda folder: edit(folder / "config.json", model_type="nothing"), "cannot be loaded"),
    "no tokenizer": (drop_tokenizer, "holds no tokenizer"),
    "a broken tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "cannot be loaded"),
}  # fmt: skip
IMAGE_MISTAKES: dict[str, tuple[Spoil, str]] = {
    "pickled weights": (lambda folder: to_pickle(folder / "unet"), "unet holds pickled weights only"),
    "cut weights": (lambda folder: truncate(folder / NET), "cannot be loaded"),
    "an encoder that lacks one": (lambda folder: drop_weight(folder / ENCODER), "lacks weights in text_encoder/"),
    "a network that lacks one": (lambda folder: drop_weight(folder / NET), "lacks weights in unet/"),
    "no index": (lambda folder: (folder / "model_index.json").unlink(), "no model_index.json"),
    "an index that is no object": (lambda folder: (folder / "model_index.json").write_text("[]"), "cannot be loaded"),
    "an unknown pipeline": (lambda folder: edit(folder / "model_index.json", _class_name="Nothing"), "cannot be loaded"),
    "a part missing": (lambda folder: shutil.rmtree(folder / "unet"), "cannot be loaded"),
    "a part from anywhere": (lambda folder: edit(folder / "model_index.json", unet=["antigravity", "Net"]), "cannot be loaded"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", TEXT_MISTAKES)
def test_a_text_model_that_cannot_be_trusted_is_refused(tiny: Tiny, tmp_path: Path, mistake: str) -> None:
    spoil, words = TEXT_MISTAKES[mistake]
    with pytest.raises(ConfigError, match=words):
        load_text(spoiled(tiny("gpt2"), tmp_path / "model", spoil))


@pytest.mark.parametrize("mistake", IMAGE_MISTAKES)
def test_an_image_model_that_cannot_be_trusted_is_refused(tiny: Tiny, tmp_path: Path, mistake: str) -> None:
    spoil, words = IMAGE_MISTAKES[mistake]
    with pytest.raises(ConfigError, match=words):
        load_image(spoiled(tiny("painter"), tmp_path / "model", spoil))


CODE = """
open({mark!r}, "w")
import diffusers, transformers
class Config(transformers.GPT2Config): model_type = "{kind}"
class Model(transformers.GPT2LMHeadModel): config_class = Config
class Tokenizer(transformers.PreTrainedTokenizerFast): pass
class Net(diffusers.UNet2DConditionModel): pass
class Pipe(diffusers.StableDiffusionPipeline): pass
def generate(model, *arguments, **options): return model
"""
AUTO = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}


def test_code_in_the_folder_of_a_text_model_never_runs(tiny: Tiny, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"

    def stranger(folder: Path) -> None:
        (folder / "code.py").write_text(CODE.format(mark=str(mark), kind="stranger"))
        edit(folder / "config.json", model_type="stranger", auto_map=AUTO)

    with pytest.raises(ConfigError, match="custom code"):
        load_text(spoiled(tiny("gpt2"), tmp_path / "stranger", stranger))

    def familiar(folder: Path) -> None:  # says that it is a GPT-2, so the library's own code serves
        for place in (folder / "code.py", folder / "custom_generate" / "generate.py"):
            place.parent.mkdir(exist_ok=True)
            place.write_text(CODE.format(mark=str(mark), kind="gpt2"))
        edit(folder / "config.json", auto_map=AUTO)
        edit(
            folder / "tokenizer_config.json",
            tokenizer_class="Tokenizer",
            auto_map={"AutoTokenizer": ["code.Tokenizer"] * 2},
        )

    loaded = load_text(spoiled(tiny("gpt2"), tmp_path / "familiar", familiar))
    for part in (loaded.model, loaded.tokenizer, loaded.model.generate):
        assert type(part).__module__.partition(".")[0] in ("transformers", "builtins")
    assert not mark.exists()


def test_code_in_the_folder_of_an_image_model_never_runs(tiny: Tiny, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    code = CODE.format(mark=str(mark), kind="gpt2")

    def part(folder: Path) -> None:
        (folder / "unet" / "code.py").write_text(code)
        edit(folder / "model_index.json", unet=["code", "Net"])

    def whole(folder: Path) -> None:
        (folder / "code.py").write_text(code)
        edit(folder / "model_index.json", _class_name=["code", "Pipe"])

    with pytest.raises(ConfigError, match="unet/ brings its own code"):
        load_image(spoiled(tiny("painter"), tmp_path / "part", part))
    with pytest.raises(ConfigError, match="custom code"):
        load_image(spoiled(tiny("painter"), tmp_path / "whole", whole))
    assert not mark.exists()


@pytest.mark.parametrize("load", [load_text, load_image])
@pytest.mark.parametrize(
    ("name", "revision", "words"),
    [
        ("someone/model", None, "pin it: pass revision="),
        ("model", "main", "pin it: pass revision="),
        ("someone/model", COMMIT[:39], "pin it: pass revision="),
        ("someone/model", COMMIT, "cannot be loaded"),  # pinned, and these tests have no hub
        ("./model", COMMIT, "no such model folder: ./model"),
        ("/no/where/model", None, "no such model folder"),
        ("https://hub.example/model", COMMIT, "no such model folder"),
        (Path("someone/model"), COMMIT, "no such model folder"),
    ],
)
def test_what_is_no_folder_is_looked_for_on_the_hub_only_when_pinned(
    load: Callable[..., Any], name: str | Path, revision: str | None, words: str, network_log: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        load(name, revision=revision)
    assert not network_log.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "warp"}, "unknown device 'warp': use cpu"),
        ({"device": ""}, "unknown device ''"),
        ({"device": "meta"}, "unknown device 'meta'"),
        ({"device": "cuda:4096"}, "device 'cuda:4096' is not there"),
        ({"dtype": "float99"}, "unknown dtype 'float99': use float32"),
        ({"dtype": "int8"}, "unknown dtype 'int8'"),
        ({"dtype": "load"}, "unknown dtype 'load'"),
    ],
)
def test_devices_and_types_that_there_are_not(tiny: Tiny, options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_text(tiny("gpt2"), **options)
    with pytest.raises(ConfigError, match=words):
        load_image(tiny("painter"), **options)


def test_a_type_that_was_asked_for_is_used_and_said(tiny: Tiny) -> None:
    loaded = load_text(tiny("gpt2"), device="cpu", dtype="bfloat16")
    assert loaded.facts["dtype"] == "bfloat16"
    assert str(next(loaded.model.parameters()).dtype) == "torch.bfloat16"


# --- quiet ---------------------------------------------------------------------------------------------------------


def test_quiet_is_given_back_when_the_last_one_leaves() -> None:
    from transformers.utils import logging as library

    before = library.get_verbosity(), library.is_progress_bar_enabled()
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with quiet():
            inside.set()
            leave.wait(60)

    other = threading.Thread(target=stay)
    with quiet():
        other.start()
        assert inside.wait(60)
        with quiet():
            pass
        assert library.get_verbosity() == logging.CRITICAL
    assert (library.get_verbosity(), library.is_progress_bar_enabled()) == (logging.CRITICAL, False)
    leave.set()
    other.join()
    assert (library.get_verbosity(), library.is_progress_bar_enabled()) == before
