"""The run's network namespace, which a container holds: bridges, and the lab host's ends of the devices' veth pairs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ...host import programs
from ...kernel import bridging, kernel_qdiscs, netns, rtnetlink
from ...kernel.bridging import End
from ..changes import Failures
from .wiring import first_bridge, is_further, upper_bridge

_SET = ["link", "set", "dev"]


Line = tuple[str | None, list[str]]  # the device that a command is for (None: its failure does not matter), its words


class RunNamespace:
    """Reads and changes the namespace.

    Attributes:
        path: where it is; None while no container holds it, when it reads as empty.
        has_edges: bridges have edges between them: what connects a bridge to the first one carries no packet from
            or to them.
        only_edges: nothing goes from one bridge to another over the first one.
        filters: the packet filter sees what bridges pass on.
        across: connects bridges to those of the same name on other lab hosts; None: the run has no others.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        self.has_edges = self.only_edges = False
        self.filters = False
        self.across: Callable[[Collection[str]], Failures] | None = None

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Run the block in the namespace, in the calling thread.

        Raises:
            OSError: there is none, or no longer.
        """
        if self.path is None:
            raise FileNotFoundError("no container holds the run's network")
        with netns.inside(self.path):
            yield

    def ends(self) -> dict[str, End]:
        """All interfaces by name. A port of a bridge that is down, or that does not reach the first one, has none."""
        if self.path is None:
            return {}
        with self.inside():
            found = bridging.read_ends()
        usable = {name for name in {end.bridge for end in found.values()} if name and _is_usable(name, found)}
        return {name: end if end.bridge in usable else replace(end, bridge=None) for name, end in found.items()}

    def traces(self) -> dict[str, object]:
        """What differs once somebody has changed an interface or its qdisc, by name; read without a program.

        Raises:
            OSError: the namespace is gone.
        """
        with self.inside():
            qdiscs = kernel_qdiscs.all_raw_qdiscs()
            found: dict[str, object] = {name: (port, qdiscs.get(port[0])) for name, port in rtnetlink.ports().items()}
            return found | {"": rtnetlink.known_macs()} if self.has_edges else found

    def add_bridges(self, wanted: Iterable[str]) -> Failures:
        """Make these bridges, and what connects them to the first one, where something is missing or down.

        In the calling thread, and without a program.

        Returns:
            Reasons by bridge, of those that could not be made.

        Raises:
            OSError: the namespace is gone.
        """
        failed: Failures = {}
        ends, wanted = self.ends(), set(wanted)
        with self.inside():
            for name in sorted({*map(first_bridge, wanted), *map(upper_bridge, wanted), *wanted}):
                try:
                    self._add_bridge(name, ends)
                except OSError as error:
                    failed[name] = f"bridge {name} cannot be made: {error.strerror}"
        if self.across is not None:
            failed |= self.across({first_bridge(name) for name in wanted if name not in failed})
        return failed

    def _add_bridge(self, name: str, ends: Mapping[str, End]) -> None:
        index = ends[name].index if name in ends else bridging.add_bridge(name)
        rtnetlink.set_up(index)
        if self.filters:
            bridging.filter_packets(index)
        if name == first_bridge(name):
            return
        near, far = _trunk(name)
        if near not in ends:
            bridging.add_pair(near, far)
        leads_to_site = not is_further(name)
        bridging.connect(near, upper_bridge(name), self.only_edges and leads_to_site)
        bridging.connect(far, name, self.has_edges and leads_to_site)

    def batch(self, lines: Sequence[Line]) -> Failures:
        """Run ``ip`` with these commands; return the failures by what they are for."""
        if not lines:
            return {}
        text = "".join(" ".join(words) + "\n" for _, words in lines)
        with self.inside():
            try:
                programs.run(["ip", "-force", "-batch", "-"], stdin=text)
            except programs.CommandError as error:
                return _failures(str(error.said), lines)
        return {}


def without_ipv6(device: str, name: str) -> list[Line]:
    """The command that keeps an interface, which is still down, from giving itself an IPv6 address."""
    # A kernel without IPv6 refuses the option.
    return [(device, [*_SET, name, "addrgenmode", "none"])] if rtnetlink.has_ipv6() else []


def _trunk(bridge: str) -> tuple[str, str]:
    """The veth pair between a bridge and the one that it is connected to: its end there, and its own."""
    return f"to-{bridge}", f"{bridge}-up"


def _is_usable(name: str, ends: Mapping[str, End]) -> bool:
    upper = upper_bridge(name)
    if name not in ends or not ends[name].up:
        return False
    if name == upper:
        return True
    near, far = (ends.get(end) for end in _trunk(name))
    return (
        near is not None
        and far is not None
        and (near.up, near.bridge, far.up, far.bridge) == (True, upper, True, name)
        and _is_usable(upper, ends)
    )


def _failures(said: str, lines: Sequence[Line]) -> Failures:
    """Find in what ``ip -force -batch`` says which lines failed; each is named after its reason."""
    failed: Failures = {}
    reason: list[str] = []
    for line in said.splitlines():
        number = re.fullmatch(r"Command failed \S*:(\d+)", line.strip())
        if number is None:
            reason.append(line.strip())
            continue
        device, words = lines[int(number[1]) - 1]
        if device is not None:
            failed.setdefault(device, f"ip {' '.join(words)}: {'; '.join(reason)}")
        reason = []
    if not failed and reason:
        return {device: "; ".join(reason) for device, _ in lines if device is not None}
    return failed
