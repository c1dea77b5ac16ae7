"""How many updates are enough for a round."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.round_quorum import quorum_size


@pytest.mark.parametrize(
    ("quorum", "asked", "enough"),
    [
        (1, 10, 1),
        (8, 10, 8),
        (8, 5, 5),  # fewer are left than the experiment's file counts on
        (0.5, 3, 2),
        (0.01, 10, 1),
        (0.8, 10, 8),
        (0.1, 30, 3),  # 0.1 * 30 is above 3 in binary
        (0.99, 10, 10),
        (0.8, 0, 1),
    ],
)
def test_a_count_or_a_share_of_the_clients_asked(quorum: float, asked: int, enough: int) -> None:
    assert quorum_size(quorum, asked) == enough
