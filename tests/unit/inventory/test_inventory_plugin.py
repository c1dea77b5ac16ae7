"""Plain Ansible with an experiment file as its inventory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.runs import hold
from fedsim_runner.testbed.docker.playbook_environment import ansible_environment

pytestmark = pytest.mark.ansible


def inventory(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "FEDSIM_"))}
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), *arguments],
        cwd=cwd,
        env={**clean, **ansible_environment(), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def lab_host(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["_meta"]["hostvars"]["local"]
    return found


@pytest.fixture
def spec(repository: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mine.fedsim.yaml"
    path.write_text((repository / "examples" / "quickstart.fedsim.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_hosts_groups_and_variables_match_the_written_inventory(spec: Path, tmp_path: Path) -> None:
    from_plugin = inventory("-i", str(spec), "--list", cwd=tmp_path)
    written = inventory("-i", "runs/quickstart/inventory/hosts.yml", "--list", cwd=tmp_path)
    plugin, file = json.loads(from_plugin.stdout), json.loads(written.stdout)
    assert {key: value for key, value in plugin.items() if key != "_meta"} == {
        key: value for key, value in file.items() if key != "_meta"
    }
    server = plugin["_meta"]["hostvars"]["server"]
    assert server.pop("fedsim_run_dir") == str(tmp_path / "runs" / "quickstart")
    assert server == file["_meta"]["hostvars"]["server"]
    variables = lab_host(from_plugin)
    assert variables["fedsim_run"] == "quickstart"
    assert Path(variables["fedsim_device_file"]).is_relative_to(tmp_path / "runs" / "quickstart")
    assert json.loads(Path(variables["fedsim_device_file"]).read_text(encoding="utf-8"))["run"] == "quickstart"


def test_files_are_written_only_if_they_differ(spec: Path, tmp_path: Path) -> None:
    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}

    inventory("-i", str(spec), "--list", cwd=tmp_path)
    before = times()
    inventory("-i", str(spec), "--list", cwd=tmp_path)
    assert times() == before
    spec.write_text(spec.read_text(encoding="utf-8").replace("seed: 7", "seed: 8"), encoding="utf-8")
    inventory("-i", str(spec), "--list", cwd=tmp_path)
    assert times() != before


def test_the_inventory_of_a_run_that_another_process_works_on_stays_as_it_is(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = ("-e", "fedsim_run=inventory-of-a-live-run", "-e", f"fedsim_run_dir={tmp_path / 'there'}")
    shown = inventory("-i", str(spec), "--list", *extra, cwd=tmp_path)
    written = tmp_path / "there" / "inventory" / "hosts.yml"
    before = written.read_bytes()
    monkeypatch.setattr(hold, "PREFIX", "fedsim/run/")  # as for any command: ansible-inventory is one, too
    with hold.hold("inventory-of-a-live-run"):
        assert inventory("-i", str(spec), "--list", *extra, cwd=tmp_path).stdout == shown.stdout
        spec.write_text(spec.read_text(encoding="utf-8").replace("seed: 7", "seed: 8"), encoding="utf-8")
        refused = inventory("-i", str(spec), "--list", *extra, cwd=tmp_path)
    assert refused.returncode != 0
    assert f"run inventory-of-a-live-run is being worked on by process {os.getpid()} of user" in refused.stderr
    assert written.read_bytes() == before
    assert inventory("-i", str(spec), "--list", *extra, cwd=tmp_path).returncode == 0


def test_the_run_is_named_after_the_experiment_unless_another_name_is_given(spec: Path, tmp_path: Path) -> None:
    by_option = inventory("-i", str(spec), "--list", cwd=tmp_path, FEDSIM_INVENTORY_RUN="other")
    assert lab_host(by_option)["fedsim_run"] == "other"
    extra = ("-e", "fedsim_run=third", "-e", f"fedsim_run_dir={tmp_path / 'there'}")
    by_variable = inventory("-i", str(spec), "--list", *extra, cwd=tmp_path, FEDSIM_INVENTORY_RUN="other")
    assert lab_host(by_variable)["fedsim_run"] == "third"
    assert (tmp_path / "there" / "inventory" / "device_files" / "local.json").is_file()


def test_the_files_own_key_names_the_plugin_if_no_configuration_does(spec: Path, tmp_path: Path) -> None:
    spec.write_text("plugin: fedsim.testbed.experiment\n" + spec.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "ansible.cfg").write_text("", encoding="utf-8")
    done = inventory("-i", str(spec), "--list", cwd=tmp_path, ANSIBLE_CONFIG=str(tmp_path / "ansible.cfg"))
    assert lab_host(done)["fedsim_run"] == "quickstart"


def test_mistakes_are_reported_as_by_the_program(spec: Path, tmp_path: Path) -> None:
    text = spec.read_text(encoding="utf-8").replace("seed: 7", "seed: x").replace("type: edge-server", "tipe: edge")
    spec.write_text(text, encoding="utf-8")
    by_plugin = inventory("-i", str(spec), "--list", cwd=tmp_path)
    program = subprocess.run(
        [str(Path(sys.executable).parent / "fedsim-provision"), "plan", str(spec)], capture_output=True, text=True
    )
    assert by_plugin.returncode != 0
    assert program.stderr.startswith("error: ")
    # "[ERROR]: ", "ERROR! " before ansible-core 2.19
    message = by_plugin.stderr.strip().removeprefix("[ERROR]: ").removeprefix("ERROR! ")
    assert message == program.stderr.removeprefix("error: ").strip()


def test_an_experiment_file_with_another_suffix_gets_a_hint(spec: Path, tmp_path: Path) -> None:
    renamed = spec.rename(tmp_path / "exp.yaml")
    done = inventory("-i", str(renamed), "--list", cwd=tmp_path)
    assert done.returncode != 0
    assert "if its name ends in .fedsim.yaml (exp.fedsim.yaml)" in done.stderr


def test_without_the_package_the_plugin_says_what_to_install(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    # An empty package of this name, found before the installed one.
    (tmp_path / "hidden" / "fedsim_runner.py").write_text("", encoding="utf-8")
    done = inventory("-i", str(spec), "--list", cwd=tmp_path, PYTHONPATH=str(tmp_path / "hidden"))
    assert done.returncode != 0
    assert "has no fedsim-runner" in done.stderr
    assert "Traceback" not in done.stderr
