"""Memory of FederatedScope clients with and without the patch lean_imports.

    python -m benchmarks.torch_memory

Peak memory of a client's cgroup, page cache counted, in one course of 1 + 2; then the same under iot-minimal's limit.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from fedsim_runner.contract.paths import REPORT

from .installation import this_installation
from .tables import print_table
from .torch_courses import write_unlimited_course

CLIENTS = 2
ROUNDS = 5


def peaks_mb(report: dict[str, Any]) -> list[float]:
    """Return the peak memory of each client in MB."""
    return [item["memory_peak_bytes"] / 2**20 for item in report["devices"].values() if item["role"] == "client"]


def run_course(folder: Path, name: str, patches_off: tuple[str, ...], memory_mb: int) -> dict[str, Any]:
    """Run one course and return its report."""
    spec = write_unlimited_course(folder, name, CLIENTS, ROUNDS, memory_mb=memory_mb, patches_off=patches_off)
    this_installation().run([str(spec), "--run", name], folder)
    report: dict[str, Any] = json.loads((folder / "runs" / name / REPORT).read_text(encoding="utf-8"))
    return report


def main() -> None:
    """Print one table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        run_course(folder, "warm-up", (), 2048)
        full = run_course(folder, "full-imports", ("lean_imports",), 2048)
        lean = run_course(folder, "lean-imports", (), 2048)
        tight = run_course(folder, "iot-minimal", (), 256)
    for title, report in (
        ("all imports, 2048 MB", full),
        ("lean set, 2048 MB", lean),
        ("lean set, 256 MB", tight),
    ):
        clients = [item for item in report["devices"].values() if item["role"] == "client"]
        cpu = statistics.mean(item["cpu_seconds"] for item in clients)
        rows.append((title, report["status"], max(peaks_mb(report)), max(peaks_mb(report)) / max(peaks_mb(full)), cpu,
                     report["duration_s"], report["final"]["test_acc"]))  # fmt: skip
    print_table(
        f"clients of 1 + {CLIENTS}, digits, mlp, {ROUNDS} rounds",
        ("clients", "course", "peak MB (page cache counted)", "ratio", "cpu s", "course s", "accuracy"),
        rows,
    )


if __name__ == "__main__":
    main()
