"""How many FederatedScope clients train together on this machine: courses with a growing number of clients.

    python -m benchmarks.many_torch_clients [CLIENTS ...]

Each client is an iot-minimal (256 MB) with torch in its own container and may use all processor time that the others
leave. The memory per client is the memory available before the course minus the least available during it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from fedsim_runner.contract.paths import REPORT

from .installation import this_installation
from .lowest_memory import LowestMemory, read_available_mb
from .tables import print_table

SPEC = """\
name: {name}
seed: 1
cpu_factor: 1
devices:
  - {{name: server, type: edge-server, role: server, engine: federatedscope, overrides: {{cpus: 1, memory_mb: 2048}}}}
  - {{name: client, type: iot-minimal, count: {clients}, engine: federatedscope, network: open}}
network: {{profiles: {{open: {{description: nothing is shaped, latency_ms: 0}}}}}}
course: {{timeout: 3000, silence_timeout: 1500}}
data: {{dataset: digits, split: iid}}
federatedscope:
  config:
    federate: {{total_round_num: 3, make_global_eval: true}}
    model: {{type: lr, out_channels: 10, task: classification}}
    criterion: {{type: CrossEntropyLoss}}
    dataloader: {{batch_size: 16}}
    train: {{local_update_steps: 1, batch_or_epoch: epoch, optimizer: {{lr: 0.1}}}}
    eval: {{freq: 1, metrics: [acc], best_res_update_round_wise_key: test_loss}}
"""


def main() -> None:
    """Print one table."""
    counts = [int(word) for word in sys.argv[1:]] or [10, 25, 50]
    rows = []
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as folder:
        for clients in counts:
            name = f"bench-{clients}"
            text = SPEC.format(name=name, clients=clients)
            path = Path(folder) / f"{name}.yaml"
            path.write_text(text, encoding="utf-8")
            before, lowest = read_available_mb(), LowestMemory()
            lowest.start()
            code = this_installation().start([str(path), "--run", name], Path(folder)).finish()
            lowest.over.set()
            report = json.loads((Path(folder) / "runs" / name / REPORT).read_text(encoding="utf-8"))
            peak = max((device["memory_peak_bytes"] or 0) / 2**20 for device in report["devices"].values()
                       if device["role"] == "client")  # fmt: skip
            used = before - lowest.mb
            rows.append((clients, report["status"], code, len(report["rounds"]), report["duration_s"],
                         peak, used, used / clients))  # fmt: skip
    columns = ("clients", "course", "exit code", "rounds", "course s", "client peak MB", "machine MB", "MB per client")
    print_table("real FederatedScope clients with torch, 256 MB each", columns, rows)


if __name__ == "__main__":
    main()
