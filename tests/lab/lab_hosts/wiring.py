"""The lab's own network: a named network namespace with a bridge, to which each lab host is connected by a veth pair.

Nothing of it is in the machine's own namespace: there bridged packets pass the machine's firewall, and its rules for
Docker networks would rewrite them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from .program import LabError, call

# Of the range set aside for testing. Runs number their devices from 198.18.0.0 on, and only one of more than 65,534
# devices reaches this half of the range (plan/addresses.py): so an address that is seen tells whose it is.
LABS = ipaddress.IPv4Network("198.19.0.0/16")
MOST_LABS = 254
FIRST_HOST = 11
MOST_HOSTS = 200
NAMESPACES = Path("/run/netns")
PREFIX = "fedsim-lab-"
BRIDGE = "br0"


@dataclass(frozen=True)
class Wiring:
    """A lab's network, by the number of the lab on this machine."""

    number: int

    @property
    def namespace(self) -> str:
        return f"{PREFIX}{self.number}"

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network((int(LABS.network_address) + 256 * self.number, 24))

    @property
    def control_address(self) -> str:
        """The control node's."""
        return str(self.subnet[1])

    def address(self, index: int) -> str:
        """The address of a lab host, whose index counts from 1."""
        return str(self.subnet[FIRST_HOST + index - 1])

    @property
    def enter(self) -> tuple[str, ...]:
        """What to put before a command that is to run on the control node's side of the lab.

        Unlike ``ip netns exec`` it changes the network alone: files, the cgroup tree and the socket of this machine's
        Docker Engine stay where they are.
        """
        return "nsenter", f"--net={NAMESPACES / self.namespace}", "--"

    def plug(self, index: int, pid: int) -> None:
        """Connect the lab host whose container has the process ``pid``."""
        self._ip("link", "add", port(index), "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        self._ip("link", "set", port(index), "master", BRIDGE, "up")
        inside = ("nsenter", "--net", f"--target={pid}", "--", "ip")
        call([*inside, "address", "add", f"{self.address(index)}/24", "dev", "eth0"])
        call([*inside, "link", "set", "lo", "up"])
        call([*inside, "link", "set", "eth0", "up"])
        call([*inside, "route", "add", "default", "via", self.control_address])

    def cut(self, index: int) -> None:
        """Cut a lab host off: from the control node and from all others."""
        self._ip("link", "set", port(index), "down")

    def reconnect(self, index: int) -> None:
        self._ip("link", "set", port(index), "up")

    def remove(self) -> None:
        """Remove the network, and end what still runs in it, such as SSH connections that are kept open."""
        if not (NAMESPACES / self.namespace).exists():
            return
        for pid in call(["ip", "netns", "pids", self.namespace]).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        call(["ip", "netns", "delete", self.namespace])

    def _ip(self, *words: str) -> None:
        call([*self.enter, "ip", *words])


def port(index: int) -> str:
    """The control node's end of a lab host's veth pair."""
    return f"lab{index}"


def make() -> Wiring:
    """A new network, with a number that no other lab on this machine has.

    Raises:
        LabError: the kernel or the user may not make one.
    """
    said = ""
    for number in range(1, MOST_LABS + 1):
        wiring = Wiring(number)
        try:
            # Fails if there is one of that name: whoever comes first has the number.
            call(["ip", "netns", "add", wiring.namespace])
        except LabError as error:
            said = str(error)
            if (NAMESPACES / wiring.namespace).exists():
                continue
            raise
        for words in (
            ("link", "set", "lo", "up"),
            ("link", "add", BRIDGE, "type", "bridge"),
            ("address", "add", f"{wiring.control_address}/24", "dev", BRIDGE),
            ("link", "set", BRIDGE, "up"),
        ):
            call([*wiring.enter, "ip", *words])
        return wiring
    raise LabError(f"this machine has {MOST_LABS} labs already: python -m tests.lab.lab_hosts down --all ({said})")
