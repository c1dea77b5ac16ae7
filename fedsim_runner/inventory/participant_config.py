"""The FederatedScope configuration: what all participants share, and what the testbed sets for each.

Keys and their effects: FederatedScope's ``core/configs/cfg_fl_setting.py`` and ``cfg_data.py``.
"""

from __future__ import annotations

import copy
from typing import Any

from ..contract.paths import DEVICE_INPUTS, DEVICE_OUTPUTS, SHARD
from ..plan.model import PlacedDevice, Plan
from ..spec.experiment import Experiment

# FederatedScope writes its logs to <outdir>/<expname>.
LOG_FOLDER = "course"


def common_config(experiment: Experiment) -> dict[str, Any]:
    """The user's tree with what is the same for every participant of a distributed course."""
    config = copy.deepcopy(dict(experiment.config))
    federate = config.setdefault("federate", {})
    federate["mode"] = "distributed"
    federate["client_num"] = len(experiment.clients)
    config.setdefault("distribute", {})["use"] = True
    config.setdefault("data", {})["type"] = "file"
    config["outdir"] = DEVICE_OUTPUTS
    config["expname"] = LOG_FOLDER
    config["seed"] = experiment.seed
    return config


def device_config(plan: Plan, item: PlacedDevice) -> dict[str, Any]:
    """What one participant's configuration has of its own: its role, its addresses, its data."""
    experiment = plan.experiment
    server = next(placed for placed in plan.placed if placed.device.role == "server")
    distribute: dict[str, Any] = {"role": item.device.role, "server_port": server.port, "data_idx": -1}
    if item.device.role == "server":
        # The server binds this address, clients dial theirs.
        distribute["server_host"] = "0.0.0.0"
    else:
        distribute["server_host"] = experiment.server.name
        # Bound and advertised: with FederatedScope's default of 0.0.0.0 the server would dial itself.
        distribute["client_host"] = item.device.name
        distribute["client_port"] = item.port
    return {
        "distribute": distribute,
        "data": {"file_path": f"{DEVICE_INPUTS}/{SHARD}"},
        "use_gpu": item.gpus > 0,
    }
