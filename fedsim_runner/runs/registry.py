"""The runs of this user, so that status, logs and down find a run by its name from another shell.

It is a convenience, not the truth: the labels on a lab host decide what belongs to a run there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..contract import atomic
from ..contract.typed_json import load
from ..user_folders import state_home


@dataclass(frozen=True)
class RunEntry:
    """Where a run is.

    Attributes:
        testbed: the name of the testbed's kind.
        lab_hosts: the names of its lab hosts.
        lab: the inventory of its lab; None: it is on the machine that this is written on.
        state: what the process that last worked on the run was about to do.
    """

    run: str
    folder: str
    testbed: str
    lab_hosts: tuple[str, ...]
    state: str
    lab: str | None = None


class Registry:
    """Stores one JSON file per run."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or state_home() / "runs"

    def record(
        self, run: str, folder: Path, testbed: str, lab_hosts: Sequence[str], state: str, lab: Path | None = None
    ) -> None:
        """Write or replace the entry of a run.

        Raises:
            OSError: the registry cannot be written.
        """
        entry = RunEntry(
            run, str(folder.resolve()), testbed, tuple(lab_hosts), state, None if lab is None else str(lab)
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(run)
        atomic.write(path, json.dumps(asdict(entry), indent=1) + "\n")

    def find(self, run: str) -> RunEntry | None:
        """The entry of a run; None if it does not exist or cannot be read."""
        try:
            entry = _entry(json.loads(self._path(run).read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError):
            return None
        return entry if entry.run == run else None

    def all(self) -> list[RunEntry]:
        """All entries by run id."""
        found = (self.find(path.stem) for path in sorted(self._folder.glob("*.json")))
        return [entry for entry in found if entry is not None]

    def forget(self, run: str) -> None:
        """Remove the entry; safe to call twice."""
        self._path(run).unlink(missing_ok=True)

    def _path(self, run: str) -> Path:
        return self._folder / f"{run}.json"


def _entry(content: Any) -> RunEntry:
    if isinstance(content, dict):
        if "lab_host" in content:
            # As 0.1.0 wrote it: one lab host, and "processes" where there was none.
            lab_host = content.pop("lab_host")
            without = lab_host == "processes"
            content |= {"testbed": "processes" if without else "docker", "lab_hosts": [] if without else [lab_host]}
        # Up to 0.1.0, runs had subnets of their own, and only entries said who was alive.
        for key in ("subnet", "control"):
            content.pop(key, None)
    return load(RunEntry, content)
