"""The experiment of many light devices that benchmarks share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

LIGHT_MIX = """\
name: {name}
seed: 1
# As asked for, also if the machine has fewer cpus than all devices together: the same containers at every number.
cpu_factor: 1
device_types:
  # As small as an Engine allows with its usual period, so that the cpus of a hundred fit into two.
  mote: {{based_on: iot-minimal, cpus: 0.01, memory_mb: 64}}
  tablet: {{based_on: smartphone-low, cpus: 0.02, memory_mb: 96}}
  hub: {{based_on: edge-server, cpus: 0.3, memory_mb: 512, gpus: 0}}
devices:
  - {{name: server, type: hub, role: server}}
  - {{type: mote, count: {motes}}}
{tablets}course: {{timeout: 1800, silence_timeout: 900}}
data: {{{data}, split: iid}}
federatedscope:
  config:
    federate: {{total_round_num: {rounds}, make_global_eval: true}}
    model: {{type: lr, out_channels: 10, task: classification}}
    criterion: {{type: CrossEntropyLoss}}
    dataloader: {{batch_size: 16}}
    train: {{local_update_steps: 1, batch_or_epoch: epoch, optimizer: {{lr: 0.1}}}}
    eval: {{freq: 1, metrics: [acc], best_res_update_round_wise_key: test_loss}}
"""

# Ten samples each, of the four fifths that are not the server's test set.
MOST_CLIENTS_FOR_DIGITS = 140


def write_light_mix(folder: Path, devices: int, rounds: int = 2, tablet_share: float = 1 / 3) -> Path:
    """Write an experiment of ``devices`` devices: a server, tablets (a share of the clients), and motes.

    They share the digits data set, or, if that is too small for so many clients, random samples of the same shape.
    """
    tablets = int((devices - 1) * tablet_share)
    data = "dataset: digits"
    if devices > MOST_CLIENTS_FOR_DIGITS:
        random = np.random.default_rng(1)
        samples = 15 * devices
        np.savez(folder / "samples.npz", x=random.random((samples, 64), np.float32), y=np.arange(samples) % 10)
        data = "dataset: npz, path: samples.npz"
    text = LIGHT_MIX.format(
        name=f"bench-{devices}",
        motes=devices - 1 - tablets,
        tablets=f"  - {{type: tablet, count: {tablets}}}\n" if tablets else "",
        rounds=rounds,
        data=data,
    )
    path = folder / f"bench-{devices}.yaml"
    path.write_text(text, encoding="utf-8")
    return path
