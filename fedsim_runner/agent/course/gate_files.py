"""The gate: a file in a folder that every device sees read-only. A launcher waits for it, then for its ``open_at``.

Before that it waits for its device's file in the folder ``load`` next to it, and loads its engine. These files stay: a
participant that is restarted loads as soon as it can, and then waits for the gate.

Once a client was given up, ``lost.json`` (device -> reason) lies next to it and informs the server; once a device is
offline, ``offline.json`` (a list of them) informs all participants.

Only a launcher that has just started reads the gate. So the agent may remove the file whenever a container of the
run ends, and put it back once all links are in force again: participants that are through notice nothing, and a
restarted one waits at the closed gate until its new interface is shaped.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping

from fedsim_runner.contract.atomic import CannotWriteError, explain, replace
from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.contract.records import (
    format_gate,
    format_lost,
    format_offline,
    read_lost,
    read_offline,
    read_open_at,
)


class Gate:
    """The gate of one run on one lab host."""

    def __init__(self, state: StateFolder) -> None:
        self._file = state.gate_open
        self._admissions = state.gate_load
        self._lost = state.gate_lost
        self._offline = state.gate_offline

    def read(self) -> float | None:
        """When it opens or opened (Unix seconds); None while it is shut."""
        try:
            return read_open_at(self._file.read_text())
        except (OSError, ValueError):
            return None

    def open(self, open_at: float) -> None:
        """Let launchers through from ``open_at`` on; the file is never seen half written.

        Raises:
            CannotWriteError: the gate is as it was.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        replace(self._file, format_gate(open_at))

    def admit(self, device: str) -> None:
        """Let a device's launcher load its engine.

        Raises:
            CannotWriteError: it goes on waiting.
        """
        path = self._admissions / device
        try:
            self._admissions.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise CannotWriteError(explain(error, path)) from error

    def forget_admissions(self) -> None:
        """Make launchers that start from now on wait before they load."""
        shutil.rmtree(self._admissions, ignore_errors=True)

    def shut(self) -> None:
        """Make launchers that start from now on wait."""
        with contextlib.suppress(FileNotFoundError):
            self._file.unlink()

    def lost(self) -> dict[str, str]:
        """The clients that were given up, with the reasons."""
        try:
            return read_lost(self._lost.read_text())
        except (OSError, ValueError):
            return {}

    def forget_lost(self) -> None:
        """Forget the clients that were lost or offline in an earlier course."""
        self._lost.unlink(missing_ok=True)
        self._offline.unlink(missing_ok=True)

    def announce_lost(self, lost: Mapping[str, str]) -> None:
        """Inform the server of all clients given up so far; the file is replaced atomically.

        Raises:
            CannotWriteError: the file is as it was.
        """
        replace(self._lost, format_lost(lost))

    def offline(self) -> frozenset[str]:
        """The devices that are offline."""
        try:
            return read_offline(self._offline.read_text())
        except (OSError, ValueError):
            return frozenset()

    def announce_offline(self, devices: Iterable[str]) -> None:
        """Inform all participants of the devices that are offline; the file is replaced atomically.

        Raises:
            CannotWriteError: the file is as it was.
        """
        replace(self._offline, format_offline(devices))
