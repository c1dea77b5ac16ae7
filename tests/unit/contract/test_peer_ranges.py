"""Devices on other lab hosts: by address for whoever reads them, by ranges in the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract.device_file import DeviceFile, DeviceFileError, read_device_file
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.link_variation import Variation
from fedsim_runner.contract.peer_ranges import Peer, Peers, dump_peers, load_peers
from tests.device_files import device_file

SLOW, FAST = Links(Link(rate_bps=1000), Link()), Links(Link(), Link())
PLACED = [
    ("lab2", "pi-1", "198.18.0.2", SLOW, None),
    ("lab2", "pi-2", "198.18.0.3", SLOW, None),
    ("lab3", "pi-3", "198.18.0.4", SLOW, None),
    ("lab2", "pi-4", "198.18.0.5", FAST, None),
    ("lab2", "pi-5", "198.18.0.6", FAST, None),
    ("lab2", "hub", "198.18.0.7", FAST, None),
]


def test_devices_with_consecutive_names_and_addresses_and_the_same_link_are_a_range() -> None:
    assert dump_peers(Peers.of(PLACED))["lab_hosts"] == {
        "lab2": ["198.18.0.2 pi-[1:2] 0", "198.18.0.5 pi-[4:5] 1", "198.18.0.7 hub 1"],
        "lab3": ["198.18.0.4 pi-3 0"],
    }


def test_each_peer_is_found_by_its_address() -> None:
    peers = Peers.of(PLACED)
    assert peers == {
        address: Peer(name, link, lab_host=lab_host) for lab_host, name, address, link, _ in sorted(PLACED)
    }
    assert len(peers) == len(PLACED)
    assert list(peers.without("lab2")) == ["198.18.0.4"]


def test_what_is_written_is_what_is_read() -> None:
    varying = Variation(planned=SLOW, up="bus", down=None, loop=True, offset_ms=7, states=())
    peers = Peers.of([*PLACED, ("lab3", "bus-1", "198.18.0.8", SLOW, varying)])
    assert load_peers(json.loads(json.dumps(dump_peers(peers)))) == peers


def test_files_that_list_each_peer_by_its_address_are_read(tmp_path: Path) -> None:
    peers = dict(Peers.of(PLACED))
    path = tmp_path / "lab1.json"
    path.write_text(json.dumps(replace(device_file(), peers=peers).as_dict()))
    found = read_device_file(path)
    assert found.peers == peers
    assert DeviceFile.from_dict(json.loads(found.as_text())) == found


@pytest.mark.parametrize(
    ("peers", "message"),
    [
        ([], "peers: expected an object"),
        ({"links": {}, "lab_hosts": {}}, "expected links in a list"),
        ({"links": [], "lab_hosts": {"lab2": ["198.18.0.2 pi-1 0"]}}, "peers.lab_hosts.lab2: '198.18.0.2 pi-1 0' is"),
        ({"links": [], "lab_hosts": {"lab2": 7}}, "peers.lab_hosts.lab2: 7 is not an address"),
        ({"links": [], "lab_hosts": {"lab2": ["pi-1"]}}, "is not an address, names and the number of a link"),
        ({"links": [], "lab_hosts": {"lab2": ["x pi-[2:1] 0"]}}, "is not an address, names and the number of a link"),
    ],
)
def test_damaged_peers_are_named(peers: Any, message: str) -> None:
    with pytest.raises(DeviceFileError, match="is damaged") as refused:
        DeviceFile.from_dict({**device_file().as_dict(), "peers": peers})
    assert message in str(refused.value)
