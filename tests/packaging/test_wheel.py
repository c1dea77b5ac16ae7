"""sdist -> wheel -> clean virtual environment: an installed wheel and a checkout behave alike."""

from __future__ import annotations

import json
import venv
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import run


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a clean environment with only the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=True)
    done = run([str(folder / "bin/python"), "-m", "pip", "install", "-q", str(wheel)], folder)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_the_wheel_carries_what_ansible_and_docker_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    collection = "collections/ansible_collections/fedsim/testbed"
    for name in (
        "ansible.cfg",
        f"{collection}/galaxy.yml",
        f"{collection}/meta/runtime.yml",
        f"{collection}/playbooks/run_experiment.yml",
        f"{collection}/playbooks/destroy.yml",
        f"{collection}/plugins/modules/fedsim_devices.py",
        f"{collection}/plugins/module_utils/_contract/names.py",
        f"{collection}/roles/device_containers/meta/argument_specs.yml",
        "dockerfiles/iot-minimal/Dockerfile",
    ):
        assert f"fedsim_runner/_content/{name}" in names


def test_plan_and_inventory_from_another_folder(installed: Path, repository: Path, tmp_path: Path) -> None:
    spec = repository / "examples/quickstart.yaml"
    plan = run([str(installed / "fedsim-provision"), "plan", str(spec), "--json"], tmp_path)
    assert plan.returncode == 0, plan.stderr
    assert len(json.loads(plan.stdout)["devices"]) == 5
    written = run([str(installed / "fedsim-provision"), "inventory", str(spec), "-o", "lab"], tmp_path)
    assert written.returncode == 0, written.stderr
    graph = run([str(installed / "ansible-inventory"), "-i", "lab/hosts.yml", "--graph"], tmp_path)
    assert "@role_server:" in graph.stdout


def test_ansible_env_lets_plain_ansible_run_our_playbooks(installed: Path, repository: Path, tmp_path: Path) -> None:
    spec = repository / "examples/quickstart.yaml"
    run([str(installed / "fedsim-provision"), "inventory", str(spec), "-o", "lab"], tmp_path)
    script = (
        f'export PATH="{installed}:$PATH"; eval "$(fedsim-provision ansible-env)"; '
        'ansible-playbook --syntax-check -i lab/hosts.yml "$FEDSIM_PLAYBOOKS/run_experiment.yml" fedsim.testbed.destroy'
    )
    done = run(["sh", "-ec", script], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_course_without_docker_from_the_wheel(installed: Path, repository: Path, tmp_path: Path) -> None:
    spec = repository / "examples/quickstart.yaml"
    done = run([str(installed / "fedsim-provision"), str(spec), "--no-docker", "--runs-dir", "out"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(next((tmp_path / "out").glob("*/report.json")).read_text(encoding="utf-8"))
    assert report["status"] == "finished"
    assert report["final"]["test_acc"] > 0.85
