"""Finding a run by its name: its folder, its inventory, and all runs that a lab host or this user knows of."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..inventory import Inventory, write_inventory
from ..testbed.docker.engine import lab_engine
from ..contract.names import RUN_PATTERN, check_run
from .folder import RUN_NAME
from .prepare import DEFAULT_RUNS_DIR, LAB_HOST
from .registry import Registry, RunEntry

STATE_ROOT = Path("/var/lib/fedsim")


@dataclass(frozen=True)
class KnownRun:
    """``folder`` None: the run folder is gone or was never known here."""

    run: str
    folder: Path | None
    entry: RunEntry | None

    @property
    def hosts_file(self) -> Path | None:
        """The inventory of the run folder."""
        for name in ("hosts.yml", "hosts.json"):
            if self.folder is not None and (self.folder / "inventory" / name).exists():
                return self.folder / "inventory" / name
        return None


def find_run(run: str, runs_dir: Path | None = None) -> KnownRun:
    """Look a run up in the registry, then in the folder of runs. It need not be known anywhere.

    Raises:
        RunNameError: ``run`` is no run name.
    """
    check_run(run, RUN_NAME)
    entry = Registry().find(run)
    places = [Path(entry.folder)] if entry is not None else []
    places.append((runs_dir or DEFAULT_RUNS_DIR) / run)
    folder = next((place.resolve() for place in places if place.is_dir()), None)
    return KnownRun(run, folder, entry)


def all_runs() -> list[str]:
    """Runs that have something on the lab host or an entry here.

    Raises:
        NoEngineError: the Engine cannot be asked.
    """
    with lab_engine() as engine:
        names = set(engine.runs())
    names.update(entry.run for entry in Registry().all())
    if STATE_ROOT.is_dir():
        # A run that was cut short before its first container has nothing but its state folder.
        names.update(path.name for path in STATE_ROOT.iterdir() if path.is_dir())
    return sorted(name for name in names if _is_run_id(name))


@contextmanager
def inventory_for(known: KnownRun) -> Iterator[tuple[Path, Path]]:
    """A folder to work in and a hosts file: the run's own, or a small one made up for this machine's Engine."""
    if known.folder is not None and known.hosts_file is not None:
        yield known.folder, known.hosts_file
        return
    with tempfile.TemporaryDirectory(prefix="fedsim-") as name:
        folder = Path(name)
        yield known.folder or folder, write_inventory(bare_inventory(known.run), folder / "inventory")


def bare_inventory(run: str, lab_host: str = LAB_HOST) -> Inventory:
    """An inventory without devices: enough for what goes by label."""
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    hosts = {
        "all": {
            "vars": {"fedsim_run": run, "fedsim_experiment": run},
            "children": {"lab_hosts": {"hosts": {lab_host: variables}}, "devices": {"hosts": {}}},
        }
    }
    return Inventory(hosts=hosts, device_files={})


def lab_hosts_of(known: KnownRun) -> list[str]:
    """Names of the run's lab hosts."""
    if known.folder is not None and known.hosts_file is not None:
        names = [path.stem for path in sorted((known.folder / "inventory" / "device_files").glob("*.json"))]
        if names:
            return names
    return [LAB_HOST]


def _is_run_id(name: str) -> bool:
    return RUN_PATTERN.fullmatch(name) is not None
