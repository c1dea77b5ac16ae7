"""The engine federatedscope in images: unreachable sources always, a real build where a source is configured."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from fedsim_runner.contract.device_file import Device
from fedsim_runner.engines.federatedscope.fit import DISTRIBUTED_MODE
from fedsim_runner.engines.federatedscope.source_in_use import resolve_source
from fedsim_runner.engines.federatedscope.wheel import CachedSource
from fedsim_runner.testbed.docker.images import LayerSources, plan_layers
from tests.device_files import device, device_file
from tests.federatedscope import SETTINGS, SOURCE

from .conftest import call_module
from .test_images_role import play, recap, write_inventory

pytestmark = pytest.mark.docker

needs_source = pytest.mark.skipif(not SOURCE, reason=f"no FederatedScope source is configured ({SETTINGS})")
UNREACHABLE = "git+https://nowhere.invalid/fs@480b67de851df2fa02b7cc2189f1803d947998d7"
# Messages through protobuf's fast implementation, and steps of an optimizer, which import most of PyTorch.
TRAINING = """
import torch
from federatedscope.core.message import Message
from federatedscope.core.gRPC_server import gRPCComServeFunc
from federatedscope.core.proto import gRPC_comm_manager_pb2 as stubs
from google.protobuf.internal import api_implementation
sent = Message(msg_type="metrics", sender=1, receiver=[0], state=2, content={"test_acc": 0.5, "n": [1, 2]})
received = Message()
received.parse(stubs.MessageRequest.FromString(sent.transform(to_list=True).SerializeToString()).msg)
nn = torch.nn
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
x, y = torch.randn(16, 1, 8, 8), torch.randint(0, 10, (16,))
losses = []
for optimizer in (torch.optim.SGD(model.parameters(), lr=0.1), torch.optim.Adam(model.parameters())):
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
import json
print(json.dumps({"implementation": api_implementation.Type(), "content": received.content, "state": received.state,
                  "learned": losses[-1] < losses[0], "cuda": torch.version.cuda}))
"""
DEVICE = device("d-1", image="iot-minimal-federatedscope", engine="federatedscope")


def plan_call(
    tmp_path: Path, source: str, devices: list[Device], config: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    path = tmp_path / "devices.json"
    path.write_text(device_file(*devices, course={"config": config or {}}, source=source).as_text())
    return {"hosts": [{"name": "here", "arch": "amd64", "local": True, "device_file": str(path)}], **more}


def test_an_unreachable_source_ends_with_its_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    planned = call_module("fedsim_build_context", plan_call(tmp_path, UNREACHABLE, [DEVICE]))
    build = planned["hosts"]["here"]["build"]
    assert [ref.partition(":")[0] for ref in build if "federatedscope" in ref] == [
        "fedsim/engine-federatedscope",
        "fedsim/iot-minimal-federatedscope",
    ]
    call = plan_call(tmp_path, UNREACHABLE, [DEVICE], state="assembled", refs=build, bootstrap=["amd64"])
    answer = call_module("fedsim_build_context", call, expect_failure=True)
    assert answer["fedsim_exit_code"] == 3
    assert answer.msg.startswith(f"FederatedScope cannot be obtained from {UNREACHABLE} (named by the device file): ")
    assert "nowhere.invalid" in answer.msg.partition("): ")[2] and "Alternatives:" in answer.msg
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [".lock"]


def test_keys_and_names_are_checked_as_soon_as_a_source_has_been_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package = tmp_path / "upstream" / "federatedscope"
    configs = package / "core" / "configs"
    configs.mkdir(parents=True)
    for name in DISTRIBUTED_MODE:
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).touch()
    for folder in (package, package / "core", package / "core" / "workers", configs):
        (folder / "__init__.py").write_text("")
    (configs / "cfg_all.py").write_text(
        "def extend(cfg):\n    cfg.federate = CN()\n    cfg.federate.total_round_num = 1\n    cfg.federate.mode = ''\n"
        "    cfg.federate.method = 'FedAvg'\n"
    )
    (package.parent / "setup.py").write_text(
        "from setuptools import find_packages, setup\n"
        "setup(name='federatedscope', version='9.9', packages=find_packages())\n"
    )
    git = ["git", "-C", str(package.parent), "-c", "user.name=t", "-c", "user.email=t@localhost"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    source = f"git+file://{package.parent}@{commit}"
    config = {"federate": {"total_round_num": 3, "mod": "distributed", "method": "FedFoo"}}
    planned = call_module("fedsim_build_context", plan_call(tmp_path, source, [DEVICE], config=config))
    refs = planned["hosts"]["here"]["build"]
    call = plan_call(tmp_path, source, [DEVICE], config=config, state="assembled", refs=refs, bootstrap=["amd64"])
    answer = call_module("fedsim_build_context", call, expect_failure=True)
    assert answer["fedsim_exit_code"] == 2
    key, name = answer.msg.splitlines()
    assert key == 'federatedscope.config.federate.mod: unknown key of FederatedScope (did you mean "mode"?)'
    assert name.startswith("federatedscope.config.federate.method: FederatedScope does not know FedFoo, and would run")
    assert not list((tmp_path / "cache").rglob("*.tar"))


def test_a_light_course_does_not_read_the_source(tmp_path: Path) -> None:
    call = plan_call(tmp_path, "/nowhere/at/all", [replace(DEVICE, image="iot-minimal-light")])
    refs = call_module("fedsim_build_context", call)["hosts"]["here"]["refs"]
    assert set(refs) == {"agent", "iot-minimal-light"}


def test_two_sources_in_one_play_are_refused(tmp_path: Path) -> None:
    call = plan_call(tmp_path, "federatedscope==1", [DEVICE])
    other = tmp_path / "other.json"
    other.write_text(device_file(DEVICE, source="federatedscope==2").as_text())
    call["hosts"].append({**call["hosts"][0], "name": "there", "device_file": str(other)})
    answer = call_module("fedsim_build_context", call, expect_failure=True)
    assert "more than one source of FederatedScope: federatedscope==1, federatedscope==2" in answer.msg


@needs_source
@pytest.mark.federatedscope
def test_a_device_trains_with_it(engine: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDSIM_FEDERATEDSCOPE_SOURCE", SOURCE)
    arch = str(engine.version()["Arch"])
    path = tmp_path / "devices.json"
    path.write_text(device_file(replace(DEVICE, arch=arch), source=SOURCE).as_text())
    inventory = write_inventory(tmp_path, {"here": {"fedsim_device_file": str(path)}})
    built = play(inventory, fedsim_images_all=False)
    assert recap(built, "here")["failed"] == 0
    assert "fedsim/torch" in built.stdout and "MB without parent" in built.stdout
    assert recap(play(inventory, fedsim_images_all=False), "here")["changed"] == 0

    sources = LayerSources.installed(sources={"federatedscope": CachedSource(resolve_source())})
    refs = {layer.name: layer.ref for layer in plan_layers({DEVICE.image: arch}, sources)}
    image = engine.images.get(refs[DEVICE.image])
    assert image.labels["org.fedsim.engine"] == "federatedscope"
    assert image.labels["org.fedsim.device_type"] == "iot-minimal"
    out = engine.containers.run(
        refs[DEVICE.image], ["python3", "-c", TRAINING], remove=True, network_mode="none", read_only=True,
        tmpfs={"/tmp": "rw,noexec,nosuid,nodev,size=16m,mode=1777"}, mem_limit="768m", cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )  # fmt: skip
    assert json.loads(out.decode().splitlines()[-1]) == {
        "implementation": "upb",
        "content": {"test_acc": 0.5, "n": [1, 2]},
        "state": 2,
        "learned": True,
        "cuda": None,
    }
