"""What the times of packets tell about a link."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace

import pytest

from fedsim_runner.agent.measuring.estimate import Seen, estimate
from fedsim_runner.agent.measuring.findings import describe_link
from fedsim_runner.agent.measuring.meter import Findings, read_findings
from fedsim_runner.agent.measuring.schedule import METER, Flow, Target, make_schedule
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import OUT, UNDETERMINED, WITHIN, Estimate, Measured, bucket_bytes
from fedsim_runner.contract.time_scale import TimeScale
from tests.unit.agent.measuring.profiles import MODELS, OTHERS, PROFILES
from tests.unit.agent.measuring.simulated import SimulatedLink, held_up, send

NOISE_S = 0.0003


def flow_for(link: Link) -> Flow:
    return make_schedule([Target("a", "up", link, "a", METER)]).flows[0]


def measure(asked: Link, real: Link, seed: int = 1, bucket: int = 0, late_s: float = 0.0) -> Measured:
    flow = flow_for(asked)
    return estimate(flow, send(flow, SimulatedLink(real, seed, NOISE_S, bucket), late_s))


def verdict(asked: Link, real: Link, seed: int = 1, bucket: int = 0) -> str | None:
    return describe_link(Target("a", "up", asked, "a", METER), measure(asked, real, seed, bucket)).verdict


@pytest.mark.parametrize("bucket", [False, True], ids=["no bucket", "bucket"])
@pytest.mark.parametrize("asked", PROFILES.values(), ids=PROFILES)
def test_a_link_that_is_as_asked_is_within(asked: Link, bucket: bool) -> None:
    size = bucket_bytes(asked.rate_bps) if bucket and asked.rate_bps else 0
    found = [verdict(asked, asked, seed, size) for seed in range(20)]
    assert OUT not in found
    assert found.count(WITHIN) >= 17


@pytest.mark.parametrize("asked", MODELS.values(), ids=MODELS)
def test_a_link_with_another_model_that_is_as_asked_is_not_out(asked: Link) -> None:
    found = [verdict(asked, asked, seed) for seed in range(60)]
    assert found.count(OUT) <= 1, "99.9 % of each property"


@pytest.mark.parametrize(("asked", "real"), [("normal", "uniform"), ("bursts", "many bursts")])
def test_a_link_with_another_model_than_asked_is_out(asked: str, real: str) -> None:
    found = [verdict({**MODELS, **OTHERS}[asked], {**MODELS, **OTHERS}[real], seed) for seed in range(10)]
    assert found.count(OUT) >= 8


@pytest.mark.parametrize("asked", PROFILES.values(), ids=PROFILES)
def test_a_link_that_is_not_as_asked_is_out(asked: Link) -> None:
    delay = max(2_500, asked.delay_us // 10 + 2 * asked.jitter_us // 3)
    assert verdict(asked, replace(asked, delay_us=asked.delay_us + delay)) == OUT
    if asked.rate_bps is not None:
        assert verdict(asked, replace(asked, rate_bps=round(asked.rate_bps * 0.88))) == OUT
        assert verdict(asked, replace(asked, rate_bps=None)) == OUT
    assert verdict(asked, replace(asked, loss=asked.loss + 0.2)) == OUT
    assert verdict(asked, replace(asked, jitter_us=4 * asked.jitter_us + 8_000, delay_us=asked.delay_us)) == OUT


@pytest.mark.parametrize("name", ["wifi", "4g", "3g", "2g", "lossy"])
def test_the_values_are_those_of_the_link(name: str) -> None:
    link = PROFILES[name]
    found = measure(link, link)
    assert found.delay_us is not None and found.jitter_us is not None and found.rate_bps is not None
    assert found.delay_us.value == pytest.approx(link.delay_us, abs=max(1_000, 0.03 * link.delay_us))
    assert abs(found.delay_us.value - link.delay_us) <= found.delay_us.margin + 300
    assert found.rate_bps.value == pytest.approx(link.rate_bps, rel=0.02)
    assert found.loss == pytest.approx(link.loss, abs=0.02)


def test_what_is_sent_together_after_a_pause_says_nothing_of_losses() -> None:
    """The lab host held up whoever sends: more frames than the queue has room for."""
    asked = MODELS["pareto"]
    flow = flow_for(asked)
    assert flow.train is not None
    link, seen = SimulatedLink(asked, 1), Seen()
    for number in range(flow.probes):
        at = flow.first_s + number * flow.gap_s
        seen.probes.append((at, link.arrival_s(at, 60)))
    at = flow.train.start_s
    for number in range(flow.train.at_once + flow.train.packets):
        at += flow.train.interval_s if number >= flow.train.at_once else 0.0
        sent = max(at, flow.train.start_s + 0.18)
        seen.train.append(sent if number else flow.train.start_s)
        arrived = link.arrival_s(seen.train[-1], flow.train.frame_bytes)
        if arrived is not None:
            seen.arrivals.append((arrived, 1))
    assert len(seen.arrivals) < len(seen.train)
    found = estimate(flow, seen)
    assert (found.sent, found.lost, found.rate_bps) == (flow.probes, 0, None)


def test_a_burst_that_no_bucket_explains_is_out() -> None:
    asked = Link(12_000_000, 5_000)
    assert verdict(asked, asked, bucket=400_000) == OUT


def test_a_very_fast_link_is_within_or_the_lab_hosts_own_figure_is_said() -> None:
    asked = Link(1_000_000_000, 500)
    target = Target("a", "up", asked, "a", METER)
    assert [verdict(asked, asked, seed) for seed in range(5)] == [WITHIN] * 5
    for real_bps in (700_000_000, 1_300_000_000):
        found = describe_link(target, measure(asked, replace(asked, rate_bps=real_bps)))
        assert (found.verdict, found.rate_bps) == (UNDETERMINED, None)
    slow = describe_link(target, measure(asked, replace(asked, rate_bps=700_000_000)))
    assert slow.reason is not None and slow.reason.startswith("frames arrived at 700 Mbit/s: ")


def test_what_the_lab_host_can_send_is_said_of_a_link_that_is_faster() -> None:
    target = Target("a", "up", Link(1_000_000_000, 500), "a", METER)
    flow = flow_for(target.link)
    seen = send(flow, SimulatedLink(target.link, 1))
    twice = Seen(seen.probes, [2 * at - seen.train[0] for at in seen.train], seen.arrivals)
    found = describe_link(target, estimate(flow, twice))
    assert (found.verdict, found.reason) == (
        UNDETERMINED,
        "the lab host could not send as fast as the rate: it sent 540 Mbit/s",
    )


def test_a_train_that_was_not_sent_in_time_says_nothing_about_the_rate() -> None:
    asked = Link(12_000_000, 5_000)
    flow = flow_for(asked)
    seen = send(flow, SimulatedLink(asked, 1))
    half = len(seen.train) // 2
    late = Seen(seen.probes, seen.train[:half] + [at + 0.2 for at in seen.train[half:]], seen.arrivals)
    assert estimate(flow, late).rate_bps is None
    found = describe_link(flow.target, estimate(flow, late))
    assert found.verdict == UNDETERMINED
    assert found.reason is not None and found.reason.startswith("the lab host could not send as fast as the rate")


def test_a_pause_of_the_lab_host_is_no_fault_of_the_link() -> None:
    asked = PROFILES["4g"]
    flow = flow_for(asked)
    seen = send(flow, SimulatedLink(asked, 1, NOISE_S))
    begins = seen.arrivals[len(seen.arrivals) // 2][0]
    seen.arrivals = [(max(at, begins + 0.06) if at >= begins else at, count) for at, count in seen.arrivals]
    assert describe_link(flow.target, estimate(flow, seen)).verdict != OUT


@pytest.mark.parametrize("begins", [0.0, 0.1, 0.3, 0.6], ids=lambda share: f"from {share} on")
def test_what_arrives_together_after_a_pause_is_no_higher_rate(begins: float) -> None:
    asked = Link(40_000_000, 10_000)
    flow = flow_for(asked)
    seen = send(flow, SimulatedLink(asked, 1, NOISE_S))
    first, last = seen.arrivals[0][0], seen.arrivals[-1][0]
    from_s = first + begins * (last - first) - 0.001
    found = estimate(flow, held_up(seen, [(from_s, from_s + 0.4 * (last - first))]))
    described = describe_link(flow.target, found)
    assert described.verdict != OUT, described.reason
    if found.rate_bps is not None and described.verdict == UNDETERMINED:
        assert described.reason is not None
        assert described.reason.startswith("load: the lab host held packets up for ")
        assert found.held_up_s == pytest.approx(0.4 * (last - first), abs=0.005)


@pytest.mark.parametrize(
    "asked", [Link(40_000_000, 10_000), PROFILES["wifi"], PROFILES["4g"]], ids=["40", "wifi", "4g"]
)
def test_pauses_here_and_there_call_no_rate_false(asked: Link) -> None:
    flow = flow_for(asked)
    reasons = []
    for seed in range(30):
        draw = random.Random(seed)
        begins = [0.3 * number + draw.uniform(0.0, 0.2) for number in range(20)]
        seen = held_up(
            send(flow, SimulatedLink(asked, seed, NOISE_S)), [(at, at + draw.uniform(0.02, 0.1)) for at in begins]
        )
        reasons.append(describe_link(flow.target, estimate(flow, seen)).reason or "")
    assert not [one for one in reasons if one.startswith("rate")]


def test_a_link_that_is_half_as_fast_is_out_although_the_lab_host_was_held_up() -> None:
    asked = Link(40_000_000, 10_000)
    flow = flow_for(asked)
    seen = send(flow, SimulatedLink(replace(asked, rate_bps=20_000_000), 1, NOISE_S))
    middle = seen.arrivals[len(seen.arrivals) // 2][0]
    found = describe_link(flow.target, estimate(flow, held_up(seen, [(middle, middle + 0.02)])))
    assert found.verdict == OUT and found.reason is not None and found.reason.startswith("rate 2")


def test_values_of_which_a_late_measurement_has_too_few_name_the_load() -> None:
    few = Measured(Estimate(36_000, 5_000), Estimate(4_000, 5_000), Estimate(12_000_000, 10_000), 0.0, 500, 0)
    found = describe_link(Target("a", "up", PROFILES["4g"], "a", METER), few, 14_000)
    assert found.verdict == UNDETERMINED
    assert found.reason == "load: the lab host ran the measurement itself 14.0 ms late on average"


def test_the_agent_reads_all_that_the_measuring_process_says() -> None:
    asked = PROFILES["3g"]
    found = measure(asked, asked)
    assert found.delay_us is not None and found.delay_us.widest is not None
    answer = {"late_us": 7, "latest_us": 90, "flows": [json.loads(json.dumps(asdict(found)))]}
    assert read_findings(answer) == Findings([found], 7, 90)


def test_one_packet_that_was_held_up_condemns_no_link() -> None:
    asked = PROFILES["wifi"]
    flow = flow_for(asked)
    seen = send(flow, SimulatedLink(asked, 1, NOISE_S))
    sent, arrived = seen.probes[10]
    assert arrived is not None
    seen.probes[10] = (sent, arrived + 0.060)
    assert describe_link(flow.target, estimate(flow, seen)).verdict != OUT


def test_nothing_arrives() -> None:
    asked = PROFILES["4g"]
    flow = flow_for(asked)
    seen = send(flow, SimulatedLink(replace(asked, loss=1.0), 1))
    found = describe_link(flow.target, estimate(flow, seen))
    assert (found.verdict, found.loss, found.delay_us) == (OUT, 1.0, None)
    assert found.reason is not None and "firewall" in found.reason


@pytest.mark.parametrize(
    ("real", "late_us", "verdict", "reason"),
    [
        (Link(12_000_000, 60_000, 4_000), 0, OUT, "delay 60."),
        (Link(12_000_000, 60_000, 4_000), 0, OUT, "likely reason: load"),
        (Link(12_000_000, 60_000, 4_000), 9_000, UNDETERMINED, "9.0 ms late"),
        (Link(12_000_000, 100, 0), 0, OUT, "likely reason: kernel"),
        (Link(None, 35_000, 4_000), 0, OUT, "likely reason: kernel"),
        (Link(12_000_000, 35_000, 4_000, 0.1), 0, OUT, "likely reason: firewall or load"),
    ],
)
def test_the_reason_names_what_is_likely(real: Link, late_us: int, verdict: str, reason: str) -> None:
    asked = PROFILES["4g"]
    found = describe_link(Target("a", "up", asked, "a", METER), measure(asked, real), late_us)
    assert found.verdict == verdict
    assert found.reason is not None and reason in found.reason


@pytest.mark.parametrize(
    ("loss", "latest_us", "verdict"), [(0.3, 60_000, OUT), (0.3, 200_000, UNDETERMINED), (0.005, 60_000, UNDETERMINED)]
)
def test_a_late_measurement_loses_no_more_than_a_few_packets(loss: float, latest_us: int, verdict: str) -> None:
    asked = PROFILES["4g"]
    real = replace(asked, delay_us=60_000, loss=loss)  # a queue of the profile takes 100 ms
    found = describe_link(Target("a", "up", asked, "a", METER), measure(asked, real), 9_000, latest_us=latest_us)
    assert found.verdict == verdict and found.reason is not None
    if verdict == OUT:
        assert "packets lost, not 0.00% (likely reason: firewall or load" in found.reason and "ms" not in found.reason
    else:
        assert "9.0 ms late" in found.reason


@pytest.mark.parametrize(
    ("real", "words"),
    [
        (Link(12_000_000, 60_000, 4_000), ("delay 30.", "not 17.5 ms in device time (likely")),
        (Link(6_000_000, 35_000, 4_000), ("rate 12", "not 24 Mbit/s in device time, ")),
        (Link(12_000_000, 35_000, 4_000, 0.1), ("packets lost, not", "(likely reason: firewall")),
    ],
)
def test_the_reason_of_a_dilated_run_has_the_devices_values(real: Link, words: tuple[str, str]) -> None:
    asked = PROFILES["4g"]
    found = describe_link(Target("a", "up", asked, "a", METER), measure(asked, real), scale=TimeScale(0.5))
    assert (found.verdict, found.delay_asked_us) == (OUT, 35_000), "the rest is wall time"
    assert found.reason is not None and all(word in found.reason for word in words), found.reason


def test_what_is_not_measured_has_the_devices_rates() -> None:
    asked = Link(4_000_000_000, 1_000)
    unknown = Measured(Estimate(1_000, 10), Estimate(0, 10), sent=1_000)
    found = describe_link(Target("a", "up", asked, "a", METER), unknown, scale=TimeScale(2.0))
    assert found.reason is not None and found.reason.startswith("rates above 1.25 Gbit/s are not measured")


def test_a_long_jitter_of_which_few_values_are_seen_is_not_called_false() -> None:
    asked = Link(1_370_000, 455_000, 225_000)
    assert flow_for(asked).probes == 12
    verdicts = [verdict(asked, asked, seed) for seed in range(60)]
    assert OUT not in verdicts, verdicts.count(OUT)
    assert verdict(asked, replace(asked, delay_us=1_200_000)) == OUT
    assert verdict(asked, replace(asked, delay_us=100_000, jitter_us=0)) == OUT
