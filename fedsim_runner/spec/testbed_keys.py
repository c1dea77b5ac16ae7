"""What the testbed sets in FederatedScope's configuration: which keys, to which values, and why a user may not.

What becomes of values that a user gives: :mod:`.owned_values`. Keys and their effects: FederatedScope's
``core/configs/cfg_fl_setting.py`` and ``cfg_data.py``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ..catalog.federatedscope_keys import known_keys
from ..contract.participant_events import LOG_FOLDER
from ..contract.paths import DEVICE_INPUTS, DEVICE_OUTPUTS, MODEL, SHARD

# Hints for a tree that says where the data come from, as trees for standalone mode do.
LOADED_BY_FEDERATEDSCOPE = (
    "`data: {dataset: federatedscope}` in the experiment file lets FederatedScope load and split the data"
)
FILES_OF_THE_USER = "`data: {dataset: npz, path: ...}` in the experiment file names files of your own"
SPLIT_BY_TESTBED = "the testbed splits `data.dataset` and gives each participant its share"
# The only part of ``distribute`` that is left to the user.
USERS_DISTRIBUTE_PREFIX = "grpc_"

# They would share the device's cpus, memory and number of processes, and hand batches over in its 64 MB of /dev/shm;
# what they would save is the reading of files, and a shard is in memory.
_ONE_PROCESS = "a participant is one process, whose samples are in memory"

# What :func:`participant_config` sets.
_OF_THE_PLACE = frozenset({"distribute", "data", "use_gpu", "outdir", "federate"})


@dataclass(frozen=True)
class Owned:
    """A key that the testbed sets.

    Attributes:
        path: the key.
        value: what it is set to for all participants; None: each has its own, or it is unknown.
        why: the reason, for the message that rejects a user's value.
        instead: where a user can set what the rejected value meant.
        also: other values that say the same, as the collected config.yaml of a run has them.
        is_default: whether it is FederatedScope's default, and therefore not written.
        described: what it is set to, for the reference page, if that is not ``value``.
    """

    path: tuple[str, ...]
    value: Any
    why: str
    instead: str | None = None
    also: tuple[Any, ...] = ()
    is_default: bool = False
    described: str = ""

    def says_the_same(self, given: Any) -> bool:
        """Whether a user's value changes nothing: what the testbed sets, or FederatedScope's default."""
        same = (value for value in (self.value, *self.also) if value is not None)
        if any(type(given) is type(value) and given == value for value in same):
            return True
        return known_keys().is_default(self.path, given)


def owned_keys(seed: int, clients: int | None) -> tuple[Owned, ...]:
    """All keys that the testbed sets, for an experiment's seed and number of clients (None: unknown)."""
    containers = "every participant runs in its own container"
    folders = "the testbed collects a participant's output from its own folder"
    real = "the devices' limits and links are real, and FederatedScope's file of simulated ones fails between processes"
    gpus = "it follows from the device's `gpus`"
    number = "the number of client devices" if clients is None else f"the experiment has {clients} client devices"
    one_seed = "the only seed is `seed` at the top of the experiment file"
    return (
        Owned(("federate", "mode"), "distributed", containers),
        Owned(("federate", "client_num"), clients, number, described="the number of client devices"),
        Owned(("distribute", "use"), True, containers),
        Owned(("federate", "resource_info_file"), None, real, "`device_types` and `network.profiles` describe devices"),
        Owned(("data", "type"), "file", SPLIT_BY_TESTBED, LOADED_BY_FEDERATEDSCOPE),
        Owned(("data", "file_path"), None, SPLIT_BY_TESTBED, FILES_OF_THE_USER, (f"{DEVICE_INPUTS}/{SHARD}",)),
        # FederatedScope adds the name to the folder, and writes its logs there.
        Owned(("outdir",), DEVICE_OUTPUTS, folders, also=(f"{DEVICE_OUTPUTS}/{LOG_FOLDER}",)),
        Owned(("expname",), LOG_FOLDER, folders),
        Owned(("expname_tag",), None, folders),
        Owned(("seed",), seed, one_seed, "give the number there", described="the experiment file's"),
        Owned(("use_gpu",), None, gpus, "`overrides: {gpus: 1}` in a device requests one"),
        Owned(("device",), None, gpus),
        Owned(("wandb", "use"), False, "devices can reach only each other", is_default=True),
        Owned(("dataloader", "num_workers"), 0, _ONE_PROCESS, is_default=True),
    )


def common_config(config: Mapping[str, Any], seed: int, clients: int) -> dict[str, Any]:
    """Add to the user's tree what is the same for every participant of a distributed course."""
    tree = copy.deepcopy(dict(config))
    for owned in owned_keys(seed, clients):
        if owned.value is not None and not owned.is_default:
            holder = tree
            for part in owned.path[:-1]:
                holder = holder.setdefault(part, {})
            holder[owned.path[-1]] = owned.value
    return tree


def without_place(config: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of one participant's part of the configuration without :func:`participant_config`: the user's."""
    return {key: value for key, value in config.items() if key not in _OF_THE_PLACE}


def saved_model(config: Mapping[str, Any]) -> str:
    """The name of the file to which the server of a course with this common tree writes the last global model."""
    federate = config.get("federate")
    saved = federate.get("save_to") if isinstance(federate, Mapping) else None
    # Runs of 0.1.0 may name its folder on a device, too.
    return PurePosixPath(str(saved or "")).name or MODEL


def participant_config(
    role: str,
    own: tuple[str, int],
    server: tuple[str, int],
    *,
    shard: str = f"{DEVICE_INPUTS}/{SHARD}",
    outputs: str | None = None,
    use_gpu: bool = False,
    saves: str = MODEL,
    restores: str | None = None,
) -> dict[str, Any]:
    """The part of the configuration that differs between participants.

    Args:
        role: ``server`` or ``client``.
        own: name or address, and port, that a client binds to and advertises. A server binds to all addresses.
        server: name or address, and port, where the participant finds the server.
        shard: path of its share of the data, as the participant sees it.
        outputs: folder that it writes to; None: the common one, as every container has its own.
        use_gpu: whether it computes on a GPU.
        saves: name of the file in its output folder to which a server writes the last global model.
        restores: path of the model that a server starts with, as it sees it; None: a new one.
    """
    distribute: dict[str, Any] = {"role": role, "server_port": server[1], "data_idx": -1, "server_host": server[0]}
    if role == "client":
        # Bound and advertised: with FederatedScope's default of 0.0.0.0 the server would connect to itself.
        distribute.update(client_host=own[0], client_port=own[1])
    tree = {"distribute": distribute, "data": {"file_path": shard}, "use_gpu": use_gpu}
    if role == "server":
        tree["federate"] = {"save_to": saves} if restores is None else {"save_to": saves, "restore_from": restores}
    return tree if outputs is None else {**tree, "outdir": outputs}
