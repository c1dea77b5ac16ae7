"""When a device's packet filter is read with a program."""

from __future__ import annotations

import pytest

from fedsim_runner.agent.links.userspace import queue_rules, rule_set
from fedsim_runner.agent.links.userspace.queue_rule import IPTABLES_LEGACY, queue_rule
from fedsim_runner.agent.links.userspace.queue_rules import ABSENT, PRESENT, QueueRules

LISTED = "-P PREROUTING ACCEPT\n-A " + " ".join(queue_rule()) + "\n"
#: Where a chain's rules begin and end, by hook.
EMPTY, FULL = ((0, 152, 304, 456, 608),) * 2, ((0, 400, 552, 704, 856), (248, 400, 552, 704, 856))


@pytest.mark.parametrize(
    ("table", "read", "listed"),
    [(EMPTY, ABSENT, 0), (FULL, PRESENT, 1), (None, PRESENT, 1)],
    ids=["empty", "full", "none"],
)
def test_an_empty_chain_of_the_older_interface_needs_no_program(
    table: tuple[tuple[int, ...], tuple[int, ...]] | None, read: str, listed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = table and rule_set._INFO.pack(b"mangle", 31, *table[0], *table[1], 6, 1000)
    listings: list[object] = []
    monkeypatch.setattr(rule_set, "_read_table", lambda: raw)
    monkeypatch.setattr(queue_rules.programs, "run", lambda arguments: listings.append(arguments) or LISTED)
    assert QueueRules(IPTABLES_LEGACY).read("client-1") == read
    assert len(listings) == listed
