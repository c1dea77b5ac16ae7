"""Following the Engine's events about containers."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from .docker_api import Docker, DockerError

_RETRY_S = 0.5


class Events(threading.Thread):
    """Puts the Engine's events about containers into a queue; ``None`` after a gap: list everything again."""

    def __init__(self, docker: Docker, out: queue.SimpleQueue[dict[str, Any] | None]) -> None:
        super().__init__(name="docker events", daemon=True)
        self._docker = docker
        self._out = out

    def run(self) -> None:
        kinds = {
            "type": ["container"],
            "event": ["start", "die", "oom", "pause", "unpause"],
        }
        since = time.time()
        while True:
            try:
                for event in self._docker.events(kinds, since):
                    since = event.get("timeNano", 0) / 1e9 or since
                    self._out.put(event)
            except DockerError:
                pass  # the Engine restarts: try until it is back
            time.sleep(_RETRY_S)
            self._out.put(None)
