"""One participant's course, from its configuration file to its end."""

from __future__ import annotations

from pathlib import Path

from ..activity import Activity
from ..exit_errors import ParticipantError
from ..launch import load_launch_settings
from ..reporting import Reporter
from .client import Client
from .run_log import RunLog, logger
from .server import Server
from .settings import load_settings
from .shards import load_shard


def run(config: Path, gate: Path | None, reporter: Reporter) -> None:
    """Take part in the course that ``config`` describes, to its end.

    Args:
        gate: the gate's folder, in which a server finds lost clients.
        reporter: receives the events of the course.

    Raises:
        UnsupportedError: the configuration needs something that this engine does not support.
        ParticipantError: a file is missing or broken, a peer does not answer, or the port is in use.
    """
    settings, tree = load_settings(config)
    policy = load_launch_settings(config)
    try:
        log = RunLog(settings, tree, reporter)
        activity = Activity(log.folder)
    except OSError as error:
        raise ParticipantError(f"cannot write: {error}") from error
    try:
        shard = load_shard(settings.data_file)
        participant = (
            Server(settings, shard, log, activity, policy, gate)
            if settings.role == "server"
            else Client(settings, shard, log, activity)
        )
        participant.run()
    except ParticipantError as error:
        logger.error(str(error))  # the log's last lines are shown when a course fails: they must include the reason
        raise
    except OSError as error:
        logger.error(f"cannot write: {error}")
        raise ParticipantError(f"cannot write: {error}") from error
    finally:
        activity.close()
        log.close()
