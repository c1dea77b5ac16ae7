"""Keys of FederatedScope's configuration: those of v0.3.0 with their defaults, older ones, and those of forks.

A source that is in use may know others, see :mod:`fedsim_runner.engines.federatedscope.keys`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import yaml

KeyPath = tuple[str, ...]
#: In the file of keys, marks a section to which other keys may be added.
OPEN = "+"

#: ``federate.method`` in lower case; FederatedScope takes every other name for FedAvg.
METHODS = (
    "fedavg", "fedopt", "ditto", "pfedme", "fedrep", "fedem", "local", "global", "fedsageplus", "gcflplus", "fedgc",
)  # fmt: skip

#: Outdated names of `dataloader` keys in `data`, which v0.3.0 still takes where they differ from their defaults.
LOADER_KEYS = {
    "loader": "type", "batch_size": "batch_size", "shuffle": "shuffle", "num_workers": "num_workers",
    "drop_last": "drop_last", "walk_length": "walk_length", "num_steps": "num_steps", "sizes": "sizes",
}  # fmt: skip

#: Keys that v0.3.0 no longer knows: where each went.
OLDER_KEYS = {
    "aggregator.krum": "aggregator.robust_rule: krum, and aggregator.BFT_args",
    "aggregation": "aggregator",
    "asyn.timeout": "asyn.time_budget",
    "best_res_update_round_wise_key": "eval.best_res_update_round_wise_key",
    "data.graphsaint": "dataloader.walk_length and dataloader.num_steps",
    "data.graphsaint.num_steps": "dataloader.num_steps",
    "data.graphsaint.walk_length": "dataloader.walk_length",
    "data.pre_transforms": "data.pre_transform",
    "data.transforms": "data.transform",
    "early_stop.the_smaller_the_better": "gone: it follows from eval.best_res_update_round_wise_key",
    "early_stopping": "early_stop",
    "eval.save_data": "data.save_data",
    "federate.batch_or_epoch": "train.batch_or_epoch",
    "federate.local_update_steps": "train.local_update_steps",
    "federate.standalone": "gone: federate.mode",
    "fedopt.lr_server": "fedopt.optimizer.lr",
    "fedopt.momentum_server": "fedopt.optimizer.momentum",
    "fedopt.type_optimizer": "fedopt.optimizer.type",
    "hpo.fedex.num_arms": "hpo.table.num",
    "hpo.init_strategy": "gone",
    "hpo.log_scale": "gone",
    "hpo.plot_interval": "gone",
    "hpo.sha.elim_round_num": "hpo.sha.iter",
    "hpo.table.cand": "gone",
    "hpo.table.ss": "hpo.ss",
    "model.gnn_layer": "model.layer",
    "monitoring": "eval.monitoring",
    "optimizer": "train.optimizer",
    "optimizer.grad_clip": "grad.grad_clip",
    "optimizer.lr": "train.optimizer.lr",
    "optimizer.momentum": "train.optimizer.momentum",
    "optimizer.type": "train.optimizer.type",
    "optimizer.weight_decay": "train.optimizer.weight_decay",
    "save_data": "data.save_data",
    "sgdmf.local_finetune_steps": "gone",
    "sgdmf.theta": "dataloader.theta",
    "trainer.finetune": "finetune",
    "trainer.finetune.before_eval": "finetune.before_eval",
    "trainer.finetune.epochs": "finetune.local_update_steps, with finetune.batch_or_epoch: epoch",
    "trainer.finetune.freeze_param": "finetune.freeze_param",
    "trainer.finetune.lr": "finetune.optimizer.lr",
    "trainer.finetune.only_psn": "gone",
    "trainer.finetune.steps": "finetune.local_update_steps",
    "trainer.finetune.stepsize": "finetune.optimizer.lr",
    "vertical.xgb_use_bin": "vertical.protect_args",
    "vertical_dims": "vertical.dims",
    "wandb.wandb_use": "wandb.use",
    "xgb_base": "vertical, with vertical.algo: xgb",
    "xgb_base.dims": "vertical.dims",
    "xgb_base.use": "vertical.use, with vertical.algo: xgb",
    "xgb_base.use_bin": "vertical.protect_args",
}

#: Of those: what only FederatedScope's search reads, or what follows from other keys. No course differs without them.
_NO_LONGER_READ = frozenset({
    "early_stop.the_smaller_the_better", "federate.standalone", "hpo.init_strategy", "hpo.log_scale",
    "hpo.plot_interval", "hpo.sha.elim_round_num", "hpo.table.cand",
})  # fmt: skip
#: Moved, but with values of another form.
_OF_ANOTHER_FORM = frozenset({"vertical.xgb_use_bin", "xgb_base.use_bin"})

#: Upstream's unmerged branches with keys of their own. None: it is of a version that the launcher does not fit.
FORK_BRANCHES = {
    "FederatedScope-LLM": "llm",
    "the branch fedsp": "fedsp",
    "the branch B-FHTL": None,
    "the branch pfl_bench": None,
    "the branch backdoor-bench": None,
}
#: Keys that only such a branch has, and forks of it.
FORK_KEYS = {
    **dict.fromkeys(
        ("adapter", "federate.client_idx_for_local_train", "federate.save_client_model", "federate.save_freq", "llm",
         "train.is_enable_half", "train.train_strategy"),
        "FederatedScope-LLM",
    ),
    "maml": "the branch B-FHTL",
    **dict.fromkeys(
        ("data.labelwise_boxplot", "data.plot_boxplot", "eval.task_type", "personalization.apfl_alpha"),
        "the branch pfl_bench",
    ),
    **dict.fromkeys(
        ("attack.dp_noise", "attack.krum", "attack.multi_krum", "attack.norm_clip", "attack.norm_clip_value",
         "data.dataset", "data.do_sta", "data.probe_label_dist", "data.seed", "federate.weight_avg"),
        "the branch backdoor-bench",
    ),
    **dict.fromkeys(
        ("data.dataset_name", "data.num_train_per_client", "data.train_frac", "federate.ckpt_path",
         "federate.make_global_train", "federate.skip_local_train", "model.use_fp16", "use_amp", "use_ddp"),
        "the branch fedsp",
    ),
}  # fmt: skip


@dataclass
class Section:
    """Keys and sections below one key. ``open``: other keys may be added, as to an optimizer."""

    open: bool = False
    defaults: dict[str, Any] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)  # keys whose default is only known by running the source
    sections: dict[str, Section] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """All names that may be written here."""
        return [*self.defaults, *self.unknown, *self.sections]

    def paths(self, at: KeyPath = ()) -> Iterator[KeyPath]:
        """Paths of all keys and sections below."""
        for name in self.names:
            yield (*at, name)
        for name, section in self.sections.items():
            yield from section.paths((*at, name))

    def below(self, path: KeyPath) -> Section | None:
        """The section at a path; None: there is none."""
        found: Section | None = self
        for part in path:
            found = found.sections.get(part) if found is not None else None
        return found

    def has(self, path: KeyPath) -> bool:
        """Whether a key or section may be written at a path."""
        above = self.below(path[:-1])
        return above is not None and (above.open or path[-1] in above.names)

    def is_default(self, path: KeyPath, value: Any) -> bool:
        """Whether ``value`` at a path is what applies without it; numbers compare by value, as FederatedScope's do."""
        above = self.below(path[:-1])
        if above is None or path[-1] not in above.defaults:
            return False
        default = above.defaults[path[-1]]
        if isinstance(default, tuple | list) and isinstance(value, tuple | list):
            return list(default) == list(value)
        return isinstance(value, bool) == isinstance(default, bool) and bool(value == default)

    def as_tree(self) -> dict[str, Any]:
        """The same as nested mappings, as in the file of keys."""
        tree: dict[str, Any] = {OPEN: True} if self.open else {}
        for name, value in self.defaults.items():
            tree[name] = list(value) if isinstance(value, tuple) else value
        return {**tree, **{name: section.as_tree() for name, section in self.sections.items()}}


def moved_to(path: KeyPath, known: Section) -> KeyPath | None:
    """Where v0.3.0 has the value of an older key, unchanged; None: it is none, or more than its place has changed."""
    shown = ".".join(path)
    if shown in _OF_ANOTHER_FORM | _NO_LONGER_READ:
        return None
    if shown in OLDER_KEYS:
        target = OLDER_KEYS[shown]
        return None if re.search(r"[ :]", target) or target == "gone" else tuple(target.split("."))
    return moved_with_its_section(path, known)


def moved_with_its_section(path: KeyPath, known: Section) -> KeyPath | None:
    """The present name of a key whose section alone has another name, as ``optimizer`` has."""
    section = OLDER_KEYS.get(".".join(path[:-1]), "")
    moved = (*section.split("."), path[-1])
    return moved if section and known.has(moved) else None


def no_longer_read(path: KeyPath) -> bool:
    """Whether it is an older key without which every course is the same."""
    return ".".join(path) in _NO_LONGER_READ


@cache
def known_keys() -> Section:
    """The keys of FederatedScope v0.3.0 (commit 480b67d)."""
    text = resources.files(__package__).joinpath("federatedscope_keys.yaml").read_text(encoding="utf-8")
    return _section(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _section(tree: Mapping[str, Any]) -> Section:
    section = Section(open=tree.get(OPEN, False))
    for name, value in tree.items():
        if isinstance(value, dict):
            section.sections[name] = _section(value)
        elif name != OPEN:
            section.defaults[name] = value
    return section
