"""What the control node asks of an engine. The defaults are those of an engine that takes every course as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

import yaml

from ..catalog.engines import EngineFacts, engine_names, load_engine
from ..spec.experiment import Device
from .engine_values import Course, EngineSource, Interpreter, Provenance, Refusal


class Engine(Protocol):
    """``named`` is always what the experiment says of the source; None: nothing."""

    facts: EngineFacts

    def check_config(self, course: Course) -> Iterable[Refusal]:
        """What is wrong with keys and values by themselves."""
        return ()

    def check_course(self, course: Course) -> Iterable[Refusal]:
        """What cannot run although every value is right by itself. Asked only where no engine refuses the values."""
        return ()

    def files(self, config: Mapping[str, Any]) -> Mapping[str, str]:
        """Texts of a participant's input files by name; its shard and ``launcher.json`` are added."""
        return {"config.yaml": yaml.safe_dump(dict(config), sort_keys=True)}

    def source_in_use(self, named: str | None) -> str | None:
        """The source as device files name it. Raises FedsimError where it is not there."""
        return None

    def image_source(self, named: str | None, origin: str) -> EngineSource | None:
        """What its image installs; ``origin`` says who names it."""
        return None

    def provenance(self, named: str | None) -> Provenance | None:
        """What a manifest keeps of the source."""
        return None

    def interpreter(self, named: str | None) -> Interpreter:
        """What runs a participant without Docker. Raises FedsimError where that cannot be."""
        return Interpreter(sys.executable)


def engine(name: str) -> Engine:
    """An installed engine. Raises EngineError."""
    return cast(Engine, load_engine(name))


def engines_of(devices: Iterable[Device]) -> list[Engine]:
    """The engines that run these devices, in the order of their names' list."""
    used = {device.engine for device in devices}
    return [engine(name) for name in engine_names() if name in used]
