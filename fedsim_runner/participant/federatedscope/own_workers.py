"""What a user's own worker changes: kinds of messages that FederatedScope does not have, other contents in known ones.

A method of the user's (``contrib/worker``) brings a server and a client that may say anything to each other. What still
is FederatedScope's own code shows in the module that each function comes from: only what that code is going to see
can be judged by what it can handle.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

# Where FederatedScope has its own workers, and what it makes them do.
_OWN_MODULES = frozenset((
    "federatedscope.core.workers.base_client", "federatedscope.core.workers.base_server",
    "federatedscope.core.workers.client", "federatedscope.core.workers.server",
    "federatedscope.core.workers.wrapper.fedswa",
))  # fmt: skip
# What our patches have put in place of FederatedScope's functions counts as FederatedScope's.
_OWN_PACKAGES = ("federatedscope.vertical_fl.", "fedsim_runner.")
AGGREGATORS = "federatedscope.core.aggregators"
REGISTER = "federatedscope.register"
# Kinds of messages that FederatedScope's own workers have handlers for.
KINDS_OF_SERVERS = frozenset(("join_in", "join_in_info", "model_para", "metrics", "eval_metric", "feature_importance"))
KINDS_OF_CLIENTS = frozenset((
    "assign_client_id", "ask_for_join_in_info", "address", "model_para", "ss_model_para", "evaluate", "finish",
    "converged", "data_sample", "training_info", "split", "continue_training", "split_request", "split_result",
    "ask_for_feature_importance", "grad_and_hess", "local_best_gain", "off_node_list", "enc_pred_result", "pred_result",
))  # fmt: skip
# How the kinds begin that only our launcher sends, to itself.
PRIVATE = "fedsim_"
# What stands between an update and the global model, and between results and their average.
_ROUNDS = ("check_and_move_on", "check_buffer")
_TO_THE_RESULTS = ("_merge_and_format_eval_results", "merge_eval_results_from_all_clients")


@dataclass(frozen=True)
class OwnParts:
    """What of a worker is the user's own: look at it before anything wraps its methods.

    Attributes:
        worker: its class, or that of its aggregator, if that is the user's own; None: all is FederatedScope's.
        says_anything: kinds of messages and what they answer are the worker's own business.
        counts_updates: FederatedScope's own handler takes ``model_para``.
        keeps_rounds: its own rounds are what gathers them, and says when they are aggregated.
        aggregates: its own aggregation sees them, too.
        merges: its own code merges what clients send as ``metrics``.
        counts_joins: its own handler takes ``join_in_info``.
    """

    worker: str | None
    says_anything: bool
    counts_updates: bool
    keeps_rounds: bool
    aggregates: bool
    merges: bool
    counts_joins: bool


def look_at_server(server: Any) -> OwnParts:
    """Find out what of a server is the user's own."""
    own = is_users_own(server)
    counts = _takes(server, "model_para")
    aggregator = getattr(server, "aggregator", None)
    averages = type(aggregator) in vars(importlib.import_module(AGGREGATORS)).values() or (
        not own and _grows_trees(server)
    )
    rounds = counts and all(_is_upstreams(getattr(server, name)) for name in _ROUNDS)
    named = server if own else None if averages else aggregator
    return OwnParts(
        worker=None if named is None else type(named).__name__,
        says_anything=own,
        counts_updates=counts,
        keeps_rounds=rounds,
        aggregates=rounds and averages and _is_upstreams(server._perform_federated_aggregation),
        merges=_takes(server, "metrics") and all(_is_upstreams(getattr(server, name)) for name in _TO_THE_RESULTS),
        counts_joins=_takes(server, "join_in_info"),
    )


def has_own_method(client: Any) -> bool:
    """Whether the method's workers are the user's own, on either side: FederatedScope asks for them first."""
    method = client._cfg.federate.method.lower()
    makers = importlib.import_module(REGISTER).worker_dict.values()
    return is_users_own(client) or any(make(method) is not None for make in makers)


def upstreams_kinds(worker: Any) -> frozenset[str]:
    """The kinds of messages that FederatedScope's own handlers take."""
    return frozenset(kind for kind in worker.msg_handlers if _takes(worker, kind))


def has_handler(worker: Any, kind: str) -> bool:
    """Whether a worker takes a kind of message from another participant. It may get more handlers as it runs."""
    return kind in worker.msg_handlers and not kind.startswith(PRIVATE)


def is_users_own(worker: Any) -> bool:
    """Whether a worker's class, or its handler of any kind of message, is the user's own."""
    known = KINDS_OF_SERVERS | KINDS_OF_CLIENTS
    return not _is_upstreams(type(worker)) or any(
        kind not in known or not _is_upstreams(handler) for kind, handler in worker.msg_handlers.items()
    )


def _takes(worker: Any, kind: str) -> bool:
    return _is_upstreams(worker.msg_handlers.get(kind))


def _grows_trees(worker: Any) -> bool:
    return bool(worker._cfg.vertical.use)


def _is_upstreams(function: Any) -> bool:
    """Whether a function, a method or a class is FederatedScope's own."""
    module = str(getattr(function, "__module__", ""))
    return module in _OWN_MODULES or module.startswith(_OWN_PACKAGES)
