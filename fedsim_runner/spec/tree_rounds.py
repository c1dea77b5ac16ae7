"""Courses that grow trees, each client with features of its own: one tree is one round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# FederatedScope's default of model.num_of_trees.
_TREES = 10


def follow_trees(tree: dict[str, Any]) -> Iterator[str]:
    """Set ``federate.total_round_num`` of a user's tree to its number of trees, if it grows any; yield a note.

    FederatedScope ends such a course with its last tree, whatever it says of rounds.
    """
    vertical, model = tree.get("vertical"), tree.get("model", {})
    if not isinstance(vertical, dict) or vertical.get("use") is not True or vertical.get("algo", "lr") == "lr":
        return
    trees = model.get("num_of_trees", _TREES) if isinstance(model, dict) else _TREES
    federate = tree.setdefault("federate", {})
    if type(trees) is not int or not isinstance(federate, dict) or federate.get("total_round_num") == trees:
        return
    federate["total_round_num"] = trees
    yield f"federate.total_round_num: {trees}, as many as model.num_of_trees: the course ends with its last tree"
