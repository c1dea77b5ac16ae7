"""The rule of a device's packet filter that has its packets wait in a queue: reading it, with few programs."""

from __future__ import annotations

from ...host import programs
from . import rule_set
from .queue_rule import IPTABLES_LEGACY, IPTABLES_NFT, has_queue_rule, list_rules_arguments, queue_rule_arguments

PRESENT, ABSENT = "present", "absent"


class QueueRules:
    """The rules of all devices; the calling thread is in the namespace of the one concerned.

    Args:
        iptables: name of the program; None: there is none, and no rule.
    """

    def __init__(self, iptables: str | None) -> None:
        self._iptables = iptables
        self._shown: dict[str, tuple[rule_set.RuleSet, str]] = {}

    def read(self, device: str) -> str:
        """Whether its rule is there: :data:`PRESENT` or :data:`ABSENT`."""
        if self._iptables is None:
            return ABSENT
        # The older interface to the kernel does not count its changes, but shows whether there are any rules.
        if self._iptables == IPTABLES_LEGACY and rule_set.has_empty_chain():
            return ABSENT
        found = rule_set.read_rule_set() if self._iptables == IPTABLES_NFT else None
        if found is None:
            return self._list(self._iptables)
        if found.untouched:
            return ABSENT
        shown = self._shown.get(device)
        if shown is None or shown[0] != found:
            shown = self._shown[device] = found, self._list(self._iptables)
        return shown[1]

    def set(self, wanted: object) -> None:
        """Set a rule that differs."""
        if self._iptables is not None:
            programs.run([self._iptables, *queue_rule_arguments(wanted == PRESENT)])

    def trace(self) -> object:
        """What differs once somebody has changed the rules; read without a program."""
        return None if self._iptables is None else rule_set.trace(self._iptables)

    def forget(self, device: str) -> None:
        """Its container has ended."""
        self._shown.pop(device, None)

    @staticmethod
    def _list(iptables: str) -> str:
        return PRESENT if has_queue_rule(programs.run([iptables, *list_rules_arguments()])) else ABSENT
