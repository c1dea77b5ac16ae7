"""What passes between lab hosts is encrypted where the kernel has WireGuard, and refused by name where it has not."""

from __future__ import annotations

import platform
import re
import socket
from pathlib import Path

import pytest

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.kernel import netns
from fedsim_runner.contract import events
from fedsim_runner.contract.lab_network import LabNetworkError
from tests.lab.joined import Hosts, joined

CARRIED = {"north": ["server"], "south": ["b"], "west": ["c"]}
SECRET = b"what nobody is to read on the way"
ETH_P_ALL = 3


def has_wireguard() -> bool:
    with netns.scratch():
        try:
            programs.run(["ip", "link", "add", "wg0", "type", "wireguard"])
        except programs.CommandError:
            return False
    return True


def is_seen(hosts: Hosts) -> bool:
    """Whether somebody between the lab hosts can read what a device sends."""
    with netns.inside(netns.of_process(hosts.lan.pid)):
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.settimeout(0.5)
    seen = []
    with tap, hosts.udp("b") as sender, hosts.udp("server") as receiver:
        sender.sendto(SECRET, receiver.getsockname())
        assert receiver.recv(99) == SECRET
        try:
            while True:
                seen.append(tap.recv(1 << 16))
        except TimeoutError:
            pass
    assert seen
    return any(SECRET in frame for frame in seen)


def test_a_kernel_encrypts_or_says_that_it_cannot(tmp_path: Path) -> None:
    with joined(tmp_path, CARRIED, encrypt=True) as hosts:
        if not has_wireguard():
            kernel = re.escape(platform.release())
            with pytest.raises(LabNetworkError, match=f"lab host north .* its kernel {kernel} has no WireGuard"):
                hosts.settle()
            return
        settled = hosts.up()
        assert settled.mtu == 1370
        assert not is_seen(hosts)
        assert [address for _, address in hosts.one_way_s("c", "server", size=1370 - 28)] == [hosts.addresses["c"]]
        assert hosts.settle() == settled
        assert [host.join(settled) for host in hosts.hosts.values()] == [[], [], []]
        assert [event.encrypted for event in hosts["west"].events if isinstance(event, events.LabNetworkJoined)] == [
            True
        ]
        private = [path for path in tmp_path.iterdir() if "rivate" in path.read_text()]
        assert private == []
        with joined(tmp_path, CARRIED, run="other", on=hosts, encrypt=True) as others:
            others.up()
            assert len(others.one_way_s("b", "server")) == len(hosts.one_way_s("b", "server")) == 1


def test_without_that_anybody_in_between_reads_what_passes(tmp_path: Path) -> None:
    with joined(tmp_path, CARRIED) as hosts:
        hosts.up()
        assert is_seen(hosts)
