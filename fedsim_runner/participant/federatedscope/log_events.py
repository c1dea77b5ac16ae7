"""FederatedScope reports what happens only in its log: its log records are reported as events."""

from __future__ import annotations

import logging

from fedsim_runner.contract.participant_events import Ready

from ..process_end import ENDING
from ..reporting import Reporter
from .loglines import TRACEBACK, LogReader

ROOT = "federatedscope"  # parent of all its loggers
FORMAT = "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s"


class LogEvents(logging.Handler):
    """Reads each record as the line that FederatedScope's own handlers write.

    A record of several lines reports nothing but a crash: what FederatedScope logs of its course is one line, and what
    follows a line end may be another participant's text.
    """

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
        self._reader = LogReader()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = self.format(record).splitlines()
        except Exception:  # as for any handler: a wrong format in a user's module must not end its participant
            self.handleError(record)
            return
        try:
            if record.exc_info or len(lines) != 1:
                lines = [TRACEBACK] if record.exc_info else []
            for line in lines:
                for event in self._reader.events(line):
                    if not isinstance(event, Ready):  # the launcher reports it when everything else is loaded, too
                        self._reporter.report(event, record.created)
        except OSError as error:
            # Raised here it would reach the caller in FederatedScope that logs.
            ENDING.give_up(f"cannot write: {error}")


def report_log(reporter: Reporter) -> None:
    """Report what is logged from now on. Call it after FederatedScope's handlers are set: they round numbers."""
    logging.getLogger(ROOT).addHandler(LogEvents(reporter))
