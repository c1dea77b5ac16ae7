"""Which signals count as asking once, and which as asking again."""

from __future__ import annotations

import os
import signal

import pytest

from fedsim_runner.console.interrupts import Interrupts

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@pytest.mark.parametrize(
    ("signals", "count"),
    [
        ((), 0),
        ((INT,), 1),
        ((INT, INT), 2),
        ((INT, TERM), 2),
        # A terminal that is closed: the kernel and the shell each send it.
        ((HUP, HUP, HUP), 1),
        ((INT, HUP, HUP), 1),
        ((HUP, TERM, TERM), 2),
    ],
)
def test_a_closed_terminal_is_no_second_request(signals: tuple[signal.Signals, ...], count: int) -> None:
    reported: list[int] = []
    with Interrupts(reported.append) as interrupts:
        for number in signals:
            os.kill(os.getpid(), number)
        assert interrupts.run(lambda: "done") == "done"
        interrupts.report()
    assert interrupts.count == count
    assert reported == list(range(1, count + 1))


def test_one_inside_another_begins_with_its_count_and_hands_over_its_own() -> None:
    with Interrupts(lambda _: None) as outer:
        with Interrupts(lambda _: None) as first:
            assert first.count == 0
            os.kill(os.getpid(), INT)
        assert (first.count, outer.count) == (1, 1)
        os.kill(os.getpid(), TERM)
        with Interrupts(lambda _: None) as second:
            assert second.count == 2
        assert outer.count == 2
