"""What the launcher is told beside FederatedScope's own configuration: ``launcher.json`` next to ``config.yaml``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import ParticipantError

LAUNCHER = "launcher.json"


@dataclass(frozen=True)
class LaunchSettings:
    """Policies of the course and switches of this participant; the defaults hold where there is no file.

    ``round_deadline_s``: seconds after which the server aggregates what has arrived; None: it waits for all.
    ``mends_off``: names of :data:`.federatedscope.names.MENDS` that are not applied.
    """

    device: str = ""
    on_client_failure: Literal["abort", "continue"] = "abort"
    min_clients: int = 1
    round_deadline_s: float | None = None
    mends_off: tuple[str, ...] = ()


def load_launch_settings(config: Path) -> LaunchSettings:
    """Settings that lie beside ``config``.

    Raises:
        ParticipantError: the file cannot be read or is not what :mod:`fedsim_runner.datasets` writes.
    """
    path = config.with_name(LAUNCHER)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return LaunchSettings()
    except (OSError, ValueError) as error:
        raise ParticipantError(f"{path}: cannot be read: {error}") from error
    try:
        return LaunchSettings(
            device=told["device"],
            on_client_failure=told["on_client_failure"],
            min_clients=told["min_clients"],
            round_deadline_s=told["round_deadline_s"],
            mends_off=tuple(told["mends_off"]),
        )
    except (KeyError, TypeError) as error:
        raise ParticipantError(f"{path}: not written by this version of fedsim-runner: {error}") from error
