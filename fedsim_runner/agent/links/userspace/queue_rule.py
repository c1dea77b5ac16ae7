"""The NFQUEUE rule in a device's namespace, as ``iptables`` takes and shows it."""

from __future__ import annotations

import shutil

from fedsim_runner.contract.link import INTERFACE

QUEUE_NUMBER = 0
TABLE = "mangle"
#: The variants of iptables: one sets nftables' rules, the other those of the kernel's older interface.
IPTABLES_NFT, IPTABLES_LEGACY = "iptables-nft", "iptables-legacy"


def iptables_programs() -> list[str]:
    """The iptables variants installed here, the kernel's newer interface first."""
    return [name for name in (IPTABLES_NFT, IPTABLES_LEGACY, "iptables") if shutil.which(name)]


def queue_rule() -> list[str]:
    """The rule, as ``iptables -t mangle -S PREROUTING`` prints it after ``-A``.

    It is in the receiver's PREROUTING: there the packet has crossed the veth pair and no longer counts against the
    sender's socket, whose small queues would throttle it. No ``--queue-bypass``: without an agent nothing passes.
    """
    return ["PREROUTING", "-i", INTERFACE, "-j", "NFQUEUE", "--queue-num", str(QUEUE_NUMBER)]


def queue_rule_arguments(present: bool) -> list[str]:
    """The arguments of ``iptables`` that add or delete the queue rule."""
    return ["-w", "5", "-t", TABLE, "-A" if present else "-D", *queue_rule()]


def list_rules_arguments() -> list[str]:
    """The arguments of ``iptables`` that list the rules, for :func:`has_queue_rule`."""
    return ["-w", "5", "-t", TABLE, "-S", "PREROUTING"]


def has_queue_rule(listing: str) -> bool:
    """Whether the output of ``iptables -t mangle -S PREROUTING`` contains the rule."""
    return " ".join(["-A", *queue_rule()]) in (line.strip() for line in listing.splitlines())
