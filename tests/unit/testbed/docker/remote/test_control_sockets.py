"""Where the sockets of shared connections can be: the kernel refuses a path that is too long."""

from __future__ import annotations

import shlex
import socket
import tempfile
from pathlib import Path

import pytest

from fedsim_runner.lab.access import THIS_MACHINE
from fedsim_runner.lab.host import LabHost
from fedsim_runner.lab.ssh import Ssh
from fedsim_runner.testbed.docker.playbook_environment import _shared_connections
from fedsim_runner.testbed.docker.remote.control_sockets import ANSIBLE_NAME, SSH_NAME, fits
from fedsim_runner.testbed.docker.remote.tunnel import ssh_options
from fedsim_runner.testbed.docker.run_inventory import inventories


@pytest.mark.parametrize("name", [SSH_NAME, ANSIBLE_NAME])
def test_the_longest_folder_that_fits_takes_a_socket_while_ssh_makes_it(name: int) -> None:
    # pytest's own folders are too long already.
    with tempfile.TemporaryDirectory(dir="/tmp") as place, socket.socket(socket.AF_UNIX) as made:
        names = (Path(place) / ("d" * length) for length in range(1, 100))
        longest = [folder for folder in names if fits(folder, name)][-1]
        longest.mkdir()
        socket_name = longest / ("n" * name + "." + "r" * 16)
        assert len(str(socket_name)) == 107
        made.bind(str(socket_name))


def test_ansible_shares_connections_where_their_sockets_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def chosen(home: str, private: str) -> dict[str, str]:
        monkeypatch.setattr(Path, "home", lambda: Path(home))
        return _shared_connections(Path(private), "0123abcd")

    monkeypatch.setattr("fedsim_runner.testbed.docker.playbook_environment._instead_of_home", lambda private: {})
    long = "/long" * 20
    assert chosen("/home/ann", "/tmp/private") == {"ANSIBLE_SSH_CONTROL_PATH_DIR": "/home/ann/.ansible/cp/0123abcd"}
    assert chosen(long, "/tmp/private") == {"ANSIBLE_SSH_CONTROL_PATH_DIR": "/tmp/private"}
    words = shlex.split(chosen(long, long)["ANSIBLE_SSH_ARGS"])
    assert "ServerAliveInterval=5" in words
    assert not any("Control" in word for word in words)


def test_only_those_that_come_the_same_way_share_a_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("fedsim_runner.testbed.docker.remote.tunnel.fits", lambda folder, name: True)
    monkeypatch.setattr("fedsim_runner.testbed.docker.remote.tunnel.state_home", lambda: tmp_path)
    gates = [Ssh("10.0.0.5", arguments=("-J", gate)) for gate in ("north.example", "south.example")]
    sockets = {next(word for word in ssh_options(one) if word.startswith("ControlPath")) for one in gates}
    assert len(sockets) == 2
    labs = [inventories(Path("hosts.yml"), THIS_MACHINE, [LabHost(name, ssh=gate) for name in "ab"]) for gate in gates]
    assert labs[0].way != labs[1].way
    # A run on some of a lab's hosts goes on with the connections of the probe of all.
    assert inventories(Path("hosts.yml"), THIS_MACHINE, [LabHost("a", ssh=gates[0])]).way == labs[0].way
