"""A course that grows trees has as many rounds as trees."""

from __future__ import annotations

from typing import Any

import pytest

from fedsim_runner.spec.tree_rounds import follow_trees

TREES = {"use": True, "algo": "xgb"}


@pytest.mark.parametrize(
    ("tree", "rounds"),
    [
        ({"vertical": TREES}, 10),
        ({"vertical": TREES, "model": {"num_of_trees": 4}, "federate": {"total_round_num": 50}}, 4),
        ({"vertical": {"use": True}, "federate": {"total_round_num": 50}}, 50),  # of lr, its default, rounds count
        ({"vertical": {"algo": "xgb"}, "federate": {"total_round_num": 50}}, 50),
        ({"vertical": TREES, "model": {"num_of_trees": "many"}, "federate": {"total_round_num": 50}}, 50),
        ({"vertical": "xgb", "federate": {"total_round_num": 50}}, 50),
    ],
    ids=str,
)
def test_one_tree_is_one_round(tree: dict[str, Any], rounds: int) -> None:
    before = tree.get("federate", {}).get("total_round_num")
    notes = list(follow_trees(tree))
    assert tree["federate"]["total_round_num"] == rounds
    assert len(notes) == (before != rounds)
    assert list(follow_trees(tree)) == []
