"""The file of the global model, as FederatedScope's server leaves it: whole or not at all, and with the true round.

FederatedScope writes to the file itself, so that a full disk or a killed server leaves half a model; and the round that
it notes after an early stop is one that was never trained.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..exit_errors import ParticipantError
from .upstream import Place

SERVER = "federatedscope.core.workers.server"
PLACES = (
    Place(SERVER, "Server.save_best_results", ("self",), ("aggregator", "save_model", "save_to", "state")),
    Place(SERVER, "Server._perform_federated_aggregation", ("self",)),
)

logger = logging.getLogger(SERVER)


def save_in_one_step(server: Any, scratch: Path) -> None:
    """Have ``server``, which has not started to run, write its model to ``scratch`` first, on the same disk.

    Its course fails with a ParticipantError if the model cannot be written.
    """
    aggregate, save = server._perform_federated_aggregation, getattr(server.aggregator, "save_model", None)
    rounds = 0

    def counted() -> Any:
        nonlocal rounds
        answer = aggregate()
        rounds += 1
        return answer

    def save_whole(path: str, cur_round: int = -1) -> None:
        if save is None:  # a user's own, to whom we have given the name of the file
            logger.warning(f"no global model is saved: {type(server.aggregator).__name__} cannot save one")
            return
        target = Path(path)
        draft = scratch / target.name
        try:
            scratch.mkdir(exist_ok=True)
            save(str(draft), rounds)
            draft.replace(target)
        except (OSError, RuntimeError) as error:  # torch's writer raises the latter
            draft.unlink(missing_ok=True)
            raise ParticipantError(f"cannot write the global model: {' '.join(str(error).split())}") from error

    server._perform_federated_aggregation = counted
    server.aggregator.save_model = save_whole
