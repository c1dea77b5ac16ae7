"""The events of a run as lines for people."""

from __future__ import annotations

from collections.abc import Sequence

from ..contract.events import (
    AgentStarted,
    AwaitingLabHosts,
    ClientLost,
    CourseFailed,
    DeviceExited,
    DeviceJoined,
    DeviceMissedEnd,
    DevicesEmulated,
    DeviceWarned,
    EngineMissing,
    Evaluated,
    Event,
    EventBegun,
    EventEnded,
    EventFailed,
    GateOpened,
    LabHostCutOff,
    LabHostLost,
    LabHostUnreachable,
    LinkFailed,
    LinkReapplied,
    LinkRestored,
    LinksMeasured,
    LinksUnshaped,
    LoadingStarted,
    RoundDeadline,
    RoundQuorum,
    RoundStarted,
    TargetReached,
    TrainingFinished,
    UpdateLate,
)
from .round_lines import join_names

SHOWN_LAST_LINES = 8
# An Engine outlives the run, so people should know.
ENGINE_STARTS = "no Docker Engine answers: starting the one that is installed"
ENGINE_COMES = "no Docker Engine is installed: installing docker.io, which stays, and starting it"
DOUBTFUL = (DeviceWarned,)
BAD = (
    CourseFailed,
    ClientLost,
    EventFailed,
    LabHostCutOff,
    LabHostLost,
    LabHostUnreachable,
    LinkFailed,
    LinkRestored,
)
# What each lab host of a run has of its own.
OF_LAB_HOSTS = (AgentStarted, GateOpened, LinksMeasured, LinksUnshaped, LoadingStarted)
# Names of results, the first of which that there is counts. Trees have a loss that is no mean over samples.
SHOWN_RESULTS = (
    ("accuracy", ("test_acc",)),
    ("loss", ("test_avg_loss", "test_loss")),
    ("validation accuracy", ("val_acc",)),
)


def describe_event(event: Event, unshaped: bool = False, each_device: bool = True) -> str | None:
    """Return the line for an event; None for events that only change figures.

    Args:
        unshaped: no links are in force.
        each_device: include events that occur once for each device.
    """
    match event:
        case EngineMissing():
            return ENGINE_STARTS if event.installed else ENGINE_COMES
        case DevicesEmulated():
            return event.note if event.t is None else None  # the agent's record has a time, and was said before
        case AgentStarted():
            return f"link back end: {event.backend or 'none'} (kernel {event.kernel or 'unknown'})"
        case DeviceMissedEnd():
            return f"{event.device} was offline when the course ended"
        case LinkReapplied():
            return f"{event.device}: link shaped again after a restart"
        case LinkRestored():
            return f"{event.device}: its link was changed by somebody else, and was restored: {event.found}"
        case LinkFailed():
            return f"{event.device}: its link could not be shaped: {event.reason}"
        case LinksUnshaped():
            return f"links are not shaped (--allow-unshaped): {event.reason}"
        case LinksMeasured():
            return _describe_measured(event)
        case LoadingStarted():
            who = "1 participant loads" if event.devices == 1 else f"{event.devices} participants load"
            return f"{who}, then the gate opens"
        case GateOpened():
            return "the gate is open" if unshaped else "all links are in force, the gate is open"
        case DeviceJoined() if each_device:
            return f"{event.device} joined"
        case EventBegun():
            return f"event {event.number}: {join_names(event.devices)}: {event.what}"
        case EventEnded():
            return f"event {event.number} is over: {join_names(event.devices)}: {event.what}"
        case EventFailed():
            return f"event {event.number} failed: {join_names(event.devices)}: {event.what}: {event.reason}"
        case RoundStarted(round=1):
            return "training starts"
        case TargetReached():
            return f"the target {event.target or 0.0:g} is reached after round {event.round}: the course ends here"
        case TrainingFinished():
            return "training finished, final evaluation"
        case DeviceExited() if event.exit_code or event.oom_killed:
            memory = " (memory limit reached)" if event.oom_killed else ""
            return f"{event.device} exited with {event.exit_code}{memory}"
        case DeviceWarned():
            return f"{event.device} warns: {event.text}"
        case AwaitingLabHosts() if event.hosts:
            return f"the gate waits for lab host{'s' if len(event.hosts) > 1 else ''} {', '.join(event.hosts)}"
        case LabHostLost():
            return f"lab host {event.host} is lost: {event.reason}"
        case LabHostUnreachable(stage="collect"):
            return f"lab host {event.host} cannot be reached: its artifacts are not collected"
        case LabHostUnreachable():
            return (
                f"lab host {event.host} cannot be reached: what the run has there is removed by "
                "`fedsim-provision down` when it is back"
            )
        case LabHostCutOff():
            return f"lab host {event.lab_host} has ended its part: {event.reason}"
        case ClientLost():
            lost = f"{event.device} is lost, the course goes on: {_reason(event)}"
            return "\n".join([lost, *_last_lines(event.last_lines)])
        case CourseFailed():
            reason = _reason(event)
            named = f"{event.device}: {reason}" if event.device and event.device not in reason else reason
            return "\n".join([f"the course failed: {named}", *_last_lines(event.last_lines)])
    return None


def describe_round(event: Evaluated, total_rounds: int, took: str | None, missed: str) -> str:
    """Return the line of a round: its results, how long it ``took``, and whose updates were dropped."""
    results = [
        (label, next((event.results[key] for key in keys if event.results.get(key) is not None), None))
        for label, keys in SHOWN_RESULTS
    ]
    parts = [
        f"round {event.round}/{total_rounds}",
        "  ".join(f"{label} {value:.4f}" for label, value in results if value is not None),
    ]
    if took is not None:
        parts.append(took)
    if missed:
        parts.append(missed)
    return "  ".join(parts)


class Missed:
    """Rounds that did not wait for all, and updates that were dropped, kept until they have been printed."""

    def __init__(self) -> None:
        self._deadlines: list[RoundDeadline] = []
        self._quorums: list[RoundQuorum] = []
        self._late: list[str] = []

    def add(self, event: Event) -> None:
        """Take note of an event; events about something else are ignored."""
        match event:
            case RoundDeadline():
                self._deadlines.append(event)
            case RoundQuorum():
                self._quorums.append(event)
            case UpdateLate():
                self._late.append(event.device or "a client")

    def take(self) -> str:
        """Return what has been added since the last call; empty if nothing has."""
        late = list(dict.fromkeys(self._late))
        parts = []
        for word, rounds in (("deadline", self._deadlines), ("quorum", self._quorums)):
            if len(rounds) == 1:
                parts.append(f"{word}: {rounds[0].arrived} of {rounds[0].wanted} updates")
            elif rounds:
                parts.append(f"{word} in {len(rounds)} rounds")
        if late:
            parts.append(f"updates dropped: {join_names(late)}")
        self._deadlines, self._quorums, self._late = [], [], []
        return "  ".join(parts)


def _describe_measured(event: LinksMeasured) -> str:
    if event.reason is not None:
        return f"links were not measured: {event.reason}"
    parts = [f"{event.within} as requested"]
    parts += [f"{event.out} not"] if event.out else []
    parts += [f"{event.undetermined} undetermined"] if event.undetermined else []
    return f"links measured in {event.seconds or 0.0:.1f} s: {', '.join(parts)}"


def _reason(event: ClientLost | CourseFailed) -> str:
    return event.reason or "no reason given"


def _last_lines(lines: Sequence[str]) -> list[str]:
    return [f"    | {line}" for line in lines[-SHOWN_LAST_LINES:]]
