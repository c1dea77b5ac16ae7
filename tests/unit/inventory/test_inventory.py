"""The inventory, as Ansible and the batch modules read it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fedsim_runner.inventory import build_inventory, read_device_files, write_inventory
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.spec.testbed_keys import without_place
from tests.builders import device_type, experiment, lab_host


def written(folder: Path, clients: int = 3, hosts: int = 1) -> Path:
    labs = [lab_host(f"lab{n}", cpus=64) for n in range(1, hosts + 1)]
    return write_inventory(build_inventory(make_plan(experiment(clients), labs, "study")), folder)


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(tmp_path / name)
    for path in sorted((tmp_path / "one").rglob("*.*")):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == twin.read_bytes()


@pytest.mark.ansible
def test_ansible_loads_it_with_groups_by_type_role_and_lab_host(tmp_path: Path) -> None:
    hosts = written(tmp_path, hosts=2)
    graph = subprocess.run(
        ["ansible-inventory", "-i", str(hosts), "--graph"], check=True, capture_output=True, text=True
    ).stdout
    for group in (
        "@lab_hosts:",
        "@role_server:",
        "@role_client:",
        "@type_phone:",
        "@lab_host_lab1:",
        "@lab_host_lab2:",
    ):
        assert group in graph
    listing = json.loads(
        subprocess.run(
            ["ansible-inventory", "-i", str(hosts), "--host", "phone-1"], check=True, capture_output=True, text=True
        ).stdout
    )
    assert listing["fedsim_address"].endswith(".2")


def test_a_large_inventory_is_json_and_a_smaller_one_replaces_it(tmp_path: Path) -> None:
    client = device_type("sensor", cpus=0.1)
    plan = make_plan(experiment(250, client=client), [lab_host(cpus=64)], "study")
    assert write_inventory(build_inventory(plan), tmp_path).name == "hosts.json"
    assert written(tmp_path).name == "hosts.yml"
    assert not (tmp_path / "hosts.json").exists()


def test_the_device_file_has_limits_links_and_configuration(tmp_path: Path) -> None:
    written(tmp_path)
    content = read_device_files(tmp_path)["lab1"]
    server, phone = content["devices"][:2]
    assert content["course"]["client_num"] == 3
    assert content["course"]["config"]["federate"] == {
        "total_round_num": 10,
        "mode": "distributed",
        "client_num": 3,
    }
    assert server["config"]["distribute"]["server_host"] == "0.0.0.0"
    assert phone["config"]["distribute"] == {
        "role": "client",
        "server_port": server["port"],
        "data_idx": -1,
        "server_host": "server",
        "client_host": "phone-1",
        "client_port": phone["port"],
    }
    assert phone["image"] == "phone-light"
    assert phone["link"]["down"]["rate_bps"] == 20_000_000
    assert content["peers"] == {}


def test_devices_on_other_lab_hosts_are_peers_with_their_links(tmp_path: Path) -> None:
    written(tmp_path, hosts=2)
    files = read_device_files(tmp_path)
    here = {device["address"] for device in files["lab1"]["devices"]}
    assert here.isdisjoint(files["lab1"]["peers"])
    assert len(here) + len(files["lab1"]["peers"]) == 4


def test_a_device_file_grows_with_the_devices_of_its_own_lab_host_only() -> None:
    client = device_type("mote", cpus=0.01)

    def others_part(clients: int, hosts: int) -> int:
        labs = [lab_host(f"lab{n}", cpus=64) for n in range(1, hosts + 1)]
        found = build_inventory(make_plan(experiment(clients, client=client), labs, "study")).device_files["lab1"]
        return len(replace(found, devices=()).as_text())

    few, many = others_part(200, 10), others_part(2000, 10)
    assert many - few < 10 * len("198.18.0.123 phone-[1000:2000] 0")


def test_files_of_lab_hosts_that_have_no_devices_any_longer_are_removed(tmp_path: Path) -> None:
    written(tmp_path, hosts=2)
    written(tmp_path, hosts=1)
    assert [path.name for path in (tmp_path / "device_files").iterdir()] == ["lab1.json"]


def test_a_lab_host_on_this_machine_uses_ansibles_own_python(tmp_path: Path) -> None:
    hosts = yaml.safe_load(written(tmp_path).read_text(encoding="utf-8"))
    variables = hosts["all"]["children"]["lab_hosts"]["hosts"]["lab1"]
    assert variables["ansible_connection"] == "local"
    assert variables["ansible_python_interpreter"] == "{{ ansible_playbook_python }}"


def test_a_devices_own_settings_stand_beside_its_place() -> None:
    study = experiment(2)
    own = {"train": {"optimizer": {"lr": 0.5}}}
    devices = tuple(replace(one, config=own) if one.name == "phone-2" else one for one in study.devices)
    plan = make_plan(replace(study, devices=devices), [lab_host("lab1")], "study")
    (content,) = build_inventory(plan).device_files.values()
    configs = {device.name: device.config for device in content.devices}
    users = {name: without_place(config) for name, config in configs.items()}
    assert users == {"server": {}, "phone-1": {}, "phone-2": own}
    assert configs["phone-2"]["distribute"]["client_host"] == "phone-2"


@pytest.mark.parametrize(
    ("engine", "vertical", "method", "talk"),
    [
        ("federatedscope", True, "FedAvg", True),
        ("federatedscope", False, "FedAvg", False),
        ("federatedscope", False, "gossip", True),
        ("light", True, "FedAvg", False),
    ],
)
def test_clients_of_trees_and_of_a_users_own_method_may_talk_to_each_other(
    engine: str, vertical: bool, method: str, talk: bool
) -> None:
    study = experiment(2)
    devices = tuple(replace(one, engine=engine) for one in study.devices)
    federate = {**study.config["federate"], "method": method}
    config = {**study.config, "vertical": {"use": vertical}, "federate": federate}
    changed = replace(study, devices=devices, config=config)
    (content,) = build_inventory(make_plan(changed, [lab_host("lab1")], "study")).device_files.values()
    assert content.course.clients_talk is talk
