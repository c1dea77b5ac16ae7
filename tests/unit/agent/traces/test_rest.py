"""How long the thread that plays variations rests."""

from __future__ import annotations

import pytest

from fedsim_runner.agent.traces.rest import ALLOWANCE_S, LONGEST_S, SHARE, Rest


def test_one_slow_batch_puts_off_nothing() -> None:
    rest = Rest()
    assert rest.until_s(100.0, ALLOWANCE_S) == 100.0
    assert rest.until_s(101.0, ALLOWANCE_S / 2) == 101.0


def test_it_computes_for_its_share_in_the_long_run() -> None:
    rest, now, computed = Rest(), 0.0, 0.0
    while now < 60.0:
        now += 0.03  # all of which it computes
        computed += 0.03
        now = rest.until_s(now, 0.03)
    assert computed / now == pytest.approx(SHARE, abs=0.01)


def test_a_pause_is_not_saved_up() -> None:
    rest = Rest()
    assert rest.until_s(1_000.0, 1.1 * ALLOWANCE_S) == pytest.approx(1_000.0 + 0.1 * ALLOWANCE_S / SHARE)


def test_what_the_kernel_counts_while_a_virtual_machine_waits_puts_off_nothing_for_long() -> None:
    rest = Rest()
    assert rest.until_s(10.0, 5.0) == pytest.approx(10.0 + LONGEST_S)
    assert rest.until_s(10.0 + LONGEST_S, 0.0) == pytest.approx(10.0 + LONGEST_S)
