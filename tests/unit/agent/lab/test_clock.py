"""Four time stamps, and the datagrams that carry them."""

from __future__ import annotations

import pytest

from fedsim_runner.agent.lab.clock import ClockOffset, Exchange, answer, fastest, question, read_answer

SECRET = b"s" * 32


def test_the_offset_of_an_even_way_is_exact() -> None:
    # The server's clock is 5 s ahead; each way takes 10 ms, and the answer 1 ms.
    exchange = Exchange(100.0, 105.010, 105.011, 100.021)
    assert exchange.offset_s == pytest.approx(5.0)
    assert exchange.round_trip_s == pytest.approx(0.02)


def test_an_uneven_way_is_wrong_by_at_most_the_bound() -> None:
    exchange = Exchange(100.0, 100.030, 100.030, 100.030)  # all of the 30 ms on the way there; the clocks are the same
    found = fastest([exchange, Exchange(200.0, 200.1, 200.1, 200.1)])
    assert found is not None
    assert found.bound_s == pytest.approx(0.015)
    assert abs(found.offset_s) <= found.bound_s + 1e-9


def test_without_an_exchange_nothing_is_known() -> None:
    assert fastest([]) is None


def test_only_those_with_the_secret_ask_and_answer() -> None:
    asked = question(SECRET, 7, 100.0)
    said = answer(SECRET, asked, 105.0, 105.5)
    assert said is not None
    assert read_answer(SECRET, said, 101.0) == (7, Exchange(100.0, 105.0, 105.5, 101.0))
    assert answer(b"x" * 32, asked, 105.0, 105.5) is None
    assert answer(SECRET, asked[:-1] + b"?", 105.0, 105.5) is None
    assert answer(SECRET, said, 105.0, 105.5) is None
    assert read_answer(b"x" * 32, said, 101.0) is None
    assert read_answer(SECRET, asked, 101.0) is None
    assert read_answer(SECRET, b"", 101.0) is None


def test_an_offset_has_its_bound() -> None:
    assert fastest([Exchange(0.0, 1.0, 1.0, 0.0)]) == ClockOffset(1.0, 0.0)
