"""fedsim_network on a real Engine."""

from __future__ import annotations

import pytest

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.kernel import netns

from .conftest import Lab

pytestmark = pytest.mark.docker


def test_apply_again_change_absent_twice(lab: Lab) -> None:
    name = f"fedsim-{lab.run}--network"
    assert lab.call("fedsim_network", check=True).changed
    assert lab.names() == []
    first = lab.call("fedsim_network")
    assert first.changed
    assert first["network"] == {"container": name, "id": lab.network.id}
    assert not lab.call("fedsim_network").changed

    checked = lab.call("fedsim_network", check=True, lab_host="another")
    assert checked.changed
    assert '"org.fedsim.lab_host": "another"' in checked["diff"]["after"]
    changed = lab.call("fedsim_network", lab_host="another")
    assert changed["diff"] == checked["diff"]
    assert changed["network"]["id"] != first["network"]["id"]
    assert not lab.call("fedsim_network", lab_host="another").changed

    assert lab.call("fedsim_network", state="absent", check=True).changed
    assert lab.names() == [name]
    assert lab.call("fedsim_network", state="absent").changed
    assert not lab.call("fedsim_network", state="absent").changed


def test_it_has_neither_a_network_nor_rights(lab: Lab) -> None:
    lab.call("fedsim_network")
    with netns.inside(lab.namespace(None)):
        assert [line.split()[1] for line in programs.run(["ip", "-oneline", "link"]).splitlines()] == ["lo:"]
        assert programs.run(["ip", "route"]) == ""
    status = lab.network.exec_run(["cat", "/proc/1/status"]).output.decode()
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert f"Uid:\t{lab.users['-network']}" in status


@pytest.mark.parametrize("end", ["kill", "remove"])
def test_one_that_has_ended_starts_again(lab: Lab, end: str) -> None:
    lab.call("fedsim_network")
    container = lab.network
    container.kill() if end == "kill" else container.remove(force=True)
    assert lab.call("fedsim_network").changed
    assert lab.network.status == "running"
    assert not lab.call("fedsim_network").changed


def test_a_container_of_somebody_else_is_left_alone(lab: Lab) -> None:
    name = f"fedsim-{lab.run}--network"
    stranger = lab.engine.containers.create(lab.image, ["true"], name=name)
    try:
        answer = lab.call("fedsim_network", expect_failure=True)
        assert f"container {name} cannot be started: Conflict" in answer.msg
        assert not lab.call("fedsim_network", state="absent").changed
        stranger.reload()
    finally:
        stranger.remove()


def test_a_missing_image_is_named(lab: Lab) -> None:
    assert "run the images stage" in lab.call("fedsim_network", expect_failure=True, image="fedsim/agent:none").msg
