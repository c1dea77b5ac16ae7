"""A slow client skips outdated work: it takes the newest model that has arrived, and stops when the course ends."""

from __future__ import annotations

import logging
from typing import Any

from .inbox import waiting_kinds

FINISH = "finish"
MODEL = "model_para"
EVALUATE = "evaluate"

logger = logging.getLogger("federatedscope.core.workers.client")


def prefer_newest(client: Any) -> None:
    """Skip messages that a later one has superseded, and send no answers that nobody waits for."""
    communication = client.comm_manager
    receive, send = communication.receive, communication.send

    def receive_newest() -> Any:
        while True:
            message = receive()
            if not _is_superseded(message.msg_type, waiting_kinds(communication)):
                return message
            logger.info(f"Drop a out-of-date message from round #{message.state}")

    def send_if_awaited(message: Any) -> None:
        if message.msg_type in (MODEL, "metrics") and FINISH in waiting_kinds(communication):
            return
        send(message)

    communication.receive = receive_newest
    communication.send = send_if_awaited


def _is_superseded(kind: str, later: list[str]) -> bool:
    return (kind in (MODEL, EVALUATE) and FINISH in later) or (kind == MODEL and MODEL in later)
