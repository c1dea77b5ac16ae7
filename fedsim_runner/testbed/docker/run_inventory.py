"""The inventory for a run's playbooks: that of its folder, which was just written, or one of the known lab hosts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedsim_runner.contract.paths import INVENTORY
from fedsim_runner.inventory import Inventory, write_inventory
from fedsim_runner.inventory.build import connection_variables
from fedsim_runner.lab.access import NO_KEYS, LabAccess, LabKeys
from fedsim_runner.lab.host import LabHost
from fedsim_runner.lab.ssh import way_of
from fedsim_runner.temporary_folders import temporary_folder


@dataclass(frozen=True)
class LabInventories:
    """What playbooks get: the run's inventory, then the lab's, which alone says how its hosts are reached.

    Attributes:
        files: the inventories.
        hosts: names of the lab hosts to work on.
        keys: what opens them.
        way: what tells ssh's connections to them from others (``lab/ssh.py``).
    """

    files: tuple[Path, ...]
    hosts: tuple[str, ...]
    keys: LabKeys = NO_KEYS
    way: str = ""


def inventories(own: Path, access: LabAccess, hosts: Sequence[LabHost]) -> LabInventories:
    """The inventory ``own`` with that of the lab."""
    lab = () if access.inventory is None else (access.inventory.resolve(),)
    way = way_of(host.ssh for host in hosts if host.ssh is not None)
    return LabInventories((own, *lab), tuple(host.name for host in hosts), access.keys, way)


@contextmanager
def inventory_for(run: str, hosts: Sequence[LabHost], access: LabAccess) -> Iterator[LabInventories]:
    """Yield an inventory with the lab hosts alone, for playbooks that find things by label.

    A run folder's own inventory is not followed after the run: it may come from somebody else, and Ansible carries out
    what is written in an inventory.
    """
    with temporary_folder() as place:
        yield inventories(write_inventory(bare_inventory(run, hosts), place), access, hosts)


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
