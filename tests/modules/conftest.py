"""A Docker Engine, a small image made here, and a way to run modules in this process.

Without an Engine these tests fail: a module that has not run on a real one has not been tested.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import docker
import pytest
from ansible.module_utils.testing import patch_module_args

from fedsim_runner.agent.kernel.netns import of_process
from fedsim_runner.agent.links.network.run_namespace import RunNamespace
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.names import container_name, network_name

from .image_layers import Layers

REPOSITORY = Path(__file__).resolve().parent.parent.parent
LIBRARY = REPOSITORY / "plugins" / "modules"
COLLECTION = "ansible_collections.fedsim.testbed"
# Its own tag: parallel test runs must not remove each other's image.
TEST_IMAGE = f"fedsim-test/busybox:{os.getpid()}"
TEST_LABEL = "org.fedsim.image"

# Inside the image this stands in for the participant's and the agent's Python; both are tested elsewhere.
PYTHON_STAND_IN = """#!/bin/sh
trap 'exit 143' TERM
[ "$4" = broken ] && { echo "no such engine"; exit 3; }
[ "$2" = fedsim_runner.agent ] || { echo "waiting at the gate"; while :; do sleep 0.2 & wait $!; done; }
case "$3 $4" in
"serve "*)
    echo "$5" > /tmp/state
    echo serving
    while :; do sleep 0.2 & wait $!; done ;;
"ctl probe") echo '{"netem": true, "tbf": true, "nfqueue": true, "backend": "netem", "missing": [], "kernel": "1"}' ;;
"ctl gate-open")
    read -r state < /tmp/state
    if [ -e "$state/gate/open" ]; then echo '{"changed": false}'; exit 0; fi
    echo '{"open_at": 1}' > "$state/gate/open"
    echo '{"changed": true}' ;;
"ctl links-apply")
    read -r state < /tmp/state
    if [ -e "$state/agent/links" ]; then changed=false; diff=; else changed=true
        diff='{"item": "up rate_bps", "before": null, "after": 1000000}'; fi
    case "$5" in *'"check": false'*) : > "$state/agent/links" ;; esac
    same='{"changed": false, "failed": null, "diff": []}'
    printf '{"changed": %s, "backend": "netem", "devices": {' $changed
    printf '"server": {"changed": %s, "failed": null, "diff": [%s]}, ' $changed "$diff"
    echo "\\"pi-1\\": $same, \\"pi-2\\": $same}}" ;;
"ctl status") echo '{"state": "running", "round": 1, "total_rounds": 2}' ;;
*) echo "unknown: $*" >&2; exit 2 ;;
esac
"""
APPLETS = ("sh", "sleep", "cat", "id", "wget", "nc", "ip", "touch", "dd", "ln", "true")


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient) -> Iterator[str]:
    """A few hundred kilobytes of statically linked busybox, which is imported in a moment."""
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    assert busybox, "apt-get install busybox-static: the module tests make their image from it"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        _add(archive, "bin/busybox", Path(busybox).read_bytes())
        _add(archive, "usr/bin/python3", PYTHON_STAND_IN.encode())
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for folder in ("tmp", "proc", "sys", "dev", "etc", "fedsim/gate", "fedsim/in", "fedsim/out"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
    repository, tag = TEST_IMAGE.split(":")
    changes = [f"LABEL {TEST_LABEL}=test", "ENV PATH=/usr/bin:/bin"]
    engine.api.import_image_from_data(stream.getvalue(), repository=repository, tag=tag, changes=changes)
    yield TEST_IMAGE
    engine.images.remove(TEST_IMAGE, force=True)


@pytest.fixture
def layers(engine: docker.DockerClient, image: str, tmp_path: Path) -> Iterator[Layers]:
    layers = Layers(engine, image, tmp_path)
    yield layers
    for ref in reversed(layers.named()):
        engine.images.remove(ref)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o755
    archive.addfile(member, io.BytesIO(content))


def load_module(name: str) -> ModuleType:
    """Import one of our modules under the name that Ansible uses."""
    return _load(f"plugins.modules.{name}")


def load_utils(name: str) -> ModuleType:
    """Import a module utility."""
    return _load(f"plugins.module_utils.{name}")


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"{COLLECTION}.{name}")


@dataclass
class Answer:
    """What a module printed."""

    result: dict[str, Any]

    @property
    def failed(self) -> bool:
        return bool(self.result.get("failed"))

    @property
    def changed(self) -> bool:
        return bool(self.result["changed"])

    @property
    def msg(self) -> str:
        return str(self.result["msg"])

    def items(self, device: str) -> list[str]:
        """Names of what differed on a device."""
        return [entry["item"] for entry in self.result["devices"][device]["diff"]]

    def __getitem__(self, key: str) -> Any:
        return self.result[key]


def call_module(name: str, arguments: dict[str, Any], check: bool = False, expect_failure: bool = False) -> Answer:
    """Run a module in this process with diff mode on and return its answer."""
    module = load_module(name)
    out = io.StringIO()
    all_arguments = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
    # Only here do the SDK's background threads outlive a module's exit, as no process ends.
    with patch_module_args(all_arguments), contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        module.main()
    answer = Answer(json.loads(out.getvalue().strip().splitlines()[-1]))
    assert answer.failed == expect_failure, answer.result
    return answer


@dataclass
class Lab:
    """One run on the local lab host, and the arguments that modules need for it."""

    engine: docker.DockerClient
    run: str
    root: Path
    image: str
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def state_dir(self) -> Path:
        return self.root / self.run

    @property
    def device_file(self) -> Path:
        return self.state_dir / "device_file.json"

    def write(self) -> None:
        """Write ``content`` to the device file."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self.device_file.write_text(json.dumps(self.content))

    def call(self, name: str, check: bool = False, expect_failure: bool = False, **arguments: Any) -> Answer:
        """Run a module; options that follow from the run are filled in."""
        derived = {
            "run": self.run,
            "state_dir": str(self.state_dir),
            "device_file": str(self.device_file),
            "state_root": str(self.root),
            "lab_host": "local",
            "images": {"edge-light": self.image},
            "image": self.image,
        }
        accepted = load_module(name).ARGUMENTS
        options = {key: value for key, value in derived.items() if key in accepted} | arguments
        return call_module(name, options, check=check, expect_failure=expect_failure)

    @property
    def users(self) -> dict[str, int]:
        """The uids of the devices, as recorded in the state folder; that of the network's container is "-network"."""
        first: int = json.loads((self.state_dir / "users.json").read_text())["first"]
        return {"-network": first, "server": first + 1, "pi-1": first + 2, "pi-2": first + 3}

    def container(self, device: str) -> Any:
        return self.engine.containers.get(container_name(self.run, device))

    @property
    def network(self) -> Any:
        """The container that holds the run's network."""
        return self.engine.containers.get(network_name(self.run))

    def connect(self) -> None:
        """Connect the devices to the run's network without shaping, as the agent does."""
        links = [DeviceLink(entry["name"], entry["address"], Link(), Link()) for entry in self.content["devices"]]
        shaper = Shaper([], RunNamespace(self.namespace(None)), Profile(links, server="server"), None)
        results = shaper.apply({link.device: self.namespace(link.device) for link in links})
        assert {name: result.failed for name, result in results.items()} == dict.fromkeys(results)

    def namespace(self, device: str | None) -> str:
        """Path of the network namespace of a device, or of the run (None)."""
        container = self.network if device is None else self.container(device)
        return of_process(container.attrs["State"]["Pid"])

    def names(self) -> list[str]:
        """Everything that carries the run's label."""
        filters = {"label": f"org.fedsim.run={self.run}"}
        found = [item.name for item in self.engine.containers.list(all=True, filters=filters)]
        return sorted(found + [item.name for item in self.engine.networks.list(filters=filters)])


def device(name: str, role: str, index: int, address: str, **changes: Any) -> dict[str, Any]:
    """A device of the device file."""
    return {
        "name": name,
        "type": "edge",
        "role": role,
        "engine": "light",
        "index": index,
        "address": address,
        "port": 50051 + index,
        "image": "edge-light",
        "cpus": 0.1,
        "threads": 1,
        "memory_bytes": 32 * 1024**2,
        "pids": 32,
        "read_bps": None,
        "write_bps": None,
        "gpus": 0,
        "arch": "amd64",
        "network": "wifi",
        "link": {way: {"rate_bps": 1_000_000, "delay_us": 1000, "jitter_us": 0, "loss": 0.0} for way in ("up", "down")},
        "config": {},
        **changes,
    }


def device_file_content(run: str, devices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": 3,
        "run": run,
        "experiment": "modules",
        "seed": 1,
        "lab_host": "local",
        "network": {"subnet": "198.18.0.0/24"},
        "link_backend": "auto",
        "allow_unshaped": False,
        "cpu_factor": 1.0,
        "course": {
            "timeout_s": 60,
            "silence_timeout_s": 30,
            "total_rounds": 2,
            "server": "server",
            "client_num": len(devices) - 1,
            "config": {"federate": {"total_round_num": 2}},
        },
        "data": {
            "dataset": "digits",
            "split": "iid",
            "alpha": 0.5,
            "test_fraction": 0.2,
            "seed": 1,
            "layout": "flat",
            "path": None,
            "label": None,
            "header": None,
            "sha256": None,
            "rendered": None,
            "tree": None,
        },
        "clients": [entry["name"] for entry in devices if entry["role"] == "client"],
        "devices": devices,
        "peers": {},
    }


@pytest.fixture
def lab(engine: docker.DockerClient, image: str, tmp_path: Path) -> Iterator[Lab]:
    """A run with a server and two clients; nothing exists at the start, nothing is left at the end."""
    run = f"modtest-{uuid.uuid4().hex[:8]}"
    devices = [
        device("server", "server", 0, "198.18.0.1"),
        device("pi-1", "client", 1, "198.18.0.2"),
        device("pi-2", "client", 2, "198.18.0.3"),
    ]
    lab = Lab(engine, run, tmp_path / "state", image, device_file_content(run, devices))
    lab.write()
    yield lab
    call_module("fedsim_teardown", {"run": run, "state_root": str(lab.root)})
    assert lab.names() == []


@pytest.fixture
def up(lab: Lab) -> Lab:
    """The run of ``lab`` with its network, agent and devices."""
    make_state(lab)
    lab.call("fedsim_network")
    lab.call("fedsim_agent")
    lab.call("fedsim_devices")
    return lab


def make_state(lab: Lab, inputs: dict[str, bytes] | None = None) -> Answer:
    """Fill the state folder of the run, with one config file per device."""
    files = {"device_file.json": json.dumps(lab.content).encode()}
    for entry in lab.content["devices"]:
        files[f"devices/{entry['name']}/in/config.yaml"] = b"seed: 1\n"
    files.update(inputs or {})
    archive = lab.root / f"{lab.run}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w") as packed:
        for name, content in sorted(files.items()):
            _add(packed, name, content)
    return lab.call("fedsim_state", archive=str(archive))


@pytest.fixture
def host_listener() -> Iterator[int]:
    """A port on which this host listens on all its addresses."""
    server = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import socket;s=socket.create_server(('', 0));print(s.getsockname()[1], flush=True)\nwhile 1: s.accept()",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    yield int(server.stdout.readline())
    server.kill()
    server.wait()
