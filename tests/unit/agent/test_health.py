"""What somebody else does to a run on its lab host: its links, its journal, its state folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedsim_runner.agent import commands, health
from fedsim_runner.agent.host.network_container import namespace_number
from fedsim_runner.agent.host.state_check import find_deleted
from fedsim_runner.agent.kernel import netns
from fedsim_runner.agent.links.deviation import Deviation
from fedsim_runner.agent.links.in_force import shaped_devices
from fedsim_runner.agent.links.shaping.results import Seen
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.agent.run_agent import Agent
from fedsim_runner.contract.atomic import AppendFile, CannotWriteError
from fedsim_runner.contract.paths import StateFolder

from .fake_engine import FakeEngine, begin, journal, open_gate
from .links.fake_kernel import FakeKernel

pytestmark = pytest.mark.lengthy

CLIENT = "raspberry-pi"


@pytest.fixture
def agent(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Agent]:
    """An agent whose course runs, and which looks at everything in each tick."""
    monkeypatch.setattr(health, "LOOK_S", 0.0)
    monkeypatch.setattr(health, "END_S", 0.0)
    monkeypatch.setattr("fedsim_runner.agent.sampling.SAMPLE_S", 0.0)
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    open_gate(agent, state, engine)
    agent.tick()
    yield agent
    agent.close()


def named(state: StateFolder, event: str) -> list[dict[str, object]]:
    return [one for one in journal(state) if one["event"] == event]


def test_links_that_are_in_force_are_looked_at_without_a_program(
    agent: Agent, kernel: FakeKernel, state: StateFolder
) -> None:
    before = list(kernel.listed)
    agent.tick()
    agent.tick()
    assert kernel.listed == before
    assert not named(state, "link_restored")


@pytest.mark.parametrize("where", ["device", "network"])
def test_a_flushed_qdisc_is_put_back_and_reported(
    agent: Agent, kernel: FakeKernel, state: StateFolder, engine: FakeEngine, where: str
) -> None:
    namespace = str(engine.pids[CLIENT] if where == "device" else engine.network)
    key = next(key for key in kernel.qdiscs if key[0] == namespace)
    before = kernel.qdiscs.pop(key)
    agent.tick()
    assert kernel.qdiscs[key] == before
    (restored,) = named(state, "link_restored")
    assert restored["found"] == f"{'up' if where == 'device' else 'down'} is none, not {_shown(restored)}"
    assert isinstance(restored["for_s"], float)
    agent.tick()
    assert len(named(state, "link_restored")) == 1
    assert not named(state, "course_failed")


def request_another_link(state: StateFolder) -> None:
    """Let the device file ask for a longer delay of the client's uplink."""
    found = json.loads(state.device_file.read_text())
    device = next(device for device in found["devices"] if device["name"] == CLIENT)
    device["link"]["up"]["delay_us"] += 70_000
    state.device_file.write_text(json.dumps(found))


def _shown(restored: dict[str, object]) -> str:
    return str(restored["found"]).partition(", not ")[2]


def test_a_bridge_that_is_down_concerns_all_devices(
    agent: Agent, kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    kernel.links[str(engine.network), "br0"].up = False
    agent.tick()
    assert kernel.links[str(engine.network), "br0"].up
    assert {restored["device"] for restored in named(state, "link_restored")} == set(engine.pids)


def test_a_link_that_cannot_be_put_back_fails_the_course_and_blames_no_client(
    agent: Agent, kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    kernel.qdiscs.pop((str(engine.pids[CLIENT]), "eth0"))
    kernel.forgets = True
    agent.tick()
    (failed,) = named(state, "course_failed")
    assert failed["device"] is None
    assert str(failed["reason"]).startswith(
        f"the link of {CLIENT} was changed by somebody else, and could not be restored"
    )
    assert "the kernel did not keep what was set" in str(failed["reason"])


@pytest.mark.parametrize("number", [(4, 1), None])
def test_a_process_that_has_the_id_of_a_device_that_ended_is_no_device(
    agent: Agent,
    kernel: FakeKernel,
    state: StateFolder,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    number: tuple[int, int] | None,
) -> None:
    ended = netns.of_process(engine.pids[CLIENT])
    monkeypatch.setattr(
        shaped_devices, "namespace_number", lambda path: number if path == ended else namespace_number(path)
    )
    kernel.qdiscs.pop((str(engine.pids[CLIENT]), "eth0"))
    before = dict(kernel.qdiscs)
    agent.tick()
    assert kernel.qdiscs == before, "nothing was changed in a namespace that is not the device's"
    assert not named(state, "course_failed") and not named(state, "link_failed") and not named(state, "link_restored")


def test_a_link_that_check_mode_asks_about_stays_as_it_is_and_looked_after(
    agent: Agent, kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    before = dict(kernel.qdiscs)
    request_another_link(state)
    assert commands.answer(agent, "links-apply", {"check": True})["changed"]
    agent.tick()
    assert kernel.qdiscs == before
    kernel.qdiscs.pop((str(engine.pids[CLIENT]), "eth0"))
    agent.tick()
    assert kernel.qdiscs == before
    assert len(named(state, "link_restored")) == 1


def test_a_link_that_is_yet_to_change_is_not_put_back(
    agent: Agent, kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    request_another_link(state)
    commands.answer(agent, "links-apply", {"devices": ["server"]})
    before = dict(kernel.qdiscs)
    agent.tick()
    assert kernel.qdiscs == before
    assert not named(state, "link_restored")


def truncate(state: StateFolder) -> None:
    state.journal.write_text("")


def replace_journal(state: StateFolder) -> None:
    text = state.journal.read_text()
    state.journal.unlink()
    state.journal.write_text(text)


def delete_agent_folder(state: StateFolder) -> None:
    shutil.rmtree(state.agent)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "the run's journal {journal} has been truncated"),
        (replace_journal, "the run's journal {journal} has been replaced by another file"),
        (delete_agent_folder, "folder {agent} has been deleted"),
        (lambda state: shutil.rmtree(state.path), "the run's state folder {path} has been deleted"),
    ],
)
def test_an_agent_whose_journal_is_damaged_ends_the_course_and_says_why(
    agent: Agent, state: StateFolder, damage: Callable[[StateFolder], None], reason: str
) -> None:
    damage(state)
    agent.tick()
    agent.tick()
    assert agent.failure == reason.format(journal=state.journal, agent=state.agent, path=state.path)
    assert agent.stopping.is_set()
    assert commands.answer(agent, "status", {})["reason"] == agent.failure


def test_the_end_is_read_from_a_truncated_journal(agent: Agent, state: StateFolder) -> None:
    truncate(state)
    agent.tick()
    (failed,) = named(state, "course_failed")
    assert failed["device"] is None


def test_a_deleted_output_folder_fails_the_course_without_blaming_its_device(agent: Agent, state: StateFolder) -> None:
    shutil.rmtree(state.outputs(CLIENT))
    agent.tick()
    (failed,) = named(state, "course_failed")
    assert (failed["device"], failed["reason"]) == (None, f"folder {state.outputs(CLIENT)} has been deleted")
    agent.tick()
    assert not agent.stopping.is_set()  # the journal tells


def test_without_a_course_only_what_the_agent_needs_must_be_there(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedsim_runner.agent.sampling.SAMPLE_S", 0.0)
    state.gate.mkdir()
    agent = begin(state, engine)
    shutil.rmtree(state.outputs(CLIENT))  # devices may be made anew
    agent.tick()
    assert not agent.stopping.is_set()
    truncate(state)
    agent.tick()
    assert agent.failure == f"the run's journal {state.journal} has been truncated"
    agent.close()


def test_a_deleted_folder_that_is_still_mounted_counts_as_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StateFolder(tmp_path / "run")
    state.agent.mkdir(parents=True)
    state.gate.mkdir()
    assert find_deleted(state, ()) is None
    assert find_deleted(state, ["pi"]) == f"folder {state.outputs('pi')} has been deleted"
    monkeypatch.chdir(state.path)
    shutil.rmtree(state.path)
    # The current folder still exists for this process, as a mounted one does for a container.
    assert find_deleted(StateFolder(Path("/proc/self/cwd/.")), ()) is not None


def test_a_file_that_grows_by_other_hands_is_not_damaged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("earlier\n")
    file = AppendFile(tmp_path / "file")
    file.append(b"one\n")
    with (tmp_path / "file").open("a") as stream:
        stream.write("two\n")
    assert file.damage() is None
    (tmp_path / "file").write_text("one\n")
    assert file.damage() == f"{tmp_path / 'file'} has been truncated"
    file.append(b"more than there was before\n")
    assert file.damage() == f"{tmp_path / 'file'} has been truncated"
    file.close()


def test_an_agent_without_space_for_its_snapshot_still_shows_that_it_works(
    agent: Agent, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(path: Path, _text: str) -> None:
        raise CannotWriteError(f"no space left on {path}")

    os.utime(state.snapshot, (1.0, 1.0))
    monkeypatch.setattr("fedsim_runner.agent.sampling.replace", no_space)
    agent.tick()
    assert state.snapshot.stat().st_mtime > 1.0


def test_what_is_changed_while_links_are_looked_at_is_not_taken_for_somebody_elses(
    agent: Agent, kernel: FakeKernel, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change waits for no look, and what the look has seen of that device no longer counts."""
    look = Shaper.look_for_changes

    def change_meanwhile(shaper: Shaper, namespaces: Mapping[str, str]) -> Seen:
        offline = Deviation(offline=frozenset({CLIENT}))
        with ThreadPoolExecutor(1) as pool:
            assert CLIENT in pool.submit(agent._links.change, lambda _: offline).result(10)
        return Seen(dict.fromkeys(namespaces, "port is br0, not none"), look(shaper, namespaces).traces)

    monkeypatch.setattr(Shaper, "look_for_changes", change_meanwhile)
    agent.tick()
    assert CLIENT not in {event["device"] for event in named(state, "link_restored")}
    assert named(state, "link_restored"), "those of other devices count"
    assert not named(state, "course_failed")
