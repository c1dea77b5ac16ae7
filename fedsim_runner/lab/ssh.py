"""How ssh reaches a lab host: the command line that Ansible would use, without its connection sharing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ssh:
    """What an inventory says about reaching a host.

    Attributes:
        address: name or address, which ssh_config(5) may resolve further.
        user, port: None: what ssh_config(5) says.
        arguments: further words of ssh's command line.
        interpreter: the Python there.
        sudo: whether the user becomes root by sudo.
    """

    address: str
    user: str | None = None
    port: int | None = None
    arguments: tuple[str, ...] = ()
    interpreter: str = "python3"
    sudo: bool = True

    @property
    def way(self) -> str:
        """What tells its connections from others to the same address: see :func:`way_of`."""
        return way_of([self])

    def command(self, options: tuple[str, ...], words: str) -> list[str]:
        """The command line that runs ``words`` there; ``options`` count where the inventory says nothing."""
        named = [] if self.user is None else ["-l", self.user]
        port = [] if self.port is None else ["-p", str(self.port)]
        return ["ssh", *self.arguments, *options, *port, *named, "--", self.address, words]


def way_of(hosts: Iterable[Ssh]) -> str:
    """A digest of everything but the address by which ssh comes to hosts: keys, known hosts, jump hosts.

    Sessions share a connection by host, port and user. The same address behind another gate is another machine, and
    a connection that one key has opened, or that knew the host's key, says nothing of another.
    """
    ways = sorted({host.arguments for host in hosts})
    return hashlib.sha256(repr(ways).encode()).hexdigest()[:8]
