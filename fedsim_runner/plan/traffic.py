"""What the messages of a course take of its links: the times of each device, of a round and of the course. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..catalog.engines import engine_facts
from ..contract.client_sampling import asked_clients
from ..contract.link import Link
from ..contract.round_quorum import quorum_size
from ..contract.units import duration, size
from ..spec.experiment import Experiment
from .host_load import describe_tightness, expected_load, model_memory, refuse_too_little_memory
from .model import MessageSizes, PlacedDevice, Plan, Traffic, Transfer
from .names import join_names
from .packet_load import describe_packet_load
from .routes import plan_routes, shared_links
from .wall_time import plan_in_wall_time

# A frame of 1514 bytes, as tc counts it, carries 1448 of a TCP stream.
FRAMES = 1514 / 1448


def with_traffic(plan: Plan, sizes: MessageSizes) -> Plan:
    """The plan with what its messages take of links and memory, and with notes on what that makes impossible.

    Raises:
        PlacementError: a lab host's memory does not hold its devices with this model.
    """
    traffic = expect_traffic(plan.experiment, plan.placed, sizes)
    by_host = plan.placed_by_host()
    loads = []
    for load in plan.loads:
        here = by_host[load.lab_host.name]
        loads.append(expected_load(load.lab_host, here, len(plan.placed) - 1, sizes))
        refuse_too_little_memory(loads[-1])
    said = {note for load in plan.loads for note in describe_tightness(load)}
    notes = [note for note in plan.notes if note not in said]
    notes += [note for load in loads for note in describe_tightness(load)]
    notes += [*_too_small(plan, sizes), *_too_slow(plan.experiment, plan.placed, traffic)]
    in_force = plan_in_wall_time(plan)
    notes += describe_packet_load(in_force.experiment, in_force.placed, sizes)
    return replace(plan, loads=tuple(loads), traffic=traffic, notes=tuple(notes))


def expect_traffic(experiment: Experiment, placed: Sequence[PlacedDevice], sizes: MessageSizes) -> Traffic:
    """Return what a course with messages of these sizes takes of its links."""
    server = experiment.server.network
    clients = [item.device for item in placed if item.device.role == "client"]
    routes = plan_routes(experiment, placed)
    between = shared_links(experiment, placed)
    asked = _asked(experiment.config, len(clients))
    quorum = _enough(experiment, asked)
    least = 1 if experiment.course.round_deadline_s is not None or _is_asynchronous(experiment) else quorum

    def seconds(message: int, *links: Link) -> float:
        rates = [link.rate_bps for link in links if link.rate_bps is not None]
        sending = message * 8 * FRAMES / min(rates) if rates else 0.0
        return sending + sum(link.delay_us for link in links) / 1e6

    def shared(message: int, count: int, own: Link, *, up: bool) -> float:
        """What the server's own link, or one between, takes at least for the messages of so many clients."""
        others = len(clients) - count
        links = [(one.up if up else one.down, one.clients - others) for one in between]
        taken = [seconds(message * least, link) for link, least in links if link.rate_bps and least > 0]
        return max(seconds(message * count, own), *taken, 0.0)

    def broadcast(message: int) -> float:
        """Until every client has the same message."""
        return max(
            shared(message, len(clients), server.up, up=False),
            *(seconds(message, *route.down) for route in routes.values()),
        )

    transfers = {
        client.name: Transfer(
            seconds(sizes.to_client, *routes[client.name].down), seconds(sizes.from_client, *routes[client.name].up)
        )
        for client in clients
    }
    each = sorted((one.receive_s + one.send_s, name) for name, one in transfers.items())
    round_s = max(
        _until_enough(experiment, [took for took, _ in each], asked),
        shared(sizes.to_client, least, server.up, up=False),
        shared(sizes.from_client, least, server.down, up=True),
    )
    rounds = experiment.total_rounds
    course_s = rounds * round_s + broadcast(sizes.finish)
    if sizes.evaluate:
        frequency = _number(experiment.config, "eval", "freq", 1)
        evaluations = math.ceil(rounds / frequency) if frequency >= 1 else 1
        course_s += evaluations * broadcast(sizes.evaluate)
    transfers[experiment.server.name] = Transfer(
        shared(sizes.from_client, asked, server.down, up=True), shared(sizes.to_client, asked, server.up, up=False)
    )
    return Traffic(sizes, tuple(transfers[item.device.name] for item in placed), round_s, course_s, each[-1][1])


def short_time(seconds: float) -> str:
    """A transfer time with two digits, or as a duration: ``0.034 s``, ``4.8 s``, ``52 min 04 s``."""
    return f"{seconds:.2g} s" if seconds < 10 else duration(seconds)


def describe_traffic(traffic: Traffic, rounds: int) -> str:
    """Describe the traffic of a course in one sentence."""
    sizes = traffic.sizes
    evaluations = f", {size(sizes.evaluate)} for each evaluation" if sizes.evaluate else ""
    return (
        f"Messages: a model of {sizes.numbers:,} numbers, {size(sizes.to_client)} to a client and "
        f"{size(sizes.from_client)} back in every round{evaluations}, {size(sizes.finish)} at the end; links "
        f"alone take at least {short_time(traffic.round_s)} of a round, and {short_time(traffic.course_s)} of a course "
        f"of {rounds} round{'s' * (rounds != 1)} (slowest: {traffic.slowest})"
    )


def _too_slow(experiment: Experiment, placed: Sequence[PlacedDevice], traffic: Traffic) -> Iterator[str]:
    course, rounds = experiment.course, experiment.total_rounds
    if traffic.course_s > course.timeout_s:
        yield (
            f"course.timeout is {course.timeout_s:g} s, and links alone need at least {duration(traffic.course_s)} for "
            f"{rounds} round{'s' * (rounds != 1)} with messages of {size(traffic.sizes.to_client)} (slowest: "
            f"{traffic.slowest}): the course will be given up; set it above {math.ceil(traffic.course_s)}, or choose "
            "faster links, a smaller model or fewer rounds"
        )
    deadline = course.round_deadline_s
    if deadline is not None:
        late = [
            item.device.name
            for item, transfer in zip(placed, traffic.transfers, strict=True)
            if item.device.role == "client" and transfer.receive_s + transfer.send_s > deadline
        ]
        if late:
            yield (
                f"{join_names(late)}: the link alone takes longer than course.round_deadline ({deadline:g} s) for the "
                "messages of a round: every update comes too late"
            )


def _too_small(plan: Plan, sizes: MessageSizes) -> Iterator[str]:
    """Devices that hold their engine with a small model, but not with this one."""
    for engine in sorted({item.device.engine for item in plan.placed}):
        facts = engine_facts(engine)
        needs = {
            item.device.name: facts.memory_bytes + model_memory(item.device.role, facts, sizes)
            for item in plan.placed
            if item.device.engine == engine
            and facts.memory_bytes <= item.device.type.memory_bytes  # otherwise noted anyway
        }
        small = [
            item.device.name for item in plan.placed if item.device.type.memory_bytes < needs.get(item.device.name, 0)
        ]
        if small:
            most = max(needs[name] for name in small)
            yield (
                f"{join_names(small)}: with this model engine {engine} needs about {size(most)} of memory at its peak, "
                "which is more than the device has: it may be killed"
            )


def _asked(config: Mapping[str, Any], clients: int) -> int:
    """How many clients the server asks in each round."""
    number = _number(config, "federate", "sample_client_num", -1)
    return asked_clients(clients, number, _number(config, "federate", "sample_client_rate", -1.0))


def _until_enough(experiment: Experiment, each: Sequence[float], asked: int) -> float:
    """Seconds until a round has the updates that it waits for at least. ``each``: of every client, sorted."""
    if _is_asynchronous(experiment):
        # One aggregation follows the other while slow clients still train: what counts is how many updates arrive.
        least = max(1.0, _number(experiment.config, "asyn", "min_received_num", 0))
        arriving = sum(1 / took for took in each if took)
        return min(asked, least) / arriving if all(each) else 0.0
    deadline, enough = experiment.course.round_deadline_s, each[_enough(experiment, asked) - 1]
    return enough if deadline is None else min(enough, max(each[0], deadline))


def _enough(experiment: Experiment, asked: int) -> int:
    """How many updates end a round of so many clients."""
    quorum = experiment.course.round_quorum
    return asked if quorum is None else quorum_size(quorum, asked)


def _is_asynchronous(experiment: Experiment) -> bool:
    asyn = experiment.config.get("asyn")
    return isinstance(asyn, Mapping) and asyn.get("use") is True


def _number(config: Mapping[str, Any], section: str, key: str, default: float) -> float:
    values = config.get(section)
    value = values.get(key, default) if isinstance(values, Mapping) else default
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default
