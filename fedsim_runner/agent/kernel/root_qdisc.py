"""Root qdiscs, with those below them, as values and as ``tc`` takes and shows them. The back ends define the kinds."""

from __future__ import annotations

import json
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from ..host import programs
from . import kernel_qdiscs, netlink, qdisc_changes


class Qdisc(ABC):
    """A root qdisc; ``str`` is for people."""

    kind: ClassVar[str]

    @abstractmethod
    def arguments(self) -> list[str]:
        """``tc``'s arguments after the kind."""

    def commands(self, interface: str, index: int) -> list[list[str]]:
        """``tc``'s commands that put it at the interface's root.

        Without a handle one kind replaces another in a single step, without a gap between them.

        Args:
            index: number of the interface.
        """
        del index
        return [["qdisc", "replace", "dev", interface, "root", self.kind, *self.arguments()]]

    def forms(self, before: object) -> Sequence[netlink.Form] | None:
        """What changes the root qdisc ``before`` of an interface to this one in place, without losing what waits in it.

        None: the two cannot be changed into each other.
        """
        return None

    def read_back(self, index: int, before: object, shown: qdisc_changes.Shown, channel: socket.socket) -> Qdisc:
        """What the kernel has after such a change.

        Args:
            shown: all qdiscs of the interface's namespace.
            channel: to that.

        Raises:
            OSError: it is no longer there.
        """
        raise NotImplementedError(f"{self.kind} is never changed in place")

    @classmethod
    @abstractmethod
    def parse(cls, options: Mapping[str, Any], below: Sequence[Mapping[str, Any]]) -> Qdisc:
        """Build it from what ``tc -raw -json qdisc show`` prints.

        Args:
            options: its own options.
            below: the entries of the same interface's other qdiscs.
        """

    @abstractmethod
    def matches(self, active: object) -> bool:
        """Whether both are equal up to rounding in the kernel's units."""


class ForeignQdisc:
    """A qdisc of a kind that no back end sets."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __str__(self) -> str:
        return self._kind


def qdisc_commands(interface: str, index: int, qdisc: Qdisc | None) -> list[list[str]]:
    """``tc``'s commands that put the qdisc at the interface's root, or remove the one that is there.

    Args:
        index: number of the interface.
    """
    return [["qdisc", "del", "dev", interface, "root"]] if qdisc is None else qdisc.commands(interface, index)


def run_commands(commands: Sequence[Sequence[str]]) -> None:
    """Run ``tc`` once for all of these commands; it stops at the first that fails.

    Raises:
        CommandError: one of them failed.
    """
    if len(commands) == 1:
        programs.run(["tc", *commands[0]])
    elif commands:
        programs.run(["tc", "-batch", "-"], stdin="".join(" ".join(words) + "\n" for words in commands))


def parse_qdiscs(entries: Iterable[Mapping[str, Any]], kinds: Iterable[type[Qdisc]]) -> dict[str, Qdisc | ForeignQdisc]:
    """Root qdiscs by interface from ``tc -raw -json qdisc show``, without the kernel's own defaults."""
    known = {kind.kind: kind for kind in kinds}
    found: dict[str, Qdisc | ForeignQdisc] = {}
    below: dict[str, list[Mapping[str, Any]]] = {}
    entries = list(entries)
    for entry in entries:
        if not entry.get("root"):
            below.setdefault(str(entry.get("dev", "")), []).append(entry)
    for entry in entries:
        # Handle "0:" marks the kernel's defaults, which nobody set.
        if not entry.get("root") or entry.get("handle") == "0:":
            continue
        kind, device = str(entry.get("kind")), str(entry.get("dev", ""))
        if kind in known:
            found[device] = known[kind].parse(entry.get("options") or {}, below.get(device, ()))
        else:
            found[device] = ForeignQdisc(kind)
    return found


def read_qdiscs(interface: str | None = None) -> list[dict[str, Any]]:
    """Qdiscs of one interface or of all, as ``tc`` prints them in JSON with raw numbers.

    A prio has ``policed_s``, too: the seconds of its rate that the policer in its filter lets through at once.

    Raises:
        CommandError: the interface does not exist or may not be read.
    """
    arguments = ["tc", "-raw", "-json", "qdisc", "show"]
    if interface is not None:
        arguments += ["dev", interface]
    text = programs.run(arguments).strip()
    loaded = json.loads(text) if text else []
    found = [entry for entry in loaded if isinstance(entry, dict)]
    for entry in found:
        if entry.get("kind") == "prio":
            entry["policed_s"] = kernel_qdiscs.policed_s(str(entry.get("dev", interface)), str(entry["handle"]))
    return found


def try_qdisc(kind: str, *arguments: str) -> None:
    """Set a qdisc of this kind on the loopback interface of a scratch namespace.

    Raises:
        OSError, CommandError: this kernel does not have the kind.
    """
    programs.run(["tc", "qdisc", "replace", "dev", "lo", "root", kind, *arguments])
    active = [entry.get("kind") for entry in read_qdiscs("lo")]
    programs.run(["tc", "qdisc", "del", "dev", "lo", "root"])
    if kind not in active:
        raise OSError(f"the kernel took a {kind} qdisc but shows {active}")
