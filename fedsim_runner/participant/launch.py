"""Settings of the launcher besides FederatedScope's own configuration: ``launcher.json`` next to ``config.yaml``."""

from __future__ import annotations

from pathlib import Path

from ..contract.paths import LAUNCHER
from ..contract.records import LaunchSettings
from .exit_errors import ParticipantError


def load_launch_settings(config: Path) -> LaunchSettings:
    """Read the settings next to ``config``; the defaults if there is no file.

    Raises:
        ParticipantError: the file cannot be read, or has another version.
    """
    path = config.with_name(LAUNCHER)
    try:
        return LaunchSettings.from_text(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return LaunchSettings()
    except (OSError, ValueError) as error:
        raise ParticipantError(f"{path}: cannot be read: {error}") from error
