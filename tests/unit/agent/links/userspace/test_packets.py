"""What the packet process decides about packets: when they leave, by when they arrived, and how late it was."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.kernel import netns
from fedsim_runner.agent.links.userspace import nfqueue, orders, packets
from fedsim_runner.agent.links.userspace.arrivals import Senders
from fedsim_runner.agent.links.userspace.packets import Packets
from fedsim_runner.agent.processes.commands import Commands
from fedsim_runner.contract.link import Link

from .test_nfqueue import message

SENDER, RECEIVER = "10.0.0.7", "10.0.0.8"


class Clock:
    """Time that passes when the test says so, in place of the module ``time``."""

    UNIX = 1_700_000_000.0

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.UNIX + self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Bench:
    """The process as an object, one device's queue, and the kernel's end of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        monkeypatch.setattr(packets, "time", self.clock)
        monkeypatch.setattr(orders, "time", self.clock)
        self.packets = Packets()
        self.kernel, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        channel.setblocking(False)
        self.kernel.setblocking(False)
        monkeypatch.setattr(nfqueue, "open_queue", lambda *arguments: channel)
        monkeypatch.setattr(netns, "inside", lambda path: channel.dup())  # anything that can be entered and left
        self.namespace = folder / "netns"
        self.namespace.touch()

    def set(
        self, up: Link, down: Link, seed: int = 1, edge: Link | None = None, way_us: int = 0, **where: str
    ) -> dict[str, Any]:
        """The links of the sender and of the receiver; ``edge``: to its site from there, where the sender is."""
        device = {"address": RECEIVER, "netns": str(self.namespace), "down": down.as_dict(), "maxlen": 10}
        device |= {"gso": False, "guest": None}
        between: dict[str, Any] = {"sites": {}, "edges": [], "hops": False}
        if edge is not None:
            between |= {"sites": {SENDER: "there"}, "edges": [["there", "here", edge.as_dict()]]}
        return self.ask(
            {
                "op": "set",
                "seed": seed,
                "ups": {SENDER: up.as_dict()},
                "ways_us": {SENDER: way_us} if way_us else {},
                "devices": {"a": {**device, "site": None if edge is None else "here", **where}},
                **between,
            }
        )

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        answer = self.packets._orders.obey(command)
        assert answer is not None
        return answer

    def change(self, number: int = 1, at_s: float = 0.0, **values: Any) -> None:
        """Send a change that is due then."""
        part = {"op": "change", "number": number, "at": at_s, "ups": {}, "devices": {}, **values}
        assert self.packets._orders.obey(part) is None, "it is not answered"

    def changed(self, number: int = 1) -> dict[str, Any]:
        return self.ask({"op": "changed", "number": number})

    def arrive(self, number: int, length: int = 1500, ago_s: float = 0.0) -> None:
        stamp = self.clock.time() - ago_s
        self.kernel.send(
            message(
                (1, struct.pack(">IHB", number, 0x800, 0)),
                (4, struct.pack(">QQ", int(stamp), int(stamp % 1 * 1e6))),
                (10, struct.pack(">HHQ", 0x4500, length, 0) + socket.inet_aton(SENDER) + bytes(4)),
            )
        )

    def work(self, seconds: float = 0.0) -> list[tuple[int, int]]:
        """Have the process look at what is there and, for so long, at what becomes due; return its decisions."""
        (queue,) = self.packets._held.queues.values()
        self.packets._receive(queue)
        until = self.clock.now + seconds
        self.packets._release()
        while self.clock.now < until:
            self.clock.now += 0.0005
            self.packets._release()
        decided: list[tuple[int, int]] = []
        while True:
            try:
                data = self.kernel.recv(1 << 16)
            except BlockingIOError:
                return decided
            for at in range(0, len(data), 32):
                decision, number = struct.unpack_from(">II", data, at + 24)
                decided.append((number, decision))

    @property
    def lateness(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask({"op": "state"})["lateness"]
        return found


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path, monkeypatch)
    yield made
    made.kernel.close()


def test_a_packet_takes_the_senders_uplink_and_then_the_receivers_downlink(bench: Bench) -> None:
    assert bench.set(Link(None, 20_000), Link(None, 30_000))["failed"] == {}
    bench.arrive(7)
    assert bench.work() == []
    assert bench.work(0.049) == []
    assert bench.work(0.002) == [(7, nfqueue.ACCEPT)]


def test_between_them_it_takes_the_edge_from_one_site_to_the_other(bench: Bench) -> None:
    bench.set(Link(None, 20_000), Link(None, 30_000), edge=Link(None, 40_000))
    bench.arrive(7)
    assert bench.work(0.089) == []
    assert bench.work(0.002) == [(7, nfqueue.ACCEPT)]
    bench.set(Link(), Link(), edge=Link(1_212_000))  # 10 ms for a frame
    for number in range(8, 11):
        bench.arrive(number)
    assert bench.work(0.0201) == [(8, nfqueue.ACCEPT), (9, nfqueue.ACCEPT)]


def test_from_another_lab_host_it_has_been_under_way_already(bench: Bench) -> None:
    assert bench.set(Link(None, 20_000), Link(None, 30_000), way_us=15_000)["ways_us"] == {SENDER: 15_000}
    bench.arrive(7)
    assert bench.work(0.034) == []
    assert bench.work(0.002) == [(7, nfqueue.ACCEPT)]
    bench.set(Link(None, 5_000), Link(None, 5_000), way_us=15_000)
    bench.arrive(8)
    assert bench.work() == [(8, nfqueue.ACCEPT)]
    assert bench.ask({"op": "state"})["lateness"]["late_1ms"] == 0


def test_at_the_senders_own_site_it_takes_no_edge_and_where_none_leads_it_is_dropped(bench: Bench) -> None:
    edge = Link(None, 40_000)
    bench.set(Link(), Link(), edge=edge, site="there")
    bench.arrive(7)
    assert bench.work() == [(7, nfqueue.ACCEPT)]
    answer = bench.set(Link(), Link(), edge=edge, site="elsewhere")
    assert (answer["sites"], answer["edges"]) == ({SENDER: "there"}, [["there", "here", edge.as_dict()]])
    bench.arrive(8)
    assert bench.work() == [(8, nfqueue.DROP)]


def test_what_passes_an_edge_is_counted_by_its_sites(bench: Bench) -> None:
    bench.set(Link(), Link(), edge=Link(12_000_000, 5_000))
    bench.ask({"op": "count"})
    for number in range(3):
        bench.arrive(number)
    assert len(bench.work(0.02)) == 3
    ((first, second, counted),) = bench.ask({"op": "counts"})["edges"]
    assert (first, second, counted["packets"], counted["bytes"]) == ("there", "here", 3, 3 * 1514)
    assert [one[:2] for one in bench.ask({"op": "changes"})["edges"]] == [["there", "here"]]
    assert bench.ask({"op": "changes"})["edges"] == []
    bench.set(Link(), Link(), edge=Link())
    assert bench.ask({"op": "counts"})["edges"] == [], "of what does nothing there is nothing to count"


def test_what_measures_edges_is_at_a_site_as_long_as_it_has_a_queue(bench: Bench) -> None:
    edge = Link(None, 40_000)
    answer = bench.set(Link(), Link(), edge=edge, guest="10.0.1.1")
    assert answer["sites"] == {SENDER: "there"} and answer["devices"]["a"]["guest"] == "10.0.1.1"
    sites = bench.packets._held.edges.sites
    assert sites[socket.inet_aton("10.0.1.1")] == "here" and len(sites) == 2
    bench.ask({"op": "set", "devices": {"a": None}})
    assert list(sites) == [socket.inet_aton(SENDER)]


@pytest.mark.parametrize(
    ("groups", "passes"),
    [
        ({}, True),
        ({SENDER: "3"}, False),
        ({RECEIVER: "3"}, False),
        ({SENDER: "3", RECEIVER: "3"}, True),
        ({SENDER: "3", RECEIVER: "3, 4"}, False),
        ({SENDER: "offline"}, False),
        ({RECEIVER: "offline"}, False),
        ({SENDER: "offline", RECEIVER: "offline"}, False),
        ({"10.0.0.9": "3"}, True),
    ],
)
def test_nothing_passes_from_one_group_to_another(bench: Bench, groups: dict[str, str], passes: bool) -> None:
    bench.set(Link(), Link())
    bench.change(groups=groups)
    assert bench.changed()["groups"] == bench.ask({"op": "state"})["groups"] == groups
    bench.arrive(1)
    assert bench.work() == [(1, nfqueue.ACCEPT if passes else nfqueue.DROP)]


def test_a_device_keeps_its_queue_with_another_address(bench: Bench) -> None:
    bench.set(Link(), Link(delay_us=1000), site="here", guest=RECEIVER)
    other = "10.0.0.9"
    bench.set(Link(), Link(delay_us=1000), site="here", guest=other, address=other)
    bench.change(groups={other: "1"})
    assert bench.changed()["groups"] == {other: "1"}
    state = bench.ask({"op": "state"})
    assert state["devices"]["a"]["address"] == other
    bench.arrive(1)
    assert bench.work() == [(1, nfqueue.DROP)]


def test_how_late_the_process_gets_to_a_packet_does_not_delay_it(bench: Bench) -> None:
    """Its time under way begins when it arrived in the kernel."""
    bench.set(Link(None, 30_000), Link(12_000_000))
    bench.arrive(7, ago_s=0.2)
    bench.arrive(8, ago_s=0.025)
    assert bench.work() == [(7, nfqueue.ACCEPT)]
    assert bench.work(0.007) == [(8, nfqueue.ACCEPT)]


def test_late_packets_are_counted(bench: Bench) -> None:
    bench.set(Link(None, 30_000), Link())
    for number, ago_s in enumerate((0.030 + 0.060, 0.030 + 0.0025, 0.0)):
        bench.arrive(number, ago_s=ago_s)
    bench.work()
    found = bench.lateness
    assert (found["packets"], found["late_1ms"], found["late_5ms"]) == (2, 2, 1)
    assert found["latest_us"] == pytest.approx(60_000, abs=10)
    assert found["scheduling"] == "nice"


def test_only_what_has_changed_is_said_of_each_direction(bench: Bench) -> None:
    bench.set(Link(1_000_000), Link())
    assert bench.ask({"op": "changes"}) == {"ups": {}, "downs": {}, "edges": []}
    for number in range(2):
        bench.arrive(number)
    bench.work()
    assert bench.ask({"op": "changes"}) == {"ups": {SENDER: (0, 2, 0, 0, 3028)}, "downs": {}, "edges": []}
    bench.work(0.05)
    both = {"ups": {SENDER: (3028, 2, 0, 0, 0)}, "downs": {"a": (3028, 2, 0, 0, 0)}, "edges": []}
    assert bench.ask({"op": "changes"}) == both
    assert bench.ask({"op": "changes"}) == {"ups": {}, "downs": {}, "edges": []}
    bench.ask({"op": "count"})
    bench.arrive(3)
    bench.work(0.02)
    assert bench.ask({"op": "changes"})["downs"] == {"a": (1514, 1, 0, 0, 0)}


def test_a_stamp_of_another_time_is_not_believed(bench: Bench) -> None:
    """Somebody has set the lab host's clock."""
    bench.set(Link(None, 20_000), Link())
    bench.arrive(1, ago_s=3600)
    bench.arrive(2, ago_s=-3600)
    assert bench.work() == []
    assert bench.work(0.021) == [(1, nfqueue.ACCEPT), (2, nfqueue.ACCEPT)]


def test_each_direction_has_its_own_rate_and_queue(bench: Bench) -> None:
    bench.set(Link(1_000_000), Link(500_000))
    decided = []
    for number in range(60):
        bench.arrive(number)
        decided += bench.work()
    decided += bench.work(0.3)
    # Of the uplink's queue (16 frames) all pass, and the downlink's drops none before it is full, too.
    dropped = [number for number, decision in decided if decision == nfqueue.DROP]
    assert dropped == list(range(16, 60))
    # One frame in 24.2 ms of the 300; the first has taken its 12 ms on the uplink as well.
    passed = [number for number, decision in decided if decision == nfqueue.ACCEPT]
    assert passed == list(range(11))


def test_loss_of_either_direction_drops(bench: Bench) -> None:
    bench.set(Link(loss=1.0), Link())
    bench.arrive(1)
    assert bench.work() == [(1, nfqueue.DROP)]
    bench.set(Link(), Link(loss=1.0))
    bench.arrive(2)
    assert bench.work() == [(2, nfqueue.DROP)]
    assert bench.ask({"op": "state"})["devices"]["a"]["dropped"] == 2


def test_links_are_changed_in_place(bench: Bench) -> None:
    bench.set(Link(None, 30_000), Link())
    bench.arrive(1)
    bench.work()
    answer = bench.set(Link(), Link())
    assert answer["held"] == 1 and answer["ups"] == {SENDER: Link().as_dict()}
    bench.arrive(2)
    assert bench.work() == []  # it does not overtake
    assert bench.work(0.1) == [(1, nfqueue.ACCEPT), (2, nfqueue.ACCEPT)]


def test_values_change_while_packets_are_on_their_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    retuned: list[tuple[int, bool]] = []
    monkeypatch.setattr(nfqueue, "retune", lambda channel, number, maxlen, gso: retuned.append((maxlen, gso)))
    bench.set(Link(None, 30_000), Link(None, 5_000))
    bench.arrive(1)
    bench.work()
    (queue,) = bench.packets._held.queues.values()
    down = {"address": RECEIVER, "down": Link(None, 9_000).as_dict(), "maxlen": 20, "gso": False}
    down |= {"site": None, "guest": None}
    ups = {SENDER: Link(None, 1_000).as_dict()}
    bench.change(ups=ups, devices={"a": down, "b": down})
    answer = bench.changed()
    assert answer["ups"] == ups and answer["devices"] == {"a": down}
    assert answer["failed"] == {"b": "the packet process has no queue of it"}
    assert retuned == [(20, False)] and list(bench.packets._held.queues.values()) == [queue], (
        "the same queue, with more room"
    )
    bench.arrive(2)
    assert bench.work(0.029) == []  # it does not overtake
    assert bench.work(0.012) == [(1, nfqueue.ACCEPT), (2, nfqueue.ACCEPT)]
    assert bench.ask({"op": "counts"})["ups"][SENDER]["packets"] == 2


@pytest.mark.parametrize("way", ["up", "down"])
def test_what_waits_for_a_rate_leaves_at_the_one_that_the_direction_gets(bench: Bench, way: str) -> None:
    slow, fast = Link(121_120, 20_000), Link(1_211_200, 20_000)  # 100 and 10 ms for a frame

    def change(link: Link) -> None:
        rest = {"maxlen": 10, "gso": False, "site": None, "guest": None}
        down = {"down": (link if way == "down" else Link()).as_dict(), **rest}
        ups = {SENDER: link.as_dict()} if way == "up" else {}
        bench.change(ups=ups, devices={"a": down})
        bench.changed()

    bench.set(slow if way == "up" else Link(), slow if way == "down" else Link())
    for number in range(5):
        bench.arrive(number)
    assert bench.work(0.15) == [(0, nfqueue.ACCEPT)]
    change(fast)  # half of the second frame is still to be sent, and three more
    assert bench.work(0.02) == []
    assert bench.work(0.006) == [(1, nfqueue.ACCEPT)]
    bench.arrive(5)
    assert bench.work(0.022) == [(2, nfqueue.ACCEPT), (3, nfqueue.ACCEPT)]
    change(slow)
    # The last two have but their delay to come.
    assert bench.work(0.012) == [(4, nfqueue.ACCEPT)]
    assert bench.ask({"op": "changes"})["ups" if way == "up" else "downs"]
    left = bench.work(0.2)
    assert left == [(5, nfqueue.ACCEPT)]


@pytest.mark.parametrize("seed", range(5))
def test_packets_of_a_link_stay_in_order_however_late_the_process_gets_to_them(bench: Bench, seed: int) -> None:
    bench.set(Link(20_000_000, 1_000, 900, 0.0), Link(50_000_000, 500, 400, 0.0), seed)
    rng = random.Random(seed)
    decided = []
    for number in range(400):
        bench.arrive(number, rng.choice((60, 600, 1500)), ago_s=rng.random() * 0.0005)
        bench.clock.now += rng.expovariate(2000)
        if rng.random() < 0.4:
            decided += bench.work(rng.choice((0.0, 0.0005)))
    decided += bench.work(0.1)
    assert decided == [(number, nfqueue.ACCEPT) for number in range(400)]


def test_senders_are_compared_by_value() -> None:
    """A loss that an experiment file gives as 0 is none that somebody else has changed."""
    one, other = ({SENDER: {**Link(5_000_000).as_dict(), "loss": loss}} for loss in (0, 0.0))
    assert Senders(one) == Senders(other) != Senders({SENDER: Link(5_000_000, loss=0.01).as_dict()})


def test_a_change_takes_place_at_its_time_unless_a_later_one_did_before(bench: Bench) -> None:
    bench.set(Link(None, 30_000), Link())
    first, second = Link(None, 1_000).as_dict(), Link(None, 2_000).as_dict()
    bench.change(1, 100.5, ups={SENDER: first})
    bench.change(2, 100.2, ups={"10.0.0.9": first})
    due = bench.packets._orders._due
    assert due.next_s == 100.2 and due.take(100.1) is None

    def pass_until(now: float) -> Mapping[str, Any]:
        bench.clock.now = now
        while part := due.take(now):
            bench.packets._orders._change(part)
        found: dict[str, Any] = bench.ask({"op": "state"})["ups"]
        return found

    assert pass_until(100.21) == {SENDER: Link(None, 30_000).as_dict(), "10.0.0.9": first}
    assert pass_until(100.52)[SENDER] == first
    assert bench.changed(1)["late_s"] == pytest.approx(0.02) and bench.changed(2)["late_s"] == pytest.approx(0.01)
    # One that was sent later, and was due before, knew of this one.
    bench.change(3, 101.0, ups={SENDER: first}, groups={SENDER: "1"})
    bench.change(4, 100.8, ups={SENDER: second}, groups={})
    assert pass_until(101.1)[SENDER] == second
    assert bench.changed(3) == {"late_s": pytest.approx(0.1), "failed": {}, "ups": {}, "devices": {}, "groups": None}
    # So did a device that was set meanwhile.
    bench.change(5, 102.0, ups={SENDER: first})
    bench.set(Link(None, 5_000), Link())
    assert pass_until(102.0)[SENDER] == Link(None, 5_000).as_dict()


def test_who_asks_for_a_change_before_its_time_has_it_carried_out(bench: Bench) -> None:
    bench.set(Link(None, 30_000), Link())
    near = Link(None, 1_000).as_dict()
    for address in (SENDER, "10.0.0.9"):
        bench.change(1, 200.0, ups={address: near})
    assert bench.changed(1)["ups"] == {SENDER: near, "10.0.0.9": near}
    assert bench.packets._orders._due.next_s is None


def test_commands_of_one_channel_come_before_those_of_others_and_packets_after_each(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, theirs = socket.socketpair()
    reads, writes = os.pipe()
    back, answers = os.pipe()
    ours = Commands(theirs.fileno(), theirs.fileno()), Commands(reads, answers)
    os.write(writes, b'{"op": "state"}\n{"op": "chan')
    change = {"op": "change", "number": 1, "at": 0, "ups": {SENDER: Link(None, 1_000).as_dict()}, "devices": {}}
    changes.send(b"".join(json.dumps(one).encode() + b"\n" for one in (change, {"op": "changed", "number": 1})))
    process = Packets(ours)
    threading.Thread(target=process.run, daemon=True).start()
    assert json.loads(changes.recv(1 << 16))["ups"] == change["ups"]
    assert json.loads(os.read(back, 1 << 16))["ups"] == change["ups"]
    os.write(writes, b'ges"}\n')
    assert json.loads(os.read(back, 1 << 16))["downs"] == {}
    changes.close()  # it ends
    for descriptor in (reads, writes, back, answers):
        os.close(descriptor)
