"""What the launcher is told beside FederatedScope's own configuration: ``launcher.json`` next to ``config.yaml``."""

from __future__ import annotations

from pathlib import Path

from ..contract.paths import LAUNCHER
from ..contract.records import LaunchSettings
from .errors import ParticipantError


def load_launch_settings(config: Path) -> LaunchSettings:
    """Settings that lie beside ``config``; the usual ones where there is no file.

    Raises:
        ParticipantError: the file cannot be read, or is of another version.
    """
    path = config.with_name(LAUNCHER)
    try:
        return LaunchSettings.from_text(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return LaunchSettings()
    except (OSError, ValueError) as error:
        raise ParticipantError(f"{path}: cannot be read: {error}") from error
