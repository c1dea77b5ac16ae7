"""Small files passed between two processes: how a participant is started, how it ended, and the files of the gate.

``launcher.json`` is written with a participant's other inputs and read by its launcher. ``exit.json`` is the launcher's
final record, for the agent and the report. The gate's two files are written by the agent and read by participants.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from .device_file import CourseSettings, Device, FederatedScopeSettings, Role
from .time_scale import TimeScale
from .typed_json import FormError, dump, load

LAUNCH_VERSION: Final = 2


@dataclass(frozen=True, kw_only=True)
class LaunchSettings:
    """The launcher's settings besides FederatedScope's own configuration; the defaults apply if there is no file.

    Attributes:
        round_deadline_s: seconds after which the server aggregates what has arrived; None: it waits for all.
        round_quorum: updates with which the server aggregates, a count from 1 on, else a share of the clients asked;
            None: it waits for all.
        round_grace: for how long it then still waits for the others, as a multiple of what the quorum took.
        target: the accuracy at which the server ends the course; None: it has all its rounds.
        goes_offline: whether devices may go offline, and be back, during the course.
        patches_off: names of FederatedScope's patches that are not applied.
        answer_s: seconds after which the slowest of its peers answers at the latest, because of their links; 0 below 1.
        parted_s: for so long events may keep a peer out of reach, and nobody is informed; 0: they never do.
        reference: the step of which it times parts before the gate opens; None: it times none.
        reference_parts: to how many of them a step is equal.
        corrects_limit: whether it times them twice, as its limit is corrected by the first timing.
        time_factor: device seconds in a wall second; the other times here are wall time.
    """

    version: int = LAUNCH_VERSION
    device: str = ""
    role: Role = "client"
    on_client_failure: Literal["abort", "continue"] = "abort"
    min_clients: int = 1
    round_deadline_s: float | None = None
    round_quorum: float | None = None
    round_grace: float = 0.0
    target: float | None = None
    goes_offline: bool = False
    patches_off: tuple[str, ...] = ()
    answer_s: int = 0
    parted_s: float = 0.0
    reference: str | None = None
    reference_parts: float = 1.0
    corrects_limit: bool = False
    time_factor: float = 1.0

    @property
    def time_scale(self) -> TimeScale:
        """How the participant's own time limits become wall time."""
        return TimeScale(self.time_factor)

    @classmethod
    def of(
        cls,
        device: Device,
        course: CourseSettings,
        federatedscope: FederatedScopeSettings,
        goes_offline: bool = False,
        answer_s: int = 0,
        time_factor: float = 1.0,
        is_parted: bool = False,
    ) -> LaunchSettings:
        """Return the settings of one device."""
        compute = device.compute
        return cls(
            device=device.name,
            role=device.role,
            on_client_failure=course.on_client_failure,
            min_clients=course.min_clients,
            round_deadline_s=course.round_deadline_s,
            round_quorum=course.round_quorum,
            round_grace=course.round_grace,
            target=course.target,
            goes_offline=goes_offline,
            patches_off=federatedscope.patches_off,
            answer_s=answer_s,
            parted_s=course.silence_timeout_s if is_parted else 0.0,
            reference=None if compute is None or compute.parts is None else compute.reference,
            reference_parts=1.0 if compute is None or compute.parts is None else compute.parts,
            corrects_limit=compute is not None and compute.corrects,
            time_factor=time_factor,
        )

    @classmethod
    def from_text(cls, text: str) -> LaunchSettings:
        """Return the settings in the text of a file.

        Raises:
            ValueError: it is not JSON, or of another version or form.
        """
        content = json.loads(text)
        found = content.get("version", LAUNCH_VERSION) if isinstance(content, Mapping) else None
        if found != LAUNCH_VERSION:
            raise FormError(f"version {found}, and this fedsim-runner reads version {LAUNCH_VERSION}")
        return load(cls, content)

    def as_text(self) -> str:
        """What the file holds."""
        return json.dumps(dump(self)) + "\n"


def engine_argument(name: str, program: str | None) -> str:
    """Return an engine as the launcher's argument: its name if it is one of ours, else also its module."""
    return name if program is None else f"{name}={program}"


@dataclass(kw_only=True)
class ExitRecord:
    """How a participant ended. Times are Unix seconds; what only a container can measure is None without one.

    Bytes are those since the gate opened: before that, its link is measured.

    Attributes:
        signal: name of the signal that requested the end.
        error: the reason in one line; None: the course was finished.
        gate_opened: for the whole course, also where this process was started during it; None: not until its end.
        startup_cpu_seconds: the part of ``cpu_seconds`` that was used before the gate, mostly to load the engine.
        reference_step_seconds: what a step of its reference took within its limit, before the gate; None: not timed.
        reference_timed_seconds: how long it was timed for that.
    """

    exit_code: int = 0
    signal: str | None = None
    error: str | None = None
    started: float
    gate_opened: float | None = None
    ended: float | None = None
    rx_bytes: int | None = None
    tx_bytes: int | None = None
    memory_peak_bytes: int | None = None
    cpu_seconds: float | None = None
    startup_cpu_seconds: float | None = None
    reference_step_seconds: float | None = None
    reference_timed_seconds: float | None = None

    def as_text(self) -> str:
        """What the file holds."""
        return json.dumps(dump(self)) + "\n"


def read_exit_reason(text: str, exit_code: int) -> str | None:
    """Return why a participant ended with ``exit_code``, from its record; None if the record is of another start.

    A participant cannot be trusted: any text is accepted.
    """
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not content.get("error") or content.get("exit_code") != exit_code:
        return None
    return str(content["error"]).encode(errors="replace").decode()


def format_gate(open_at: float) -> str:
    """Return the text of the gate's file: the Unix time at which launchers may pass."""
    return json.dumps({"open_at": open_at}) + "\n"


def read_open_at(text: str) -> float | None:
    """Return when the gate opens, from its file; None: immediately.

    Raises:
        ValueError: the text is incomplete or not of this form.
    """
    content: Any = json.loads(text)
    if not isinstance(content, dict):
        raise FormError("expected an object")
    at = content.get("open_at")
    try:
        return None if at is None else float(at)
    except TypeError as error:
        raise FormError(f"open_at: {error}") from error


def format_lost(lost: Mapping[str, str]) -> str:
    """Return the text of the file of the clients that were given up: the reason by device."""
    return json.dumps(dict(lost)) + "\n"


def read_lost(text: str) -> dict[str, str]:
    """Return the clients that were given up, with the reasons.

    Raises:
        ValueError: the text is incomplete or not of this form.
    """
    content: Any = json.loads(text)
    if not isinstance(content, dict):
        raise FormError("expected an object")
    return {str(name): str(reason) for name, reason in content.items()}


def format_offline(devices: Iterable[str]) -> str:
    """Return the text of the file of the devices that are offline."""
    return json.dumps(sorted(devices)) + "\n"


def read_offline(text: str) -> frozenset[str]:
    """Return the devices that are offline.

    Raises:
        ValueError: the text is incomplete or not of this form.
    """
    content: Any = json.loads(text)
    if not isinstance(content, list):
        raise FormError("expected a list")
    return frozenset(map(str, content))
