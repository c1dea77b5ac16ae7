"""What leaves for other lab hosts, where these shape links with another back end: a queue of its own for the uplinks.

Where all lab hosts shape links in user space, a packet takes its sender's uplink on the lab host of the receiver, whose
packet process knows both links. Another back end does not, so in a lab of several back ends each lab host shapes the
links of its own devices alone: here the uplinks of packets that the run's bridges pass on to other lab hosts. By then
they have crossed the veth pair, and no longer count against the sender's socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedsim_runner.contract.link import Link

from ...host import programs
from ..changes import Failures
from ..network.run_namespace import RunNamespace
from ..network.wiring import VXLAN_PREFIX, bridge_name
from .arrivals import Uplinks, kernel_queue_packets
from .packet_process import PacketProcess
from .queue_rule import QUEUE_NUMBER, TABLE

DEPARTURES = "departures"
#: No device has such a name.
NAME = "(other lab hosts)"
_CHAIN = "FORWARD"
_RULE = [_CHAIN, "-m", "physdev", "--physdev-out", f"{VXLAN_PREFIX}+"]
_RULE += ["-j", "NFQUEUE", "--queue-num", str(QUEUE_NUMBER)]


@dataclass(frozen=True)
class Departures:
    """The queue. ``single_packets``: super-packets are split up."""

    queue_packets: int
    single_packets: bool

    def __str__(self) -> str:
        return f"queue {self.queue_packets} packets{' as single frames' if self.single_packets else ''}"

    @classmethod
    def of(cls, uplinks: Uplinks) -> Departures:
        """The queue for what these uplinks hold."""
        return cls(kernel_queue_packets(uplinks.longest_s("")), uplinks.need_single_packets(""))

    @classmethod
    def read(cls, network: RunNamespace, iptables: str, devices: Mapping[str, Any]) -> Departures | None:
        """What is in force; None: nothing, or not all of it.

        Args:
            network: the run's namespace.
            iptables: the program.
            devices: what the packet process listens to.
        """
        state = devices.get(NAME)
        if state is None or network.path is None:
            return None
        with network.inside():
            if not _has_rule(iptables):
                return None
        return cls(state["maxlen"], not state["gso"])

    def set(self, network: RunNamespace, iptables: str, process: PacketProcess, senders: Mapping[str, Any]) -> Failures:
        """Bring it into force; return the failure, by :data:`NAME`.

        Args:
            network: the run's namespace.
            iptables: the program.
            process: what listens.
            senders: the part of a command that names the uplinks.
        """
        assert network.path is not None
        settings = {
            "address": "0.0.0.0",
            "netns": network.path,
            "down": Link().as_dict(),
            "maxlen": self.queue_packets,
            "gso": not self.single_packets,
            "site": None,
            "guest": None,
        }
        # The listener first: a rule without one drops packets.
        failed: Failures = process.ask({"op": "set", "devices": {NAME: settings}, **senders})["failed"]
        with network.inside():
            if not _has_rule(iptables):
                programs.run([iptables, "-w", "5", "-t", TABLE, "-A", *_RULE])
        network.filters = True
        unfiltered = network.add_bridges([bridge_name(0)])
        return failed | ({NAME: "; ".join(unfiltered.values())} if unfiltered else {})


def _has_rule(iptables: str) -> bool:
    """Whether the rule is in force in the calling thread's namespace."""
    listed = programs.run([iptables, "-w", "5", "-t", TABLE, "-S", _CHAIN])
    return " ".join(["-A", *_RULE]) in (line.strip() for line in listed.splitlines())
