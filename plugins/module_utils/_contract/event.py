"""What all events of a run have in common: how one is written to a journal and read back.

The events themselves are in :mod:`fedsim_runner.contract.events`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from . import lenient

if TYPE_CHECKING:
    from .course_state import CourseState

_READ = "read"
_OWN: dict[type[Event], list[Field[Any]]] = {}


def read_as(reader: Callable[[object], Any], default: Any = None) -> Any:
    """Define a field of an event and how it is read from a journal."""
    return field(default=default, metadata={_READ: reader})


def read_results() -> Any:
    """Define a field of an event that has results by name."""
    return field(default_factory=dict, metadata={_READ: lenient.metrics})


@dataclass(frozen=True)
class Event:
    """An event of the journal.

    Attributes:
        t: when, in Unix seconds; None until it is written.
        lab_host: whose journal it comes from; None if the run has only one journal.
    """

    name: ClassVar[str] = ""
    known: ClassVar[dict[str, type[Event]]] = {}

    t: float | None = field(default=None, kw_only=True)
    lab_host: str | None = field(default=None, kw_only=True)

    def __init_subclass__(cls) -> None:
        if "name" in cls.__dict__:
            Event.known[cls.name] = cls

    @classmethod
    def read(cls, values: Mapping[str, Any], t: float | None, lab_host: str | None) -> Event:
        """Return the event of this class with fields from a journal; what makes no sense is None."""
        return cls(t=t, lab_host=lab_host, **{one.name: one.metadata[_READ](values.get(one.name)) for one in _own(cls)})

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, without the time and lab host if they are unknown."""
        found: dict[str, Any] = {} if self.t is None else {"t": self.t}
        found["event"] = self.name
        found.update((one.name, _plain(getattr(self, one.name))) for one in _own(type(self)))
        if self.lab_host is not None:
            found["lab_host"] = self.lab_host
        return found

    def to_line(self) -> str:
        """Return the event as a line of the journal, with its line end."""
        return json.dumps(self.as_dict(), allow_nan=False) + "\n"

    @property
    def about(self) -> str | None:
        """The device that the event is about."""
        return getattr(self, "device", None)

    def apply_to(self, course: CourseState) -> None:
        """Change the state of the course; events that are only of interest to people change nothing."""


@dataclass(frozen=True)
class UnknownEvent(Event):
    """An event of another version."""

    kind: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        found = super().as_dict()
        del found["kind"], found["values"]
        return {**found, "event": self.kind, **_plain(self.values)}

    @property
    def about(self) -> str | None:
        return lenient.name(self.values.get("device"))


def _own(kind: type[Event]) -> list[Field[Any]]:
    """Return the fields that are the event's own; looked up once, since journals have many events."""
    found = _OWN.get(kind)
    if found is None:
        found = _OWN[kind] = [one for one in fields(kind) if not one.kw_only]
    return found


def _plain(value: Any) -> Any:
    """Return a value as JSON data: NaN and infinities become null."""
    if value is None or type(value) in (str, int):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
