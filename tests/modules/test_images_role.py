"""The images role through ansible-playbook: the real images, a new device type, other lab hosts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker
import pytest

from fedsim_runner.testbed.docker.images import LayerSources, all_logical_names, plan_layers
from tests.device_files import device, device_file
from tests.e2e.own_engine import OwnEngine, own_engine

from .conftest import REPOSITORY

pytestmark = pytest.mark.docker

IMPORTS = "import os, numpy, grpc, google.protobuf, yaml; print(os.getuid())"
TOY = "ARG ENGINE\nFROM ${ENGINE}\nLABEL org.fedsim.kind=image\nENV TOY=%s\n"


def play(inventory: Path, **extra: Any) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
    }
    command = ["ansible-playbook", "-i", str(inventory), "playbooks/images.yml", "--extra-vars", json.dumps(extra)]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def recap(outcome: subprocess.CompletedProcess[str], host: str) -> dict[str, int]:
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    line = next(line for line in reversed(outcome.stdout.splitlines()) if line.startswith(f"{host} "))
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


def write_inventory(folder: Path, hosts: dict[str, dict[str, Any]]) -> Path:
    common = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    entries = {name: {**common, **variables} for name, variables in hosts.items()}
    path = folder / "hosts.json"
    path.write_text(json.dumps({"all": {"children": {"lab_hosts": {"hosts": entries}}}}))
    return path


@pytest.fixture(scope="module")
def refs(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> dict[str, str]:
    """All images of the checkout, built if missing. They stay, as everything else here uses them."""
    inventory = write_inventory(tmp_path_factory.mktemp("all"), {"here": {}})
    outcome = play(inventory)
    recap(outcome, "here")
    assert "on the disk, shared layers once" in outcome.stdout
    sources = LayerSources.installed()
    names = dict.fromkeys(all_logical_names(sources), str(engine.version()["Arch"]))
    return {layer.name: layer.ref for layer in plan_layers(names, sources)}


def test_a_second_run_builds_nothing(refs: dict[str, str], tmp_path: Path) -> None:
    again = recap(play(write_inventory(tmp_path, {"here": {}})), "here")
    assert again["changed"] == 0


def test_device_images_run_unprivileged(refs: dict[str, str], engine: docker.DockerClient) -> None:
    for name, ref in refs.items():
        if not name.endswith("-light") or name.startswith("engine-"):
            continue
        image = engine.images.get(ref)
        assert image.labels["org.fedsim.device_type"] == name.removesuffix("-light")
        assert image.labels["org.fedsim.image"] == ref.rpartition(":")[2]
        assert image.attrs["Config"]["User"] == "10001:10001"
        out = engine.containers.run(
            ref, ["python3", "-c", IMPORTS], remove=True, network_mode="none", read_only=True, mem_limit="64m",
            cap_drop=["ALL"], security_opt=["no-new-privileges"],
        )  # fmt: skip
        assert out.decode().strip() == "10001"


@pytest.mark.parametrize(
    ("image", "command"),
    [
        ("iot-minimal-light", ["python3", "-m", "fedsim_runner.participant", "--help"]),
        ("agent", ["python3", "-c", "import fedsim_runner.agent.cli, fedsim_runner.agent.serve; print('usage')"]),
    ],
)
def test_the_packages_start(refs: dict[str, str], engine: docker.DockerClient, image: str, command: list[str]) -> None:
    out = engine.containers.run(refs[image], command, remove=True, network_mode="none", read_only=True)
    assert b"usage" in out


def test_sizes_stay_small(refs: dict[str, str], engine: docker.DockerClient) -> None:
    assert engine.images.get(refs["base"]).attrs["Size"] < 200_000_000
    assert engine.images.get(refs["iot-minimal-light"]).attrs["Size"] < 260_000_000


def test_other_lab_hosts_get_what_they_lack(refs: dict[str, str], engine: docker.DockerClient, tmp_path: Path) -> None:
    """Two lab hosts that count as remote, the second with an Engine of its own, and a device type of the user's."""
    with own_engine() as other:
        other.start()
        _provide_toys(engine, other, tmp_path)


def _provide_toys(engine: docker.DockerClient, other: OwnEngine, tmp_path: Path) -> None:
    toys = tmp_path / "mine" / "toy"
    toys.mkdir(parents=True)
    (toys / "Dockerfile").write_text(TOY % tmp_path.name)
    path = tmp_path / "devices.json"
    arch = str(engine.version()["Arch"])
    path.write_text(device_file(device("toy-1", image="toy-light", arch=arch)).as_text())
    there = {"fedsim_device_file": str(path), "images_local": False, "images_context_folder": str(tmp_path)}
    inventory = write_inventory(tmp_path, {"far1": there, "far2": {**there, "fedsim_docker_host": other.url}})
    extra = {"fedsim_images_all": False, "fedsim_dockerfiles": [str(tmp_path / "mine")]}
    sources = LayerSources.installed([tmp_path / "mine"])
    ref = next(layer.ref for layer in plan_layers({"toy-light": arch}, sources) if layer.name == "toy-light")
    try:
        outcome = play(inventory, **extra)
        assert recap(outcome, "far1")["changed"] > 0, outcome.stdout
        assert re.search(r"^images: .* from far1 to far2 in ", outcome.stdout, re.MULTILINE), outcome.stdout
        for client in (engine, other.client()):
            assert client.images.get(ref).attrs["Config"]["Env"][-1] == f"TOY={tmp_path.name}"
        shipped = {image.id for image in other.client().images.list(name="fedsim/engine-light")}
        assert shipped <= {image.id for image in engine.images.list(name="fedsim/engine-light")}
        assert [path.name for path in tmp_path.glob("fedsim-*")] == []
        again = play(inventory, **extra)
        assert recap(again, "far1")["changed"] == recap(again, "far2")["changed"] == 0
    finally:
        if engine.images.list(ref):
            engine.images.remove(ref)


def test_a_device_type_without_dockerfile_fails_with_its_name(refs: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    path.write_text(device_file(device("d-1", image="drone-light")).as_text())
    inventory = write_inventory(tmp_path, {"here": {"fedsim_device_file": str(path)}})
    outcome = play(inventory, fedsim_images_all=False)
    assert outcome.returncode != 0
    assert "there is no Dockerfile in dockerfiles/drone" in outcome.stdout
