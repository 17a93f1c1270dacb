"""The weights in a model's folder: safetensors and nothing else, all of them there, and a digest that anybody can repeat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard.digest import file_label, label
from guard.errors import ConfigError

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def digest(folder: Path, pattern: str) -> str:
    """`sha256:…` of the files of a pattern: of the file itself where there is one, of the sorted `sha256sum` list where
    there are several, so that anybody can repeat it with `sha256sum`."""
    found = (file for file in folder.glob(pattern) if file.is_file())
    files = sorted(found, key=lambda file: file.relative_to(folder).as_posix())
    if len(files) == 1:
        return file_label(files[0])
    lines = [f"{file_label(file).removeprefix('sha256:')}  {file.relative_to(folder).as_posix()}\n" for file in files]
    return label("".join(lines).encode())


def require_safetensors(folder: Path, found: list[Path], *, may_be_empty: bool = False) -> None:
    """Refuse a folder whose only weights are pickles, or which has none."""
    if found:
        return
    if any(file.suffix in _PICKLES for file in folder.iterdir()):
        raise ConfigError(
            f"{folder.resolve().name} holds pickled weights only, which can run code when they are read: "
            "convert them with save_pretrained(..., safe_serialization=True) on a machine that you can spare"
        )
    if not may_be_empty:
        raise ConfigError(
            f"{folder.resolve().name} holds no safetensors weights: save the model there with save_pretrained"
        )


def require_all(name: str, folder: Path, modules: Mapping[str, Any]) -> None:
    """Refuse files that hold fewer numbers than the modules have: diffusers makes the rest up, and does not say so.

    They are counted, because the names of weights change from one version of the libraries to the next.
    """
    from safetensors import safe_open

    for part, module in modules.items():
        held = 0
        for file in (folder / part.removesuffix(".")).glob("*.safetensors"):
            with safe_open(file, "np") as opened:
                held += sum(math.prod(opened.get_slice(key).get_shape()) for key in opened.keys())  # noqa: SIM118
        quantized = getattr(getattr(module, "config", None), "quantization_config", None)  # packs several into one
        if not quantized and held < sum(parameter.numel() for parameter in module.parameters()):
            raise ConfigError(f"{name} lacks weights in {part.removesuffix('.')}/: its config.json is of another model")
