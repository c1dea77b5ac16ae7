"""The cores of modules, without an Engine: each file in cases/ maps facts and arguments to actions, or to an error.

facts, arguments    the arguments of the core of the folder's module
actions             each action and its object, in order
differences         names of what differs
because             why there is nothing to do: a case without actions must have it
results             for links, which the agent compares: the result of each device
error               part of the message of a call that is refused
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fedsim.testbed.plugins.module_utils._actions import Actions
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import FedsimError
from ansible_collections.fedsim.testbed.plugins.modules import (
    fedsim_agent,
    fedsim_devices,
    fedsim_links,
    fedsim_network,
    fedsim_teardown,
)

CASES = sorted((Path(__file__).parent / "cases").glob("*/*.json"))


def agent(facts: dict[str, Any], arguments: dict[str, Any]) -> Actions:
    want = fedsim_agent.build_agent_container(arguments) if arguments else None
    return fedsim_agent.plan_agent(fedsim_agent.Facts(**facts), want)


def device(facts: dict[str, Any], arguments: dict[str, Any]) -> Actions:
    return fedsim_devices.plan_device(**facts, **arguments)


def network(facts: dict[str, Any], arguments: dict[str, Any]) -> Actions:
    want = fedsim_network.build_network_container(arguments, 10001) if arguments else None
    return fedsim_network.plan_network(fedsim_network.Facts(**facts), want)


def teardown(facts: dict[str, Any], arguments: dict[str, Any]) -> Actions:
    return fedsim_teardown.plan_teardown(**facts, **arguments)


def links(facts: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    return fedsim_links.build_link_results(**facts, **arguments)


CORES: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    core.__name__: core for core in (agent, device, network, teardown, links)
}


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_core(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    core = CORES[path.parent.name]
    if "error" in case:
        with pytest.raises(FedsimError) as caught:
            core(case["facts"], case["arguments"])
        assert case["error"] in str(caught.value)
        return
    found = core(case["facts"], case["arguments"])
    if "results" in case:
        assert found == case["results"]
        return
    assert [f"{action.do} {action.name}" for action in found.todo] == case["actions"]
    assert [entry["item"] for entry in found.differences.items] == case["differences"]
    assert found.because == case.get("because", "")
    assert bool(found.todo) == bool(found.differences) != bool(found.because), (
        "never silent, and never without a reason"
    )


@pytest.mark.parametrize("name", CORES)
def test_each_core_has_cases(name: str) -> None:
    assert [path for path in CASES if path.parent.name == name]


def test_links_out_of_tolerance_fail_their_devices() -> None:
    results: dict[str, dict[str, Any]] = {name: {"changed": False, "failed": False, "msg": None} for name in ("a", "b")}
    measured = [
        {
            "device": "a",
            "direction": "up",
            "verdict": "out",
            "reason": "rate 5 Mbit/s, not 8 Mbit/s (likely reason: kernel)",
        },
        {"device": "a", "direction": "down", "verdict": "out", "reason": "nothing arrived (likely reason: firewall)"},
        {"device": "b", "direction": "up", "verdict": "undetermined", "reason": "too few values for jitter"},
        {"device": "a - b", "direction": "down", "verdict": "out", "reason": "delay 9.0 ms, not 5 ms"},
        {"device": "b - c", "direction": "down", "verdict": "within", "reason": None},
    ]
    assert fedsim_links.fail_links(results, measured) == ["edge a - b, down: delay 9.0 ms, not 5 ms"]
    assert results["b"] == {"changed": False, "failed": False, "msg": None}
    assert results["a"]["failed"] and results["a"]["msg"] == (
        "uplink: rate 5 Mbit/s, not 8 Mbit/s (likely reason: kernel); "
        "downlink: nothing arrived (likely reason: firewall)"
    )
