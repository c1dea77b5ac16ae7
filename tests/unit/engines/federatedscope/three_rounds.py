"""A course of three rounds of FederatedScope itself, run by the command without Docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.federatedscope import PYTHON

DEVICES = """\
seed: 3
devices:
  - {name: server, type: edge-server, role: server, engine: federatedscope}
  - {name: phone, type: smartphone-low, count: 2, engine: federatedscope}
course: {timeout: 240, silence_timeout: 120}
"""


def run_three_rounds(folder: Path, source: Path, run: str, tree: dict[str, Any]) -> tuple[Path, list[float]]:
    """Run a course of two clients in ``folder``; return the run folder and the losses by round.

    Args:
        source: a checkout of FederatedScope.
        run: beginning of the run's name; the process is added, as only one process of a machine may work on a run.
        tree: the experiment without its name and devices.
    """
    (folder / "fedsim").mkdir()
    settings = {"federatedscope": {"source": str(source), "python": PYTHON}}
    (folder / "fedsim" / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    spec = folder / "course.yaml"
    spec.write_text(f"name: {run}\n{DEVICES}{yaml.safe_dump(tree)}", encoding="utf-8")
    name = f"{run}-{os.getpid()}"
    done = subprocess.run(
        [sys.executable, "-m", "fedsim_runner", spec.name, "--no-docker", "--run", name],
        cwd=folder,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((folder / "runs" / name / "report.json").read_text(encoding="utf-8"))
    assert report["status"] == "finished"
    assert [entry["round"] for entry in report["rounds"]] == [1, 2, 3]
    losses = [entry.get("test_avg_loss", entry.get("test_loss")) for entry in report["rounds"]]
    assert all(np.isfinite(losses))
    return folder / "runs" / name, losses
