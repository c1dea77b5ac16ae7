"""Where the sockets of shared connections can be: the kernel refuses a path that is too long."""

from __future__ import annotations

import shlex
import socket
import tempfile
from pathlib import Path

import pytest

from fedsim_runner.testbed.docker.playbook import _shared_connections
from fedsim_runner.testbed.docker.remote.control_sockets import ANSIBLE_NAME, SSH_NAME, fits


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
        return _shared_connections(Path(private))

    monkeypatch.setattr("fedsim_runner.testbed.docker.playbook._instead_of_home", lambda private: {})
    long = "/long" * 20
    assert chosen("/home/ann", "/tmp/private") == {}
    assert chosen(long, "/tmp/private") == {"ANSIBLE_SSH_CONTROL_PATH_DIR": "/tmp/private"}
    words = shlex.split(chosen(long, long)["ANSIBLE_SSH_ARGS"])
    assert "ServerAliveInterval=5" in words
    assert not any("Control" in word for word in words)
