"""Which user each device of a run is on its lab host: one of its own, from a block of uids that only this run has.

A uid in a container is the same uid outside of it. With one for all devices, or with that of a person on the lab host,
somebody else could read a device's files, signal its process or use up its share of what the kernel counts by user.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract import atomic
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.device_file import DeviceFileError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder

#: Above what distributions, user namespaces (subuid), systemd and the id mapping of directory services (sssd: up to
#: 2,000,200,000) hand out, below systemd's foreign uids (systemd.io/UIDS-AND-GIDS), and below 2^31, the Engine's limit.
PREFERRED = range(0x78000000, 0x7FFE0000)
#: Where a lab host is itself in a user namespace and the preferred range is not mapped: above its own users.
FALLBACK = range(10_000, 1 << 31)
UID_MAP = Path("/proc/self/uid_map")
#: Files with ranges (NAME:FIRST:COUNT) and with single ids (in the third column) that somebody else has.
RANGES = (Path("/etc/subuid"), Path("/etc/subgid"))
ACCOUNTS = (Path("/etc/passwd"), Path("/etc/group"))
#: A run's smallest subnet is a /24.
SMALLEST = 256
#: Others may pass through, as every device does on its way to the gate, but they find nothing by listing.
STATE_MODE = 0o711
#: A device's user has no entry in the image's /etc/passwd; programs ask these for what they would look up there.
ENVIRONMENT = ("HOME=/fedsim", "USER=fedsim", "LOGNAME=fedsim")


class NoUsersError(FedsimError):
    """The lab host has no free block of uids."""

    exit = Exit.PROVISIONING


@dataclass(frozen=True)
class Users:
    """The block of uids of a run on one lab host. The gid is always the same number."""

    first: int
    count: int

    @property
    def uids(self) -> range:
        """All of them."""
        return range(self.first, self.first + self.count)

    @property
    def network(self) -> int:
        """The uid of the container that holds the run's network. No device has the network's address."""
        return self.first

    def of_device(self, address: str, subnet: ipaddress.IPv4Network) -> int:
        """Return the uid of the device with this address in the run's subnet.

        Raises:
            DeviceFileError: the address is not in the subnet.
        """
        if ipaddress.IPv4Address(address) not in subnet:
            raise DeviceFileError(f"the device file has a device with the address {address}, which is not in {subnet}")
        return self.uids[int(ipaddress.IPv4Address(address)) - int(subnet.network_address)]


def users_of_devices(state: StateFolder, content: Mapping[str, Any], check: bool) -> dict[str, int]:
    """Return the uids of a device file's devices by name.

    Raises:
        DeviceFileError: an address is not in the run's subnet.
        NoUsersError: there is no free block.
        OSError: the state folder cannot be written.
    """
    subnet = ipaddress.IPv4Network(content["network"]["subnet"])
    users = users_of(state, subnet.num_addresses, check)
    return {device["name"]: users.of_device(device["address"], subnet) for device in content["devices"]}


def choose_users(run: str, count: int, taken: Sequence[range], mapped: Sequence[range]) -> Users:
    """Choose a run's block: where its name points to, or the next free one.

    Args:
        run: run id. Two runs have different blocks even if the first is gone (but for one chance in hundreds of
            thousands), so that a file which somebody kept does not belong to a later device.
        count: uids that are needed.
        taken: ids that others have.
        mapped: ids that exist on this lab host.

    Raises:
        NoUsersError: there is no free block.
    """
    start = int.from_bytes(hashlib.sha256(run.encode()).digest()[:8], "big")
    for window in _windows(mapped):
        others = [other for other in taken if _overlap(other, window)]
        blocks = len(window) // count
        for number in range(blocks):
            first = window[(start + number) % blocks * count]
            if not any(_overlap(other, range(first, first + count)) for other in others):
                return Users(first, count)
    raise NoUsersError(f"this lab host has no {count} uids in a row that nobody else has: see /etc/subuid, {UID_MAP}")


def users_of(state: StateFolder, count: int | None = None, check: bool = False) -> Users:
    """Return the block of the run with this state folder; choose and record it if there is none, or it is too small.

    Args:
        state: the run's state folder.
        count: uids that are needed; None: as many as there are.
        check: record nothing.

    Raises:
        NoUsersError: there is no free block.
        OSError: the state folder cannot be written.
    """
    found = read_users(state)
    if found is not None and found.count >= (count or 0):
        return found
    with contextlib.nullcontext() if check else _locked(state.path.parent):
        chosen = choose_users(state.path.name, count or SMALLEST, _taken(state), _mapped())
        if not check:
            state.path.mkdir(mode=STATE_MODE, exist_ok=True)
            atomic.write(state.users, json.dumps({"first": chosen.first, "count": chosen.count}) + "\n", 0o600)
    return chosen


def read_users(state: StateFolder) -> Users | None:
    """Return the recorded block of a run; None if there is none."""
    try:
        content = json.loads(state.users.read_text(encoding="utf-8"))
        return Users(int(content["first"]), int(content["count"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _windows(mapped: Sequence[range]) -> list[range]:
    """Where to look, in this order."""
    if any(PREFERRED.start >= one.start and PREFERRED.stop <= one.stop for one in mapped):
        return [PREFERRED]
    inside = (range(max(one.start, FALLBACK.start), min(one.stop, FALLBACK.stop)) for one in mapped)
    return sorted(filter(None, inside), key=len, reverse=True)


def _overlap(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop


def _taken(state: StateFolder) -> list[range]:
    """Ids of accounts, of user namespaces and of the other runs on this lab host."""
    found = [range(int(first), int(first) + int(count)) for path in RANGES for _, first, count in _rows(path, 3)]
    found += [range(int(row[2]), int(row[2]) + 1) for path in ACCOUNTS for row in _rows(path, 4, (2,))]
    if state.path.parent.is_dir():
        others = (StateFolder(path) for path in state.path.parent.iterdir() if path != state.path)
        found += [users.uids for users in map(read_users, others) if users is not None]
    return found


def _rows(path: Path, columns: int, numbers: tuple[int, ...] = (1, 2)) -> Iterator[list[str]]:
    """The lines of an account file that have so many columns, and numbers where they should."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        row = line.strip().split(":")
        if len(row) >= columns and all(row[column].isdecimal() for column in numbers):
            yield row[:columns]


def _mapped() -> list[range]:
    """The ids that exist here: all of them, but where this lab host is in a user namespace."""
    try:
        rows = [line.split() for line in UID_MAP.read_text(encoding="utf-8").splitlines()]
        return [range(int(first), int(first) + int(count)) for first, _, count in rows]
    except (OSError, ValueError):
        return [range(1 << 32)]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one run at a time choose: two that start together must not choose the same block."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
