"""How device types and network profiles are written, in the catalogue and in an experiment file alike.

Units are in the keys: kbit/s (1 kbit = 1000 bit), milliseconds, MB of 2**20 bytes for memory, MB of 10**6 bytes per
second for block I/O. Validation is strict: the text "2" is not a number.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from ..contract.cpu_limit import LEAST_CPUS
from .name_rules import KIND_PATTERN

OFFSET_MAX_S = 7 * 24 * 3600  # as long as the longest course

Kbps = Annotated[float, Field(ge=1, le=100_000_000)]
Milliseconds = Annotated[float, Field(ge=0, le=60_000)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Chance = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Cpus = Annotated[float, Field(ge=LEAST_CPUS, le=1024)]
MemoryMb = Annotated[int, Field(ge=32, le=4_194_304)]
DiskMb = Annotated[int, Field(ge=16, le=16_777_216)]
Gpus = Annotated[int, Field(ge=0, le=64)]
Pids = Annotated[int, Field(ge=16, le=4_194_304)]
Dwell = Annotated[float, Field(ge=0.1, le=OFFSET_MAX_S)]
KindName = Annotated[str, Field(json_schema_extra={"pattern": KIND_PATTERN})]
MbPerSecond = Annotated[float, Field(ge=0.001, le=100_000)]


class Entry(BaseModel):
    """Base of all entries that users write: unknown keys and values of the wrong type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class QueueEntry(Entry):
    """The queue in front of a link's rate; what does not fit is dropped."""

    buffer_ms: Annotated[float, Field(gt=0, le=60_000)] | None = Field(
        default=None,
        description="Room as the time for which a full queue delays at the link's rate, in milliseconds. Not given, "
        "and no `buffer_bytes`: 100, and at least 16 full frames.",
    )
    buffer_bytes: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        default=None,
        description="Room in bytes of frames (a full one has 1,514), in place of `buffer_ms`.",
    )
    discipline: Literal["fifo", "codel", "fq_codel"] | None = Field(
        default=None,
        description="Queue discipline: `fifo`, first in, first out; `codel` (RFC 8289); `fq_codel` (RFC 8290), where "
        "the lab host's kernel has it. Not given: `fifo`.",
    )


class GilbertElliottEntry(Entry):
    """Losses in bursts. A good link loses `good_loss_rate` of its packets, a bad one `bad_loss_rate`."""

    p: Chance = Field(description="Probability, after each packet, that a good link gets bad.")
    r: Chance = Field(
        description="Probability, after each packet, that a bad link gets good, which takes 1 / `r` packets on average."
    )
    bad_loss_rate: Share = Field(default=1.0, description="Probability that a bad link drops a packet.")
    good_loss_rate: Probability = Field(default=0.0, description="Probability that a good link drops a packet.")


class DirectionEntry(Entry):
    """One direction of a link: the values that differ from the profile's common ones."""

    bandwidth_kbps: Kbps | None = Field(
        default=None, description="Rate of this direction in kbit/s (1 kbit = 1000 bit)."
    )
    latency_ms: Milliseconds | None = Field(
        default=None, description="One-way delay of this direction in milliseconds."
    )
    jitter_ms: Milliseconds | None = Field(
        default=None, description="Variation of the delay in milliseconds; at most the delay."
    )
    jitter_distribution: str | None = Field(default=None, description="Distribution of the delay in this direction.")
    packet_loss_rate: Probability | None = Field(
        default=None, description="Probability that a packet is dropped in this direction."
    )
    gilbert_elliott: GilbertElliottEntry | None = Field(default=None, description="Losses in bursts in this direction.")
    duplicate_rate: Probability | None = Field(
        default=None, description="Probability that a packet of this direction arrives twice."
    )
    corrupt_rate: Probability | None = Field(
        default=None, description="Probability that a bit of a packet of this direction is flipped."
    )
    queue: QueueEntry | None = Field(default=None, description="Queue of this direction.")


def _random_or_seconds(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value != "random" and not (is_number and 0 <= value <= OFFSET_MAX_S):
        raise PydanticCustomError("offset", f"must be random, or seconds from 0 to {OFFSET_MAX_S}")
    return value


class TraceEntry(Entry):
    """A trace that a link follows during the course."""

    file: str | None = Field(
        default=None,
        description="A CSV trace, or a Mahimahi trace for both directions. The content says which it is.",
    )
    up: str | None = Field(default=None, description="A Mahimahi trace of the uplink, in place of `file`.")
    down: str | None = Field(default=None, description="A Mahimahi trace of the downlink, in place of `file`.")
    loop: bool = Field(
        default=True,
        description="Whether the trace begins again at its end (`up` and `down` each at its own). "
        "If not, its last values hold from then on.",
    )
    offset: Annotated[Literal["random"] | float, BeforeValidator(_random_or_seconds)] = Field(
        default=0,
        description="Where in the trace a device is when the gate opens, in seconds; `random`: somewhere, for each "
        "device and the same in every repetition, as `seed` and its name determine.",
    )


def _choose_trace_form(value: Any) -> str:
    return "trace" if isinstance(value, dict | TraceEntry) else "file"


class ProfileEntry(Entry):
    """A link. Values without a direction apply to both; `up` is what the device sends, `down` what it receives."""

    description: str | None = Field(default=None, description="What the profile represents; only for readers.")
    source: str | None = Field(default=None, description="Where the figures come from; only for readers.")
    based_on: str | None = Field(
        default=None,
        description="Profile whose values apply where this one gives none. Without it the profile stands alone.",
    )
    bandwidth_up_kbps: Kbps | None = Field(
        default=None, description="Uplink rate in kbit/s (1 kbit = 1000 bit). Not given: not limited."
    )
    bandwidth_down_kbps: Kbps | None = Field(
        default=None, description="Downlink rate in kbit/s (1 kbit = 1000 bit). Not given: not limited."
    )
    latency_ms: Milliseconds | None = Field(
        default=None,
        description="One-way delay in milliseconds, added in each direction. Not given: 0. "
        "A round trip between two devices takes the up and down delays of both, and must take less than a minute.",
    )
    jitter_ms: Milliseconds | None = Field(
        default=None, description="Variation of the delay in milliseconds; at most the delay. Not given: 0."
    )
    jitter_distribution: str | None = Field(
        default=None,
        description="How the delay is distributed: `uniform` within `latency_ms` ± `jitter_ms`; `normal`, of which "
        "`jitter_ms` is the standard deviation; `pareto`, as in iproute2; or the path of a table in iproute2's format, "
        "which ends in `.dist`. Not given: `uniform`.",
    )
    packet_loss_rate: Probability | None = Field(
        default=None, description="Probability that a packet is dropped, in each direction. Not given: 0."
    )
    gilbert_elliott: GilbertElliottEntry | None = Field(
        default=None, description="Losses in bursts, in place of the independent ones of `packet_loss_rate`."
    )
    duplicate_rate: Probability | None = Field(
        default=None, description="Probability that a packet arrives twice, in each direction. Not given: 0."
    )
    corrupt_rate: Probability | None = Field(
        default=None, description="Probability that a bit of a packet is flipped, in each direction. Not given: 0."
    )
    queue: QueueEntry | None = Field(
        default=None, description="The queue in front of the rate, in each direction that has one."
    )
    up: DirectionEntry | None = Field(
        default=None, description="Values of the uplink that differ from the common ones."
    )
    down: DirectionEntry | None = Field(
        default=None, description="Values of the downlink that differ from the common ones."
    )
    trace: (
        Annotated[Annotated[str, Tag("file")] | Annotated[TraceEntry, Tag("trace")], Discriminator(_choose_trace_form)]
        | None
    ) = Field(
        default=None,
        description="A trace that the link follows from the opening of the gate on: its file, or a mapping. "
        "What it does not have stays as the other values say; see [traces.md](traces.md).",
    )
    states: dict[KindName, str] | None = Field(
        default=None,
        description="States that the link moves between at random, as names with the network profile of each, in place "
        "of values; see [traces.md](traces.md#states).",
    )
    dwell_s: dict[KindName, Dwell] | None = Field(
        default=None, description="Seconds that the link stays in each state on average, by the states' names."
    )


class LimitsEntry(Entry):
    """Limits of a device's container. As `overrides` of a device they replace its type's."""

    cpus: Cpus | None = Field(
        default=None,
        description="CPU cores, fractions allowed. Below 0.01 a device computes in bursts of 1 ms with long pauses: at "
        "0.001 one per second.",
    )
    memory_mb: MemoryMb | None = Field(default=None, description="Memory limit in MB (2^20 bytes); there is no swap.")
    disk_mb: DiskMb | None = Field(
        default=None,
        description="Disk space in MB (2^20 bytes) for what the device writes: its output folder and its console log. "
        "Each file and folder counts as 4 kB at least. A device that uses more is ended.",
    )
    gpus: Gpus | None = Field(default=None, description="Number of GPUs, if the lab host has them.")
    pids: Pids | None = Field(default=None, description="Maximum number of processes and threads.")
    read_mb_per_s: MbPerSecond | None = Field(
        default=None, description="Block I/O read limit in MB/s (10^6 bytes per second). Not given: not limited."
    )
    write_mb_per_s: MbPerSecond | None = Field(
        default=None, description="Block I/O write limit in MB/s (10^6 bytes per second). Not given: not limited."
    )


class ComputeEntry(Entry):
    """How fast a device type is: the published time of a reference step on it, or how it compares to another type."""

    reference: str | None = Field(
        default=None,
        description="The step that was timed: `mobilenetv3-small` or `numpy-mlp` ([fidelity.md](fidelity.md)).",
    )
    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = Field(
        default=None, description="What one such step takes on the whole device, in seconds."
    )
    source: str | None = Field(
        default=None, description="Where the figure is from, or how it was derived. Needed with `reference`."
    )
    like: str | None = Field(default=None, description="Another device type that has figures, in place of a reference.")
    speed: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        default=None, description="How many times as fast as the type that `like` names."
    )
    accelerator: str | None = Field(
        default=None,
        description="What computes there besides its cores, such as a GPU. It is emulated in time, not in arithmetic: "
        "plan and report say so.",
    )


class EnergyEntry(Entry):
    """Published power figures of a device type. Joules of a run are a model of them."""

    idle_watts: Annotated[float, Field(ge=0, le=100_000)] = Field(
        description="Power of the whole device while it does nothing, in watts."
    )
    active_watts: Annotated[float, Field(gt=0, le=100_000)] = Field(
        description="Power of the whole device while it computes with all that it has, in watts."
    )
    joules_per_megabyte_up: Annotated[float, Field(ge=0, le=1_000_000)] = Field(
        default=0, description="Additional energy for sending 10^6 bytes, in joules."
    )
    joules_per_megabyte_down: Annotated[float, Field(ge=0, le=1_000_000)] = Field(
        default=0, description="Additional energy for receiving 10^6 bytes, in joules."
    )
    source: str = Field(description="Where the figures are from; the report has it.")


class DeviceTypeEntry(LimitsEntry):
    """A hardware class. Without `based_on` it must give `cpus`, `memory_mb` and `network`."""

    description: str | None = Field(default=None, description="What the type represents; only for readers.")
    source: str | None = Field(default=None, description="Where the figures come from; only for readers.")
    based_on: str | None = Field(
        default=None,
        description="Device type whose values, including its image, apply where this one gives none. "
        "A type that is based on its own name changes the catalogue's.",
    )
    arch: Literal["amd64", "arm64"] | None = Field(
        default=None, description="Architecture of the image, in Docker's names. Not given: `amd64`."
    )
    emulate: Literal["qemu"] | None = Field(
        default=None,
        description="What runs devices of this type where the lab has no host of their `arch`: `qemu`, which is "
        "qemu-user and many times slower. Not given: nothing does, and they run as their lab host's architecture. "
        "See [placement.md](placement.md#devices-of-another-architecture).",
    )
    network: str | None = Field(
        default=None, description="Network profile of devices of this type that do not name their own."
    )
    dockerfile: str | None = Field(
        default=None,
        description="Directory of the type's Dockerfile: a bare name is under `dockerfiles/`, anything with a "
        "slash is a path relative to the experiment file. Not given: the type's own name, with hyphens, under "
        "`dockerfiles/`.",
    )
    compute: ComputeEntry | None = Field(
        default=None,
        description="How fast the type is. Its devices then get the share of a lab host that makes them this fast "
        "([fidelity.md](fidelity.md)), and `cpus` only says how many cores it has. Not given: it is nominal, with "
        "`cpus` cores of the lab host, however fast those are. A type without `compute` of its own that changes its "
        "base's `cpus` is nominal, and so is a device that overrides them.",
    )
    energy: EnergyEntry | None = Field(
        default=None,
        description="Published power figures, from which the report models the energy of each device and round "
        "([fidelity.md](fidelity.md#energy)). Not given: those of the base, unless this type changes its `cpus`, "
        "or its `compute` has `like` or an `accelerator`: that is another device. Without any, the report says nothing "
        "of energy.",
    )
