"""The uids of devices: one for each, and none that anybody else on the lab host has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fedsim.testbed.plugins.module_utils import _device_users as device_users
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.device_file import DeviceFileError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._device_users import (
    FALLBACK,
    PREFERRED,
    NoUsersError,
    choose_users,
    read_users,
    users_of,
    users_of_devices,
)

ALL_IDS = [range(1 << 32)]


def content(*addresses: str, subnet: str = "198.18.0.0/24") -> dict[str, Any]:
    devices = [{"name": f"pi-{number}", "address": address} for number, address in enumerate(addresses, 1)]
    return {"network": {"subnet": subnet}, "devices": devices}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    """The state folder of a run on a lab host on which nobody has uids."""
    nobody = tmp_path / "nobody"
    nobody.touch()
    monkeypatch.setattr(device_users, "RANGES", (nobody,))
    monkeypatch.setattr(device_users, "ACCOUNTS", (nobody,))
    return StateFolder(tmp_path / "state" / "study")


def test_each_device_has_its_own_and_keeps_it(state: StateFolder) -> None:
    before = users_of_devices(state, content("198.18.0.2", "198.18.0.3"), check=False)
    assert len(set(before.values())) == 2
    later = users_of_devices(state, content("198.18.0.2", "198.18.0.3", "198.18.0.4"), check=False)
    assert {name: later[name] for name in before} == before
    assert users_of(state).network not in later.values()
    assert all(user in PREFERRED for user in later.values())


def test_check_mode_names_the_same_and_records_nothing(state: StateFolder) -> None:
    checked = users_of(state, 256, check=True)
    assert not state.path.parent.exists()
    assert users_of(state, 256) == checked == read_users(state)


def test_runs_differ_also_one_after_the_other() -> None:
    blocks = [choose_users(f"run-{number}", 256, [], ALL_IDS) for number in range(100)]
    assert len({users.first for users in blocks}) == 100


def test_blocks_of_runs_do_not_overlap(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    # So few that the names alone would make some of the runs share one.
    monkeypatch.setattr(device_users, "_mapped", lambda: [range(FALLBACK.start + 16 * 256)])
    chosen = [users_of(StateFolder(state.path.with_name(f"run-{number}")), 256) for number in range(16)]
    assert len({users.first for users in chosen}) == 16
    with pytest.raises(NoUsersError, match="no 256 uids in a row"):
        users_of(state, 256)


def test_a_larger_run_gets_a_larger_block(state: StateFolder) -> None:
    assert users_of(state, 256).count == 256
    assert users_of(state, 1024).count == 1024
    assert users_of(state, 256).count == 1024


@pytest.mark.parametrize(("begin", "end"), [(0, 65536), (255, 256)])
def test_what_others_have_is_left_out(begin: int, end: int) -> None:
    first = choose_users("study", 256, [], ALL_IDS).first
    taken = range(first + begin, first + end)
    assert not set(choose_users("study", 256, [taken], ALL_IDS).uids) & set(taken)


def test_the_files_of_the_lab_host_count(state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = choose_users("study", 256, [], ALL_IDS).first
    ranges, accounts = tmp_path / "subuid", tmp_path / "passwd"
    ranges.write_text(f"# a comment\nremap:{free}:300\nremap:many:more\n", encoding="utf-8")
    accounts.write_text(
        f"root:x:0:0:root:/root:/bin/sh\n+\nann:x:{free + 600}:100::/home/ann:/bin/sh\n", encoding="utf-8"
    )
    monkeypatch.setattr(device_users, "RANGES", (ranges, tmp_path / "missing"))
    monkeypatch.setattr(device_users, "ACCOUNTS", (accounts,))
    uids = users_of(state, 256).uids
    assert not set(uids) & ({*range(free, free + 300)} | {free + 600})


def test_a_lab_host_in_a_user_namespace_has_them_too() -> None:
    users = choose_users("study", 256, [range(65534, 65535)], [range(65536)])
    assert FALLBACK.start <= users.first
    assert users.uids.stop <= 65534
    with pytest.raises(NoUsersError):
        choose_users("study", 256, [], [range(1000)])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"first": "x", "count": 1}', "\\"])
def test_a_damaged_record_is_replaced(text: str, state: StateFolder) -> None:
    chosen = users_of(state, 256)
    state.users.write_text(text, encoding="utf-8")
    assert users_of(state, 256) == chosen
    assert json.loads(state.users.read_text(encoding="utf-8")) == {"first": chosen.first, "count": 256}


@pytest.mark.parametrize("address", ["198.18.1.1", "198.17.255.255"])
def test_an_address_outside_the_subnet_is_refused(address: str, state: StateFolder) -> None:
    with pytest.raises(DeviceFileError, match=f"{address}, which is not in 198.18.0.0/24"):
        users_of_devices(state, content(address), check=True)
