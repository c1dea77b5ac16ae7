"""What agents answer, in the devices' time."""

from __future__ import annotations

from fedsim_runner.contract.events import LinkMeasured
from fedsim_runner.testbed.docker.agent_status import measured_links, merge

PI = {"state": "training", "cpu": 0.1, "cpus": 0.125, "up_bps": 250_000, "down_bps": None, "memory_bytes": 7}


def test_cores_and_rates_of_a_dilated_run_are_those_of_the_devices() -> None:
    answer = {"state": "running", "round": 1, "time_factor": 0.25, "devices": {"pi": PI}}
    status = merge({"pi": {"lab_host": "pc"}}, [answer])
    assert status["time_factor"] == 0.25
    assert status["devices"]["pi"] == {**PI, "lab_host": "pc", "cpu": 0.4, "cpus": 0.5, "up_bps": 1_000_000}


def test_in_real_time_an_answer_stays_as_it_is() -> None:
    for factor in ({}, {"time_factor": 1.0}, {"time_factor": "x"}):
        assert merge({}, [{"state": "running", "devices": {"pi": PI}, **factor}])["devices"] == {"pi": PI}


def test_measured_links_are_in_device_time() -> None:
    link = {"event": "link_measured", "device": "pi", "direction": "up", "delay_us": 80_000, "rate_bps": 250_000}
    (found,) = measured_links({"links": [link], "reason": None, "time_factor": 0.25}, "pc")
    assert found == LinkMeasured("pi", "up", delay_us=20_000, rate_bps=1_000_000, lab_host="pc")
