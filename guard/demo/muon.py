"""Optimizers for the small models: Muon for the matrices, AdamW for the rest, which halves the steps of AdamW alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class Schedule:
    """Some optimizers driven as one: warm-up, a plateau, then a linear decay to almost nothing."""

    def __init__(self, optimizers: list[Any], *, steps: int, warmup: int = 20, plateau: float = 0.3) -> None:
        self._optimizers = optimizers
        self._rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
        self._steps, self._warmup, self._plateau = steps, warmup, plateau

    def step(self, number: int) -> None:
        """Apply the gradients of step `number`, from 0, and forget them."""
        rest = max(0.0, number / self._steps - self._plateau) / (1 - self._plateau)
        share = min(1.0, (number + 1) / self._warmup) * (1 - 0.97 * rest)
        for optimizer, rates in zip(self._optimizers, self._rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def optimizers(
    named: Iterable[tuple[str, Any]], is_matrix: Callable[[str, Any], bool], *, rate: float, matrix_rate: float
) -> list[Any]:
    """Muon (Jordan et al. 2024) for the parameters that `is_matrix` names, AdamW for the others."""
    import torch

    class Muon(torch.optim.Optimizer):
        """Momentum whose update is orthogonalised by a Newton–Schulz iteration; matrices of one shape go together."""

        def __init__(self, parameters: list[Any]) -> None:
            by_shape: dict[tuple[int, ...], list[Any]] = {}
            for parameter in parameters:
                by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            super().__init__([{"params": group} for group in by_shape.values()], {"lr": matrix_rate})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
            for group in self.param_groups:
                parameters = group["params"]
                shape = parameters[0].shape
                # A convolution counts as the matrix from its patches to its channels.
                gradient = torch.stack([parameter.grad.reshape(shape[0], -1) for parameter in parameters])
                momentum = self.state[parameters[0]].setdefault("momentum", torch.zeros_like(gradient))
                momentum.lerp_(gradient, 0.05)
                update = _orthogonal(gradient.lerp(momentum, 0.95))
                scale: float = 0.2 * max(gradient.shape[-2:]) ** 0.5
                for parameter, change in zip(parameters, update, strict=True):
                    parameter.add_(change.reshape(shape), alpha=-group["lr"] * scale)

    parameters = list(named)
    matrices = [parameter for name, parameter in parameters if is_matrix(name, parameter)]
    rest = [parameter for name, parameter in parameters if not is_matrix(name, parameter)]
    return [torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0), Muon(matrices)]


def _orthogonal(gradient: Any) -> Any:
    turned = gradient.shape[-2] > gradient.shape[-1]
    matrix = gradient.mT if turned else gradient
    matrix = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = matrix @ matrix.mT
        matrix = 3.4445 * matrix + (-4.775 * square + 2.0315 * square @ square) @ matrix
    return matrix.mT if turned else matrix
