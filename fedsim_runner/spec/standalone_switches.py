"""Switches of FederatedScope's standalone mode, which no course between processes has.

Where the course is the same without one, it is removed and a note says so; where it is not, that is a mistake.
Effects: FederatedScope's ``core/fed_runner.py``, ``core/data/base_data.py`` and ``auxiliaries/aggregator_builder.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..yamlfile.document import Document

_BEST = "best_res_update_round_wise_key"
# FederatedScope's default.
_BY_VALIDATION = "val_loss"


def remove_switches(tree: dict[str, Any], document: Document, real_server: bool) -> Iterator[str]:
    """Remove the switches from a user's tree, whose sections are mappings; yield notes.

    Args:
        tree: a copy of the user's tree, which is changed.
        document: where it was written, for mistakes.
        real_server: whether FederatedScope itself is the server.
    """
    federate = tree.get("federate", {})
    removed = [
        f"federate.{key}"
        for key in ("online_aggr", "share_local_model")
        if federate.get(key) is True and not _report_difference(key, tree, document)
    ]
    merged = federate.get("merge_test_data") is True
    for key in ("online_aggr", "share_local_model", "merge_test_data", "merge_val_data"):
        if isinstance(federate.get(key), bool):
            del federate[key]
    if removed:
        yield (
            f"{' and '.join(removed)}: false here, they save time or memory where all participants share one process, "
            "and the course is the same without them"
        )
    if merged:
        federate["make_global_eval"] = True
        yield (
            "federate.merge_test_data: it lets the server evaluate, with all clients' test data; here the server has "
            "its own test set, and federate.make_global_eval is true"
        )
    if real_server and federate.get("make_global_eval") is True:
        yield from _evaluate_by_test_loss(tree)


def _report_difference(key: str, tree: dict[str, Any], document: Document) -> bool:
    """Report a switch that changes the course together with other settings; whether there is one."""
    why = None
    if key == "online_aggr":
        if _get(tree, "asyn", "use") is True:
            why = "with asyn.use FederatedScope ignores how stale updates are: the course is another one without it"
        elif _get(tree, "federate", "ignore_weight") is True:
            why = "with it FederatedScope ignores federate.ignore_weight: the course is another one without it"
    elif _get(tree, "personalization", "local_param"):
        why = "with it all clients share also personalization.local_param: the course is another one without it"
    if why is not None:
        document.report(("federate", key), why, "write false, or remove the other key")
    return why is not None


def _evaluate_by_test_loss(tree: dict[str, Any]) -> Iterator[str]:
    evaluation = tree.get("eval", {})
    if not isinstance(evaluation, dict) or evaluation.get(_BEST, _BY_VALIDATION) != _BY_VALIDATION:
        return
    tree["eval"] = {**evaluation, _BEST: "test_loss"}
    yield (
        f"eval.{_BEST}: test_loss instead of {_BY_VALIDATION}, FederatedScope's default: the server evaluates, and it "
        "has test data only"
    )


def _get(tree: dict[str, Any], section: str, key: str) -> Any:
    found = tree.get(section)
    return found.get(key) if isinstance(found, dict) else None
