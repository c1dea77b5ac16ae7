"""The contract of every link back end; a new folder is tested without any change here, like the toy one in third/."""

from __future__ import annotations

import dataclasses
import json
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent import links
from fedsim_runner.agent.links import backends, probe
from fedsim_runner.agent.links.deviation import Deviation
from fedsim_runner.agent.links.netem import backend as netem
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.protocol import LinkBackend
from fedsim_runner.agent.links.results import Result
from fedsim_runner.agent.links.run_namespace import RunNamespace
from fedsim_runner.agent.links.scheduling import NICE
from fedsim_runner.agent.links.shaper import Shaper
from fedsim_runner.agent.links.userspace import backend as userspace
from fedsim_runner.agent.links.userspace import nfqueue
from fedsim_runner.agent.links.userspace.backend import RULE
from fedsim_runner.agent.links.userspace.holdings import Holdings
from fedsim_runner.agent.links.userspace.orders import Orders
from fedsim_runner.agent.links.veth import DOWN, UP, Veths
from fedsim_runner.agent.links.wiring import end_name, plan_wires
from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import INTERFACE, Link, Links, Queue

from .fake_kernel import NETWORK, FakeKernel

THIRD = Path(__file__).parent / "third"
each_backend = pytest.mark.parametrize("kind", [*backends.names(), "toy"], indirect=True)
GOLDEN = Path(__file__).parents[3] / "golden" / "links"
G5 = Link(20_000_000, 15_000, 3_000, 0.001)
SLOW = Link(50_000, 300_000)
CODEL = Link(1_000_000, queue=Queue(discipline="codel"))
MODEL = GilbertElliott(0.01, 0.25, 0.9, 0.001)
BURSTY = Link(1_000_000, 20_000, loss=MODEL.mean_loss, bursts=MODEL)


NONE = Link(), Link()


def _two(a: tuple[Link, Link], b: tuple[Link, Link], seed: int = 0) -> Profile:
    return Profile([DeviceLink("a", "198.18.0.2", *a), DeviceLink("b", "198.18.0.3", *b)], seed=seed)


CASES = {
    "different": _two((G5, SLOW), (SLOW, G5), seed=3),
    "rates": _two((Link(1_000_000), Link(2_000_000)), (Link(1_000_000), Link(2_000_000))),
    "delay": _two((Link(delay_us=1000), Link()), NONE),
    "peer": Profile([DeviceLink("a", "198.18.0.2", *NONE)], [DeviceLink("c", "198.18.0.9", G5, Link())]),
    "queue": _two(
        (Link(1_000_000, queue=Queue(buffer_us=500_000)), Link(2_000_000, queue=Queue(buffer_bytes=9_000))), NONE
    ),
    "models": _two((BURSTY, Link(delay_us=1000, duplicate=0.01, corrupt=0.02)), NONE),
    "disciplines": _two(
        (Link(1_000_000, queue=Queue(discipline="codel")), Link(2_000_000, queue=Queue(discipline="fq_codel"))),
        (
            Link(1_000_000, 9_000, 500, duplicate=0.1),
            Link(250_000, queue=Queue(discipline="codel", target_us=20_000)),
        ),
    ),
    "nothing": _two(NONE, NONE),
}
IN_PLACE = frozenset({"netem", "userspace"})  # the toy one only has the tests' kernel's `tc`
PROPERTIES = {"rate_bps": 3_000_000, "delay_us": 20_000, "jitter_us": 5_000, "loss": 0.02}


class PacketsHere:
    """The userspace back end's packet process as an object in the test's process."""

    def __init__(self) -> None:
        self._orders = Orders(Holdings(), NICE)
        self._ended: str | None = None

    def failure(self) -> str | None:
        return self._ended

    def change(self, parts: Iterable[Mapping[str, Any]]) -> None:
        for part in parts:
            assert self._orders.obey(json.loads(json.dumps(part))) is None

    def see_change(self, number: int) -> dict[str, Any]:
        return self.ask({"op": "changed", "number": number})

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(json.dumps(self._orders.obey(json.loads(json.dumps(command)))))
        return answer

    def stop(self) -> None:
        self._ended = "the agent's packet process has ended"


@pytest.fixture
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[LinkBackend]:
    """The back end of this name; the toy one is found like any other folder."""
    if request.param not in backends.names():
        monkeypatch.setattr(links, "__path__", [*links.__path__, str(THIRD)])
    return next(kind for kind in backends.load_all() if kind.name == request.param)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    made = FakeKernel().install(monkeypatch)
    monkeypatch.setattr(userspace, "PacketProcess", PacketsHere)
    monkeypatch.setattr(nfqueue, "open_queue", lambda *arguments: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    monkeypatch.setattr(nfqueue, "retune", lambda *arguments: None)
    return made


@pytest.fixture
def probed(kind: type[LinkBackend]) -> dict[str, Any]:
    """The probe of a kernel that has everything any back end needs."""
    return {need.piece: True for need in backends.all_needs()} | {"iptables": "iptables-nft", "kernel": "6.1"}


@pytest.fixture
def namespaces(tmp_path: Path) -> dict[str, str]:
    for name in ("a", "b", NETWORK):
        (tmp_path / name).touch()
    return {name: str(tmp_path / name) for name in "ab"}


@pytest.fixture
def network(tmp_path: Path) -> RunNamespace:
    """The run's namespace."""
    return RunNamespace(str(tmp_path / NETWORK))


@pytest.fixture
def shaper(probed: dict[str, Any], network: RunNamespace) -> Iterator[Callable[[Profile, str], Shaper]]:
    made: list[Shaper] = []

    def make(profile: Profile, chosen: str) -> Shaper:
        made.append(Shaper([kind(probed) for kind in backends.load_all()], network, profile, chosen))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def as_dicts(results: Mapping[str, Result]) -> dict[str, Any]:
    assert all(result.failed is None for result in results.values()), results
    return {name: result.as_dict() for name, result in results.items()}


def commands(kernel: FakeKernel) -> list[str]:
    """The commands that changed something, sorted, because several threads run them."""
    found = sorted(f"{where}: {what}" for where, what in kernel.log)
    kernel.log.clear()
    return found


@each_backend
def test_its_name_is_its_folder_and_its_preference_is_unique(kind: type[LinkBackend]) -> None:
    assert kind.__module__ == f"fedsim_runner.agent.links.{kind.name}.backend"
    assert [other.preference for other in backends.load_all()].count(kind.preference) == 1
    assert kind.name in backends.names() and kind.name != backends.AUTO


@pytest.mark.parametrize("name", backends.names())
def test_nothing_outside_its_folder_names_it(name: str, repository: Path) -> None:
    package = repository / "fedsim_runner"
    folders = {package / "agent" / "links" / other for other in backends.names()}
    others = [path for path in package.rglob("*.py") if not folders & set(path.parents)]
    assert [path for path in others if re.search(rf"\b{name}\b", path.read_text(encoding="utf-8"))] == []


@each_backend
def test_it_needs_nothing_for_no_link_and_something_for_every_property(kind: type[LinkBackend]) -> None:
    assert kind.needs([]) == kind.needs([Link(), Link()]) == []
    everything = {need.piece for need in kind.needs([backends.FULL_LINK])}
    for name, value in PROPERTIES.items():
        needs = kind.needs([Link(), Link(**{name: value})])
        assert needs and {need.piece for need in needs} <= everything
        assert all(need.label and need.holds and need.module for need in needs)


@each_backend
def test_each_missing_piece_has_its_fix(
    kind: type[LinkBackend], kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    kernel.lacks = ("tc", "iptables")
    found = probe.probe()
    assert found["backend"] is None
    fixes = {missing["what"]: missing["fix"] for missing in found["missing"]}
    profile = Profile([DeviceLink("a", "198.18.0.2", backends.FULL_LINK, Link())])
    with pytest.raises(backends.UnshapableError) as refusal:
        backends.choose(kind.name, profile, found)
    for need in kind.needs([backends.FULL_LINK]):
        assert found[need.piece] is False
        assert (need.hint() or need.module) in fixes[need.piece]
        assert f"{need.piece} ({fixes[need.piece]})" in str(refusal.value)
    assert backends.choose(kind.name, profile.without_links(), found) == kind.name


@each_backend
def test_auto_takes_it_where_the_kernel_lacks_what_the_others_need(kind: type[LinkBackend]) -> None:
    probed = {need.piece: True for need in kind.needs([backends.FULL_LINK])}
    assert backends.choose(backends.AUTO, CASES["different"], probed) == kind.name


@each_backend
@pytest.mark.parametrize("case", CASES)
def test_a_plan_depends_on_its_profile_alone(
    kind: type[LinkBackend],
    case: str,
    kernel: FakeKernel,
    probed: dict[str, Any],
    namespaces: dict[str, str],
    network: RunNamespace,
) -> None:
    backend, profile = kind(probed), CASES[case]
    planned = backend.plan(profile)
    assert list(planned) == [device.device for device in profile.devices]
    assert planned == kind(probed).plan(dataclasses.replace(profile, devices=tuple(profile.devices)))
    assert kernel.log == []
    # Every setting can be read back.
    here = {name: namespaces[name] for name in planned}
    veths = Veths(kind.qdiscs, network)
    veths.wires = plan_wires(profile)
    readable: dict[str, Any] = {**veths.read(here)[0]["a"], **backend.read(here)[0]["a"]}
    assert all(set(settings) <= set(readable) for settings in planned.values())


@each_backend
@pytest.mark.parametrize(
    "link", [BURSTY, Link(duplicate=0.1), Link(corrupt=0.1), CODEL], ids=["bursts", "duplicate", "corrupt", "codel"]
)
def test_what_it_does_not_do_it_refuses(kind: type[LinkBackend], link: Link, probed: dict[str, Any]) -> None:
    """Another plan than without it, or a refusal by name."""
    plain = dataclasses.replace(link, bursts=None, duplicate=0.0, corrupt=0.0, queue=None)
    first, second = (_two((one, Link()), NONE) for one in (link, plain))
    (said,) = backends.refusals([link]) or [""]
    if any(kind.lacks([link])):
        assert said.startswith(f"back end {kind.name} ")
        with pytest.raises(backends.UnshapableError, match=re.escape(said)):
            backends.choose(kind.name, first, probed)
    else:
        assert kind(probed).plan(first) != kind(probed).plan(second)
        assert backends.choose(kind.name, first, probed) == kind.name


def test_bursts_and_jitter_together_are_held_and_not_with_duplicates() -> None:
    link = dataclasses.replace(BURSTY, jitter_us=1_000)
    kinds = [kind for kind in backends.load_all() if kind.name in IN_PLACE]
    probed = {need.piece: True for kind in kinds for need in kind.needs([link])} | {"kernel": "6.1"}
    both = Profile([DeviceLink("a", "198.18.0.2", link, Link())])
    assert backends.choose(backends.AUTO, both, probed) == netem.Backend.name
    duplicated = dataclasses.replace(link, duplicate=0.1)
    with pytest.raises(backends.UnshapableError) as refusal:
        backends.choose(backends.AUTO, Profile([DeviceLink("a", "198.18.0.2", duplicated, Link())]), probed)
    assert "duplicates no packets" in str(refusal.value) and "in bursts where links have jitter" in str(refusal.value)


@each_backend
@pytest.mark.parametrize("way", [UP, DOWN])
@pytest.mark.parametrize("name", PROPERTIES)
def test_no_property_of_a_link_is_ignored(kind: type[LinkBackend], way: str, name: str, probed: dict[str, Any]) -> None:
    bare = CASES["nothing"]
    first = dataclasses.replace(bare.devices[0], **{way: Link(**{name: PROPERTIES[name]})})
    planned = kind(probed).plan(dataclasses.replace(bare, devices=[first, bare.devices[1]]))
    assert planned != kind(probed).plan(bare)


@each_backend
@pytest.mark.parametrize("way", [UP, DOWN])
def test_a_queue_with_another_room_is_another_setting(
    kind: type[LinkBackend], way: str, probed: dict[str, Any]
) -> None:
    planned = []
    for queue in (None, Queue(buffer_us=500_000)):
        first = dataclasses.replace(CASES["nothing"].devices[0], **{way: Link(1_000_000, queue=queue)})
        planned.append(kind(probed).plan(Profile([first])))
    assert planned[0] != planned[1]


@each_backend
@pytest.mark.parametrize("case", CASES)
def test_profile_to_commands(
    kind: type[LinkBackend],
    case: str,
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
    golden: Callable[[Path, str], None],
) -> None:
    plan = kind({}).plan(CASES[case])
    lines = [f"{name} {item}: {value}" for name, settings in plan.items() for item, value in settings.items()]
    as_dicts(shaper(CASES[case], kind.name).apply(namespaces))
    lines += ["", *commands(kernel)]
    golden(
        Path(__file__).parents[3] / "golden" / "links" / kind.name / f"{case}.txt",
        "".join(f"{line}\n" for line in lines),
    )


@each_backend
def test_check_apply_reapply_change_and_remove(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    one = shaper(CASES["different"], kind.name)
    checked = as_dicts(one.apply(namespaces, check=True))
    assert commands(kernel) == [] and all(result["changed"] for result in checked.values())
    assert as_dicts(one.apply(namespaces)) == checked
    assert commands(kernel)
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    assert commands(kernel) == []
    one.set_profile(CASES["rates"], kind.name)
    planned = (kind({}).plan(CASES[case])["a"] for case in ("different", "rates"))
    first, second = planned
    different = {item for item, value in second.items() if value != first.get(item)}
    assert {UP} < different  # a rate of each direction, wherever the back end holds it
    assert {entry["item"] for entry in as_dicts(one.apply(namespaces))["a"]["diff"]} == different
    one.set_profile(CASES["nothing"], kind.name)
    assert as_dicts(one.apply(namespaces))["b"]["changed"]
    assert not kernel.qdiscs and not any(kernel.rules.values())


@each_backend
@pytest.mark.parametrize("case", ["different", "nothing"])
def test_links_are_changed_in_place_and_back(
    case: str,
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
    golden: Callable[[Path, str], None],
) -> None:
    planned = dataclasses.replace(CASES[case], later=(G5,))
    one = shaper(planned, kind.name)
    as_dicts(one.apply(namespaces))
    commands(kernel)
    kernel.listed.clear()
    slower = Links(Link(1_000_000, 40_000), Link(9_000_000, 40_000, loss=0.5))
    results = one.change(Deviation({"a": slower}).of(planned), namespaces)
    assert not any(result.failed for result in results.values()) and results["a"].changed
    lines = [f"{name}: {result.found}" for name, result in results.items()]
    lines += ["", *commands(kernel)]
    if kind.name in IN_PLACE:
        assert not any(" tc " in f" {line}" or "iptables" in line for line in lines), "without a program"
        assert kernel.listed == []
        golden(GOLDEN / kind.name / f"changed-{case}.txt", "".join(f"{line}\n" for line in lines))
    assert one.find_changes(namespaces) == {}
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    assert not any(result.failed for result in one.change(planned, namespaces).values())
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    assert one.change(planned, namespaces) == {}


@pytest.mark.parametrize(
    "link",
    [
        CODEL,
        Link(1_000_000, 5_000, duplicate=0.1),
        Link(None, 5_000, 1_000, duplicate=0.1),
        dataclasses.replace(BURSTY, queue=CODEL.queue),
    ],
    ids=["codel", "duplicates", "duplicates-unlimited", "codel-bursts"],
)
def test_a_token_bucket_is_changed_in_place_and_back(
    link: Link,
    kernel: FakeKernel,
    namespaces: dict[str, str],
    network: RunNamespace,
) -> None:
    faster = dataclasses.replace(link, rate_bps=3_000_000, delay_us=40_000)
    planned = dataclasses.replace(_two((link, CODEL), NONE), later=(faster,), changing={("a", UP): (link, faster)})
    one = Shaper([netem.Backend({})], network, planned, "netem")
    as_dicts(one.apply(namespaces))
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    commands(kernel)
    for now in (faster, link):
        results = one.change(Deviation({"a": Links(now, CODEL)}).of(planned), namespaces)
        assert set(results) == {"a"} and results["a"].failed is None
        changed = commands(kernel)
        assert not any(" tc " in f" {line}" for line in changed), "without a program"
        assert any(" tbf " in line for line in changed)
        assert one.find_changes(namespaces) == {}
        assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    one.stop()


@each_backend
def test_who_is_offline_or_apart_is_no_port_of_the_others_bridge(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    planned = CASES["different"]
    one = shaper(planned, kind.name)
    as_dicts(one.apply(namespaces))
    ends = {device.device: (NETWORK, end_name(device.address)) for device in planned.devices}

    def bridges() -> dict[str, str | None]:
        return {name: kernel.links[end].bridge for name, end in ends.items()}

    assert one.change(Deviation(offline=frozenset("a")).of(planned), namespaces)["a"].found == "port none"
    assert bridges() == {"a": None, "b": "br0"}
    apart = Deviation(partitions={7: frozenset("a")}, offline=frozenset("b"))
    kernel.lacks = ("ip", "tc", "iptables")  # a program would begin late beside devices that compute
    assert not any(result.failed for result in one.change(apart.of(planned), namespaces).values())
    assert bridges()["b"] is None and bridges()["a"] not in (None, "br0")
    kernel.lacks = ()
    assert one.find_changes(namespaces) == {}
    one.change(planned, namespaces)
    assert bridges() == {"a": "br0", "b": "br0"}


@each_backend
def test_what_drops_packets_between_partitions_moves_no_port(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    planned = dataclasses.replace(CASES["nothing"], may_part=True)
    one = shaper(planned, kind.name)
    as_dicts(one.apply(namespaces))
    apart = Deviation(partitions={7: frozenset("a")}, offline=frozenset("b")).of(planned)
    found = {name: result.found for name, result in one.change(apart, namespaces).items()}
    bridges = [kernel.links[NETWORK, end_name(device.address)].bridge for device in planned.devices]
    if kind.keeps_apart:
        assert found == {"a": "reached by partition 7", "b": "reached by nobody"} and bridges == ["br0", "br0"]
    else:
        assert "port none" in found["b"] and "br0" not in bridges
    assert one.find_changes(namespaces) == {}
    one.change(planned, namespaces)
    assert one.find_changes(namespaces) == {}


@each_backend
def test_what_the_kernel_does_not_change_is_a_failure_and_applied_again(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    planned = dataclasses.replace(CASES["rates"], later=(G5,))
    one = shaper(planned, kind.name)
    as_dicts(one.apply(namespaces))
    kernel.forgets = True
    (result,) = one.change(
        Deviation({"a": Links(G5, CASES["rates"].devices[0].down)}).of(planned), {"a": namespaces["a"]}
    ).values()
    assert str(result.failed).startswith("the kernel did not keep what was set: up is ")
    kernel.forgets = False
    assert as_dicts(one.apply(namespaces))["a"]["changed"]


@each_backend
def test_links_in_force_are_read_without_a_program_for_each_device(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    one = shaper(CASES["different"], kind.name)
    as_dicts(one.apply(namespaces))
    kernel.listed.clear()
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    assert kernel.listed == [NETWORK]
    # Whatever somebody else changed is seen all the same.
    kernel.qdiscs.pop(("a", INTERFACE), None)
    with kernel.inside(namespaces["b"]):
        for rule in list(kernel.rules.get("b", ())):
            kernel.run(["iptables-nft", "-D", *rule.split()])
    results = as_dicts(one.apply(namespaces))
    assert [entry["item"] for entry in results["a"]["diff"]] == (
        [UP] if UP in kind({}).plan(CASES["different"])["a"] else []
    )
    assert [entry["item"] for entry in results["b"]["diff"]] == ([RULE] if kind is userspace.Backend else [])


@each_backend
def test_it_leaves_nothing_behind_for_another(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    for other in backends.load_all():
        fresh = shaper(CASES["different"], other.name)
        fresh.apply(namespaces)
        expected = (dict(kernel.qdiscs), {name: rules for name, rules in kernel.rules.items() if rules})
        # Take over links from an agent that has ended, then within an agent that goes on.
        for switched in (shaper(CASES["different"], kind.name), fresh):
            switched.set_profile(CASES["different"], kind.name)
            as_dicts(switched.apply(namespaces))
            switched.set_profile(CASES["different"], other.name)
            as_dicts(switched.apply(namespaces))
            assert (kernel.qdiscs, {name: rules for name, rules in kernel.rules.items() if rules}) == expected
        fresh.set_profile(CASES["nothing"], other.name)
        fresh.apply(namespaces)


@each_backend
def test_a_missing_device_fails_under_its_name(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    results = shaper(CASES["different"], kind.name).apply({**namespaces, "a": "/nowhere"})
    assert results["a"].failed == "no namespace nowhere" and results["b"].failed is None
    a, b = (end_name(device.address) for device in CASES["different"].devices)
    assert ("b", INTERFACE) in kernel.qdiscs and ("a", INTERFACE) not in kernel.qdiscs
    assert (NETWORK, b) in kernel.links and (NETWORK, a) not in kernel.links


@each_backend
def test_settings_that_the_kernel_does_not_keep_are_a_failure(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    kernel.forgets = True
    results = shaper(CASES["rates"], kind.name).apply(namespaces)
    assert str(results["a"].failed).startswith("the kernel did not keep what was set: up is none, not ")


@each_backend
def test_it_releases_a_device_and_stops(
    kind: type[LinkBackend], kernel: FakeKernel, namespaces: dict[str, str], shaper: Callable[[Profile, str], Shaper]
) -> None:
    one = shaper(CASES["different"], kind.name)
    one.forget("a")
    assert one.failure() is None and one.counters() == {}
    as_dicts(one.apply(namespaces))
    one.forget("a")
    json.dumps(one.counters())
    assert one.failure() is None
