"""Reading the run's device file again, and what follows for the parts of the agent that depend on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import RLock

from .containers import Containers
from .course.watch import Watch
from .current import Current
from .lab.part import LabPart
from .links.run_links import RunLinks
from .recording import Recorder
from .run_settings import RunSettings, read_run_settings


class SettingsReader:
    """Reads the settings of one run again before links come into force. Thread-safe.

    Args:
        lock: the owner's; taken while the settings are replaced.
        device_file: of the run.
        current: the settings, which are replaced.
        join_lab: takes part in the run as the given settings say.
        containers: those of the devices.
        links: of the devices.
        watch: the course.
        recorder: writes events.
    """

    def __init__(
        self,
        lock: RLock,
        device_file: Path,
        current: Current,
        join_lab: Callable[[RunSettings], LabPart],
        containers: Containers,
        links: RunLinks,
        watch: Watch,
        recorder: Recorder,
    ) -> None:
        self._lock = lock
        self._device_file = device_file
        self._current = current
        self._join_lab = join_lab
        self._containers = containers
        self._links = links
        self._watch = watch
        self._recorder = recorder

    def read(self) -> RunSettings:
        """Read the device file again, and put what it says into force.

        Raises:
            DeviceFileError: it is missing, has another version or form, or names an unknown link back end.
            ChannelError: the agents of other lab hosts cannot reach this one.
        """
        with self._lock:
            current, before = self._current, self._current.settings
            settings = current.settings = read_run_settings(self._device_file)
            if settings.time_scale != before.time_scale:
                # The run was brought up again with another factor, which readers of the journal have to know.
                self._recorder.record_start(settings, self._links.backend)
            if settings.lab != before.lab and self._watch.supervisor is None:
                current.lab.close()
                current.lab = self._join_lab(settings)
                current.lab.start()
            self._watch.use_settings(settings)
            self._containers.forget_others(settings.roles)
            return settings
