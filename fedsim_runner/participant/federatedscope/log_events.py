"""FederatedScope says what happens in its log alone: its records are reported as events."""

from __future__ import annotations

import logging

from ..ending import ENDING
from ..reporting import Reporter
from .loglines import LogReader

ROOT = "federatedscope"  # its logger above all of its loggers
FORMAT = "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s"


class LogEvents(logging.Handler):
    """Reads each record as the line that FederatedScope's own handlers write."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
        self._reader = LogReader()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        try:
            for line in self.format(record).split("\n"):
                for event in self._reader.events(line):
                    self._reporter.report(event, record.created)
        except OSError as error:
            # Raised here it would go to whoever logs, in FederatedScope.
            ENDING.give_up(f"cannot write: {error}")


def report_log(reporter: Reporter) -> None:
    """Report what is logged from now on. Comes after FederatedScope's handlers, which round the numbers in a record."""
    logging.getLogger(ROOT).addHandler(LogEvents(reporter))
