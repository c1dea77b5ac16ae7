"""What is known about a course before it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .literals import decoded

#: Kinds of names that code of a source may add, those of contrib by their folder there; a worker is a method's.
Kind = Literal[
    "model", "trainer", "loss", "optimizer", "scheduler", "regularizer", "metrics", "dataloader", "sampler",
    "aggregator", "data", "worker",
]  # fmt: skip
#: What helps where a fork has what FederatedScope itself does not have; and where the experiment file names a source.
NAME_THE_FORK = "if a fork has it, name its checkout or wheel as federatedscope.source in the experiment file"
NAME_ANOTHER = "the source in use does not have it"

# FederatedScope's defaults of the keys that are checked.
_DEFAULTS: dict[str, Any] = {
    "aggregator.robust_rule": "fedavg",
    "asyn.aggregator": "goal_achieved",
    "asyn.broadcast_manner": "after_aggregating",
    "asyn.min_received_num": 2,
    "asyn.min_received_rate": -1.0,
    "asyn.staleness_toleration": 0,
    "asyn.use": False,
    "attack.attack_method": "",
    "backend": "torch",
    "criterion.type": "MSELoss",
    "data.type": "toy",
    "dataloader.batch_size": 64,
    "dataloader.drop_last": False,
    "dataloader.type": "base",
    "distribute.grpc_compression": "nocompression",
    "distribute.grpc_max_receive_message_length": 300 * 1024 * 1024,
    "early_stop.delta": 0.0,
    "early_stop.improve_indicator_mode": "best",
    "early_stop.patience": 5,
    "eval.best_res_update_round_wise_key": "val_loss",
    "eval.freq": 1,
    "eval.metrics": [],
    "eval.monitoring": [],
    "eval.report": ["weighted_avg", "avg", "fairness", "raw"],
    "eval.split": ["test", "val"],
    "feat_engr.type": "",
    "federate.client_num": 0,
    "federate.join_in_info": [],
    "federate.make_global_eval": False,
    "federate.method": "FedAvg",
    "federate.sample_client_num": -1,
    "federate.sample_client_rate": -1.0,
    "federate.sampler": "uniform",
    "federate.total_round_num": 50,
    "federate.unseen_clients_rate": 0.0,
    "federate.use_diff": False,
    "federate.use_ss": False,
    "fedopt.optimizer.type": "SGD",
    "fedopt.use": False,
    "fedswa.start_rnd": 30,
    "fedswa.use": False,
    "finetune.batch_or_epoch": "epoch",
    "finetune.before_eval": False,
    "finetune.optimizer.type": "SGD",
    "grad.grad_accum_count": 1,
    "hpo.fedex.use": False,
    "hpo.fts.use": False,
    "hpo.pfedhpo.use": False,
    "model.embed_size": 8,
    "model.in_channels": 0,
    "model.input_shape": [],
    "model.layer": 2,
    "model.model_num_per_trainer": 1,
    "model.out_channels": 1,
    "model.task": "node",
    "model.type": "lr",
    "nbafl.use": False,
    "personalization.K": 5,
    "personalization.local_param": [],
    "personalization.regular_weight": 0.1,
    "personalization.share_non_trainable_para": False,
    "quantization.method": "none",
    "regularizer.type": "",
    "sgdmf.use": False,
    "train.batch_or_epoch": "batch",
    "train.local_update_steps": 1,
    "train.optimizer.lr": 0.1,
    "train.optimizer.momentum": 0.0,
    "train.optimizer.type": "SGD",
    "train.optimizer.weight_decay": 0.0,
    "train.scheduler.type": "",
    "trainer.type": "general",
    "vertical.algo": "lr",
    "vertical.dims": [5, 10],
    "vertical.eval_protection": "",
    "vertical.mode": "feature_gathering",
    "vertical.protect_method": "",
    "vertical.use": False,
}


@dataclass(frozen=True)
class Refusal:
    """One reason: the key in FederatedScope's tree, what happens, and a hint; ``topic`` as in
    :class:`fedsim_runner.engines.engine_values.Refusal`."""

    key: str
    reason: str
    hint: str
    topic: str = ""

    @property
    def path(self) -> tuple[str, ...]:
        """The key as a path."""
        return tuple(self.key.split("."))


@dataclass(frozen=True)
class Participant:
    """One participant: its whole configuration, and the samples in each split of its shard where they are known."""

    name: str
    engine: str
    config: Mapping[str, Any]
    samples: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Course:
    """All participants, and what is known about the data, as in :class:`fedsim_runner.engines.engine_values.SplitData`.

    ``round_limits``, ``goes_offline``: as in :class:`fedsim_runner.engines.engine_values.Course`. ``is_added``: whether
    code of the source may decide about a name of a kind that v0.3.0 does not have, as :func:`.source_names.has_name`;
    also where the source cannot be read yet. ``where_else``: what to do where another FederatedScope has a name or key.
    ``loads_data``: FederatedScope loads and splits the data; ``other_data``: what those are, if not labelled samples
    (:mod:`.other_data`).
    """

    server: Participant
    clients: Sequence[Participant]
    classes: int | None = None
    shape: tuple[int, ...] | None = None
    round_limits: tuple[str, ...] = ()
    target_shape: tuple[int, ...] | None = None
    largest: int | None = None
    smallest: int | None = None
    is_added: Callable[[Kind, str, bool], bool] = lambda kind, name, any_case: False
    where_else: str = NAME_THE_FORK
    loads_data: bool = False
    other_data: str | None = None
    goes_offline: bool = False

    def seen_from(self, name: str) -> Course:
        """The course as one client's configuration describes it, without the others."""
        client = next(client for client in self.clients if client.name == name)
        return replace(self, server=replace(self.server, config=client.config), clients=[client])

    @property
    def own_clients(self) -> list[Participant]:
        """Clients that run FederatedScope."""
        return [client for client in self.clients if client.engine == "federatedscope"]

    @property
    def own_server(self) -> bool:
        """Whether FederatedScope is the server."""
        return self.server.engine == "federatedscope"


@dataclass(frozen=True)
class Tree:
    """A configuration with FederatedScope's defaults."""

    config: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        value: Any = self.config
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return _DEFAULTS[key]
            value = value[part]
        return decoded(value)

    def text(self, key: str) -> str:
        """A name in lower case, as FederatedScope compares most of them."""
        return str(self[key]).lower()

    def number(self, key: str) -> float:
        """A finite number; the default where something else is written, which other checks report."""
        value = self[key]
        default: float = _DEFAULTS[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if is_number and abs(value) < math.inf else default

    def names(self, key: str) -> list[str]:
        """A list of names."""
        value = self[key]
        return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]

    def is_written(self, key: str) -> bool:
        """Whether the user has written the key; otherwise FederatedScope's default applies."""
        value: Any = self.config
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return False
            value = value[part]
        return True
