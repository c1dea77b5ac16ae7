"""What the control node asks an engine. The defaults are those of an engine that accepts every course as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from ..catalog.engines import EngineFacts, engine_names, load_engine
from ..plan.model import MessageSizes
from ..spec.experiment import Device
from ..yamlfile.dump import dump
from .engine_values import Course, EngineSource, Interpreter, ModelQuestion, Provenance, Refusal


class Engine(Protocol):
    """``named`` is always the source that the experiment names; None: it names none."""

    facts: EngineFacts

    def check_config(self, course: Course) -> Iterable[Refusal]:
        """Find keys and values that are wrong whatever the data are. Called when the experiment file is read, then with
        addresses that only stand in for the devices', and when it is planned."""
        return ()

    def check_course(self, course: Course) -> Iterable[Refusal]:
        """Find what cannot run with these data. Called only where no engine refuses a value."""
        return ()

    def notes(self, course: Course) -> Iterable[str]:
        """What a user should know of a course that is accepted; the plan and the report say it."""
        return ()

    def message_sizes(self, question: ModelQuestion) -> MessageSizes | None:
        """Sizes of the messages of a course whose server runs this engine; None: the model is not known here."""
        return None

    def files(self, config: Mapping[str, Any]) -> Mapping[str, str]:
        """Texts of a participant's input files by name; its shard and ``launcher.json`` are added."""
        return {"config.yaml": dump(dict(config), sort_keys=True)}

    def source_in_use(self, named: str | None) -> str | None:
        """The source as device files name it. Raises FedsimError if it does not exist."""
        return None

    def image_source(self, named: str | None, origin: str) -> EngineSource | None:
        """The source that the engine's image installs; ``origin``: where it was named."""
        return None

    def provenance(self, named: str | None) -> Provenance | None:
        """What a manifest records about the source."""
        return None

    def interpreter(self, named: str | None) -> Interpreter:
        """The interpreter that runs a participant without Docker. Raises FedsimError where that is impossible."""
        return Interpreter(sys.executable)


def engine(name: str) -> Engine:
    """An installed engine. Raises EngineError."""
    return cast(Engine, load_engine(name))


def engines_of(devices: Iterable[Device]) -> list[Engine]:
    """The engines that run these devices, in the order of :func:`engine_names`."""
    used = {device.engine for device in devices}
    return [engine(name) for name in engine_names() if name in used]
