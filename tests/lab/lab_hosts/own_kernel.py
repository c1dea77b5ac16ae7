"""Lab hosts with a kernel of their own: user-mode Linux with netem, beside those in containers or without any.

They have the same root file system, and are in the same network, each with a tap device as its network card. The kernel
needs all drivers built in, and is the one that tests/lab/user_mode.py finds. Nobody reaches their Engines but over SSH.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import docker

from tests.lab import user_mode

from . import rootfs
from .lab import Lab
from .program import LabError, call
from .wiring import BRIDGE, FIRST_HOST

MEMORY = "1500M"
DISK = "8G"
READY_S = 120.0
_UNIT = """[Unit]
DefaultDependencies=no
After=local-fs.target
Before=network.target ssh.service docker.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-network
[Install]
WantedBy=multi-user.target
"""
# Its words for the kernel say who it is.
_NETWORK = """#!/bin/sh
for word in $(cat /proc/cmdline); do case $word in lab_*=*) eval "${word%%=*}='${word#*=}'";; esac; done
hostname "$lab_name"
echo "127.0.1.1 $lab_name" >>/etc/hosts
ip link set lo up
ip link set vec0 up
ip address add "$lab_address" dev vec0
ip route add default via "$lab_gateway"
"""


@contextlib.contextmanager
def beside(lab: Lab, count: int, folder: Path) -> Iterator[Mapping[str, str]]:
    """Add lab hosts with kernels of their own to a lab, for as long as the context lasts.

    Args:
        lab: it is up; the new ones get the next names and addresses.
        count: how many.
        folder: for their disks; it is removed at the end.

    Yields:
        Their addresses by name. They are in the lab's known hosts, and let in what its others let in.

    Raises:
        LabError: one does not start; the text says what its console said.
        UserModeError: there is no kernel.
    """
    kernel = user_mode.find_kernel()
    folder.mkdir(parents=True)
    addresses = {
        f"lab{index}": lab.wiring.address(index) for index in range(len(lab.hosts) + 1, len(lab.hosts) + 1 + count)
    }
    started: list[subprocess.Popen[bytes]] = []
    try:
        _make_disk(lab, addresses, folder)
        for number, (name, address) in enumerate(addresses.items(), len(lab.hosts) + 1):
            started.append(_boot(lab, kernel, folder, name, address, number))
        for name, address in addresses.items():
            _await(lab, name, address, folder)
        yield addresses
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def set_clock(lab: Lab, address: str, ahead_s: float) -> None:
    """Set the clock of the lab host with this address, from now on, by so many seconds ahead of this machine's.

    It is right to the time that logging in takes.
    """
    ssh = ["ssh", "-i", str(lab.access.key), *lab.access.ssh_options, f"root@{address}"]
    call(lab.on_control_node([*ssh, "date", "--set", f"@{time.time() + ahead_s:.3f}"]))


def _make_disk(lab: Lab, addresses: Mapping[str, str], folder: Path) -> None:
    """The disk that all of them begin with, and the lab's known hosts with their key, which is one."""
    root, key = folder / "root", folder / "host_key"
    root.mkdir()
    call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "own-kernels", "-f", str(key)])
    with closing(docker.from_env(timeout=300)) as client:
        container = client.containers.create(rootfs.image(client, sdk=False), "/lab-enter", network_mode="none")
        try:
            with subprocess.Popen(["tar", "-x", "-C", str(root)], stdin=subprocess.PIPE) as unpacking:
                assert unpacking.stdin is not None
                for part in container.export():
                    unpacking.stdin.write(part)
        finally:
            container.remove(force=True)
    if unpacking.returncode != 0:
        raise LabError(f"the root file system was not unpacked: tar's exit code is {unpacking.returncode}")
    for path in (root / "dev").iterdir():  # the kernel has its own; what the Engine leaves there is in its way
        path.unlink() if not path.is_dir() or path.is_symlink() else shutil.rmtree(path)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    script = root / "usr/local/sbin/lab-network"
    script.write_text(_NETWORK)
    script.chmod(0o755)
    (root / "etc/systemd/system/lab-network.service").write_text(_UNIT)
    wanted = root / "etc/systemd/system/multi-user.target.wants/lab-network.service"
    wanted.symlink_to("../lab-network.service")
    shutil.copy(key, root / "etc/ssh/ssh_host_ed25519_key")
    (root / "etc/ssh/ssh_host_ed25519_key").chmod(0o600)
    allowed = root / "root/.ssh"
    allowed.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(lab.access.key.with_suffix(".pub"), allowed / "authorized_keys")
    disk = folder / "disk"
    call(["truncate", "-s", DISK, str(disk)])
    made_of = ["-O", "^has_journal", "-E", "lazy_itable_init=1,root_owner=0:0", "-d", str(root)]
    call(["mke2fs", "-q", "-t", "ext4", *made_of, str(disk)])
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    with lab.access.known_hosts.open("a") as known:
        known.writelines(f"{address} {public}\n" for address in addresses.values())


def _boot(lab: Lab, kernel: Path, folder: Path, name: str, address: str, number: int) -> subprocess.Popen[bytes]:
    """Start one in a session of its own, with a tap device in the lab's network."""
    card = f"uml{number}"
    for words in (f"tuntap add dev {card} mode tap vnet_hdr", f"link set {card} master {BRIDGE} up"):
        call(lab.on_control_node(["ip", *words.split()]))
    mac = f"52:54:00:{lab.wiring.number:02x}:00:{FIRST_HOST + number:02x}"
    words = [
        str(kernel), f"mem={MEMORY}", f"umid={lab.wiring.namespace}-{name}", f"uml_dir={folder / 'machines'}",
        f"ubd0={folder / f'{name}.changes'},{folder / 'disk'}", "root=/dev/ubda", "rw", "init=/sbin/init", "seccomp=on",
        f"vec0:transport=tap,ifname={card},depth=128,gro=1,mac={mac}",
        f"lab_name={name}", f"lab_address={address}/24", f"lab_gateway={lab.wiring.control_address}",
        "con=null", "con0=fd:0,fd:1", "quiet",
    ]  # fmt: skip
    memory = Path("/dev/shm")
    with (folder / f"{name}.log").open("wb") as console:
        return subprocess.Popen(
            lab.on_control_node(user_mode.on_one_cpu(words, number)),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env={"TMPDIR": str(memory if memory.is_dir() else folder), "HOME": str(folder)},
            start_new_session=True,
        )


def _await(lab: Lab, name: str, address: str, folder: Path) -> None:
    """Wait until one can log in and its Engine answers."""
    ssh = ["ssh", "-i", str(lab.access.key), *lab.access.ssh_options, "-o", "ConnectTimeout=2", f"root@{address}"]
    until = time.monotonic() + READY_S
    while True:
        try:
            call(lab.on_control_node([*ssh, "docker", "version"]), timeout_s=20)
            return
        except LabError as error:
            if time.monotonic() >= until:
                said = (folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise LabError(f"lab host {name} is not there after {READY_S:g} s: {error}\n{said}") from error
            time.sleep(0.5)
