"""The real process: it answers, says what is gone, and is started anew once it has ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from fedsim_runner.agent.changing.changer import Changer
from fedsim_runner.agent.changing.changing_process import ChangingProcess
from fedsim_runner.agent.changing.due_requests import Part

pytestmark = pytest.mark.process


@pytest.fixture
def process() -> Iterator[ChangingProcess]:
    one = ChangingProcess()
    yield one
    one.stop()


def test_it_is_asked_and_answers(process: ChangingProcess) -> None:
    assert "nowhere" in process.open({"a": "/nowhere"})["a"]
    process.change(1, time.monotonic() + 60, [Part("a", "up", "a", 1, [])])
    process.close("a")
    assert process.see(1).made == [("a", "up")]
    assert not process.has_ended


def test_one_that_has_ended_is_replaced() -> None:
    changer = Changer()
    number = changer.begin(time.monotonic(), [])
    assert changer.see(number).made == []
    assert changer._process is not None
    os.kill(changer._process._process.pid, signal.SIGKILL)
    changer._process._process.wait()
    with pytest.raises(OSError, match=r"ended|pipe|reset"):
        changer.see(changer.begin(time.monotonic(), []))
    assert changer.follow({"a": "/nowhere"}) == {"a": "its namespace /nowhere is gone"}
    assert changer.see(changer.begin(time.monotonic(), [])).made == []
    changer.stop()
