"""Lost clients and stragglers of the light engine: real processes that are killed, frozen or slow."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedsim_runner.contract.participant_events import QuorumReached
from fedsim_runner.participant.activity import Activity
from fedsim_runner.participant.light.transport import Transport
from fedsim_runner.participant.light.wire import Message
from fedsim_runner.participant.tensors import encode_parameters
from tests.unit.participant.helpers import LOOPBACK, Course, free_ports, merged
from tests.unit.participant.test_course import BUSY, ENDLESS, QUICK, accuracy, cpu_seconds, wait_for

pytestmark = pytest.mark.course

MakeCourse = Callable[..., Course]
CONTINUE = {"on_client_failure": "continue"}
BY_CLIENTS = {"federate": {"make_global_eval": False}, "early_stop": {"patience": 0}}


def slow(seconds: float) -> str:
    """A patch that makes a client's training take longer."""
    return (
        "import time; from fedsim_runner.participant.light.trainer import Trainer\n"
        f"train = Trainer.train\nTrainer.train = lambda self: (time.sleep({seconds}), train(self))[1]"
    )


def identity(course: Course, name: str) -> int:
    """The id that was assigned to a client."""
    found = re.search(r"is assigned with #(\d+)", course.log(name))
    assert found is not None
    return int(found.group(1))


def result_lines(course: Course, name: str) -> int:
    return course.log(name).count("{'Role'")


@pytest.mark.parametrize("config", [{}, BY_CLIENTS], ids=["evaluated by the server", "evaluated by clients"])
def test_continues_without_a_killed_client(make_course: MakeCourse, config: dict[str, object]) -> None:
    course = make_course(config=config, policy=CONTINUE)
    course.start("server", "client-1", "client-3")
    course.start("client-2", patch=BUSY)
    course.open_gate()
    wait_for(lambda: result_lines(course, "client-1") > 0)
    lost = identity(course, "client-2")
    course.processes["client-2"].kill()
    course.lose("client-2")
    assert [course.wait(name) for name in ("server", "client-1", "client-3")] == [0, 0, 0]
    line = rf"Server: Client #{lost} \(127\.0\.0\.1\) is lost: it was killed; going on with 2 clients\n"
    assert len(re.findall(line, course.log("server"))) == 1
    assert [event["peer"] for event in course.activity("server") if event["what"] == "lost"] == [lost]
    assert accuracy(course, 9 if config else 10) > 0.8
    sent = [event for event in course.activity("server") if event["what"] == "sent" and event["kind"] == "finish"]
    assert {event["peer"] for event in sent} == {1, 2, 3} - {lost}


def test_continues_without_a_frozen_client_that_is_not_sampled_again(make_course: MakeCourse) -> None:
    config = merged(BY_CLIENTS, {"federate": {"sample_client_num": 2, "total_round_num": 30}})
    course = make_course(config=config, policy=CONTINUE)
    course.start()
    course.open_gate()
    wait_for(lambda: "(Round #3)" in course.log("server"))
    course.processes["client-3"].send_signal(signal.SIGSTOP)
    time.sleep(1)
    assert course.processes["server"].poll() is None, "it waits for the answer"
    course.lose("client-3")
    assert [course.wait(name) for name in ("server", "client-1", "client-2")] == [0, 0, 0]
    assert course.log("server").count("going on with 2 clients") == 1
    lost = identity(course, "client-3")
    events = course.activity("server")
    given_up = next(number for number, event in enumerate(events) if event["what"] == "lost")
    assert all(event.get("peer") != lost for event in events[given_up + 1 :])


def test_too_few_clients_are_left(make_course: MakeCourse) -> None:
    course = make_course(config=ENDLESS, policy=CONTINUE | {"min_clients": 2})
    course.start()
    course.open_gate()
    wait_for(lambda: "(Round #3)" in course.log("server"))
    for name in ("client-1", "client-2"):
        course.processes[name].kill()
    course.lose("client-1")
    course.lose("client-1", "client-2")
    assert course.wait("server", 20) == 1
    line = "1 of 3 clients are left, course.min_clients is 2; lost: "
    assert course.record("server")["error"].startswith(line)
    assert line in course.log("server")


def test_a_client_that_is_lost_before_it_joins(make_course: MakeCourse) -> None:
    course = make_course(config={"federate": {"join_in_info": ["num_sample"]}}, policy=CONTINUE)
    course.start("server", "client-1", "client-3")
    course.open_gate()
    wait_for(lambda: course.log("server").count("has joined in") == 2)
    assert "Starting training" not in course.log("server")
    course.lose("client-2")
    assert [course.wait(name) for name in ("server", "client-1", "client-3")] == [0, 0, 0]
    line = f"Server: A client (127.0.0.1:{course.ports['client-2']}) is lost: it was killed; going on with 2 clients"
    assert line in course.log("server")


def test_polling_for_lost_clients_costs_nothing(make_course: MakeCourse) -> None:
    course = make_course(policy=CONTINUE | {"round_deadline_s": 60})
    course.start("server")
    course.open_gate()
    wait_for(lambda: "Listen to" in course.log("server"))
    course.lose()
    time.sleep(1)
    before = cpu_seconds(course.processes["server"].pid)
    time.sleep(4)
    assert cpu_seconds(course.processes["server"].pid) - before <= 0.02, "half a percent of a core"


def test_the_server_notices_without_the_agent(make_course: MakeCourse) -> None:
    course = make_course(config={"federate": {"total_round_num": 200}}, policy=CONTINUE)
    course.start("server", "client-1", "client-3", patch=QUICK)
    course.start("client-2", patch=BUSY)
    course.open_gate()
    wait_for(lambda: result_lines(course, "client-1") > 0)
    course.processes["client-2"].kill()
    assert [course.wait(name) for name in ("server", "client-1", "client-3")] == [0, 0, 0]
    assert re.search(r"Client #\d \(127\.0\.0\.1\) is lost: client #\d .* is gone: ", course.log("server"))


@pytest.mark.parametrize("config", [{}, BY_CLIENTS], ids=["evaluated by the server", "evaluated by clients"])
def test_a_straggler_is_not_waited_for(make_course: MakeCourse, config: dict[str, object]) -> None:
    rounds = {"federate": {"total_round_num": 6}}
    course = make_course(config=merged(config, rounds), policy={"round_deadline_s": 1.0})
    course.start("server")
    course.start("client-1", "client-3", patch=slow(0.4))
    course.start("client-2", patch=slow(1.7))
    course.open_gate()
    # The straggler makes one round last its second; the next ones go on without it until it has answered.
    assert [course.wait(name) for name in course.names] == [0, 0, 0, 0], course.said("client-2")
    log, straggler = course.log("server"), identity(course, "client-2")
    assert "Server: Round #0 is aggregated after its deadline of 1 s with 2 of 3 updates\n" in log
    late = [event for event in course.activity("server") if event["what"] == "late"]
    assert late
    for event in late:
        assert event["peer"] == straggler
        line = f"The update of client #{straggler} for round {event['round']} came after its end and is dropped\n"
        assert log.count(line) == 1
    rounds_sent = [
        event["round"]
        for event in course.activity("server")
        if event["what"] == "send" and event["kind"] == "model_para" and event["peer"] == straggler
    ]
    assert rounds_sent[0] == 0
    assert 1 < len(rounds_sent) < 6, "asked again, but not while it is busy"
    assert course.log("client-2").count("received finish message") == 1


@pytest.mark.parametrize("config", [{}, BY_CLIENTS], ids=["evaluated by the server", "evaluated by clients"])
def test_a_round_is_aggregated_with_its_quorum(make_course: MakeCourse, config: dict[str, object]) -> None:
    rounds = {"federate": {"total_round_num": 4}}
    course = make_course(config=merged(config, rounds), policy={"round_quorum": 0.6})
    course.start("server")
    course.start("client-1", "client-3", patch=slow(0.2))
    course.start("client-2", patch=slow(60))
    course.open_gate()
    assert [course.wait(name) for name in ("server", "client-1", "client-3")] == [0, 0, 0], course.said("server")
    assert "Server: Round #0 is aggregated with its quorum: 2 of 3 updates\n" in course.log("server")
    # Later rounds ask the other two only, of which both are more than 60 %.
    found = [event for event in course.reported("server") if isinstance(event, QuorumReached)]
    assert found == [QuorumReached(0, 2, 3)]


def test_a_round_waits_for_others_as_long_again_as_its_quorum_took(make_course: MakeCourse) -> None:
    course = make_course(config={"federate": {"total_round_num": 2}}, policy={"round_quorum": 1, "round_grace": 4})
    course.start("server")
    course.start("client-1", patch=slow(0.5))
    course.start("client-2", patch=slow(1.0))
    course.start("client-3", patch=slow(60))
    course.open_gate()
    assert [course.wait(name) for name in ("server", "client-1", "client-2")] == [0, 0, 0], course.said("server")
    found = [event for event in course.reported("server") if isinstance(event, QuorumReached)]
    assert found == [QuorumReached(0, 2, 3)], "the second arrives in time, the third does not"
    used = [event for event in course.activity("server") if event["what"] == "used" and event["round"] == 0]
    assert {event["peer"] for event in used} == {identity(course, "client-1"), identity(course, "client-2")}


def test_the_first_update_is_awaited_beyond_the_deadline(make_course: MakeCourse) -> None:
    course = make_course(clients=2, config={"federate": {"total_round_num": 2}}, policy={"round_deadline_s": 0.2})
    course.start("server")
    course.start("client-1", patch=slow(1.0))
    course.start("client-2", patch=slow(2.5))
    course.open_gate()
    assert [course.wait(name) for name in course.names] == [0, 0, 0], course.said("server")
    assert "Round #0 is aggregated after its deadline of 0.2 s with 1 of 2 updates" in course.log("server")


def test_a_frozen_client_delays_nobody_with_a_deadline(make_course: MakeCourse) -> None:
    course = make_course(config={"federate": {"total_round_num": 400}}, policy={"round_deadline_s": 0.5})
    course.start()
    course.open_gate()
    wait_for(lambda: "(Round #3)" in course.log("server"))
    course.processes["client-2"].send_signal(signal.SIGSTOP)
    wait_for(lambda: "after its deadline of 0.5 s with 2 of 3 updates" in course.log("server"))
    began = course.log("server").count("Starting a new training round")
    wait_for(lambda: course.log("server").count("Starting a new training round") > began + 20)
    course.processes["client-2"].send_signal(signal.SIGCONT)
    assert [course.wait(name) for name in course.names] == [0, 0, 0, 0], course.said("server")


def test_activity_of_a_course(make_course: MakeCourse) -> None:
    course = make_course(clients=2, config=merged(BY_CLIENTS, {"federate": {"total_round_num": 3}}))
    course.start()
    course.open_gate()
    assert [course.wait(name) for name in course.names] == [0, 0, 0]
    server, client = course.activity("server"), course.activity("client-1")
    own = identity(course, "client-1")
    for begin, end in (("train", "trained"), ("evaluate", "evaluated")):
        rounds = [(event["what"], event["round"]) for event in client if event["what"] in (begin, end)]
        assert rounds == [pair for number in range(3) for pair in ((begin, number), (end, number))]
    merges = [(event["what"], event["round"]) for event in server if event["what"].startswith("aggregate")]
    assert merges == [pair for number in range(3) for pair in (("aggregate", number), ("aggregated", number))]
    assert [event["what"] for event in client[:2]] == ["send", "sent"] or client[1]["kind"] == "assign_client_id"
    sent = [event for event in server if event["what"] == "sent" and event["peer"] == own]
    received = [event for event in client if event["what"] == "received"]
    assert [(event["kind"], event["round"], event["bytes"]) for event in received] == [
        (event["kind"], event["round"], event["bytes"])
        for event in server
        if event["what"] == "send" and event["peer"] == own
    ]
    assert len(sent) == len(received)
    assert {event["peer"] for event in received} == {0}
    updates = [event for event in server if event["what"] == "received" and event["kind"] == "model_para"]
    assert sorted((event["round"], event["peer"]) for event in updates) == [
        (number, peer) for number in range(3) for peer in (1, 2)
    ]
    assert all(event["bytes"] > 1000 for event in updates)


def test_a_client_trains_the_newest_model(make_course: MakeCourse, tmp_path: Path) -> None:
    course = make_course(clients=1)
    course.start("client-1", patch=slow(1.0))
    course.open_gate()
    server = Transport(LOOPBACK, course.ports["server"], Activity(tmp_path))
    try:
        server.add_peer(1, f"{LOOPBACK}:{course.ports['client-1']}")
        assert server.wait([], str).msg_type == "join_in"
        server.send(Message("assign_client_id", 0, [1], 0, "1"))
        model = encode_parameters({"fc.weight": np.zeros((10, 64), np.float32), "fc.bias": np.zeros(10, np.float32)})
        server.send(Message("model_para", 0, [1], 0, model))
        wait_for(lambda: '"what": "train"' in course.log("client-1", "activity.jsonl"))
        for number in (1, 2):
            server.send(Message("model_para", 0, [1], number, model))
        answers = [server.wait([1], str) for _ in range(2)]
        assert [(answer.msg_type, answer.state) for answer in answers] == [("model_para", 0), ("model_para", 2)]
        assert "Drop a out-of-date message from round #1" in course.log("client-1")
        # The end also supersedes the training: nobody would receive its answer.
        server.send(Message("model_para", 0, [1], 3, model))
        server.send(Message("finish", 0, [1], 3, "None"))
        assert course.wait("client-1") == 0
        assert server.waiting() == []
    finally:
        server.close()


def test_a_full_disk_ends_the_participant(make_course: MakeCourse) -> None:
    course = make_course(clients=1, config=ENDLESS)
    course.start("server")
    course.start(
        "client-1",
        patch=(
            "import errno; from fedsim_runner.participant import activity\n"
            "note = activity.Activity.note\n"
            "def full(self, what, **rest):\n"
            "    if rest.get('round') == 3: raise OSError(errno.ENOSPC, 'No space left on device')\n"
            "    note(self, what, **rest)\n"
            "activity.Activity.note = full"
        ),
    )
    course.open_gate()
    assert course.wait("client-1", 20) == 1
    assert course.record("client-1")["error"] == "cannot write: [Errno 28] No space left on device"


def test_messages_keep_their_order_and_a_stalled_peer_delays_nobody(tmp_path: Path) -> None:
    ports = free_ports(3)
    sender = Transport(LOOPBACK, ports[0], Activity(tmp_path))
    receivers = [Transport(LOOPBACK, port, Activity(tmp_path)) for port in ports[1:]]
    try:
        for peer, port in enumerate(ports[1:], start=1):
            sender.add_peer(peer, f"{LOOPBACK}:{port}")
        receivers[0].close()  # nobody listens at the first
        for number in range(5):
            sender.post(Message("m", 0, [1, 2], number, "x"))
        arrived = []
        for _ in range(5):
            while not receivers[1].waiting():
                sender.waiting()
                time.sleep(0.01)
            arrived.append(receivers[1].wait([], str).state)
        assert arrived == list(range(5))
        sender.drop_peer(1)
        sender.flush()
    finally:
        for transport in (sender, receivers[1]):
            transport.close()
    events = [json.loads(line) for line in (tmp_path / "activity.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["round"] for event in events if event["what"] == "sent"] == list(range(5))
