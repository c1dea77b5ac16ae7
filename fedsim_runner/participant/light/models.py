"""Classifiers in numpy with FederatedScope's parameter names and torch's initial values.

``lr``: FederatedScope's ``core/lr.py``; ``mlp``: its ``core/mlp.py`` (linear, batch normalisation, ReLU, dropout).
Arrays are float32. Forward and backward share a cache, so one instance serves one thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Protocol

import numpy as np

from ..exit_errors import ParticipantError
from ..tensors import Array

BATCH_NORM_EPSILON = 1e-5  # torch.nn.BatchNorm1d's defaults
BATCH_NORM_MOMENTUM = 0.1


class Model(Protocol):
    """A classifier: ``parameters`` are shared with the server, other state stays local."""

    parameters: dict[str, Array]

    @property
    def statistics(self) -> dict[str, Array]:
        """The state that stays local, by FederatedScope's names."""
        ...

    def load_statistics(self, statistics: Mapping[str, Array]) -> None:
        """Overwrite those of the local state that are given."""
        ...

    def forward(self, x: Array, training: bool) -> Array:
        """Logits of shape (samples, classes) for ``x`` of shape (samples, features)."""
        ...

    def backward(self, gradient: Array) -> dict[str, Array]:
        """Gradients by parameter for the last forward pass; ``gradient`` is that of the logits."""
        ...


def load_parameters(model: Model, received: Mapping[str, Array]) -> None:
    """Overwrite the shared parameters with ``received``; names that the model does not share are ignored.

    Raises:
        ParticipantError: a parameter is missing or has another shape.
    """
    for name, own in model.parameters.items():
        if name not in received:
            raise ParticipantError(f"the received model lacks {name}: is model.type the same for all participants?")
        if received[name].shape != own.shape:
            raise ParticipantError(
                f"the received {name} has shape {received[name].shape}, ours {own.shape}: "
                "are model and data the same for all participants?"
            )
        model.parameters[name] = received[name].astype(np.float32)


class Linear:
    """One fully connected layer under ``name`` in ``parameters``, with torch's initial values."""

    def __init__(self, name: str, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        self.name = name
        bound = 1 / np.sqrt(inputs)
        self.initial = {
            f"{name}.weight": rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32),
            f"{name}.bias": rng.uniform(-bound, bound, outputs).astype(np.float32),
        }
        self._x: Array = np.empty(0)

    def forward(self, x: Array, parameters: Mapping[str, Array]) -> Array:
        self._x = x
        result: Array = x @ parameters[f"{self.name}.weight"].T + parameters[f"{self.name}.bias"]
        return result

    def backward(self, gradient: Array, parameters: Mapping[str, Array], gradients: dict[str, Array]) -> Array:
        gradients[f"{self.name}.weight"] = gradient.T @ self._x
        gradients[f"{self.name}.bias"] = gradient.sum(axis=0)
        result: Array = gradient @ parameters[f"{self.name}.weight"]
        return result


class BatchNorm:
    """torch.nn.BatchNorm1d. Running statistics stay local; with ``use_running`` False evaluation uses the batch's."""

    def __init__(self, name: str, features: int, use_running: bool) -> None:
        self.name = name
        self.initial = {
            f"{name}.weight": np.ones(features, np.float32),
            f"{name}.bias": np.zeros(features, np.float32),
        }
        self._mean: Array = np.zeros(features, np.float32)
        self._variance: Array = np.ones(features, np.float32)
        self._batches = 0
        self._use_running = use_running
        self._normalised: Array = np.empty(0)
        self._deviation: Array = np.empty(0)

    def forward(self, x: Array, parameters: Mapping[str, Array], training: bool) -> Array:
        if training and len(x) < 2:
            raise ParticipantError(
                "a batch of one sample cannot be normalised: set dataloader.drop_last: true or another batch_size"
            )
        if training or not self._use_running:
            mean, variance = x.mean(axis=0), x.var(axis=0)
            if training and self._use_running:
                unbiased = variance * len(x) / (len(x) - 1)
                self._mean = (1 - BATCH_NORM_MOMENTUM) * self._mean + BATCH_NORM_MOMENTUM * mean
                self._variance = (1 - BATCH_NORM_MOMENTUM) * self._variance + BATCH_NORM_MOMENTUM * unbiased
                self._batches += 1
        else:
            mean, variance = self._mean, self._variance
        self._deviation = np.sqrt(variance + BATCH_NORM_EPSILON)
        self._normalised = (x - mean) / self._deviation
        result: Array = self._normalised * parameters[f"{self.name}.weight"] + parameters[f"{self.name}.bias"]
        return result

    def backward(self, gradient: Array, parameters: Mapping[str, Array], gradients: dict[str, Array]) -> Array:
        gradients[f"{self.name}.weight"] = (gradient * self._normalised).sum(axis=0)
        gradients[f"{self.name}.bias"] = gradient.sum(axis=0)
        inner = gradient * parameters[f"{self.name}.weight"]
        result: Array = (
            inner - inner.mean(axis=0) - self._normalised * (inner * self._normalised).mean(axis=0)
        ) / self._deviation
        return result

    @property
    def statistics(self) -> dict[str, Array]:
        """torch's buffers of the layer."""
        return {
            f"{self.name}.running_mean": self._mean,
            f"{self.name}.running_var": self._variance,
            f"{self.name}.num_batches_tracked": np.asarray(self._batches, np.int64),
        }

    def load_statistics(self, statistics: Mapping[str, Array]) -> None:
        found = {**self.statistics, **statistics}
        self._mean = found[f"{self.name}.running_mean"].astype(np.float32)
        self._variance = found[f"{self.name}.running_var"].astype(np.float32)
        self._batches = int(found[f"{self.name}.num_batches_tracked"])


class LogisticRegression:
    """FederatedScope's ``lr``: one linear layer named ``fc``."""

    def __init__(self, inputs: int, classes: int, rng: np.random.Generator) -> None:
        self._layer = Linear("fc", inputs, classes, rng)
        self.parameters = dict(self._layer.initial)
        self.statistics: dict[str, Array] = {}

    def forward(self, x: Array, training: bool) -> Array:
        return self._layer.forward(x, self.parameters)

    def backward(self, gradient: Array) -> dict[str, Array]:
        gradients: dict[str, Array] = {}
        self._layer.backward(gradient, self.parameters, gradients)
        return gradients

    def load_statistics(self, statistics: Mapping[str, Array]) -> None:
        """It has none."""


class MultilayerPerceptron:
    """FederatedScope's ``mlp``. Its last normalisation layer has parameters but is never applied, as upstream."""

    def __init__(self, channels: list[int], dropout: float, use_running: bool, rng: np.random.Generator) -> None:
        pairs = list(pairwise(channels))
        self._linears = [Linear(f"linears.{n}", inputs, outputs, rng) for n, (inputs, outputs) in enumerate(pairs)]
        self._norms = [BatchNorm(f"norms.{n}", outputs, use_running) for n, (_, outputs) in enumerate(pairs)]
        self._dropout = dropout
        self._rng = rng
        self._masks: list[Array] = []
        self.parameters: dict[str, Array] = {}
        for linear in self._linears:
            self.parameters.update(linear.initial)
        for norm in self._norms:
            self.parameters.update(norm.initial)

    def forward(self, x: Array, training: bool) -> Array:
        self._masks = []
        x = self._linears[0].forward(x, self.parameters)
        for linear, norm in zip(self._linears[1:], self._norms[:-1], strict=True):
            x = norm.forward(x, self.parameters, training)
            mask = (x > 0).astype(np.float32)
            if training and self._dropout:
                kept = self._rng.random(x.shape, dtype=np.float32) >= self._dropout
                mask *= kept / np.float32(1 - self._dropout)
            self._masks.append(mask)
            x = linear.forward(x * mask, self.parameters)
        return x

    def backward(self, gradient: Array) -> dict[str, Array]:
        gradients: dict[str, Array] = {}  # none for the unused layer: not even weight decay may move it
        layers = list(zip(self._linears[1:], self._norms[:-1], self._masks, strict=True))
        for linear, norm, mask in reversed(layers):
            gradient = linear.backward(gradient, self.parameters, gradients) * mask
            gradient = norm.backward(gradient, self.parameters, gradients)
        self._linears[0].backward(gradient, self.parameters, gradients)
        return gradients

    @property
    def statistics(self) -> dict[str, Array]:
        return {name: value for norm in self._norms for name, value in norm.statistics.items()}

    def load_statistics(self, statistics: Mapping[str, Array]) -> None:
        for norm in self._norms:
            norm.load_statistics({name: value for name, value in statistics.items() if name in norm.statistics})
