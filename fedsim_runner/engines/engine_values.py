"""Values that the control node and an engine exchange."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class Refusal:
    """Why a course cannot run: a path in the course's configuration, what is wrong with it, and a hint.

    ``topic``: in a few words what the course is about, if that as a whole is impossible, or one of
    :data:`fedsim_runner.yamlfile.spec_errors.NOT_AT_HAND`; such reasons are shown first. ``device``: whose
    configuration it is about; where its own settings do not have the path, those of all count.
    """

    path: tuple[str | int, ...]
    reason: str
    hint: str | None = None
    topic: str = ""
    device: str | None = None


@dataclass(frozen=True)
class Participant:
    """One participant with its whole configuration. ``own``: the part that the user wrote for this device alone."""

    name: str
    role: Literal["server", "client"]
    engine: str
    config: Mapping[str, Any]
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitData:
    """Samples by device and split, and what they are; empty where the data cannot be read here.

    Attributes:
        classes: how many there are; None: the labels are targets.
        shape: of one sample.
        target_shape: of the targets of one sample; None: the labels are classes.
        largest: the largest number in any sample, if samples are whole numbers; None: they are not.
        smallest: the smallest one.
    """

    samples: Mapping[str, Mapping[str, int]]
    classes: int | None = None
    shape: tuple[int, ...] | None = None
    target_shape: tuple[int, ...] | None = None
    largest: int | None = None
    smallest: int | None = None


@dataclass(frozen=True)
class Course:
    """A course before it is built. ``config``: the configuration as the user wrote it; ``data`` reads the data set;
    ``data_tree``: FederatedScope's own ``data``, where it loads the data set.

    ``round_limits``: the keys of ``course`` that the experiment gives to end a round before all have answered.
    ``has_targets``: whether labels are targets, without reading a data set of which that is known.
    ``initial_model``: the shapes of the arrays, by name, of the model that the server starts with; None: a new one.
    ``goes_offline``: whether devices go offline during the course.
    """

    participants: tuple[Participant, ...]
    config: Mapping[str, Any]
    source: str | None
    round_limits: tuple[str, ...]
    data: Callable[[], SplitData]
    data_tree: Mapping[str, Any] | None = None
    has_targets: Callable[[], bool] = lambda: False
    initial_model: Mapping[str, tuple[int, ...]] | None = None
    goes_offline: bool = False

    def differing(self, engine: str) -> list[Participant]:
        """Of an engine's clients with settings of their own, one for each such settings."""
        found: dict[str, Participant] = {}
        for one in self.participants:
            if one.own and one.engine == engine and one.role == "client":
                found.setdefault(json.dumps(one.own, sort_keys=True, default=str), one)
        return list(found.values())


@dataclass(frozen=True)
class ModelQuestion:
    """What decides how large a model's messages are.

    Attributes:
        config: the configuration of the course.
        shape: of one sample, as a participant gets it; None: it is not known here.
        source: the engine's source, as the experiment names it.
        has_time: whether an engine may start a program to find out what it does not know itself.
    """

    config: Mapping[str, Any]
    shape: tuple[int, ...] | None
    source: str | None = None
    has_time: bool = False


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run an engine, and the folders it needs on its path."""

    python: str
    path: tuple[str, ...] = ()


class EngineSource(Protocol):
    """What an engine's image installs that is not in this package."""

    def identity(self) -> str:
        """Text that changes when the source does."""
        ...

    def wheel(self) -> Path:
        """The source as a wheel on the control node."""
        ...

    def refuse(self, config: Mapping[str, Any]) -> None:
        """Check a configuration against a source that had to be fetched first. Raises FedsimError."""
        ...


@dataclass(frozen=True)
class Provenance:
    """The source that a run used: what its manifest records about it, and the wheel that the run keeps."""

    facts: Mapping[str, Any]
    wheel: Path | None
