"""The FederatedScope experiment that benchmarks share: digits, one model, no links, limits only if asked for."""

from __future__ import annotations

import os
from pathlib import Path

OPEN = """\
name: {name}
seed: 1
cpu_factor: 1
device_types:
  # By default all processors of this machine and more memory than a participant can use: a container without limits.
  open: {{based_on: edge-server, cpus: {cpus}, memory_mb: {memory_mb}, gpus: 0, network: open}}
network:
  profiles:
    open: {{description: nothing is shaped, latency_ms: 0}}
devices:
  - {{name: server, type: open, role: server, engine: federatedscope}}
  - {{name: client, type: open, count: {clients}, engine: federatedscope}}
course: {{timeout: 1800, silence_timeout: 600}}
data: {{dataset: digits, split: iid}}
federatedscope:
{patches}  config:
    federate: {{total_round_num: {rounds}, make_global_eval: true}}
    model: {{type: {model}, hidden: 64, out_channels: 10, task: classification, dropout: 0.0}}
    criterion: {{type: CrossEntropyLoss}}
    dataloader: {{batch_size: 32, drop_last: true}}
    train: {{local_update_steps: 1, batch_or_epoch: epoch, optimizer: {{lr: 0.1}}}}
    eval: {{freq: 1, metrics: [acc], best_res_update_round_wise_key: test_loss}}
    early_stop: {{patience: 0}}
"""


def write_unlimited_course(
    folder: Path,
    name: str,
    clients: int,
    rounds: int,
    model: str = "mlp",
    memory_mb: int = 2048,
    patches_off: tuple[str, ...] = (),
    cpus: float | None = None,
) -> Path:
    """Write the experiment file of one server and ``clients`` clients, all with FederatedScope.

    Args:
        cpus: what each device gets; None: all that the machine has.
    """
    patches = f"  patches: {{{', '.join(f'{patch}: false' for patch in patches_off)}}}\n" if patches_off else ""
    text = OPEN.format(
        name=name,
        cpus=os.cpu_count() if cpus is None else cpus,
        memory_mb=memory_mb,
        clients=clients,
        rounds=rounds,
        model=model,
        patches=patches,
    )
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path
