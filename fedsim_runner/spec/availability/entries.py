"""What an experiment file may say of when a device is available: keys, types, limits, meaning."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ...catalog.entries import Entry
from ..event_entries import SECONDS_MAX, Period

WINDOWS_MAX = 10_000
# An agent changes links and tells participants twice within this time.
LEAST_S = 1.0
MeanSeconds = Annotated[float, Field(ge=LEAST_S, le=SECONDS_MAX)]
Windows = Annotated[list[Period], Field(max_length=WINDOWS_MAX)]


class AvailabilityEntry(Entry):
    """When devices are available: as a file says (`trace`), or at random (`on_s` and `off_s`)."""

    trace: str | None = Field(
        default=None,
        description="A CSV file with the columns `time_s` and `online` (0 or 1), whose first row counts as the opening "
        "of the gate. A relative path starts at the experiment file's folder.",
    )
    loop: bool = Field(
        default=True,
        description="Whether the trace begins again at its end, which is as long after its last row as that is after "
        "the row before it. If not, its last row holds from then on.",
    )
    on_s: MeanSeconds | None = Field(
        default=None, description="Mean seconds for which a device is online, exponentially distributed."
    )
    off_s: MeanSeconds | None = Field(
        default=None, description="Mean seconds for which it is then offline, exponentially distributed."
    )


def availability_form(value: Any) -> str:
    """Which of the two forms a value has, for pydantic."""
    return "rule" if isinstance(value, dict | AvailabilityEntry) else "windows"
