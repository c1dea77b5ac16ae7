"""What a device cannot do, tried from inside of it; and what other users of the lab host cannot read."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest

from fedsim_runner.contract.names import container_name
from tests.e2e.conftest import STATE_ROOT, Command, left_over, small_spec

RUN = "isolated"
STATE = STATE_ROOT / RUN
DEVICES = ("server", "mote-1", "mote-2")

# Prints what was reached. A question to a resolver is a whole DNS query, so that anything that listens would answer.
REACH = """
import json, re, socket, struct, sys
addresses, port = json.loads(sys.argv[1]), int(sys.argv[2])
query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\\7example\\3com\\0" + struct.pack(">2H", 1, 1)
reached = []
def attempt(what, call):
    try:
        call()
    except OSError:
        return
    reached.append(what)
def ask(address):
    asked = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    asked.settimeout(0.5)
    asked.connect((address, 53))
    asked.send(query)
    asked.recv(512)
named = re.findall(r"^nameserver (\\S+)", open("/etc/resolv.conf").read(), re.M)
for address in ["127.0.0.11", *named, *addresses]:
    attempt("resolver " + address, lambda: ask(address))
attempt("name", lambda: socket.getaddrinfo("example.com", 80))
for address in addresses:
    attempt("lab host " + address, lambda: socket.create_connection((address, port), 1))
attempt("server", lambda: socket.getaddrinfo("server", 80, socket.AF_INET))
print(json.dumps(reached))
"""
# Prints every file outside of /proc and /sys that has the words in it, and the mount points that are not the image's.
LOOK = """
import json, os, sys
found, mounts = [], [line.split() for line in open("/proc/self/mountinfo")]
for above, folders, names in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(above, name) not in ("/proc", "/sys", "/dev")]
    for name in names:
        path = os.path.join(above, name)
        try:
            small = os.path.isfile(path) and os.path.getsize(path) < 1000
            if small and sys.argv[1] in open(path, errors="replace").read():
                found.append(path)
        except OSError:
            pass
print(json.dumps([found, sorted(words[4] for words in mounts if words[4].startswith("/fedsim"))]))
"""
# Prints those of its arguments that this user may read, or list.
READABLE = 'for path; do if [ -r "$path" ]; then echo "$path"; fi; done'
NOBODY = 65534


@pytest.fixture(scope="module")
def testbed(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A run that waits at its gate, its links in force."""
    folder = tmp_path_factory.mktemp("isolated")
    try:
        up = Command(["up", str(small_spec(folder, "small")), "--run", RUN], folder)
        assert up.finish() == 0, up.output
        yield
    finally:
        assert Command(["down", RUN], folder).finish() == 0
    assert left_over(engine, RUN) == []


@pytest.fixture
def listening() -> Iterator[int]:
    """A port on which this lab host listens on all its addresses."""
    with socket.create_server(("", 0)) as server:
        threading.Thread(target=_accept, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def _accept(server: socket.socket) -> None:
    while True:
        try:
            server.accept()
        except OSError:
            return


def inside(engine: docker.DockerClient, device: str, script: str, *arguments: str) -> Any:
    """Run a script in a device as its own user; return what it prints."""
    done = engine.containers.get(container_name(RUN, device)).exec_run(["python3", "-c", script, *arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_a_device_reaches_neither_a_resolver_nor_the_lab_host(
    engine: docker.DockerClient, testbed: None, listening: int
) -> None:
    addresses = sorted(
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family == socket.AF_INET and entry.address != "127.0.0.1"
    )
    assert addresses
    socket.create_connection((addresses[0], listening), 5).close()
    # The server's name is in the devices' own hosts file.
    assert inside(engine, "mote-1", REACH, json.dumps(addresses), str(listening)) == ["server"]


def test_a_device_sees_its_own_files_only(engine: docker.DockerClient, testbed: None) -> None:
    for device in DEVICES:
        (STATE / "devices" / device / "in" / "sign").write_text(f"sign of {device}", encoding="utf-8")
        (STATE / "devices" / device / "in" / "sign").chmod(0o644)
    (STATE / "agent" / "sign").write_text("sign of agent", encoding="utf-8")
    found, mounts = inside(engine, "mote-1", LOOK, "sign of ")
    assert found == ["/fedsim/in/sign"]
    assert mounts == ["/fedsim/gate", "/fedsim/in", "/fedsim/out"]


def test_each_device_is_a_user_that_the_lab_host_does_not_have(engine: docker.DockerClient, testbed: None) -> None:
    who = "import json, os; print(json.dumps([os.getuid(), os.getgid(), os.getgroups(), os.path.expanduser('~')]))"
    users = {}
    for device in DEVICES:
        user, group, groups, home = inside(engine, device, who)
        assert (group, set(groups) - {group}, home) == (user, set(), "/fedsim")
        users[device] = user
    assert len(set(users.values())) == len(DEVICES)
    rows = [line.split(":") for name in ("subuid", "subgid") for line in _lines(f"/etc/{name}")]
    ranges = [range(int(first), int(first) + int(count)) for _, first, count in rows]
    accounts = {int(line.split(":")[2]) for line in _lines("/etc/passwd")}
    assert not any(user in accounts or any(user in one for one in ranges) for user in users.values())


def test_other_users_of_the_lab_host_read_nothing_of_a_device(testbed: None) -> None:
    paths = [str(path) for path in (STATE, *STATE.rglob("*")) if not path.is_socket()]
    shards = [path for path in paths if path.endswith("shard.npz")]
    assert len(shards) == len(DEVICES)
    command = ["/bin/sh", "-c", READABLE, "sh", *paths]
    done = subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, cwd="/")
    readable = {str(Path(path).relative_to(STATE)) for path in done.stdout.splitlines()}
    # Who plans another run here without being root looks at the claim and at what is reserved.
    assert readable == {"gate", "engine", "claim.json", "reservation.json"}


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()
