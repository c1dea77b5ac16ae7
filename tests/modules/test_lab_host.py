"""fedsim_lab_host: what makes a lab host unfit, and what is left to the role."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab.test_lab_encryption import has_wireguard

from .conftest import Answer, call_module, load_module, load_utils
from .socket_proxy import forbid_calls


@pytest.fixture(autouse=True)
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no Engine listens is the address of the one that the role installs or starts."""
    monkeypatch.setattr(load_utils("_docker"), "DEFAULT_ENGINE", f"unix://{tmp_path}/docker.sock")


def probe(tmp_path: Path, expect_failure: bool = False, **options: Any) -> Answer:
    """Return the module's answer where no Engine listens."""
    nowhere = {"docker_host": f"unix://{tmp_path}/docker.sock", "state_root": str(tmp_path), "fail_if_unfit": True}
    return call_module("fedsim_lab_host", nowhere | options, expect_failure=expect_failure)


@pytest.mark.parametrize("daemon", ["/usr/sbin/dockerd", None])
def test_a_missing_engine_is_left_to_the_role(
    daemon: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module("fedsim_lab_host"), "find_daemon", lambda: daemon)
    answer = probe(tmp_path, engine_required=False)
    assert not answer["engine_answers"]
    assert answer["lab_host"]["engine_installed"] is (daemon is not None)
    assert answer["fedsim_news"] == [{"event": "engine_wanted", "installed": daemon is not None}]


def test_a_missing_engine_that_is_required_ends_the_run_with_its_fix(tmp_path: Path) -> None:
    answer = probe(tmp_path, expect_failure=True, engine_required=True)
    assert f"no Docker Engine answers at unix://{tmp_path}/docker.sock (No such file or directory)" in answer.msg
    assert "systemctl start docker" in answer.msg
    assert answer["fedsim_exit_code"] == 3
    assert answer["fedsim_news"] == []


def test_an_engine_that_is_missing_elsewhere_is_neither_started_nor_installed(tmp_path: Path) -> None:
    elsewhere = f"unix://{tmp_path}/elsewhere.sock"
    answer = probe(tmp_path, expect_failure=True, engine_required=False, docker_host=elsewhere)
    assert f"no Docker Engine answers at {elsewhere} (No such file or directory): start it; or, for the" in answer.msg
    assert "unset DOCKER_HOST and run `docker context use default`" in answer.msg
    assert answer["fedsim_news"] == []


@pytest.mark.parametrize("address", ["tcp://lab.test:2376", "ssh://me@lab.test", "unix://relative.sock", "lab.test"])
def test_an_engine_on_another_machine_is_refused_by_name(address: str, tmp_path: Path) -> None:
    answer = probe(tmp_path, expect_failure=True, engine_required=False, docker_host=address)
    assert f"the Docker Engine is {address}, but fedsim-runner works with an Engine on the same machine" in answer.msg
    assert answer["fedsim_exit_code"] == 3
    assert answer["fedsim_news"] == []


def test_devices_that_the_lab_host_cannot_carry_end_the_run(tmp_path: Path) -> None:
    demands = {"devices": 1, "memory_bytes": 2**28, "gpus": 2, "arch": ["riscv64"], "congestion_control": "none_such"}
    answer = probe(tmp_path, expect_failure=True, engine_required=False, demands=demands)
    assert "devices need riscv64" in answer.msg
    assert "NVIDIA Container Toolkit" in answer.msg
    assert "TCP congestion control none_such, only " in answer.msg
    assert answer["fedsim_exit_code"] == 3
    report = probe(tmp_path, engine_required=False, demands=demands, fail_if_unfit=False)
    assert [problem["fatal"] for problem in report["problems"] if "devices need" in problem["what"]] == [True]


@pytest.mark.parametrize("has", [True, False, None])
def test_only_a_run_that_encrypts_needs_wireguard(
    has: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module("fedsim_lab_host"), "has_wireguard", lambda: has)
    demands = {"devices": 1, "memory_bytes": 2**28, "gpus": 0, "arch": [], "encrypt": True}
    found = probe(tmp_path, demands=demands, fail_if_unfit=False)
    assert found["lab_host"]["wireguard"] is has
    named = [problem for problem in found["problems"] if "WireGuard" in problem["what"]]
    assert [(problem["fatal"], "modprobe wireguard" in problem["fix"]) for problem in named] == [(True, True)] * (
        has is False
    )
    plain = probe(tmp_path, demands=demands | {"encrypt": False}, fail_if_unfit=False)
    assert "WireGuard" not in str(plain["problems"])


def test_wireguard_is_found_as_an_agent_finds_it() -> None:
    assert load_utils("_network_trial").has_wireguard() is has_wireguard()


@pytest.mark.docker
def test_an_engine_that_does_not_update_containers_ends_the_run_with_the_fix(tmp_path: Path) -> None:
    found = probe(tmp_path, docker_host="unix:///var/run/docker.sock")["problems"]
    assert not [problem for problem in found if "CPU limit" in problem["what"]]
    with forbid_calls(tmp_path / "proxy.sock", "/update") as forbidding:
        answer = probe(tmp_path, expect_failure=True, docker_host=forbidding)
    assert "does not change a container's CPU limit (forbidden by policy)" in answer.msg
    assert "let its call `POST /containers/{id}/update` through" in answer.msg
    assert answer["fedsim_exit_code"] == 3


def test_a_lab_host_that_makes_no_namespace_is_named_with_its_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial is made without the right to it, by which it fails as where the kernel has no namespaces."""
    trial = load_utils("_network_trial")
    assert trial.find_missing() == []
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    monkeypatch.setattr(load_module("fedsim_lab_host"), "find_missing", lambda: trial.find_missing(without))
    answer = probe(tmp_path, expect_failure=True, engine_required=False)
    assert "no network namespace can be made (unshare: unshare failed: Operation not permitted)" in answer.msg
    assert "sysctl -w user.max_net_namespaces" in answer.msg
    assert answer["fedsim_exit_code"] == 3


@pytest.mark.parametrize("kind", ["bridge", "veth"])
def test_a_kind_of_interface_that_the_kernel_lacks_is_named_with_its_fix(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ip`` is one whose kernel does not know the kind."""
    program = tmp_path / "ip"
    # With -batch the words come from standard input.
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = -batch ]; then sed s/{kind}/nonesuch/ | /sbin/ip "$@"; exit; fi\n'
        f'exec /sbin/ip $(echo "$@" | sed s/{kind}/nonesuch/)\n'
    )
    program.chmod(0o755)
    trial = load_utils("_network_trial")
    monkeypatch.setattr(trial, "PROGRAM_PATH", f"{tmp_path}:{trial.PROGRAM_PATH}")
    [(what, fix)] = trial.find_missing()
    assert what == f"the kernel makes no {kind} interface (Error: Unknown device type.)"
    assert f"modprobe {kind}" in fix
