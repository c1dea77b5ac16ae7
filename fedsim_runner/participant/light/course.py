"""One participant's course: all that can be done before the gate, and the course itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..absences import Absences
from ..activity import Activity
from ..exit_errors import ParticipantError
from ..launch import load_launch_settings
from ..reporting import Reporter
from .client import Client
from .run_log import RunLog, logger
from .server import Server
from .settings import load_settings
from .shards import load_shard


def load(config: Path, gate: Path | None, reporter: Reporter) -> Callable[[], None]:
    """Prepare the course that ``config`` describes, without sending anything; return what takes part in it.

    The returned function raises a ParticipantError if a peer does not answer.

    Args:
        gate: the gate's folder, in which a server finds lost clients.
        reporter: receives the events of the course.

    Raises:
        UnsupportedError: the configuration needs something that this engine does not support.
        ParticipantError: a file is missing or broken, or the port is in use.
    """
    settings, tree = load_settings(config)
    policy = load_launch_settings(config)
    try:
        log = RunLog(settings, tree, reporter)
        activity = Activity(log.folder)
    except OSError as error:
        raise ParticipantError(f"cannot write: {error}") from error
    with _logged():
        shard = load_shard(settings.data_file)
        absences = Absences(gate, policy.device) if policy.goes_offline and gate is not None else None
        participant = (
            Server(settings, shard, log, activity, policy, gate)
            if settings.role == "server"
            else Client(settings, shard, log, activity, policy, absences)
        )

    def take_part() -> None:
        try:
            with _logged():
                participant.run()
        finally:
            activity.close()
            log.close()

    return take_part


@contextmanager
def _logged() -> Iterator[None]:
    """Log why a participant fails: the log's last lines are shown when a course fails, and must include the reason."""
    try:
        yield
    except ParticipantError as error:
        logger.error(str(error))
        raise
    except OSError as error:
        logger.error(f"cannot write: {error}")
        raise ParticipantError(f"cannot write: {error}") from error
