"""A slow client does not work for the past: it takes the newest model that has arrived, and stops at the end."""

from __future__ import annotations

import logging
from typing import Any

from .inbox import waiting_kinds

FINISH = "finish"
MODEL = "model_para"
EVALUATE = "evaluate"

logger = logging.getLogger("federatedscope.core.workers.client")


def prefer_newest(client: Any) -> None:
    """Pass over what the server has overtaken, and answer nothing that nobody waits for."""
    communication = client.comm_manager
    receive, send = communication.receive, communication.send

    def receive_newest() -> Any:
        while True:
            message = receive()
            if not _is_overtaken(message.msg_type, waiting_kinds(communication)):
                return message
            logger.info(f"Drop a out-of-date message from round #{message.state}")

    def send_wanted(message: Any) -> None:
        if message.msg_type in (MODEL, "metrics") and FINISH in waiting_kinds(communication):
            return
        send(message)

    communication.receive = receive_newest
    communication.send = send_wanted


def _is_overtaken(kind: str, later: list[str]) -> bool:
    return (kind in (MODEL, EVALUATE) and FINISH in later) or (kind == MODEL and MODEL in later)
