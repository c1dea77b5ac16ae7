"""What an experiment file may say of the events of its course: keys, types, limits, meaning."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from ..catalog.entries import Entry, ProfileEntry
from ..contract.timeline import Action, State

SECONDS_MAX = 7 * 24 * 3600
EVENTS_MAX = 10_000
Seconds = Annotated[float, Field(gt=0, le=SECONDS_MAX)]
Moment = Annotated[float, Field(ge=0, le=SECONDS_MAX)]
LoadKbps = Annotated[float, Field(ge=0, le=100_000_000)]


def _as_list(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise PydanticCustomError("selectors", "must be the name of a device or type, or a list of them")
    return value


def _as_period(value: Any) -> Any:
    numbers = isinstance(value, list) and all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in value
    )
    if not numbers or len(value) != 2:
        raise PydanticCustomError("period", "must be a list of two numbers of seconds, such as [10, 60]")
    return value


_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_NUMBERS = {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2}
Selectors = Annotated[list[str], BeforeValidator(_as_list), WithJsonSchema(_TEXTS)]
Period = Annotated[list[float], BeforeValidator(_as_period), WithJsonSchema(_NUMBERS)]


class WhenEntry(Entry):
    """The first moment, after the gate opened, at which a client is in a state."""

    device: str = Field(description="Name of a client.")
    state: State = Field(
        description="`joined`: the server has accepted it; `training`: it trains for the first time; `lost`: it was "
        "given up, and the course goes on; `finished`: it has reached the end of the course."
    )


class RandomEntry(Entry):
    """Moments drawn from the experiment's `seed`: the same in every run with this seed. Either `count` or `every`."""

    between: Period = Field(description="Seconds after the gate opened between which all of them are: `[from, to]`.")
    count: Annotated[int, Field(ge=1, le=EVENTS_MAX)] | None = Field(
        default=None, description="How many; each moment is equally likely anywhere in `between`."
    )
    every: Seconds | None = Field(
        default=None,
        description="Mean seconds from one to the next, which are exponentially distributed: a Poisson process.",
    )
    pick: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="How many of `devices` are drawn each time. Not given: it happens to all of them."
    )


class LoadEntry(Entry):
    """Other traffic, by direction."""

    up: LoadKbps | None = Field(default=None, description="Other traffic on the uplink in kbit/s.")
    down: LoadKbps | None = Field(default=None, description="Other traffic on the downlink in kbit/s.")


def _network_form(value: Any) -> str:
    return "values" if isinstance(value, dict) else "name"


def _load_form(value: Any) -> str:
    return "directions" if isinstance(value, dict) else "both"


class EventEntry(Entry):
    """Something that happens during the course: one time, `devices`, and one of `network`, `action` and `load_kbps`."""

    devices: Selectors = Field(
        description="To whom it happens: names of devices, of types, of regions or `all`, which means all clients; one "
        "or a list. A name with `count` stands for all of its devices."
    )
    at: Moment | None = Field(default=None, description="When: seconds after the gate opened.")
    round: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="When: as this round starts; the first is 1."
    )
    when: WhenEntry | None = Field(default=None, description="When: as a client reaches a state.")
    random: RandomEntry | None = Field(default=None, description="When: at random moments.")
    network: (
        Annotated[Annotated[str, Tag("name")] | Annotated[ProfileEntry, Tag("values")], Discriminator(_network_form)]
        | None
    ) = Field(
        default=None,
        description="What: the links change. A network profile by name, all values of which then hold; or values, of "
        "which those not given stay as they are.",
    )
    action: Action | None = Field(
        default=None,
        description="What: an action on the devices; [events.md](events.md#actions) says what each does.",
    )
    load_kbps: (
        Annotated[Annotated[LoadKbps, Tag("both")] | Annotated[LoadEntry, Tag("directions")], Discriminator(_load_form)]
        | None
    ) = Field(
        default=None,
        description="What: other traffic on the links, which lowers the rate by this many kbit/s; in both "
        "directions, or `up` and `down`. 0 ends it.",
    )
    duration: Seconds | None = Field(
        default=None,
        description="Seconds after which it is taken back. Not given: it stays until the end of the course, or until "
        "another event changes it.",
    )
