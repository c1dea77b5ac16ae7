"""Shapes of the tensors of FederatedScope's own models, by formula: planning needs no torch.

Names and shapes are those of ``state_dict`` in its ``core/lr.py``, ``core/mlp.py``, ``cv/model/cnn.py``,
``nlp/model/rnn.py`` and ``tabular/model/quadratic.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

# Here a list of their tensors is still made in a second.
LAYERS_MAX = 100_000


@dataclass(frozen=True)
class Tensor:
    """One entry of a model's state; ``trained``: a parameter, no running statistic."""

    name: str
    shape: tuple[int, ...]
    trained: bool = True

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class ModelSettings:
    """The keys of FederatedScope's ``model`` that decide shapes, with its defaults (``core/configs/cfg_model.py``)."""

    type: str = "lr"
    hidden: int = 256
    layer: int = 2
    in_channels: int = 0
    out_channels: int = 1
    embed_size: int = 8

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ModelSettings:
        """Return those of a configuration whose values have been checked: numbers may be written as text there."""
        given = config.get("model") or {}
        numbers = {field.name: _whole(given[field.name]) for field in fields(cls)[1:] if field.name in given}
        return cls(str(given.get("type", cls.type)).lower(), **numbers)


def _whole(value: Any) -> int:
    return value if type(value) is int else int(float(value))


def tensors_of(settings: ModelSettings, sample: Sequence[int]) -> list[Tensor] | None:
    """The tensors of a model for samples of this shape; None: the model is not one of FederatedScope's own, or has
    more layers than any machine holds."""
    build = _MODELS.get(settings.type)
    try:
        return None if build is None or settings.layer > LAYERS_MAX else list(build(settings, sample))
    except IndexError:
        return None  # the samples do not fit the model, which the engine reports


def explain_too_many_layers(layers: float) -> tuple[str, str] | None:
    """Say what is wrong with so many layers, and what helps; None: nothing."""
    if layers <= LAYERS_MAX:
        return None
    return f"{layers:,.0f} layers are more than any machine holds", f"at most {LAYERS_MAX:,}"


def _linear(name: str, inputs: int, outputs: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", (outputs, inputs))
    yield Tensor(f"{name}.bias", (outputs,))


def _norm(name: str, features: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", (features,))
    yield Tensor(f"{name}.bias", (features,))
    yield Tensor(f"{name}.running_mean", (features,), trained=False)
    yield Tensor(f"{name}.running_var", (features,), trained=False)
    yield Tensor(f"{name}.num_batches_tracked", (), trained=False)


def _convolution(number: int, inputs: int, outputs: int, kernel: int) -> Iterator[Tensor]:
    yield Tensor(f"conv{number}.weight", (outputs, inputs, kernel, kernel))
    yield Tensor(f"conv{number}.bias", (outputs,))
    yield from _norm(f"bn{number}", outputs)


def _lr(settings: ModelSettings, sample: Sequence[int]) -> Iterator[Tensor]:
    yield from _linear("fc", sample[-1], settings.out_channels)


def _mlp(settings: ModelSettings, sample: Sequence[int]) -> Iterator[Tensor]:
    channels = [sample[-1], *[settings.hidden] * (settings.layer - 1), settings.out_channels]
    for number, (inputs, outputs) in enumerate(pairwise(channels)):
        yield from _linear(f"linears.{number}", inputs, outputs)
        yield from _norm(f"norms.{number}", outputs)


def _images(channels: Sequence[int], kernel: int, pools: int, hidden_layers: int) -> Callable[..., Iterator[Tensor]]:
    def tensors(settings: ModelSettings, sample: Sequence[int]) -> Iterator[Tensor]:
        for number, (inputs, outputs) in enumerate(pairwise((sample[-3], *channels)), 1):
            yield from _convolution(number, inputs, outputs, kernel)
        left = (sample[-2] >> pools) * (sample[-1] >> pools) * channels[-1]
        sizes = [left, *[settings.hidden] * hidden_layers, settings.out_channels]
        for number, (inputs, outputs) in enumerate(pairwise(sizes), 1):
            yield from _linear(f"fc{number}", inputs, outputs)

    return tensors


def _lstm(settings: ModelSettings, sample: Sequence[int]) -> Iterator[Tensor]:
    # Without in_channels, FederatedScope takes the last dimension but one; of plain sequences that is the batch.
    inputs = settings.in_channels or sample[-2]
    yield Tensor("encoder.weight", (inputs, settings.embed_size))
    gates, width = 4 * settings.hidden, settings.embed_size or inputs
    for layer in range(2):
        yield Tensor(f"rnn.weight_ih_l{layer}", (gates, settings.hidden if layer else width))
        yield Tensor(f"rnn.weight_hh_l{layer}", (gates, settings.hidden))
        yield Tensor(f"rnn.bias_ih_l{layer}", (gates,))
        yield Tensor(f"rnn.bias_hh_l{layer}", (gates,))
    yield from _linear("decoder", settings.hidden, settings.out_channels)


def _quadratic(settings: ModelSettings, sample: Sequence[int]) -> Iterator[Tensor]:
    yield Tensor("x", (sample[-1], 1))


_MODELS: dict[str, Callable[[ModelSettings, Sequence[int]], Iterator[Tensor]]] = {
    "lr": _lr,
    "mlp": _mlp,
    "convnet2": _images((32, 64), kernel=5, pools=2, hidden_layers=1),
    "convnet5": _images((32, 64, 64, 128, 128), kernel=5, pools=5, hidden_layers=1),
    "vgg11": _images((64, 128, 256, 256, 512, 512, 512, 512), kernel=3, pools=5, hidden_layers=2),
    "lstm": _lstm,
    "quadratic": _quadratic,
}
