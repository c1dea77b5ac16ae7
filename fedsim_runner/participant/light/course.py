"""One participant's course, from its configuration file to its end."""

from __future__ import annotations

from pathlib import Path

from ..errors import ParticipantError
from .client import Client
from .logs import RunLog, logger
from .server import Server
from .settings import load_settings
from .shards import load_shard


def run(config: Path) -> None:
    """Take part in the course that ``config`` describes, to its end.

    Raises:
        UnsupportedError: the configuration asks for what this engine does not do.
        ParticipantError: a file is missing or broken, a peer does not answer, the port is taken.
    """
    settings, tree = load_settings(config)
    log = RunLog(settings, tree)
    try:
        shard = load_shard(settings.data_file)
        participant = Server(settings, shard, log) if settings.role == "server" else Client(settings, shard, log)
        participant.run()
    except ParticipantError as error:
        logger.error(str(error))  # the course is followed by its log file: the reason must be in it
        raise
    finally:
        log.close()
