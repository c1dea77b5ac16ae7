"""Which links an agent measures, what it leaves out meanwhile, and what it records."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from fedsim_runner.agent.host.samples import Sampler
from fedsim_runner.agent.links.link_errors import LinkError
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.run_links import RunLinks
from fedsim_runner.agent.measuring import link_check
from fedsim_runner.agent.measuring.findings import describe_link
from fedsim_runner.agent.measuring.guests import Guest, beyond, free_address
from fedsim_runner.agent.measuring.link_check import MOST_EDGES, SAMPLED, LinkCheck, NotNowError
from fedsim_runner.agent.measuring.meter import Findings
from fedsim_runner.agent.measuring.prober import End
from fedsim_runner.agent.measuring.schedule import METER, Schedule, Target
from fedsim_runner.agent.run_settings import RunSettings
from fedsim_runner.contract.device_file import Verify
from fedsim_runner.contract.events import Event, LinkMeasured, LinksMeasured
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import Estimate, Measured
from fedsim_runner.contract.topology import Edge, Topology
from tests.agent_settings import run_settings

LINK = Link(12_000_000, 35_000, 0)
GOOD = Measured(Estimate(35_100, 300), Estimate(100, 50), Estimate(12_000_000, 50_000), 0.0, 500, 0)


@dataclass
class Links:
    shaped: set[str] = field(default_factory=set)
    unshaped: str | None = None
    backend: str | None = "netem"


@dataclass
class Samples:
    """Stands for the sampler: who is left out now, and who was."""

    now: set[str] = field(default_factory=set)
    ever: list[str] = field(default_factory=list)

    def leave_out(self, devices: Iterable[str]) -> None:
        self.now |= set(devices)
        self.ever += sorted(devices)

    def count_again(self, devices: Iterable[str]) -> None:
        self.now -= set(devices)


class Bench:
    """A check with devices `server`, `d0` and so on, each with a namespace whose number is its process's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, devices: int = 2) -> None:
        names = ["server", *(f"d{number}" for number in range(devices - 1))]
        self.devices = [DeviceLink(name, f"198.18.0.{number + 1}", LINK, LINK) for number, name in enumerate(names)]
        self.running = {name: 100 + number for number, name in enumerate(names)}
        self.links = Links(set(names))
        self.samples = Samples()
        self.events: list[Event] = []
        self.measured: list[str] = []
        self.found = GOOD
        self.verify: Verify = "warn"
        self.error: Exception | None = None
        self.topology: Topology | None = None
        self.guests: dict[str, str | None] = {}
        self.edges: list[tuple[str, str, str, str]] = []
        monkeypatch.setattr(link_check, "namespace_number", lambda path: (1, int(path.split("/")[2])))
        self.check = LinkCheck(
            threading.RLock(),
            cast(RunLinks, self.links),
            cast(Sampler, self.samples),
            self.events.append,
            self._measure,
        )

    def _measure(
        self, ends: Mapping[str, End], guests: Sequence[Guest], schedule: Schedule, links: RunLinks
    ) -> Findings:
        assert self.samples.now == set(ends) and self.check.is_under_way
        if self.error is not None:
            raise self.error
        addresses = [*(end.address for end in ends.values()), *(one.address for one in guests)]
        assert len(set(addresses)) == len(addresses)
        self.measured += ends
        self.guests = {one.name: one.site for one in guests}
        targets = [flow.target for flow in schedule.flows if METER not in (flow.target.sender, flow.target.receiver)]
        self.edges = [(one.device, one.direction, one.sender, one.receiver) for one in targets]
        return Findings([self.found for _ in schedule.flows])

    def settings(self) -> RunSettings:
        profile = Profile(self.devices, seed=3, server="server", topology=self.topology)
        return replace(run_settings(profile), verify=self.verify)

    def measure(self, again: bool = False, names: list[str] | None = None) -> list[dict[str, Any]]:
        self.measured.clear()
        self.edges.clear()
        answer = self.check.measure(self.settings(), self.running, again, names)
        assert answer["reason"] is None and not self.samples.now and not self.check.is_under_way
        return answer["links"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_each_direction_is_recorded_with_its_verdict(bench: Bench) -> None:
    found = bench.measure()
    assert [(one["device"], one["direction"], one["verdict"]) for one in found] == [
        (name, way, "within") for name in ("server", "d0") for way in ("up", "down")
    ]
    assert [event for event in bench.events if isinstance(event, LinkMeasured)] == [
        LinkMeasured.read(one, None, None) for one in found
    ]
    last = bench.events[-1]
    assert isinstance(last, LinksMeasured) and (last.within, last.out, last.undetermined) == (4, 0, 0)


def test_what_has_not_changed_is_not_measured_again(bench: Bench) -> None:
    found = bench.measure()
    assert bench.measure() == found and not bench.measured
    bench.running["d0"] = 500  # a restarted container
    bench.measure()
    assert bench.measured == ["d0"]
    bench.devices[0] = replace(bench.devices[0], up=Link(delay_us=35_000))
    bench.measure()
    assert bench.measured == ["server"]
    bench.measure(again=True)
    assert bench.measured == ["server", "d0"]
    assert len(bench.check.measure(bench.settings(), bench.running, False, None)["links"]) == 4


def test_what_was_out_is_measured_again(bench: Bench) -> None:
    bench.found = replace(GOOD, delay_us=Estimate(90_000, 300))
    assert {one["verdict"] for one in bench.measure()} == {"out"}
    bench.found = GOOD
    assert {one["verdict"] for one in bench.measure()} == {"within"}
    assert bench.measure() and not bench.measured


def test_only_devices_in_force_that_were_asked_for_are_measured(bench: Bench) -> None:
    assert {one["device"] for one in bench.measure(names=["d0", "other"])} == {"d0"}
    bench.links.shaped.discard("d0")
    assert {one["device"] for one in bench.measure(again=True)} == {"server"}


def test_a_sample_is_the_server_and_some_others(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, 60)
    bench.verify = "sample"
    first = {one["device"] for one in bench.measure()}
    assert "server" in first and len(first) == SAMPLED + 1
    assert {one["device"] for one in Bench(monkeypatch, 60).measure()} > first
    assert len(bench.measure(again=True)) == 120, "who asks for it gets all"


@pytest.mark.parametrize("error", [LinkError("no port is left"), OSError(1, "no namespace")])
def test_links_that_cannot_be_measured_are_noted(bench: Bench, error: Exception) -> None:
    bench.error = error
    answer = bench.check.measure(bench.settings(), bench.running, False, None)
    assert answer["links"] == [] and str(error) == answer["reason"]
    assert not bench.samples.now and not bench.check.is_under_way
    assert isinstance(bench.events[-1], LinksMeasured) and bench.events[-1].reason == str(error)
    bench.error = None
    assert len(bench.measure()) == 4


def test_links_that_are_not_shaped_are_not_measured(bench: Bench) -> None:
    bench.links.unshaped = "the kernel has nothing"
    answer = bench.check.measure(bench.settings(), bench.running, False, None)
    assert answer["reason"] == "no link is in force: the kernel has nothing" and not bench.samples.ever


EDGE = Edge("eu", "us", LINK, replace(LINK, delay_us=35_500))


def test_edges_are_measured_between_ends_at_their_sites(bench: Bench) -> None:
    bench.topology = Topology({"server": "eu", "d0": "us"}, (EDGE,))
    found = bench.measure()
    assert bench.guests == {METER: None, "(at:eu)": "eu", "(at:us)": "us"}
    assert bench.edges == [
        ("eu - us", "up", "(at:eu)", "(at:us)"),
        ("eu - us", "down", "(at:us)", "(at:eu)"),
    ]
    assert [(one["device"], one["direction"], one["delay_asked_us"]) for one in found[4:]] == [
        ("eu - us", "up", 35_000),
        ("eu - us", "down", 35_500),
    ]
    assert bench.measure() and not bench.edges, "what has not changed is not measured again"
    assert {one["device"] for one in bench.measure(again=True, names=["d0"])} == {"d0"}
    bench.topology = Topology({"server": "eu", "d0": "us"}, (replace(EDGE, back=replace(LINK, delay_us=34_500)),))
    assert len(bench.measure()) == 6 and not bench.measured and len(bench.edges) == 2


def test_this_lab_host_measures_what_leads_to_its_devices(bench: Bench) -> None:
    far = Edge("asia", "us", LINK, LINK)
    bench.topology = Topology({"server": "eu", "d0": "eu", "elsewhere": "us", "far": "asia"}, (EDGE, far))
    assert {(one["device"], one["direction"]) for one in bench.measure()[4:]} == {("eu - us", "down")}
    assert bench.guests == {METER: None, "(at:eu)": "eu", "(at:us)": "us"}


def test_of_many_edges_some_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, MOST_EDGES + 20)
    names = list(bench.running)
    pairs = zip(names, [*names[1:], names[0]], strict=True)
    bench.topology = Topology({name: name for name in names}, tuple(Edge(*pair, Link(), Link()) for pair in pairs))
    found = bench.measure(again=True)
    assert sum(" - " in one["device"] for one in found) == 2 * MOST_EDGES
    sample = Bench(monkeypatch, MOST_EDGES + 20)
    sample.topology, sample.verify = bench.topology, "sample"
    assert sum(" - " in one["device"] for one in sample.measure()) == 2 * SAMPLED


def test_two_measurements_would_disturb_each_other(bench: Bench) -> None:
    bench.check.is_under_way = True
    with pytest.raises(NotNowError, match="already"):
        bench.check.measure(bench.settings(), bench.running, False, None)


def test_the_meter_has_an_address_of_the_network_that_no_device_has() -> None:
    assert free_address(24, ["198.18.0.1", "198.18.0.254"]) == "198.18.0.253"
    assert free_address(24, [f"198.18.0.{number}" for number in range(1, 255)]) is None
    assert free_address(22, ["198.18.0.1"]) == "198.18.3.254"
    assert free_address(24, []) is None
    assert beyond(24, ["198.18.0.7", "198.18.0.1"], 2) == ["198.18.1.1", "198.18.1.2"]
    assert beyond(15, ["198.18.0.1"], 1) == ["198.20.0.1"] and beyond(24, [], 0) == []


def test_a_rate_that_had_no_turn_says_so() -> None:
    found = describe_link(Target("a", "up", LINK, "a", METER), replace(GOOD, rate_bps=None), had_train=False)
    assert (found.verdict, found.reason) == ("undetermined", "so many links leave no time for the rates of all")
