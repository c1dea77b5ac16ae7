"""What the benchmark programs share: running our command, and tables with ratios."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

LIGHT_MIX = """\
name: {name}
seed: 1
device_types:
  # As small as an Engine allows, so that the cpus of a hundred fit into two.
  mote: {{based_on: iot-minimal, cpus: 0.01, memory_mb: 64}}
  tablet: {{based_on: smartphone-low, cpus: 0.02, memory_mb: 96}}
  hub: {{based_on: edge-server, cpus: 0.3, memory_mb: 512, gpus: 0}}
devices:
  - {{name: server, type: hub, role: server}}
  - {{type: mote, count: {motes}}}
  - {{type: tablet, count: {tablets}}}
course: {{timeout: 1800, silence_timeout: 900}}
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


def write_light_mix(folder: Path, devices: int, rounds: int = 2) -> Path:
    """Write an experiment of ``devices`` devices, one of them the server, two thirds of the clients motes.

    They share the digits data set, or, if that is too small for so many clients, random samples of the same shape.
    """
    tablets = (devices - 1) // 3
    data = "dataset: digits"
    if devices > MOST_CLIENTS_FOR_DIGITS:
        random = np.random.default_rng(1)
        samples = 15 * devices
        np.savez(folder / "samples.npz", x=random.random((samples, 64), np.float32), y=np.arange(samples) % 10)
        data = "dataset: npz, path: samples.npz"
    text = LIGHT_MIX.format(
        name=f"bench-{devices}", motes=devices - 1 - tablets, tablets=tablets, rounds=rounds, data=data
    )
    path = folder / f"bench-{devices}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def run_fedsim(arguments: Sequence[str], cwd: Path) -> float:
    """Run ``fedsim-provision`` and return its wall time in seconds.

    Raises:
        SystemExit: the command failed; its output is shown.
    """
    started = time.monotonic()
    command = [sys.executable, "-m", "fedsim_runner", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    elapsed = time.monotonic() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited {done.returncode}\n{done.stdout}\n{done.stderr}")
    return elapsed


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; floats with two digits."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=150).print(table)
