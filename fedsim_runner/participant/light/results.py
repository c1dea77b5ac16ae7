"""Evaluation results in FederatedScope's forms, the best ones so far, and early stopping.

Formats: FederatedScope's ``core/monitors/monitor.py`` and ``early_stopper.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .settings import Settings

DIGITS = 6
# For these larger is better, for losses smaller.
_RISING = ("acc", "correct")


def formatted(role: str, round_number: int | str, results: Mapping[str, Any]) -> dict[str, Any]:
    """One line of results as every participant logs its own."""
    return {"Role": role, "Round": round_number, "Results_raw": dict(results)}


def merged(round_number: int, per_client: Sequence[Mapping[str, float]], forms: Sequence[str]) -> dict[str, Any]:
    """The server's line for results of several clients: weighted by samples, plain mean, spread, or all of them."""
    # What most clients have: one that leaves a metric out must not hide it, and one that makes one up not show it.
    found = dict.fromkeys(name for results in per_client for name in results)
    names = [name for name in found if 2 * sum(name in results for results in per_client) > len(per_client)]
    values = {name: np.array([float(results[name]) for results in per_client if name in results]) for name in names}
    line: dict[str, Any] = {"Role": "Server #", "Round": round_number}
    for form in forms:
        if form == "raw":
            line["Results_raw"] = {name: values[name].tolist() for name in names}
        elif form == "avg":
            line["Results_avg"] = {name: float(values[name].mean()) for name in names}
        elif form == "weighted_avg":
            line["Results_weighted_avg"] = {name: _weighted(name, per_client) for name in names}
        elif form == "fairness":
            line["Results_fairness"] = _spread(values)
    return line


def _weighted(name: str, per_client: Sequence[Mapping[str, float]]) -> float:
    total = f"{name.split('_', 1)[0]}_total"
    having = [results for results in per_client if name in results]
    values, weights = [results[name] for results in having], [results.get(total, 0.0) for results in having]
    if name.endswith(("_total", "_correct")) or sum(weights) <= 0:
        return float(np.mean(values))
    return float(np.average(values, weights=weights))


def _spread(values: Mapping[str, Any]) -> dict[str, float]:
    spread: dict[str, float] = {}
    for name, array in values.items():
        if name.endswith(("_total", "_correct")):
            spread[name] = float(array.mean())
            continue
        ordered, size = np.sort(array), len(array)
        spread[f"{name}_std"] = float(array.std())
        spread[f"{name}_bottom_decile"] = float(ordered[size // 10])
        spread[f"{name}_top_decile"] = float(ordered[size * 9 // 10])
        spread[f"{name}_min"] = float(ordered[0])
        spread[f"{name}_max"] = float(ordered[-1])
        spread[f"{name}_bottom10%"] = float(ordered[: max(1, size // 10)].mean())  # upstream: nan below ten clients
        spread[f"{name}_top10%"] = float(ordered[size * 9 // 10 :].mean())
    return spread


def rounded(value: Any) -> Any:
    """Round floats to six digits, as FederatedScope prints them; addresses and other text stay as they are."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


class Best:
    """The best value of each result, and whether the decisive one still improves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._history: list[float] = []
        self._best_seen: float | None = None
        self._without_improvement = 0
        self._best: dict[str, dict[str, float]] = {}
        self.stopped = False

    @property
    def results(self) -> dict[str, dict[str, float]]:
        """Results of the best round by their form."""
        return self._best

    def update(self, form: str, results: Mapping[str, float]) -> None:
        """Keep the results of the best round by ``eval.best_res_update_round_wise_key`` (or of the last round)."""
        key, best = self._settings.best_key, self._best.get(form)
        if best and key in best and key in results:
            better = results[key] > best[key] if _rises(key) else results[key] < best[key]
            if not better and not math.isnan(best[key]):
                return
        self._best[form] = dict(results)

    def should_stop(self, results: Mapping[str, float]) -> bool:
        """FederatedScope's early stopper on ``eval.best_res_update_round_wise_key``; patience 0 never stops."""
        settings = self._settings
        if settings.patience == 0 or settings.best_key not in results:
            return False
        sign = -1 if _rises(settings.best_key) else 1
        new = sign * results[settings.best_key]
        earlier = self._history[-settings.patience :]
        self._history.append(new)
        if settings.improve_mode == "mean":
            worse = len(earlier) == settings.patience and float(np.mean(earlier)) - settings.delta < new
            self.stopped = self.stopped or worse
        elif self._best_seen is None or new <= self._best_seen - settings.delta:
            self._best_seen, self._without_improvement = new, 0
        else:
            self._without_improvement += 1
            self.stopped = self._without_improvement >= settings.patience
        return self.stopped


def _rises(name: str) -> bool:
    return name.rsplit("_", 1)[-1] in _RISING
