"""FederatedScope's YAML as this engine's settings; everything unsupported is refused by name, all together.

Keys, defaults and meaning: FederatedScope's ``core/configs/cfg_*.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from fedsim_runner.contract.client_sampling import asked_clients

from ..exit_errors import ParticipantError, UnsupportedError


@dataclass(frozen=True)
class Settings:
    """One participant's course. Losses and rates are plain numbers, paths may be relative to the current folder.

    ``restore_from``, ``save_to``: the files that a server reads its first model from and writes its last one to.
    """

    role: str
    seed: int
    outdir: Path
    data_file: Path
    server_host: str
    server_port: int
    client_host: str
    client_port: int
    client_num: int
    total_rounds: int
    sample_client_num: int
    make_global_eval: bool
    ignore_weight: bool
    join_in_info: tuple[str, ...]
    model: str
    hidden: int
    layers: int
    dropout: float
    classes: int
    inputs: int | None
    batch_size: int
    shuffle: bool
    drop_last: bool
    local_update_steps: int
    batch_or_epoch: str
    lr: float
    momentum: float
    weight_decay: float
    grad_clip: float
    eval_freq: int
    metrics: tuple[str, ...]
    eval_splits: tuple[str, ...]
    report: tuple[str, ...]
    best_key: str
    patience: int
    delta: float
    improve_mode: str
    restore_from: Path | None
    save_to: Path | None


@dataclass(frozen=True)
class Problem:
    """What is wrong with one key, and a hint if there is one."""

    key: str
    reason: str
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.key}: {self.reason}"
        return f"{text} ({self.hint})" if self.hint else text


class UnsupportedSettingsError(UnsupportedError):
    """Settings that this engine refuses; the text names all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class _Key:
    """What a key may hold: its type, its default, and the values that this engine supports (None: any)."""

    kind: type | tuple[type, ...]
    default: Any
    known: tuple[Any, ...] | None = None


UNKNOWN = "unknown to the light engine"
_NUMBER = (int, float)
# Keys without effect here.
_IGNORED = {
    "cfg_file", "device", "expname_tag", "print_decimal_digits", "use_gpu", "verbose",
    "data.args", "data.cache_dir", "data.root", "data.splits", "data.subsample", "dataloader.num_workers",
    "dataloader.pin_memory", "distribute.data_file", "distribute.grpc_compression",
    "distribute.grpc_enable_http_proxy", "distribute.grpc_max_receive_message_length",
    "distribute.grpc_max_send_message_length", "eval.count_flops", "model.task", "federate.process_num",
    "outdir_tag", "wandb.name_project", "wandb.name_user",
}  # fmt: skip
_KEYS: dict[str, _Key] = {
    "seed": _Key(int, 0),
    "backend": _Key(str, "torch", ("torch",)),
    "outdir": _Key(str, ""),
    "expname": _Key(str, ""),
    "asyn.use": _Key(bool, False, (False,)),
    "wandb.use": _Key(bool, False, (False,)),
    "quantization.method": _Key(str, "none", ("none",)),
    "regularizer.type": _Key(str, "", ("",)),
    "personalization.local_param": _Key(list, [], ([],)),
    "finetune.before_eval": _Key(bool, False, (False,)),
    "trainer.type": _Key(str, "general", ("general", "cvtrainer", "torch_trainer")),
    "federate.mode": _Key(str, "standalone", ("distributed",)),
    "federate.method": _Key(str, "FedAvg", ("FedAvg", "fedavg")),
    "federate.client_num": _Key(int, 0),
    "federate.total_round_num": _Key(int, 50),
    "federate.sample_client_num": _Key(int, -1),
    "federate.sample_client_rate": _Key(_NUMBER, -1.0),
    "federate.sampler": _Key(str, "uniform", ("uniform", "")),
    "federate.make_global_eval": _Key(bool, False),
    "federate.ignore_weight": _Key(bool, False),
    "federate.join_in_info": _Key(list, []),
    "federate.share_local_model": _Key(bool, False, (False,)),
    "federate.online_aggr": _Key(bool, False, (False,)),
    "federate.use_ss": _Key(bool, False, (False,)),
    "federate.use_diff": _Key(bool, False, (False,)),
    "federate.unseen_clients_rate": _Key(_NUMBER, 0.0, (0,)),
    "federate.restore_from": _Key(str, ""),
    "federate.save_to": _Key(str, ""),
    "federate.resource_info_file": _Key(str, "", ("",)),
    "distribute.use": _Key(bool, False, (True,)),
    "distribute.role": _Key(str, "client", ("client", "server")),
    "distribute.server_host": _Key(str, "0.0.0.0"),
    "distribute.server_port": _Key(int, 50050),
    "distribute.client_host": _Key(str, "0.0.0.0"),
    "distribute.client_port": _Key(int, 50050),
    "distribute.data_idx": _Key(int, -1, (-1,)),
    "data.type": _Key(str, "toy", ("file",)),
    "data.file_path": _Key(str, ""),
    "dataloader.type": _Key(str, "base", ("base", "raw")),
    "dataloader.batch_size": _Key(int, 64),
    "dataloader.shuffle": _Key(bool, True),
    "dataloader.drop_last": _Key(bool, False),
    "model.type": _Key(str, "lr", ("lr", "mlp")),
    "model.hidden": _Key(int, 256),
    "model.layer": _Key(int, 2),
    "model.dropout": _Key(_NUMBER, 0.5),
    "model.out_channels": _Key(int, 1),
    "model.input_shape": _Key(list, []),
    "criterion.type": _Key(str, "MSELoss", ("CrossEntropyLoss",)),
    "train.local_update_steps": _Key(int, 1),
    "train.batch_or_epoch": _Key(str, "batch", ("batch", "epoch")),
    "train.optimizer.type": _Key(str, "SGD", ("SGD",)),
    "train.optimizer.lr": _Key(_NUMBER, 0.1),
    "train.optimizer.momentum": _Key(_NUMBER, 0.0),
    "train.optimizer.weight_decay": _Key(_NUMBER, 0.0),
    "train.scheduler.type": _Key(str, "", ("",)),
    "grad.grad_clip": _Key(_NUMBER, -1.0),
    "eval.freq": _Key(int, 1),
    "eval.metrics": _Key(list, []),
    "eval.split": _Key(list, ["test", "val"]),
    "eval.report": _Key(list, ["weighted_avg", "avg", "fairness", "raw"]),
    "eval.best_res_update_round_wise_key": _Key(str, "val_loss"),
    "early_stop.patience": _Key(int, 5),
    "early_stop.delta": _Key(_NUMBER, 0.0),
    "early_stop.improve_indicator_mode": _Key(str, "best", ("best", "mean")),
}
_METRICS = ("acc", "correct", "loss", "avg_loss", "total")
_SPLITS = ("train", "val", "test")
_FORMS = ("weighted_avg", "avg", "raw", "fairness")


def supports_key(key: str) -> bool:
    """Whether a key, with its sections and dots, has a meaning here or none that matters."""
    return key in _KEYS or key in _IGNORED


def load_settings(path: Path) -> tuple[Settings, dict[str, Any]]:
    """Read ``path``; returns the settings and the tree as it was written.

    Raises:
        ParticipantError: the file cannot be read.
        UnsupportedSettingsError: keys or values that this engine does not support, or values of the wrong type.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParticipantError(f"{path}: cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise ParticipantError(f"{path}: expected FederatedScope's configuration, got {type(tree).__name__}")
    return parse_settings(tree), tree


def parse_settings(tree: Mapping[str, Any]) -> Settings:
    """Settings of a FederatedScope tree.

    Raises:
        UnsupportedSettingsError: as :func:`load_settings`.
    """
    given = dict(_flat(tree))
    problems = [problem for key, value in given.items() if (problem := _problem(key, value))]
    values = {key: given.get(key, rule.default) for key, rule in _KEYS.items()}
    # FederatedScope's own default may be unsupported here (a course on toy data, MSELoss).
    problems += [
        replace(problem, hint="FederatedScope's default")
        for key, value in values.items()
        if key not in given and (problem := _problem(key, value))
    ]
    if not problems:
        problems = list(_cross_checks(values))
    if problems:
        raise UnsupportedSettingsError(problems)
    return _settings(values)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}.")
        elif not isinstance(value, Mapping) or path in _KEYS:  # an empty section says nothing, an empty value is wrong
            yield path, value


def _problem(key: str, value: Any) -> Problem | None:
    if key in _IGNORED:
        return None
    rule = _KEYS.get(key)
    if rule is None:
        import difflib  # only for the message

        # In its own section: what looks alike elsewhere means something else.
        section = key.rpartition(".")[0]
        close = difflib.get_close_matches(key, [name for name in _KEYS if name.rpartition(".")[0] == section], 1)
        hint = f'did you mean "{close[0]}"?' if close else None
        return Problem(key, UNKNOWN, hint)
    if (isinstance(value, bool) and rule.kind is not bool) or not isinstance(value, rule.kind):
        kinds = rule.kind if isinstance(rule.kind, tuple) else (rule.kind,)
        return Problem(key, f"{value!r} is not of type {' or '.join(kind.__name__ for kind in kinds)}")
    if rule.known is not None and value not in rule.known:
        choices = " or ".join(repr(choice) for choice in rule.known)
        return Problem(key, f"the light engine does {choices}, not {value!r}")
    return None


def _cross_checks(values: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("federate.client_num", "federate.total_round_num", "dataloader.batch_size", "eval.freq",
                "train.local_update_steps", "model.out_channels", "model.layer", "model.hidden"):  # fmt: skip
        if values[key] < 1:
            yield Problem(key, f"{values[key]} is below 1")
    for key in ("train.optimizer.momentum", "train.optimizer.weight_decay", "early_stop.patience", "early_stop.delta"):
        if values[key] < 0:
            yield Problem(key, f"{values[key]} is below 0")
    if not 0 <= values["model.dropout"] < 1:
        yield Problem("model.dropout", f"{values['model.dropout']} is not in [0, 1)")
    if not 0 < values["train.optimizer.lr"] < math.inf:
        yield Problem("train.optimizer.lr", f"{values['train.optimizer.lr']} is not above 0 and finite")
    for key, known in (("eval.metrics", _METRICS), ("eval.report", _FORMS), ("eval.split", _SPLITS),
                       ("federate.join_in_info", ("num_sample",))):  # fmt: skip
        for value in values[key]:
            if value not in known:
                yield Problem(key, f"the light engine knows {', '.join(known)}, not {value!r}")
    split, _, metric = values["eval.best_res_update_round_wise_key"].partition("_")
    if split not in _SPLITS or metric not in _METRICS:
        reason = f"{values['eval.best_res_update_round_wise_key']!r} is not a result: train_, val_ or test_ and one of "
        yield Problem("eval.best_res_update_round_wise_key", reason + ", ".join(_METRICS))
    if values["federate.sample_client_num"] > values["federate.client_num"]:
        yield Problem("federate.sample_client_num", "more than federate.client_num")
    if not all(type(size) is int for size in values["model.input_shape"]):
        yield Problem("model.input_shape", f"{values['model.input_shape']!r} is not a list of whole numbers")
    if not values["data.file_path"]:
        yield Problem("data.file_path", "the light engine reads its data from a file")


def _settings(values: Mapping[str, Any]) -> Settings:
    clients = values["federate.client_num"]
    sampled = asked_clients(clients, values["federate.sample_client_num"], values["federate.sample_client_rate"])
    shape = values["model.input_shape"]
    return Settings(
        role=values["distribute.role"],
        seed=values["seed"],
        outdir=Path(values["outdir"] or "exp") / (values["expname"] or "light"),
        data_file=Path(values["data.file_path"]),
        server_host=values["distribute.server_host"],
        server_port=values["distribute.server_port"],
        client_host=values["distribute.client_host"],
        client_port=values["distribute.client_port"],
        client_num=clients,
        total_rounds=values["federate.total_round_num"],
        sample_client_num=sampled,
        make_global_eval=values["federate.make_global_eval"],
        ignore_weight=values["federate.ignore_weight"],
        join_in_info=tuple(values["federate.join_in_info"]),
        model=values["model.type"],
        hidden=values["model.hidden"],
        layers=values["model.layer"],
        dropout=float(values["model.dropout"]),
        classes=values["model.out_channels"],
        inputs=int(shape[-1]) if shape else None,
        batch_size=values["dataloader.batch_size"],
        shuffle=values["dataloader.shuffle"],
        drop_last=values["dataloader.drop_last"],
        local_update_steps=values["train.local_update_steps"],
        batch_or_epoch=values["train.batch_or_epoch"],
        lr=float(values["train.optimizer.lr"]),
        momentum=float(values["train.optimizer.momentum"]),
        weight_decay=float(values["train.optimizer.weight_decay"]),
        grad_clip=float(values["grad.grad_clip"]),
        eval_freq=values["eval.freq"],
        metrics=tuple(values["eval.metrics"]),
        eval_splits=tuple(values["eval.split"]),
        report=tuple(values["eval.report"]),
        best_key=values["eval.best_res_update_round_wise_key"],
        patience=values["early_stop.patience"],
        delta=float(values["early_stop.delta"]),
        improve_mode=values["early_stop.improve_indicator_mode"],
        restore_from=Path(values["federate.restore_from"]) if values["federate.restore_from"] else None,
        # FederatedScope's launcher runs in the output folder.
        save_to=Path(values["outdir"]) / values["federate.save_to"] if values["federate.save_to"] else None,
    )
