"""FederatedScope's warnings are reported as events, each once: most appear in every round, or for every client."""

from __future__ import annotations

import logging

from fedsim_runner.contract.log_text import shown, without_numbers
from fedsim_runner.contract.participant_events import Warned

from ..process_end import ENDING
from ..reporting import Reporter
from .log_events import ROOT

MOST = 20  # different ones: a participant that warns of more has said enough
# How warnings begin that every course brings and that ask nothing of anybody. They stay in exp_print.log.
HARMLESS = {
    # It says how many processes standalone mode has; here each participant is one.
    "We found the number of gpu is insufficient",
    # A shard is a dictionary; only what standalone mode loads anew with other settings must be a ClientData.
    "The data type should be `ClientData`",
    # Servers of the testbed have test samples only; FederatedScope's default of eval.split asks for both.
    "No val_data or val_loader in the trainer",
    # The package that counts, fvcore, is in no image, and no table has the count.
    "current flop count implementation is for general trainer case",
}


class LogWarnings(logging.Handler):
    """Reports the first record of each warning, unless it is harmless; those of our own launcher count as
    FederatedScope's."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.WARNING)
        self._reporter = reporter
        self._known: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno != logging.WARNING or len(self._known) >= MOST:
            return
        try:
            text = shown(" ".join(record.getMessage().split()))
        except Exception:  # as for any handler: a wrong format in a user's module must not end its participant
            self.handleError(record)
            return
        same = without_numbers(text)
        if same in self._known or text.startswith(tuple(HARMLESS)):
            return
        self._known.add(same)
        try:
            self._reporter.report(Warned(text), record.created)
        except OSError as error:
            # Raised here it would reach the caller in FederatedScope that logs.
            ENDING.give_up(f"cannot write: {error}")

    def attach(self) -> None:
        """Report what is logged from now on. FederatedScope drops all handlers when it opens its log file."""
        logging.getLogger(ROOT).addHandler(self)  # which has no effect if it is there
