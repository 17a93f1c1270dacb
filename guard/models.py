"""A model on a device: where it comes from, what it weighs in as, its seeds; with `guard.scoring` and
`guard.drawing`, all that knows torch.

Weights are read from safetensors files only, code from a model folder never runs, and a model from the hub is pinned to a
commit. A local folder is loaded without any network.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from guard import weights
from guard.digest import JSON, label
from guard.errors import ConfigError, MissingExtra
from guard.quiet import quiet

_log = logging.getLogger(__name__)
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TEXT_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


@dataclass(frozen=True)
class _Loaded:
    device: str
    dtype: str
    identify: Callable[[], Mapping[str, JSON]] = field(repr=False)

    @cached_property
    def facts(self) -> Mapping[str, JSON]:
        """What the record keeps: model, revision, weights, weights_form, library, device, dtype. Computed once."""
        return dict(self.identify())


@dataclass(frozen=True)
class TextModel(_Loaded):
    """A transformers model with its tokenizer."""

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)


@dataclass(frozen=True)
class ImageModel(_Loaded):
    """A diffusers pipeline."""

    pipeline: Any = field(repr=False)


# --- loading -------------------------------------------------------------------------------------------------------


def load_text(
    path_or_id: str | Path, *, revision: str | None = None, device: str | None = None, dtype: str | None = None
) -> TextModel:
    """Load a causal or encoder-decoder language model from a folder, or from the hub at a pinned commit."""

    def chosen(library: Any, config: Any) -> Any:
        return library.AutoModelForSeq2SeqLM if config.is_encoder_decoder else library.AutoModelForCausalLM

    return _load(chosen, path_or_id, revision, device, dtype)


def load_classifier(
    path_or_id: str | Path, *, revision: str | None = None, device: str | None = None, dtype: str | None = None
) -> TextModel:
    """Load a sequence classifier, likewise. Its labels are in `model.config.id2label`."""
    return _load(lambda library, _: library.AutoModelForSequenceClassification, path_or_id, revision, device, dtype)


def load_tagger(path_or_id: str | Path, *, revision: str | None = None, device: str | None = None) -> TextModel:
    """Load a token-classification model, likewise."""
    return _load(lambda library, _: library.AutoModelForTokenClassification, path_or_id, revision, device, None)


def _load(
    chosen: Callable[[Any, Any], Any],
    path_or_id: str | Path,
    revision: str | None,
    device: str | None,
    dtype: str | None,
) -> TextModel:
    transformers = _transformers()
    # top-level files only: sub-folders hold other formats of the same weights
    folder, name = fetched(path_or_id, revision, _TEXT_FILES, but=["*/*"])
    weights.require_safetensors(folder, sorted(folder.glob("*.safetensors")))
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    place = device_name(device)
    with quiet(), as_config_error(name):
        config = transformers.AutoConfig.from_pretrained(folder, **options)
        safe = {"use_safetensors": True, "dtype": _dtype(dtype) or "auto", "output_loading_info": True}
        model, report = chosen(transformers, config).from_pretrained(folder, config=config, **safe, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
        model = model.to(place).eval()
    if missing := sorted(report["missing_keys"]):  # transformers would fill them with random numbers
        raise ConfigError(
            f"{name} lacks {len(missing)} weights, {missing[0]} first: its config.json is of another model"
        )
    if len(tokenizer) <= len(set(tokenizer.all_special_tokens)):
        raise ConfigError(f"{name} holds no tokenizer: save it beside the model with tokenizer.save_pretrained")
    digest = weights.digest(folder, "*.safetensors")
    return _text_model(model, tokenizer, lambda: {"model": name, "revision": revision, **_files(digest)})


def load_image(
    path_or_id: str | Path, *, revision: str | None = None, device: str | None = None, dtype: str | None = None
) -> ImageModel:
    """Load a diffusers pipeline from a folder, or from the hub at a pinned commit."""
    diffusers, _ = _diffusers(), _transformers()  # both, so that `quiet` reaches both
    folder, name = _folder(path_or_id, revision, _download_image)
    if not (folder / "model_index.json").is_file():
        raise ConfigError(
            f"{name}: no model_index.json, so this is no diffusers pipeline; save one with save_pretrained"
        )
    components = sorted(child for child in folder.iterdir() if child.is_dir())
    for component in components:  # diffusers older than 0.40 runs such files in local folders without asking
        if any(component.glob("*.py")):
            raise ConfigError(
                f"{name}: {component.name}/ brings its own code, which is never run; use built-in components"
            )
        weights.require_safetensors(component, sorted(component.glob("*.safetensors")), may_be_empty=True)
    weights.require_safetensors(folder, sorted(folder.rglob("*.safetensors")))
    place = device_name(device)
    options = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False}
    with quiet(), as_config_error(name):
        pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=_dtype(dtype), **options).to(place)
    weights.require_all(name, folder, _modules(pipeline))
    pipeline.set_progress_bar_config(disable=True)
    digest = weights.digest(folder, "**/*.safetensors")
    return _image_model(pipeline, lambda: {"model": name, "revision": revision, **_files(digest)})


def wrap_text(model: Any, tokenizer: Any) -> TextModel:
    """A model that the caller loaded; its weights are hashed when the facts are first asked for."""
    return _text_model(model, tokenizer, lambda: describe(model))


def wrap_image(pipeline: Any) -> ImageModel:
    """A pipeline that the caller loaded; its weights are hashed when the facts are first asked for."""
    return _image_model(pipeline, lambda: describe(pipeline))


def device_name(wanted: str | None = None) -> str:
    """`cuda` where there is one, else `cpu`; what the caller wants is checked and used as it is."""
    torch = _torch()
    if wanted is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"unknown device {wanted!r}: use cpu, cuda or cuda:<number>")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {wanted!r} is not there: torch sees {torch.cuda.device_count()} CUDA devices")
    return str(device)


# --- facts ---------------------------------------------------------------------------------------------------------


def describe(loaded: Any) -> dict[str, JSON]:
    """The facts of a transformers model or pipeline, or a diffusers pipeline, that somebody else loaded.

    Hashing reads every weight once (about a second for a gigabyte); the cost is logged.
    """
    modules = _modules(loaded)
    first = next(iter(modules.values()))
    config = getattr(loaded, "config", None) or getattr(first, "config", None)
    given = getattr(loaded, "name_or_path", None) or getattr(config, "_name_or_path", None)
    started = time.perf_counter()
    digest = _state_digest(modules)
    _log.info("hashed the weights of %s in %.1f s", type(loaded).__name__, time.perf_counter() - started)
    return {
        "model": _short(str(given)) if isinstance(given, str | Path) and given else type(loaded).__name__,
        "revision": getattr(config, "_commit_hash", None),
        "weights": digest,
        "weights_form": "state_dict",
        "library": _library(loaded),
        **_placement(first),
    }


def _state_digest(modules: Mapping[str, Any]) -> str | None:
    torch = _torch()
    lines = []
    for prefix, module in sorted(modules.items()):
        for key, tensor in sorted(module.state_dict().items()):
            if not isinstance(tensor, torch.Tensor):
                continue
            if tensor.is_meta:  # offloaded: the weights are not in this process, so nothing can be said about them
                return None
            data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            lines.append(f"{label(data)} {prefix}{key} {tensor.dtype} {list(tensor.shape)}\n")
    return label("".join(lines).encode())


def _modules(loaded: Any) -> dict[str, Any]:
    torch = _torch()
    if isinstance(loaded, torch.nn.Module):
        return {"": loaded}
    parts = getattr(loaded, "components", None) or {"model": getattr(loaded, "model", None)}
    modules = {f"{name}.": part for name, part in parts.items() if isinstance(part, torch.nn.Module)}
    if not modules:
        raise ConfigError(f"{type(loaded).__name__} holds no torch module: pass a transformers model or a pipeline")
    return modules


def _placement(module: Any) -> dict[str, JSON]:
    parameter = next(module.parameters(), None)
    return {
        "device": str(getattr(parameter, "device", "cpu")),
        "dtype": str(getattr(parameter, "dtype", "")).removeprefix("torch."),
    }


def _library(loaded: Any) -> str:
    for base in type(loaded).__mro__:  # a user's subclass is described by the library that it builds on
        name = base.__module__.partition(".")[0]
        if name in {"transformers", "diffusers", "torch"}:
            return f"{name} {importlib.metadata.version(name)}"
    return type(loaded).__module__.partition(".")[0]


def _files(digest: str) -> dict[str, JSON]:
    return {"weights": digest, "weights_form": "files"}


def _short(name: str) -> str:
    """A hub id as it is; of a path only the last part, because records leave the machine."""
    return name if _HUB_ID.fullmatch(name) and not Path(name).exists() else Path(name).resolve().name


def _text_model(model: Any, tokenizer: Any, identify: Callable[[], Mapping[str, JSON]]) -> TextModel:
    placed = _placement(model)
    common = {"library": _library(model), **placed}
    return TextModel(
        str(placed["device"]), str(placed["dtype"]), lambda: {**common, **identify()}, model=model, tokenizer=tokenizer
    )


def _image_model(pipeline: Any, identify: Callable[[], Mapping[str, JSON]]) -> ImageModel:
    modules = _modules(pipeline)
    placed = _placement(modules.get("unet.") or modules.get("transformer.") or next(iter(modules.values())))
    common = {"library": _library(pipeline), **placed}
    return ImageModel(str(placed["device"]), str(placed["dtype"]), lambda: {**common, **identify()}, pipeline=pipeline)


# --- drawing -------------------------------------------------------------------------------------------------------


_turns: weakref.WeakKeyDictionary[Any, threading.Lock] = weakref.WeakKeyDictionary()


def turn(model: Any) -> threading.Lock:
    """The lock under which a model works: one for each, however many generators share it."""
    return _turns.setdefault(model, threading.Lock())


def random_generator(seed: int) -> Any:
    """A private source of random numbers, on the CPU so that a seed means the same on every device."""
    return _torch().Generator("cpu").manual_seed(seed)


# --- libraries -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def as_config_error(name: str) -> Iterator[None]:
    """What a library raises over a model's files becomes a ConfigError that names the model."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError, TypeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise ConfigError(
            f"{name} cannot be loaded ({type(error).__name__}: {reason}); check the model's folder"
        ) from error


def fetched(
    path_or_id: str | Path, revision: str | None, files: Sequence[str], *, but: Sequence[str] = ()
) -> tuple[Path, str]:
    """A model's folder, or its files from the hub at a pinned commit that match `files` and not `but`; and its name."""

    def download(name: str, commit: str) -> str:
        try:
            import huggingface_hub
        except ModuleNotFoundError as error:
            raise MissingExtra("loading models from the hub", "local") from error
        return huggingface_hub.snapshot_download(
            name, revision=commit, allow_patterns=list(files), ignore_patterns=list(but) or None
        )

    return _folder(path_or_id, revision, download)


def _folder(path_or_id: str | Path, revision: str | None, download: Callable[[str, str], str]) -> tuple[Path, str]:
    """Where the files lie, and the name for the record."""
    given = Path(path_or_id).expanduser()
    if given.is_dir():
        return given, given.resolve().name
    name = str(path_or_id)
    if isinstance(path_or_id, Path) or not _HUB_ID.fullmatch(name):
        raise ConfigError(f"no such model folder: {path_or_id}")
    if not _COMMIT.fullmatch(revision or ""):
        raise ConfigError(
            f"there is no folder {name!r}; to load it from the hub, pin it: pass revision= with the 40-digit commit hash"
        )
    with quiet(), as_config_error(name):
        return Path(download(name, str(revision))), name


def _download_image(name: str, revision: str) -> str:
    return str(
        _diffusers().DiffusionPipeline.download(name, revision=revision, use_safetensors=True, trust_remote_code=False)
    )


def _dtype(name: str | None) -> Any | None:
    if name is None:
        return None
    torch = _torch()
    dtype = getattr(torch, name, None)
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ConfigError(f"unknown dtype {name!r}: use float32, float16 or bfloat16")
    return dtype


def _torch() -> Any:
    return _import("torch", "running local models", "local")


def _transformers() -> Any:
    return _import("transformers", "running local language models", "local")


def _diffusers() -> Any:
    return _import("diffusers", "running local image models", "images")


def _import(name: str, what: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtra(what, extra) from error
