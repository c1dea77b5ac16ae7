"""fedsim_network on a real Engine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .conftest import Lab

pytestmark = pytest.mark.docker


def test_apply_again_change_absent_twice(lab: Lab) -> None:
    assert lab.call("fedsim_network", check=True).changed
    assert lab.names() == []
    first = lab.call("fedsim_network")
    assert first.changed
    assert first["network"]["name"] == f"fedsim-{lab.run}"
    assert len(first["network"]["bridge"]) <= 15
    assert not lab.call("fedsim_network").changed

    base = lab.content["network"]["subnet"].rsplit(".", 1)[0]
    lab.content["network"]["gateway"] = f"{base}.254"
    lab.write()
    checked = lab.call("fedsim_network", check=True)
    assert checked.changed
    assert f"{base}.254" in checked["diff"]["after"]
    changed = lab.call("fedsim_network")
    assert changed["diff"] == checked["diff"]
    assert not lab.call("fedsim_network").changed

    assert lab.call("fedsim_network", state="absent", check=True).changed
    assert lab.names() == [f"fedsim-{lab.run}"]
    assert lab.call("fedsim_network", state="absent").changed
    assert not lab.call("fedsim_network", state="absent").changed


def test_the_host_has_no_address_on_the_bridge(lab: Lab) -> None:
    bridge = lab.call("fedsim_network")["network"]["bridge"]
    shown = subprocess.run(["ip", "-j", "addr", "show", bridge], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout)[0]["addr_info"] == []
    assert Path(f"/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6").read_text().strip() == "1"


def test_overlap_names_the_fix(lab: Lab) -> None:
    lab.call("fedsim_network")
    other = f"{lab.run}-2"
    lab.content.update(run=other)
    lab.content["network"]["name"] = f"fedsim-{other}"
    lab.write()
    answer = lab.call("fedsim_network", run=other, expect_failure=True)
    assert "overlaps" in answer.msg
    assert "plan again" in answer.msg


def test_a_network_of_somebody_else_is_left_alone(lab: Lab) -> None:
    name = lab.content["network"]["name"]
    stranger = lab.engine.networks.create(name)
    try:
        answer = lab.call("fedsim_network", expect_failure=True)
        assert "is not this run's" in answer.msg
        assert not lab.call("fedsim_network", state="absent").changed
        assert lab.engine.networks.list(ids=[stranger.id])
    finally:
        stranger.remove()


def test_a_network_in_use_is_not_replaced(up: Lab) -> None:
    base = up.content["network"]["subnet"].rsplit(".", 1)[0]
    up.content["network"]["gateway"] = f"{base}.254"
    up.write()
    answer = up.call("fedsim_network", expect_failure=True)
    assert "gateway" in answer.msg
    assert "fedsim-provision down" in answer.msg
