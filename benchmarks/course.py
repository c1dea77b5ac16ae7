"""One FederatedScope course in our containers, without limits and links, against the same course bare on loopback.

    python -m benchmarks.course [REPETITIONS]

Bare: stock FederatedScope in plain processes, from the start of the first one until every participant has logged its
end. Ours: from the opening of the gate, when each container's Python runs but FederatedScope is not imported yet, until
the same point. Processor seconds are those of all participants; ours are read from their cgroups. The runs alternate.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from fedsim_runner.contract.paths import REPORT, SHARD

from .installation import this_installation
from .stock_federatedscope import BareCourse, run_bare
from .tables import print_table
from .torch_courses import write_unlimited_course

CLIENTS = 4
ROUNDS = 10
LIMIT_S = 300


def run_ours(folder: Path, spec: Path, run: str) -> dict[str, Any]:
    """Run one course in our containers and return its report."""
    this_installation().run([str(spec), "--run", run], folder)
    report: dict[str, Any] = json.loads((folder / "runs" / run / REPORT).read_text(encoding="utf-8"))
    return report


def run_stock(folder: Path, inputs: Path, number: int) -> BareCourse:
    """Run the same participants' configurations and data bare."""
    names = sorted(path.name for path in inputs.iterdir() if path.is_dir())
    configs = {name: yaml.safe_load((inputs / name / "config.yaml").read_text(encoding="utf-8")) for name in names}
    shards = {name: inputs / name / SHARD for name in names}
    return run_bare(folder / f"bare-{number}", configs, shards, LIMIT_S)


def main() -> None:
    """Print one table."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        spec = write_unlimited_course(folder, "bench-course", CLIENTS, ROUNDS)
        run_ours(folder, spec, "warm-up")  # images are built, files are in the page cache
        inputs = folder / "runs" / "warm-up" / "participants"
        pairs = []
        for number in range(repetitions):
            stock = run_stock(folder, inputs, number)
            pairs.append((stock, run_ours(folder, spec, f"ours-{number}")))
    rows = []
    for number, (stock, report) in enumerate(pairs, 1):
        cpu = sum(device["cpu_seconds"] for device in report["devices"].values())
        rows.append(
            (
                number,
                stock.wall_s,
                report["duration_s"],
                report["duration_s"] / stock.wall_s,
                stock.cpu_s,
                cpu,
                cpu / stock.cpu_s,
                stock.accuracy,
                report["final"]["test_acc"],
                "finished" if stock.finished else f"not finished in {LIMIT_S} s",
                stock.hung,
            )
        )
    columns = ("run", "bare s", "ours s", "ratio", "bare cpu s", "ours cpu s", "ratio", "bare acc", "ours acc",
               "bare course", "bare processes that hung at their end")  # fmt: skip
    print_table(f"1 + {CLIENTS}, digits, mlp, {ROUNDS} rounds", columns, rows)
    print(f"median ratios: wall {statistics.median(row[3] for row in rows):.2f}, "
          f"cpu {statistics.median(row[6] for row in rows):.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
