"""A lab of several lab hosts: started, found again in its folder, removed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import docker

from . import hosts, rootfs, wiring
from .access import Access, User
from .hosts import LabHost
from .program import LabError
from .wiring import MOST_HOSTS, PREFIX, Wiring

STATE = "lab.json"


@dataclass(frozen=True)
class Lab:
    """A lab that is up."""

    wiring: Wiring
    access: Access
    hosts: tuple[LabHost, ...]

    def __getitem__(self, name: str) -> LabHost:
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabError(f"no lab host {name}: there are {', '.join(host.name for host in self.hosts)}")

    @property
    def addresses(self) -> dict[str, str]:
        return {host.name: host.address for host in self.hosts}

    @property
    def password(self) -> str:
        """What sudo asks ``alice`` for."""
        return self.access.password_file.read_text().strip()

    def cut(self, name: str) -> None:
        """Cut a lab host off, from the control node and from all others, without a word to anyone."""
        self.wiring.cut(self[name].index)

    def reconnect(self, name: str) -> None:
        self.wiring.reconnect(self[name].index)

    def on_control_node(self, command: Sequence[str]) -> list[str]:
        """The words of a command that runs on the control node, which is this machine in the lab's network."""
        return [*self.wiring.enter, *command]

    def ssh(self, name: str, user: User = "root") -> list[str]:
        """The words of ``ssh`` to a lab host; a command may follow."""
        target = ("-i", str(self.access.key), *self.access.ssh_options, f"{user}@{self[name].address}")
        return self.on_control_node(["ssh", *target])

    def inventory(self, user: User = "root") -> Path:
        """The folder of an Ansible inventory of all lab hosts, to which ``user`` logs in."""
        return self.access.write_inventory(self.addresses, user, {})


def up(
    folder: Path, count: int, *, sdk: bool = False, images: Sequence[str] = (), release: str = rootfs.RELEASES[0]
) -> Lab:
    """Start a lab. If that fails, nothing is left of it.

    Args:
        folder: for keys and inventory; it must be empty or missing.
        count: how many lab hosts.
        sdk: with the Docker SDK for Python on them.
        images: references of images of this machine's Engine that theirs have from the start.
        release: of Debian on them.

    Raises:
        LabError: it cannot be started; the text says why.
    """
    if not 1 <= count <= MOST_HOSTS:
        raise LabError(f"from 1 to {MOST_HOSTS} lab hosts, not {count}")
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        raise LabError(f"{folder} is not empty: a lab has a folder of its own")
    with closing(docker.from_env(timeout=300)) as client:
        image = rootfs.image(client, sdk=sdk, release=release)
        network = wiring.make()
        try:
            lab = _start(client, network, Access(folder), count, image)
            _write_state(lab)
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(lambda host: _set_up(client, host, lab.password, images), lab.hosts))
        except BaseException:
            _remove(client, network)
            raise
    lab.inventory()
    return lab


@contextmanager
def running(folder: Path, count: int, *, sdk: bool = False) -> Iterator[Lab]:
    """A lab for as long as the context lasts; the arguments are those of :func:`up`."""
    lab = up(folder, count, sdk=sdk)
    try:
        yield lab
    finally:
        down(lab)


def load(folder: Path) -> Lab:
    """The lab that :func:`up` has started in ``folder``.

    Raises:
        LabError: there is none.
    """
    try:
        state = json.loads((folder / STATE).read_text())
    except FileNotFoundError as error:
        raise LabError(f"{folder} is no lab's folder: it has no {STATE}") from error
    found = tuple(LabHost(**host) for host in state["hosts"])
    return Lab(Wiring(state["number"]), Access(folder.resolve()), found)


def down(lab: Lab) -> None:
    """Remove the lab; its folder stays. Safe to repeat.

    Raises:
        LabError: something of it is still there.
    """
    with closing(docker.from_env(timeout=120)) as client:
        _remove(client, lab.wiring)


def down_all() -> list[int]:
    """Remove all labs of this machine, whoever has started them; return their numbers."""
    with closing(docker.from_env(timeout=120)) as client:
        named = {path.name for path in wiring.NAMESPACES.glob(f"{PREFIX}*")} if wiring.NAMESPACES.is_dir() else set()
        numbers = hosts.numbers(client) | {int(name.removeprefix(PREFIX)) for name in named}
        for number in sorted(numbers):
            _remove(client, Wiring(number))
        return sorted(numbers)


def _start(client: docker.DockerClient, network: Wiring, access: Access, count: int, image: str) -> Lab:
    addresses = {f"lab{index}": network.address(index) for index in range(1, count + 1)}
    packed = access.prepare(addresses)
    found = []
    for index, (name, address) in enumerate(addresses.items(), 1):
        container = hosts.create(client, network.number, name, image, packed[name], addresses)
        pid = hosts.start(client, container)
        network.plug(index, pid)
        found.append(LabHost(name, index, container, address, pid))
    return Lab(network, access, tuple(found))


def _set_up(client: docker.DockerClient, host: LabHost, password: str, images: Sequence[str]) -> None:
    host.await_ready()
    host.console("chpasswd", stdin=f"alice:{password}\n")
    with closing(docker.DockerClient(base_url=host.engine_url, timeout=300)) as engine:
        for ref in images:
            engine.images.load(client.images.get(ref).save(named=True))


def _remove(client: docker.DockerClient, network: Wiring) -> None:
    left = hosts.remove_all(client, network.number)
    network.remove()
    if left:
        raise LabError(f"still there: {', '.join(left)}")


def _write_state(lab: Lab) -> None:
    state = {"number": lab.wiring.number, "hosts": [asdict(host) for host in lab.hosts]}
    (lab.access.folder / STATE).write_text(json.dumps(state, indent=2) + "\n")
