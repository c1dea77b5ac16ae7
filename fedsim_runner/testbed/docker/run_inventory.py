"""The inventory for a run's playbooks: its own, or one generated from the known lab hosts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fedsim_runner.contract.paths import DEVICE_FILES, INVENTORY
from fedsim_runner.inventory import Inventory, write_inventory
from fedsim_runner.inventory.build import connection_variables
from fedsim_runner.lab.host import LabHost


@contextmanager
def inventory_for(run: str, folder: Path | None, hosts: Sequence[LabHost]) -> Iterator[tuple[Path, list[str]]]:
    """Yield a hosts file and the names of its lab hosts."""
    own = None if folder is None else hosts_file_of(folder)
    if own is not None:
        names = [path.stem for path in sorted((own.parent / DEVICE_FILES).glob("*.json"))]
        yield own, names or [host.name for host in hosts]
        return
    with tempfile.TemporaryDirectory(prefix="fedsim-") as name:
        yield write_inventory(bare_inventory(run, hosts), Path(name)), [host.name for host in hosts]


def hosts_file_of(folder: Path) -> Path | None:
    """The inventory of a run folder."""
    found = (folder / INVENTORY / name for name in ("hosts.yml", "hosts.json"))
    return next((path for path in found if path.exists()), None)


def bare_inventory(run: str, hosts: Sequence[LabHost]) -> Inventory:
    """An inventory without devices: enough for playbooks that find things by label."""
    content = {
        "all": {
            "vars": {"fedsim_run": run, "fedsim_experiment": run},
            "children": {
                "lab_hosts": {"hosts": {host.name: connection_variables(host) for host in hosts}},
                "devices": {"hosts": {}},
            },
        }
    }
    return Inventory(hosts=content, device_files={})
