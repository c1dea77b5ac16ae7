"""One experiment in dilated time at a factor and at half of it: in device time nothing may differ. And in real time.

Both run side by side, the one at the factor for twice as many rounds: the speed of a machine's processors changes by
some percent from minute to minute, which is not what is measured here.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedsim_runner.contract.paths import REPORT

from ..installation import this_installation
from ..tables import Limit

#: No device has more than a core: with a part of a core it computes with one thread in all runs.
EXPERIMENT = """\
name: {name}
seed: 1
time: {time}
cpu_factor: {factor}
device_types:
  box: {{based_on: {base}, cpus: {cpus}, memory_mb: 2048, gpus: 0}}
devices:
  - {{name: server, type: box, role: server, engine: {engine}, network: gigabit}}
  - {{name: near, type: box, engine: {engine}, network: wifi}}
  - {{name: slow, type: box, engine: {engine}, network: 4g, overrides: {{cpus: {half}}}}}
  - {{name: far, type: box, engine: {engine}, network: 3g}}
course: {{timeout: 3600, silence_timeout: 600}}
data: {{dataset: digits, split: iid}}
federatedscope:
  config:
    federate: {{total_round_num: {rounds}, make_global_eval: true}}
    model: {{type: mlp, hidden: 64, out_channels: 10, task: classification, dropout: 0.0}}
    criterion: {{type: CrossEntropyLoss}}
    dataloader: {{batch_size: 32, drop_last: true}}
    train: {{local_update_steps: {steps}, batch_or_epoch: epoch, optimizer: {{lr: 0.05}}}}
    eval: {{freq: 1, metrics: [acc], best_res_update_round_wise_key: test_loss}}
    early_stop: {{patience: 0}}
"""
CPUS = 0.8
BASE = "smartphone-low"
COLUMNS = ("time", "factor", "round", "its wall time", "computes", "sends and receives", "accuracy")
MOST_OFF_ROUND_PERCENT = 5.0
MOST_OFF_COMPUTE_PERCENT = 10.0


@dataclass(frozen=True)
class Measured:
    """A run. Seconds are device time; in real time that is wall time.

    Attributes:
        round_s: the median of all rounds but the first, which also warms up.
        compute_s: of each client, the median of the same rounds.
        transfer_s: of each client, the same for what its messages are under way.
        accuracies: by round.
    """

    time: str
    factor: float
    round_s: float
    compute_s: dict[str, float]
    transfer_s: dict[str, float]
    accuracies: tuple[float | None, ...]

    def cells(self) -> tuple[object, ...]:
        """The row of a table."""
        wall_s = self.round_s / self.factor if self.time == "dilated" else self.round_s
        last = self.accuracies[-1] if self.accuracies else None
        shown = (", ".join(f"{name} {some[name]:.2f} s" for name in some) for some in (self.compute_s, self.transfer_s))
        return (self.time, f"{self.factor:g}", f"{self.round_s:.2f} s", f"{wall_s:.2f} s", *shown, last)


def measure(folder: Path, engine: str, factor: float, rounds: int, steps: int) -> list[Measured]:
    """Run the experiment four times: dilated and real, each at the factor and, at the same time, at half of it.

    ``rounds``: of the run at half of the factor.

    Raises:
        SystemExit: a run failed.
    """
    found: list[Measured] = []
    for time in ("dilated", "real"):
        with ThreadPoolExecutor(2) as pool:
            both = [
                pool.submit(_run, folder, engine, time, one, count, steps)
                for one, count in ((factor, 2 * rounds), (factor / 2, rounds))
            ]
            found += [one.result() for one in both]
    return found


def list_limits(found: Sequence[Measured]) -> list[Limit]:
    """By how much the dilated run at half of the factor differs from the other; ``found``: of :func:`measure`."""
    first, second = found[:2]
    half = "in device time, at half of the factor"
    limits = [Limit(f"median round {half}", _off(first.round_s, second.round_s), MOST_OFF_ROUND_PERCENT, " %")]
    for name, seconds in first.compute_s.items():
        off = _off(seconds, second.compute_s[name])
        limits.append(Limit(f"{name} computes {half}", off, MOST_OFF_COMPUTE_PERCENT, " %"))
    differ = _differences([one.accuracies for one in found])
    return [*limits, Limit("rounds with another accuracy in one of the runs", float(differ), 0)]


def _off(first: float, second: float) -> float:
    return 100 * abs(second / first - 1)


def _differences(accuracies: Sequence[Sequence[float | None]]) -> int:
    rounds = min(map(len, accuracies))
    return sum(len(set(one)) > 1 for one in zip(*(some[:rounds] for some in accuracies), strict=True))


def _run(folder: Path, engine: str, time: str, factor: float, rounds: int, steps: int) -> Measured:
    name = f"bench-{time}-{factor:g}".replace(".", "-")
    spec = folder / f"{name}.yaml"
    text = EXPERIMENT.format(
        name=name, time=time, factor=factor, base=BASE, cpus=CPUS, half=CPUS / 2, engine=engine, rounds=rounds,
        steps=steps,
    )  # fmt: skip
    spec.write_text(text, encoding="utf-8")
    this_installation().run([str(spec), "--run", name], folder)
    report: dict[str, Any] = json.loads((folder / "runs" / name / REPORT).read_text(encoding="utf-8"))
    later = [row for row in report["device_rounds"] if row["round"] > 1 and row["compute_seconds"] is not None]
    names = list(dict.fromkeys(row["device"] for row in later))

    def median(name: str, *columns: str) -> float:
        rows = [row for row in later if row["device"] == name]
        return statistics.median(sum(row[column] or 0.0 for column in columns) for row in rows)

    return Measured(
        time,
        factor,
        statistics.median(row["training_seconds"] for row in report["rounds"] if row["round"] > 1),
        {name: median(name, "compute_seconds") for name in names},
        {name: median(name, "download_seconds", "upload_seconds") for name in names},
        tuple(row.get("test_acc") for row in report["rounds"]),
    )
