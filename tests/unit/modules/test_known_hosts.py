"""Whom a device finds by name: there is no resolver."""

from __future__ import annotations

import pytest
from ansible_collections.fedsim.testbed.plugins.module_utils._device_container import Settings, list_known_hosts

ADDRESSES = {"server": "198.18.0.1", "pi-1": "198.18.0.2", "pi-2": "198.18.0.3"}


@pytest.mark.parametrize(
    ("device", "clients_talk", "known"),
    [
        ("server", False, ["server", "pi-1", "pi-2"]),
        ("pi-2", False, ["pi-2", "server"]),
        ("pi-2", True, ["server", "pi-1", "pi-2"]),
        ("pi-2", None, ["pi-2", "server"]),  # a device file of an older version
    ],
)
def test_clients_find_each_other_only_where_they_talk(device: str, clients_talk: bool | None, known: list[str]) -> None:
    course = {"server": "server"} | ({} if clients_talk is None else {"clients_talk": clients_talk})
    settings = Settings({"run": "study", "course": course}, "/state", {}, ADDRESSES, {}, {})
    assert list_known_hosts(settings, device) == [f"{name}:{ADDRESSES[name]}" for name in known]
