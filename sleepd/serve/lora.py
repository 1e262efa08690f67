"""Applies LoRA to a base model without changing it: which adapter takes part is chosen for each forward pass.

The base is loaded once and never written to. Only the thread that runs the model may use a LoraSwitch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class LoraWeights:
    """The update of one linear layer: ``scaling * b @ a``; ``a`` is (rank, in), ``b`` (out, rank), both float32."""

    a: Tensor
    b: Tensor
    scaling: float


Layers = Mapping[str, LoraWeights]  # by the name of the linear layer in the base model

_NOTHING: Layers = {}


def linear_shapes(model: nn.Module) -> dict[str, tuple[int, int]]:
    """(out, in) of every linear layer, by its name."""
    return {name: (m.out_features, m.in_features) for name, m in model.named_modules() if isinstance(m, nn.Linear)}


class LoraSwitch:
    """Adds the chosen layers' updates to what the base model's linear layers compute.

    Updates are computed in float32 whatever the base's type, as PEFT does, so answers agree with the
    ones that were recorded when the adapter was evaluated.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = _NOTHING
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear):
                module.register_forward_hook(self._update(name))

    @contextmanager
    def using(self, layers: Layers) -> Iterator[None]:
        """Within this block the model answers with these layers; an empty mapping is the base itself."""
        self._layers = layers
        try:
            yield
        finally:
            self._layers = _NOTHING

    def _update(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
        def add(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            weights = self._layers.get(name)
            if weights is None:
                return None
            low = functional.linear(inputs[0].to(weights.a.dtype), weights.a)
            return (output + functional.linear(low, weights.b) * weights.scaling).to(output.dtype)

        return add


def to_device(layers: Layers, device: torch.device) -> Layers:
    return {name: LoraWeights(w.a.to(device), w.b.to(device), w.scaling) for name, w in layers.items()}
