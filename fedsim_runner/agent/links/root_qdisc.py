"""Root qdiscs as values, and as ``tc`` takes and shows them. The back ends define the kinds."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..host import programs


class Qdisc(ABC):
    """A root qdisc; ``str`` is for people."""

    kind: ClassVar[str]

    @abstractmethod
    def arguments(self) -> list[str]:
        """``tc``'s arguments after the kind."""

    @classmethod
    @abstractmethod
    def parse(cls, options: Mapping[str, Any]) -> Qdisc:
        """Build it from the options that ``tc -raw -json qdisc show`` prints."""

    @abstractmethod
    def matches(self, active: object) -> bool:
        """Whether both are equal up to rounding in the kernel's units."""


class ForeignQdisc:
    """A qdisc of a kind that no back end sets."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __str__(self) -> str:
        return self._kind


def qdisc_arguments(interface: str, qdisc: Qdisc | None) -> list[str]:
    """``tc``'s arguments that put the qdisc at the interface's root, or remove the one that is there.

    No handle is given, so one kind replaces another in a single step, without a gap between them.
    """
    if qdisc is None:
        return ["qdisc", "del", "dev", interface, "root"]
    return ["qdisc", "replace", "dev", interface, "root", qdisc.kind, *qdisc.arguments()]


def parse_qdiscs(entries: Iterable[Mapping[str, Any]], kinds: Iterable[type[Qdisc]]) -> dict[str, Qdisc | ForeignQdisc]:
    """Root qdiscs by interface from ``tc -raw -json qdisc show``, without the kernel's own defaults."""
    known = {kind.kind: kind for kind in kinds}
    found: dict[str, Qdisc | ForeignQdisc] = {}
    for entry in entries:
        # Handle "0:" marks the kernel's defaults, which nobody set.
        if not entry.get("root") or entry.get("handle") == "0:":
            continue
        kind = str(entry.get("kind"))
        options = entry.get("options") or {}
        found[str(entry.get("dev", ""))] = known[kind].parse(options) if kind in known else ForeignQdisc(kind)
    return found


def read_qdiscs(interface: str | None = None) -> list[dict[str, Any]]:
    """Qdiscs of one interface or of all, as ``tc`` prints them in JSON with raw numbers.

    Raises:
        CommandError: the interface does not exist or may not be read.
    """
    arguments = ["tc", "-raw", "-json", "qdisc", "show"]
    if interface is not None:
        arguments += ["dev", interface]
    text = programs.run(arguments).strip()
    loaded = json.loads(text) if text else []
    return [entry for entry in loaded if isinstance(entry, dict)]


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
