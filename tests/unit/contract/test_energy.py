"""Energy by published power figures."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.energy import EnergyModel


def test_idle_power_all_the_time_what_is_more_while_it_computes_and_each_byte() -> None:
    model = EnergyModel(2.7, 6.4, "published", joules_per_megabyte_up=5.0, joules_per_megabyte_down=2.0)
    found = model.joules(seconds=100.0, active_seconds=40.0, bytes_up=3_000_000, bytes_down=500_000)
    assert (found.idle, found.active, found.radio) == (270.0, pytest.approx(148.0), 16.0)
    assert found.total == pytest.approx(60 * 2.7 + 40 * 6.4 + 16)


def test_without_radio_figures_bytes_take_nothing() -> None:
    assert EnergyModel(1.0, 2.0, "published").joules(1.0, 0.0, 10**9, 10**9).total == 1.0
