"""Ending a course at the first evaluation that reaches a target accuracy, around FederatedScope's own rounds.

The round that the server has reached becomes its last, so that FederatedScope itself ends the course: it keeps its best
results and says goodbye to the clients as after any last round.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any

from fedsim_runner.contract.course_state import accuracy_of
from fedsim_runner.contract.participant_events import TargetReached

from ..exit_errors import UnsupportedError
from ..reporting import Reporter
from .upstream import Place

SERVER = "federatedscope.core.workers.server"
PLACES = (
    Place(SERVER, "Server.check_and_save", ("self",), ("history_results", "state", "total_round_num", "terminate")),
    Place(SERVER, "Server.check_and_move_on", ("self", "check_eval_result"), ("eval", "state", "total_round_num")),
)
KEY = "course.target"
# The forms of a server's results that average those of the clients, or are its own.
FORMS = ("Results_weighted_avg", "Results_avg", "Results_raw")

logger = logging.getLogger(SERVER)


def end_at_target(server: Any, target: float, reporter: Reporter) -> None:
    """Have ``server``, which has not started to run, end its course once an evaluation reaches ``target``.

    Raises:
        UnsupportedError: this kind of server ends its rounds in another way.
    """
    plain = importlib.import_module(SERVER).Server
    for name in ("check_and_save", "check_and_move_on"):
        if getattr(type(server), name) is not getattr(plain, name) or name in vars(server):
            raise UnsupportedError(f"{KEY} is not possible in this course: {type(server).__name__} ends its own way")
    save = server.check_and_save

    def save_or_end() -> None:
        accuracy = latest_accuracy(server.history_results)
        if accuracy is not None and accuracy >= target and server.state < server.total_round_num:
            logger.info(f"Server: The accuracy {accuracy:.4f} reaches the target {target:g}: the course ends here")
            reporter.report(TargetReached(accuracy, target))
            server.total_round_num = server.state
            if server._cfg.federate.make_global_eval:
                # It is called in the middle of the round's end, which evaluates the last round next: that is done.
                server.eval = save
                return
        save()

    server.check_and_save = save_or_end


def latest_accuracy(history: Mapping[str, Any]) -> float | None:
    """Return the last accuracy in FederatedScope's history of results, which has a list for each of them."""
    for form in FORMS:
        results = history.get(form)
        if isinstance(results, Mapping):
            last = {name: values[-1] for name, values in results.items() if isinstance(values, list) and values}
            accuracy = accuracy_of(last)
            if accuracy is not None:
                return accuracy
    return None
