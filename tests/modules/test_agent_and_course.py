"""fedsim_agent, fedsim_links, fedsim_course on a real Engine, with a stand-in inside the agent's image."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest

from .conftest import Lab, make_state

pytestmark = pytest.mark.docker


@pytest.fixture
def agent(lab: Lab) -> Lab:
    make_state(lab)
    lab.call("fedsim_agent")
    return lab


def journal(lab: Lab, *events: dict[str, Any]) -> None:
    with (lab.state_dir / "agent" / "journal.jsonl").open("a") as stream:
        for event in events:
            stream.write(json.dumps({"t": time.time(), **event}) + "\n")


def test_agent_apply_again_change_absent_twice(lab: Lab) -> None:
    make_state(lab)
    name = f"fedsim-{lab.run}--agent"
    assert lab.call("fedsim_agent", check=True).changed
    assert lab.names() == []
    first = lab.call("fedsim_agent")
    assert first.changed
    assert first["probe"]["backend"] == "netem"
    again = lab.call("fedsim_agent")
    assert not again.changed
    assert again["probe"] == {}

    capabilities = ["NET_ADMIN", "SYS_ADMIN"]
    checked = lab.call("fedsim_agent", check=True, capabilities=capabilities)
    assert "CapAdd" in checked["diff"]["before"]
    changed = lab.call("fedsim_agent", capabilities=capabilities)
    assert changed["diff"] == checked["diff"]
    host = lab.engine.containers.get(name).attrs["HostConfig"]
    assert (host["CapDrop"], [name.removeprefix("CAP_") for name in host["CapAdd"]]) == (["ALL"], capabilities)
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (1 << 30, 1 << 30, 512)
    assert not host["Privileged"]
    assert (host["PidMode"], host["NetworkMode"]) == ("host", "host")

    assert lab.call("fedsim_agent", state="absent", check=True).changed
    assert lab.call("fedsim_agent", state="absent").changed
    assert not lab.call("fedsim_agent", state="absent").changed
    assert lab.names() == []


def test_a_missing_image_is_named(lab: Lab) -> None:
    make_state(lab)
    answer = lab.call("fedsim_agent", expect_failure=True, image="fedsim/agent:none")
    assert "run the images stage" in answer.msg


def test_links(up: Lab) -> None:
    checked = up.call("fedsim_links", check=True)
    assert checked.changed
    first = up.call("fedsim_links")
    assert first["diff"] == checked["diff"]
    assert first.items("server") == ["up rate_bps"]
    assert first["backend"] == "netem"
    assert not up.call("fedsim_links").changed


def test_links_name_a_device_the_agent_does_not_know(up: Lab) -> None:
    up.content["devices"][2]["name"] = "pi-9"
    up.content["clients"][1] = "pi-9"
    up.write()
    answer = up.call("fedsim_links", expect_failure=True)
    assert answer["failed_devices"] == ["pi-9"]


def test_links_before_anything_is_there(lab: Lab) -> None:
    assert lab.call("fedsim_links", check=True).changed
    assert "run the agent stage first" in lab.call("fedsim_links", expect_failure=True).msg


def test_start_opens_the_gate_once(agent: Lab) -> None:
    gate = agent.state_dir / "gate" / "open"
    assert agent.call("fedsim_course", check=True, action="start").changed
    assert not gate.exists()
    assert agent.call("fedsim_course", action="start").changed
    assert gate.exists()
    assert not agent.call("fedsim_course", action="start").changed
    assert agent.call("fedsim_course", action="status")["status"]["state"] == "running"


def test_poll_returns_new_events_to_each_consumer(agent: Lab) -> None:
    journal(agent, {"event": "gate_opened", "open_at": time.time()}, {"event": "round_started", "round": 1})
    assert len(agent.call("fedsim_course", check=True, action="poll")["fedsim_news"]) == 2
    first = agent.call("fedsim_course", action="poll")
    assert [event["event"] for event in first["fedsim_news"]] == ["gate_opened", "round_started"]
    assert not first["finished"]
    with (agent.state_dir / "agent" / "journal.jsonl").open("a") as stream:
        stream.write('{"event": "half')
    assert agent.call("fedsim_course", action="poll", wait_s=0.3)["fedsim_news"] == []
    assert len(agent.call("fedsim_course", action="poll", consumer="other")["fedsim_news"]) == 2
    with (agent.state_dir / "agent" / "journal.jsonl").open("a") as stream:
        stream.write('"}\n')
    journal(agent, {"event": "course_finished", "rounds": 2, "results": {}})
    last = agent.call("fedsim_course", action="poll")
    assert last["finished"]
    assert last["outcome"]["status"] == "finished"
    assert agent.call("fedsim_course", action="poll")["finished"]


def snapshot(lab: Lab, devices: dict[str, dict[str, Any]]) -> None:
    content = {"t": time.time(), "state": "running", "round": 2, "counts": {"training": len(devices)}}
    (lab.state_dir / "agent" / "snapshot.json").write_text(json.dumps({**content, "devices": devices}))


def test_poll_shows_the_devices_and_of_many_the_ones_behind(agent: Lab) -> None:
    assert agent.call("fedsim_course", action="poll", wait_s=0)["fedsim_snapshot"] is None
    snapshot(agent, {"server": {"state": "waiting", "round": 2}, "pi-1": {"state": "training", "round": 2}})
    shown = agent.call("fedsim_course", action="poll", wait_s=0)["fedsim_snapshot"]
    assert (shown["round"], shown["devices"]["pi-1"]["state"]) == (2, "training")
    many = {f"pi-{n}": {"state": "waiting", "round": 3} for n in range(60)}
    many["pi-30"] = {"state": "training", "round": 2}
    many["pi-40"] = {"state": "training", "round": 1}
    many["pi-50"] = {"state": "lost", "round": 3}
    snapshot(agent, {"server": {"state": "waiting", "round": 3}, **many})
    shown = agent.call("fedsim_course", action="poll", wait_s=0)["fedsim_snapshot"]
    assert list(shown["devices"])[:4] == ["server", "pi-50", "pi-40", "pi-30"]
    assert len(shown["devices"]) == 20
    others = shown["others"].splitlines()
    assert {line.split()[0] for line in others} == many.keys() - shown["devices"].keys()
    assert set(others) <= {f"{name} {device['state']} {device['round']}" for name, device in many.items()}
    assert shown["counts"] == {"training": 61}


def test_a_cursor_moves_on_a_full_disk(agent: Lab) -> None:
    folder = agent.state_dir / "agent"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "fedsim-test", folder], check=True)
    try:
        journal(agent, {"event": "round_started", "round": 1})
        assert len(agent.call("fedsim_course", action="poll")["fedsim_news"]) == 1
        journal(agent, {"event": "round_started", "round": 2})
        with (folder / "filler").open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
            while True:
                stream.write(bytes(4096))
        assert [event["round"] for event in agent.call("fedsim_course", action="poll")["fedsim_news"]] == [2]
        assert agent.call("fedsim_course", action="poll", wait_s=0)["fedsim_news"] == []
    finally:
        subprocess.run(["umount", folder], check=True)


def test_poll_returns_why_a_course_failed(agent: Lab) -> None:
    failed = {"event": "course_failed", "device": "pi-1", "reason": "silent for 30 s", "last_lines": ["Listen"]}
    journal(agent, failed)
    outcome = agent.call("fedsim_course", action="poll")["outcome"]
    assert outcome == {"status": "failed", "device": "pi-1", "reason": "silent for 30 s", "last_lines": ["Listen"]}


def test_a_dead_agent_ends_the_course(agent: Lab) -> None:
    agent.engine.containers.get(f"fedsim-{agent.run}--agent").kill()
    begun = time.monotonic()
    answer = agent.call("fedsim_course", action="poll", wait_s=30)
    assert time.monotonic() - begun < 5
    assert answer["finished"]
    assert f"fedsim-{agent.run}--agent ended during the course" in answer["outcome"]["reason"]
    agent.engine.containers.get(f"fedsim-{agent.run}--agent").remove()
    assert "is gone" in agent.call("fedsim_course", action="poll")["outcome"]["reason"]
    assert agent.call("fedsim_course", action="start")["outcome"]["status"] == "failed"


@pytest.mark.parametrize("how", ["paused", "stopped by a signal"])
def test_a_frozen_agent_ends_the_course_and_can_be_removed(agent: Lab, how: str) -> None:
    container = agent.engine.containers.get(f"fedsim-{agent.run}--agent")
    if how == "paused":
        container.pause()
    else:
        os.kill(container.attrs["State"]["Pid"], signal.SIGSTOP)
    begun = time.monotonic()
    answer = agent.call("fedsim_course", action="poll", wait_s=30)
    assert time.monotonic() - begun < 10
    assert answer["outcome"]["reason"].startswith(f"the agent container fedsim-{agent.run}--agent is frozen: ")
    assert how in answer["outcome"]["reason"]
    assert agent.call("fedsim_agent", state="absent").changed
    assert agent.names() == []


def test_a_hanging_agent_ends_the_course(agent: Lab) -> None:
    journal(agent, {"event": "gate_opened", "open_at": time.time() - 1000})
    agent.call("fedsim_course", action="poll")
    assert "over its time" in agent.call("fedsim_course", action="poll")["outcome"]["reason"]


def test_up_after_an_ended_course_starts_again(up: Lab) -> None:
    up.call("fedsim_course", action="start")
    journal(up, {"event": "course_finished", "rounds": 2, "results": {}})
    checked = up.call("fedsim_agent", check=True)
    assert (up.state_dir / "gate" / "open").exists()
    (up.state_dir / "gate" / "lost.json").write_text('{"pi-1": "frozen"}')
    answer = up.call("fedsim_agent")
    assert answer["diff"] == checked["diff"]
    assert answer["removed_devices"] == ["pi-1", "pi-2", "server"]
    assert list((up.state_dir / "gate").iterdir()) == []
    assert not (up.state_dir / "agent" / "journal.jsonl").exists()
    assert up.call("fedsim_devices").changed
    assert not up.call("fedsim_agent").changed


def test_what_an_earlier_run_of_the_same_name_left_is_not_resumed(up: Lab) -> None:
    """Else the agent would find that course over, and end the devices that have just been started."""
    journal(up, {"event": "gate_opened", "open_at": 1.0}, {"event": "course_finished", "rounds": 2, "results": {}})
    memory = up.state_dir / "agent" / "state.json"
    memory.write_text('{"open_at": 1.0, "shaped": []}')
    for name in [name for name in up.names() if name != f"fedsim-{up.run}"]:
        up.engine.containers.get(name).remove(force=True)
    checked = up.call("fedsim_agent", check=True)
    assert memory.exists()
    answer = up.call("fedsim_agent")
    assert answer["diff"] == checked["diff"]
    assert answer["removed_devices"] == []
    assert not memory.exists()
    assert not up.call("fedsim_agent").changed


def test_the_files_of_an_earlier_run_end_no_device_that_is_there(lab: Lab) -> None:
    make_state(lab)
    lab.call("fedsim_network")
    (lab.state_dir / "agent" / "state.json").write_text('{"open_at": null, "shaped": ["pi-1"]}')
    lab.call("fedsim_devices")
    assert lab.call("fedsim_agent")["removed_devices"] == []
    assert not (lab.state_dir / "agent" / "state.json").exists()
    assert not lab.call("fedsim_devices").changed
