"""How fast a device type is, and what a device gets of its lab host for it, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Compute:
    """How fast a device type is.

    Attributes:
        reference: the step that was timed, by name (see :mod:`.references`).
        seconds: what one takes on the whole device.
        source: where the figure is from, or how it was derived.
        accelerator: what computes there besides its cores, such as a GPU; None: nothing. It is emulated in time.
    """

    reference: str
    seconds: float
    source: str
    accelerator: str | None = None


@dataclass(frozen=True)
class Share:
    """What of a lab host's processors a device gets, and with how many threads it computes there."""

    cpus: float
    threads: int


@dataclass(frozen=True)
class Speed:
    """How fast a device is, in the reference step of its engine.

    Attributes:
        reference: the step, by name.
        seconds: what one takes on the device that it stands for.
        derived: whether ``seconds`` were computed from another reference's.
        compute: what its type says.
        uncertainty: of the lab host's calibration, as a share.
    """

    reference: str
    seconds: float
    derived: bool
    compute: Compute
    uncertainty: float
