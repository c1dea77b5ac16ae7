"""What a participant does at this moment, for people who watch and for events that wait for it. Pure."""

from __future__ import annotations

from .participants import Participant


def live_state(participant: Participant, activity: str | None, is_open: bool) -> str:
    """What the participant does now, according to its activity, or to its events if it writes none.

    One of waiting, loading, ready, joining, receiving, training, evaluating, aggregating, sending, offline,
    finished, exited, lost, failed.

    Args:
        activity: see :meth:`~.activities.Activities.state`.
        is_open: whether the gate is.
    """
    match participant.state:
        case "loading" | "finished" | "lost" | "failed":
            return participant.state
        case "starting":
            return "waiting"
        case "ready" if not is_open:
            return "ready"
        case "exited":
            return "finished" if participant.done else "exited"
        case _ if participant.offline:
            return "offline"
    if activity is not None:
        return activity
    if participant.state == "ready" and participant.role == "client":
        return "joining"
    return "waiting" if participant.state in ("ready", "joined") else participant.state
