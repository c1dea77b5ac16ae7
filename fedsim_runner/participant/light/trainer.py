"""Local training and evaluation, as in FederatedScope's general trainer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice

import numpy as np

from ..exit_errors import ParticipantError
from ..tensors import Array
from .models import LogisticRegression, Model, MultilayerPerceptron
from .settings import Settings
from .shards import Shard, Split

Results = dict[str, float]


def build_model(settings: Settings, shard: Shard) -> Model:
    """The model that ``settings`` names, with torch's initial values drawn from the seed.

    Raises:
        ParticipantError: neither data nor ``model.input_shape`` give the number of features.
    """
    inputs = next((split.x.shape[1] for split in shard.values()), settings.inputs)
    if inputs is None:
        raise ParticipantError("the number of features is unknown: there is no data and no model.input_shape")
    rng = np.random.default_rng(settings.seed)
    if settings.model == "lr":
        return LogisticRegression(inputs, settings.classes, rng)
    channels = [inputs, *[settings.hidden] * (settings.layers - 1), settings.classes]
    # A server that evaluates has no running statistics of its own, so the batch's are used. FederatedScope does so for
    # two-dimensional layers only: its server evaluates this model with statistics that were never trained.
    use_running = not (settings.role == "server" and settings.make_global_eval)
    return MultilayerPerceptron(channels, settings.dropout, use_running, rng)


class Trainer:
    """Trains and evaluates one model on one shard."""

    def __init__(self, settings: Settings, shard: Shard) -> None:
        for name, split in shard.items():
            if len(split.y) and not 0 <= split.y.min() <= split.y.max() < settings.classes:
                raise ParticipantError(
                    f"{name}: labels go from {split.y.min()} to {split.y.max()}, "
                    f"model.out_channels is {settings.classes}"
                )
        self._settings = settings
        self._shard = shard
        self.model = build_model(settings, shard)
        # Clients must not draw the same batches: their shards distinguish them, and stay the same between runs.
        self._rng = np.random.default_rng([settings.seed, *(_fingerprint(split) for split in shard.values())])

    @property
    def train_samples(self) -> int:
        """Size of the training split."""
        return len(self._shard["train"].y) if "train" in self._shard else 0

    def train(self) -> tuple[int, Results]:
        """One round of local updates; returns the samples seen and the training results.

        Raises:
            ParticipantError: there is no training data, or the loss is no longer a number.
        """
        settings, split = self._settings, self._shard.get("train")
        if split is None or len(split.y) == 0:
            raise ParticipantError("this client has no training data")
        velocity: dict[str, Array] = {}
        loss_sum, correct, seen = 0.0, 0, 0
        for index in self._schedule(len(split.y)):
            x, y = split.x[index], split.y[index]
            losses, gradient, hits = _cross_entropy(self.model.forward(x, training=True), y)
            self._step(self.model.backward(gradient / len(y)), velocity)
            loss_sum, correct, seen = loss_sum + float(losses.sum()), correct + hits, seen + len(y)
        if not seen:
            raise ParticipantError(
                f"no batch of {settings.batch_size} fits into {len(split.y)} samples with dataloader.drop_last"
            )
        if not math.isfinite(loss_sum):
            raise ParticipantError("the training loss is not finite: lower train.optimizer.lr")
        return seen, self._results("train", loss_sum, correct, seen)

    def evaluate(self, name: str) -> Results:
        """Results on one split by FederatedScope's names; empty if the shard does not have it."""
        split = self._shard.get(name)
        if split is None or len(split.y) == 0:
            return {}
        loss_sum, correct = 0.0, 0
        size = self._settings.batch_size
        for start in range(0, len(split.y), size):
            logits = self.model.forward(split.x[start : start + size], training=False)
            losses, _, hits = _cross_entropy(logits, split.y[start : start + size])
            loss_sum, correct = loss_sum + float(losses.sum()), correct + hits
        return self._results(name, loss_sum, correct, len(split.y))

    def _schedule(self, samples: int) -> Iterator[Array]:
        """Index arrays of the batches of one round."""
        steps = self._settings.local_update_steps
        if self._settings.batch_or_epoch == "epoch":
            for _ in range(steps):
                yield from self._epoch(samples)
        else:
            yield from islice(self._endless(samples), steps)

    def _endless(self, samples: int) -> Iterator[Array]:
        while True:
            batches = list(self._epoch(samples))
            if not batches:
                return
            yield from batches

    def _epoch(self, samples: int) -> Iterator[Array]:
        size = self._settings.batch_size
        order = self._rng.permutation(samples) if self._settings.shuffle else np.arange(samples)
        for start in range(0, samples, size):
            batch = order[start : start + size]
            if len(batch) == size or not self._settings.drop_last:
                yield batch

    def _step(self, gradients: dict[str, Array], velocity: dict[str, Array]) -> None:
        """torch.optim.SGD: weight decay into the gradient, then momentum, then the step."""
        settings, parameters = self._settings, self.model.parameters
        if settings.grad_clip > 0:
            norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values()))
            scale = min(1.0, settings.grad_clip / (norm + 1e-6))
            gradients = {name: gradient * scale for name, gradient in gradients.items()}
        for name, raw in gradients.items():
            gradient = raw + settings.weight_decay * parameters[name] if settings.weight_decay else raw
            if settings.momentum:
                gradient = velocity[name] = settings.momentum * velocity.get(name, 0.0) + gradient
            parameters[name] = (parameters[name] - settings.lr * gradient).astype(np.float32)

    def _results(self, name: str, loss_sum: float, correct: int, total: int) -> Results:
        """FederatedScope's ``loss`` is the sum over samples, ``avg_loss`` the mean."""
        results: Results = {
            f"{name}_total": total,
            f"{name}_loss": loss_sum,
            f"{name}_avg_loss": loss_sum / total,
        }
        if "acc" in self._settings.metrics:
            results[f"{name}_acc"] = correct / total
        if "correct" in self._settings.metrics:
            results[f"{name}_correct"] = correct
        return results


def _cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array, int]:
    """Losses per sample, their gradient by the logits, and how many were classified right."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    losses = np.log(sums[:, 0]) - shifted[rows, labels]
    gradient = exponentials / sums
    gradient[rows, labels] -= 1
    return losses, gradient, int((logits.argmax(axis=1) == labels).sum())


def _fingerprint(split: Split) -> int:
    return int(np.abs(split.x[:8]).sum() * 1000) + 31 * len(split.y)
