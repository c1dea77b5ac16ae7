"""The installed engines, and what planning, images and processes need to know about each.

Ours are listed here; those of other packages are found by the entry points of group ``fedsim.engines``, whose objects
follow :class:`fedsim_runner.engines.protocol.Engine`. An engine's code is loaded only when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from ..contract.errors import Exit, FedsimError

GROUP = "fedsim.engines"
_OURS = {
    "light": "fedsim_runner.engines.light.engine:ENGINE",
    "federatedscope": "fedsim_runner.engines.federatedscope.engine:ENGINE",
}


class EngineError(FedsimError, LookupError):
    """An engine is not installed, or its package is broken."""

    exit = Exit.SPEC


@dataclass(frozen=True)
class EngineFacts:
    """The fixed facts about an engine.

    Attributes:
        name: its name in experiment files.
        start_cpu_s: CPU seconds within which a participant reports its first event.
        memory_bytes: what a participant needs with a small model; the plan notes devices that have less.
        resident_bytes: what one of many participants with a small model takes of its lab host, which shares the pages
            of libraries among them; 0: not measured, then ``memory_bytes`` counts.
        load_cpu_s: CPU seconds until a participant has loaded its libraries, model and data; 0: not measured.
        client_bytes_per_number: what each number of a larger model adds to a client's memory at its peak: the model,
            its gradient, messages and what they are decoded to; 0: not measured.
        server_bytes_per_number: the same for the server.
        program: module with ``run(config, gate, reporter)``, imported in the device once the gate is open; None: one
            of ours, which the launcher knows by name.
        dockerfile: folder with the Dockerfile of its image; None: ``dockerfiles/engine-NAME``.
        below: the image that this one is built on, a folder under ``dockerfiles``.
        cuda: whether it and the image below have a separate build for devices with a GPU.
        source: how messages refer to what its image installs, which the experiment or the user names; None: its image
            only has its own files.
        natural_shape: whether its participants take samples in their natural shape; otherwise samples are flattened
            where possible.
        ends_at_target: whether its server ends a course at ``course.target`` (``target`` of ``launcher.json``).
        keeps_models: whether its server starts with the model in ``federate.restore_from`` and writes its last one to
            ``federate.save_to``.
        takes_back: whether a client that is started anew during a course takes part again, as far as its server and
            the client itself are concerned.
        talk_key: the key of its configuration that, where it is true, has clients send messages to each other as well
            as to the server; None: they never do.
        methods: of ``federate.method``, those whose clients then talk to nobody else; in one of a user's own they may.
        threads: threads of its libraries in each participant...
        threads_per_client: ... and for each client of the course, which a device's limit of processes must allow.
    """

    name: str
    start_cpu_s: float
    memory_bytes: int = 0
    resident_bytes: int = 0
    load_cpu_s: float = 0.0
    client_bytes_per_number: int = 0
    server_bytes_per_number: int = 0
    program: str | None = None
    dockerfile: Path | None = None
    below: str = "base"
    cuda: bool = False
    source: str | None = None
    natural_shape: bool = False
    ends_at_target: bool = False
    keeps_models: bool = False
    takes_back: bool = False
    talk_key: tuple[str, str] | None = None
    methods: tuple[str, ...] = ()
    threads: int = 0
    threads_per_client: int = 0

    def clients_talk(self, config: Mapping[str, Any]) -> bool:
        """Whether clients of a course with this configuration send messages to each other."""
        if self.talk_key is None:
            return False
        section, key = self.talk_key
        found, federate = config.get(section), config.get("federate")
        method = federate.get("method") if isinstance(federate, Mapping) else None
        own = bool(self.methods) and method is not None and str(method).lower() not in self.methods
        return own or (isinstance(found, Mapping) and found.get(key) is True)

    def least_pids(self, clients: int) -> int:
        """Processes and threads that a participant needs in a course with this many clients."""
        return self.threads + self.threads_per_client * clients


@cache
def _find_engines() -> dict[str, EntryPoint]:
    ours = {name: EntryPoint(name, value, GROUP) for name, value in _OURS.items()}
    return {**{point.name: point for point in entry_points(group=GROUP)}, **ours}


def engine_names() -> tuple[str, ...]:
    """The names of all engines: ours first, then those of other packages in alphabetical order."""
    return (*_OURS, *sorted(set(_find_engines()) - set(_OURS)))


@cache
def load_engine(name: str) -> Any:
    """Load the engine itself; :func:`fedsim_runner.engines.protocol.engine` returns it with its type.

    Raises:
        EngineError: no such engine is installed, or its package is broken.
    """
    if name not in _find_engines():
        raise EngineError(f"engine {name} is not installed; installed are {', '.join(engine_names())}")
    point = _find_engines()[name]
    try:
        return point.load()
    except Exception as error:  # other people's packages may fail in any way
        if name in _OURS:
            raise
        raise EngineError(f"engine {name} cannot be loaded from {point.value}: {error}") from error


def engine_facts(name: str) -> EngineFacts:
    """Return the facts about an engine.

    Raises:
        EngineError: no such engine is installed.
    """
    facts: EngineFacts = load_engine(name).facts
    return facts


def usable_engines() -> tuple[EngineFacts, ...]:
    """Return the facts about all engines that can be loaded; a broken one is reported where it is used."""
    found = []
    for name in engine_names():
        with suppress(EngineError):
            found.append(engine_facts(name))
    return tuple(found)
