"""Log lines of FederatedScope through its engine's reader to the supervisor, as they go in a container."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from fedsim_runner.agent.course.supervision import Supervisor
from fedsim_runner.contract.events import Event
from fedsim_runner.contract.participant_events import EVENTS, LOG, LOG_FOLDER, to_line
from fedsim_runner.participant.federatedscope.loglines import LogReader


def report_line(out: Path, line: str, t: float) -> None:
    """A participant logs this line, and reports what it says."""
    (out / LOG_FOLDER).mkdir(parents=True, exist_ok=True)
    with (out / LOG_FOLDER / LOG).open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    with (out / EVENTS).open("a", encoding="utf-8") as stream:
        stream.writelines(to_line(event, t) for event in LogReader().events(line))


class Lines:
    """Feeds a supervisor with lines of its participants."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._readers: defaultdict[str, LogReader] = defaultdict(LogReader)

    def feed(self, device: str, line: str, now: float) -> list[Event]:
        """One line; the journal events that it caused."""
        self._supervisor.feed_log(device, line, now)
        events: list[Event] = []
        for event in self._readers[device].events(line):
            events += self._supervisor.feed_event(device, event, now)
        return events
