"""Calling the agent over the socket in the run's state folder."""

from __future__ import annotations

import contextlib
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.host import control
from fedsim_runner.contract.agent_calls import OpenGate, Status
from fedsim_runner.contract.agent_socket import ENGINE_HERE, NobodyListensError, ask, ask_here, short_name
from fedsim_runner.contract.paths import StateFolder

pytestmark = pytest.mark.lengthy


def answer(name: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
    if name == "broken":
        raise ValueError("no such call")
    return {"called": name, **arguments}


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """A state folder whose path is longer than a socket's address may be."""
    folder = StateFolder(tmp_path / ("long-" * 24) / "run")
    folder.agent.mkdir(parents=True)
    return folder


@pytest.fixture
def listening(state: StateFolder) -> Iterator[StateFolder]:
    close = control.listen(answer, str(state.control))
    yield state
    close()
    assert not state.control.exists()


def test_a_call_and_its_answer(listening: StateFolder) -> None:
    assert ask_here(ENGINE_HERE, str(listening.path), OpenGate(7.5)) == {"called": "gate-open", "open_at": 7.5}
    assert ask(listening.control, "broken", {}, 5.0) == {"error": "no such call"}


def test_only_its_owner_may_call(listening: StateFolder) -> None:
    assert stat.S_IMODE(listening.control.stat().st_mode) == 0o600


def test_an_agent_elsewhere_is_not_called_over_a_file_here(listening: StateFolder) -> None:
    assert ask_here("http+docker://ssh", str(listening.path), Status()) is None
    assert ask_here(ENGINE_HERE, None, Status()) is None


def test_where_nobody_listens_nothing_is_sent(state: StateFolder) -> None:
    with pytest.raises(NobodyListensError):
        ask(state.control, "status", {}, 5.0)
    control.listen(answer, str(state.control))()
    state.control.touch()
    assert ask_here(ENGINE_HERE, str(state.path), Status()) is None


@pytest.mark.parametrize("callers", [0, 10])
def test_an_agent_that_is_frozen_is_not_waited_for_longer_than_a_call_may_take(
    state: StateFolder, callers: int
) -> None:
    """Whether the kernel still takes the connection, or has too many of them waiting."""
    with socket.socket(socket.AF_UNIX) as frozen, contextlib.ExitStack() as stack:
        with short_name(state.control) as address:
            frozen.bind(address)
            frozen.listen(2)
            for _ in range(callers):
                caller = stack.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    caller.connect(address)
        with pytest.raises(OSError, match=r"the agent has not answered in 0\.1 s"):
            ask(state.control, "status", {}, 0.1)
