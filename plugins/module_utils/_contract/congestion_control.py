"""TCP's congestion control in a run's devices: which one a lab host lets them have. Standard library only.

Each network namespace has its own, which new connections use. A namespace begins with that of the lab host, and may be
given only one that the lab host allows to all (tcp(7), ``tcp_allowed_congestion_control``).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

AUTO = "auto"
#: What ``auto`` takes where a lab host allows it: Linux's default since 2.6.19.
USUAL = "cubic"
SYSCTL = "net.ipv4.tcp_congestion_control"
FOLDER = Path("/proc/sys/net/ipv4")


@dataclass(frozen=True)
class CongestionControls:
    """A lab host's: its own, those that it has loaded, and those that devices may have; empty where that is unknown."""

    own: str | None = None
    loaded: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()

    def choose(self, requested: str) -> str | None:
        """What devices are given; None: they keep the lab host's own."""
        if requested != AUTO:
            return requested
        return USUAL if USUAL in self.allowed and self.own != USUAL else None

    def in_force(self, requested: str) -> str | None:
        """What devices have in the end; None if it is not known."""
        return self.choose(requested) or self.own

    def lacks(self, requested: str) -> tuple[str, str] | None:
        """What is missing for the requested one, and the fix; None if devices can have it, or nothing is known."""
        if requested == AUTO or not self.allowed or requested in self.allowed:
            return None
        names = " ".join([*self.allowed, requested])
        allow = f'`sysctl -w net.ipv4.tcp_allowed_congestion_control="{names}"`'
        if requested in self.loaded:
            what = f"devices may not have TCP congestion control {requested}, only {', '.join(self.allowed)}"
            return what, f"{allow}, or another `network.congestion_control`"
        what = f"the kernel has no TCP congestion control {requested}, only {', '.join(self.loaded or self.allowed)}"
        return what, f"`modprobe tcp_{requested}` and {allow}, or another `network.congestion_control`"


def read_congestion_controls(folder: Path = FOLDER) -> CongestionControls:
    """Read them from the kernel of this machine."""
    own = _words(folder / "tcp_congestion_control")
    return CongestionControls(
        own[0] if own else None,
        _words(folder / "tcp_available_congestion_control"),
        _words(folder / "tcp_allowed_congestion_control"),
    )


def _words(path: Path) -> tuple[str, ...]:
    with contextlib.suppress(OSError):
        return tuple(path.read_text(encoding="ascii").split())
    return ()
