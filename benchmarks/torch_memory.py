"""Memory of real FederatedScope clients, with the lean set of imports and without.

    python -m benchmarks.torch_memory

Peak memory of a client's cgroup, page cache counted, in one course of 1 + 2; then the same under iot-minimal's limit.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from fedsim_runner.contract.paths import REPORT

from .common import fedsim, show
from .torch_courses import open_course

CLIENTS = 2
ROUNDS = 5


def peaks(report: dict[str, Any]) -> list[float]:
    """Peak memory of each client in MB."""
    return [item["memory_peak_bytes"] / 2**20 for item in report["devices"].values() if item["role"] == "client"]


def run(folder: Path, name: str, patches_off: tuple[str, ...], memory_mb: int) -> dict[str, Any]:
    """One course; its report."""
    spec = open_course(folder, name, CLIENTS, ROUNDS, memory_mb=memory_mb, patches_off=patches_off)
    fedsim([str(spec), "--run", name], folder)
    report: dict[str, Any] = json.loads((folder / "runs" / name / REPORT).read_text(encoding="utf-8"))
    return report


def main() -> None:
    """Print one table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        run(folder, "warm-up", (), 2048)
        full = run(folder, "full-imports", ("lean_imports",), 2048)
        lean = run(folder, "lean-imports", (), 2048)
        tight = run(folder, "iot-minimal", (), 256)
    for title, report in (
        ("all imports, 2048 MB", full),
        ("lean set, 2048 MB", lean),
        ("lean set, 256 MB", tight),
    ):
        clients = [item for item in report["devices"].values() if item["role"] == "client"]
        cpu = statistics.mean(item["cpu_seconds"] for item in clients)
        rows.append((title, report["status"], max(peaks(report)), max(peaks(report)) / max(peaks(full)), cpu,
                     report["duration_s"], report["final"]["test_acc"]))  # fmt: skip
    show(
        f"clients of 1 + {CLIENTS}, digits, mlp, {ROUNDS} rounds",
        ("clients", "course", "peak MB (page cache counted)", "ratio", "cpu s", "course s", "accuracy"),
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
