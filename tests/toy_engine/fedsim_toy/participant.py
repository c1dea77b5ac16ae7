"""The program in a device: only the standard library and the launcher's package.

Every client has its own number. In each round the server sends the current mean, each client answers with the midpoint
of that and its own number, and the server averages the answers.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fedsim_runner.contract.participant_events import (
    LOG,
    ClientLost,
    EvaluationStarted,
    Finished,
    Joined,
    Result,
    RoundStarted,
    TrainingFinished,
    Update,
)
from fedsim_runner.participant.exit_errors import ParticipantError
from fedsim_runner.participant.launch import load_launch_settings
from fedsim_runner.participant.reporting import Reporter

CONNECT_S = 60.0

logger = logging.getLogger("toy")


class Line:
    """A connection that carries JSON objects in both directions, one per line."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rw", encoding="utf-8", newline="\n")

    def send(self, **content: Any) -> None:
        self._stream.write(json.dumps(content) + "\n")
        self._stream.flush()

    def receive(self) -> dict[str, Any]:
        text = self._stream.readline()
        if not text:
            raise ConnectionError("the connection was closed")
        return dict(json.loads(text))


def load(config: Path, gate: Path, reporter: Reporter) -> Callable[[], None]:
    """Prepare the course; what is returned takes part in it. A failure with a known reason is a ParticipantError."""
    tree = json.loads(config.with_name("toy.json").read_text(encoding="utf-8"))
    launch = load_launch_settings(config)
    folder = Path(tree["outdir"]) / tree["expname"]
    folder.mkdir(parents=True, exist_ok=True)
    handlers = [logging.FileHandler(folder / LOG), logging.StreamHandler()]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers)
    if tree["distribute"]["role"] == "client":
        return partial(attend, tree, launch.device, reporter)
    server = socket.create_server((tree["distribute"]["server_host"], tree["distribute"]["server_port"]))
    return partial(serve, server, tree, reporter, launch.on_client_failure == "continue")


def serve(server: socket.socket, tree: dict[str, Any], reporter: Reporter, without_lost: bool) -> None:
    """The server: accept all clients, then rounds."""
    clients: dict[int, Line] = {}
    with server:
        while len(clients) < tree["federate"]["client_num"]:
            line = Line(server.accept()[0])
            clients[len(clients) + 1] = line
            line.send(id=len(clients))
        rounds, mean = tree["federate"]["total_round_num"], 0.0
        for number in range(rounds):
            reporter.report(RoundStarted(number))
            logger.info("round %d with %d clients", number, len(clients))
            time.sleep(tree.get("toy", {}).get("pause_s", 0))
            answers = []
            for client, line in list(clients.items()):
                try:
                    line.send(round=number, mean=mean)
                    answers.append(float(line.receive()["number"]))
                    reporter.report(Update(client, number, staleness=0, used=True))
                except OSError as error:
                    if not without_lost:
                        raise ParticipantError(f"client #{client}: {error}") from error
                    del clients[client]
                    reporter.report(ClientLost(client, str(error)))
            mean = sum(answers) / len(answers)
            last = number + 1 == rounds
            reporter.report(TrainingFinished() if last else EvaluationStarted(number))
            reporter.report(Result(number, "evaluation", "avg", {"test_loss": abs(100 - mean)}))
        for line in clients.values():
            line.send(mean=mean, over=True)
        logger.info("the mean is %.6f", mean)
        reporter.report(Finished())


def attend(tree: dict[str, Any], device: str, reporter: Reporter) -> None:
    """A client: connect, then answer until the course is over."""
    place = tree["distribute"]
    line = Line(connected((place["server_host"], place["server_port"])))
    reporter.report(Joined(int(line.receive()["id"])))
    own = float(sum(device.encode()) % 100)
    while not (asked := line.receive()).get("over"):
        if tree.get("toy", {}).get("dies") == device and asked["round"] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = (asked["mean"] + own) / 2
        reporter.report(Result(asked["round"], "training", "raw", {"train_loss": abs(own - answer)}))
        line.send(number=answer)
    reporter.report(Finished())


def connected(server: tuple[str, int]) -> socket.socket:
    """A connection to the server, once it listens."""
    end = time.monotonic() + CONNECT_S
    while True:
        try:
            return socket.create_connection(server)
        except OSError as error:
            if time.monotonic() >= end:
                raise ParticipantError(f"the server cannot be reached: {error}") from error
            time.sleep(0.2)
