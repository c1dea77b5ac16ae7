"""How ssh reaches a lab host: the command line that Ansible would use, without its connection sharing."""

from __future__ import annotations

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

    def command(self, options: tuple[str, ...], words: str) -> list[str]:
        """The command line that runs ``words`` there; ``options`` count where the inventory says nothing."""
        named = [] if self.user is None else ["-l", self.user]
        port = [] if self.port is None else ["-p", str(self.port)]
        return ["ssh", *self.arguments, *options, *port, *named, "--", self.address, words]
