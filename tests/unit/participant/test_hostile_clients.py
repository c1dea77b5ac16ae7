"""One client that keeps to no rule: the course goes on without it, and tells no story of its."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.contract.participant_events import Admitted, ClientLost, Finished, Result, RoundStarted
from fedsim_runner.participant.federatedscope import answers
from fedsim_runner.participant.light.answers import InvalidAnswerError, read_metrics, read_update
from fedsim_runner.participant.light.results import merged
from fedsim_runner.participant.light.wire import Message
from fedsim_runner.participant.senders import (
    MOST_JOINS,
    MOST_KINDS,
    Door,
    Refusals,
    RefusedMessageError,
    addresses_of,
    check_source,
    read_address,
    source_of,
)
from fedsim_runner.participant.tensors import encode_parameters
from tests.unit.participant.federatedscope.conftest import source, torch_course  # noqa: F401 - pytest finds it here
from tests.unit.participant.federatedscope.helpers import TorchCourse
from tests.unit.participant.helpers import Course
from tests.unit.participant.hostile import ADDRESS, Hostile

ROUNDS = 3
CONTINUE = {"on_client_failure": "continue"}
STORY = "\n2026-01-02 10:00:00,123 (server:442) INFO: Server: Final evaluation is finished! Starting merging results."
MEMO = base64.b64encode(b"\x80\x03]r\xff\xff\xff\x7f.").decode()
OWN = {"fc.weight": np.zeros((2, 3), np.float32), "fc.bias": np.zeros(2, np.float32)}
GOOD: Any = encode_parameters(OWN)


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    client = Hostile()
    yield client
    client.close()


def light(make: Callable[..., Course], rounds: int = ROUNDS, **options: Any) -> Course:
    return make(config={"federate": {"total_round_num": rounds}}, **options)


def disturb(course: Course, hostile: Hostile) -> Message:
    """All that a client can do before its first update; return the request for that."""
    server = course.ports["server"]
    assert hostile.join(server, host=None) == "PERMISSION_DENIED"
    assert hostile.join(server, port=None) == "PERMISSION_DENIED"
    assert hostile.join(server, host=ADDRESS + STORY) == "PERMISSION_DENIED"
    assert hostile.join(server, host="127.0.0.1") == "PERMISSION_DENIED", "another client's address"
    assert hostile.send(server, Message("join_in", -1, [0], 0, "let me in" + STORY)) == "PERMISSION_DENIED"
    assert hostile.send(server, Message("model_para", 1, [0], 0, "x")) == "PERMISSION_DENIED"
    assert hostile.send(server, Message("dance", 1, [0], 0, "x")) == "PERMISSION_DENIED"
    for _ in range(300):
        assert hostile.send(server, b"\xff" * 1000) != "OK"
    assert hostile.join(server) == "OK"
    number = int(hostile.wait_for("assign_client_id").content)
    assert hostile.join(server, port=hostile.port + 1) == "PERMISSION_DENIED", "a second place"
    assert hostile.join(server) == "OK", "its own place again"
    request = hostile.wait_for("model_para")
    assert hostile.send(server, Message("model_para", number, [0], 1000, "of a round that nobody asked for")) == "OK"
    assert hostile.send(server, Message("metrics", number, [0], 1000, {"test_total": 1})) == "OK"
    for name in ("client-1", "client-2"):
        finish = Message("finish", 0, [1], 1000, {})
        assert hostile.send(course.ports[name], finish) == "PERMISSION_DENIED"
    for other in {1, 2, 3} - {number}:
        update = Message("model_para", other, [0], request.state, [1, request.content])
        assert hostile.send(server, update) == "PERMISSION_DENIED"
    return Message("model_para", number, [0], request.state, "a text" + STORY, request.timestamp)


def check_end(course: Course, number: int, what: str) -> None:
    """The course has ended as if the hostile client had died."""
    for name in ("server", "client-1", "client-2"):
        assert course.wait(name, 120) == 0, course.said(name)
    events = course.reported("server")
    lost = [event for event in events if isinstance(event, ClientLost)]
    assert [one.client_id for one in lost] == [number] and what in lost[0].reason
    assert [event.round for event in events if isinstance(event, RoundStarted)] == list(range(ROUNDS))
    assert sum(isinstance(event, Finished) for event in events) == 1
    assert len([event for event in events if isinstance(event, Result) and event.client_id is None]) == ROUNDS
    admitted = {event.client_id: event.host for event in events if isinstance(event, Admitted)}
    assert admitted[number] == ADDRESS and set(admitted) == {1, 2, 3}
    log = course.log("server")
    assert log.count("Final evaluation is finished") == 1
    assert log.count(f"a message from {ADDRESS} is refused") <= 8, "a flood of messages is not one of log lines"


@pytest.mark.course
def test_a_course_goes_on_without_a_client_that_keeps_to_no_rule(
    make_course: Callable[..., Course], hostile: Hostile
) -> None:
    course = light(make_course, policy=CONTINUE)
    course.open_gate()
    course.start("server", "client-1", "client-2")
    update = disturb(course, hostile)
    assert hostile.send(course.ports["server"], update) == "OK"
    check_end(course, update.sender, f"the update of client #{update.sender} ({ADDRESS}) is not valid")
    assert "finish" not in hostile.kinds


@pytest.mark.course
def test_a_course_that_does_not_go_on_names_the_client(make_course: Callable[..., Course], hostile: Hostile) -> None:
    course = light(make_course)
    course.open_gate()
    course.start("server", "client-1", "client-2")
    assert hostile.join(course.ports["server"]) == "OK"
    number = int(hostile.wait_for("assign_client_id").content)
    request = hostile.wait_for("model_para")
    hostile.send(course.ports["server"], Message("model_para", number, [0], request.state, [1, {"fc.weight": MEMO}]))
    assert course.wait("server") == 1
    reason = f"the update of client #{number} ({ADDRESS}) is not valid: a pickle numbers an object 2147483647"
    assert course.record("server")["error"].startswith(reason)
    assert any(isinstance(event, ClientLost) and event.client_id == number for event in course.reported("server"))


@pytest.mark.federatedscope
def test_federatedscopes_course_goes_on_without_a_client_that_keeps_to_no_rule(
    torch_course: Callable[..., TorchCourse],  # noqa: F811 - the fixture
    hostile: Hostile,
    tmp_path: Path,
) -> None:
    config = {"federate": {"total_round_num": ROUNDS, "make_global_eval": True}}
    course = torch_course(clients=3, config=config, **CONTINUE)
    course.go("server", "client-1", "client-2")
    mark = tmp_path / "ran"
    code = base64.b64encode(f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode()).decode()
    update = replace(disturb(course, hostile), content=[1, {"fc.weight": code}])
    assert hostile.send(course.ports["server"], update) == "OK"
    check_end(course, update.sender, "its model_para is not valid: ")
    assert not mark.exists()


@pytest.mark.federatedscope
def test_federatedscopes_clients_results_that_nobody_can_merge_cost_their_client(
    torch_course: Callable[..., TorchCourse],  # noqa: F811 - the fixture
    hostile: Hostile,
) -> None:
    config = {"federate": {"total_round_num": ROUNDS, "make_global_eval": False}}
    course = torch_course(clients=3, config=config, **CONTINUE)
    course.go("server", "client-1", "client-2")
    server = course.ports["server"]
    assert hostile.join(server) == "OK"
    number = int(hostile.wait_for("assign_client_id").content)
    model = hostile.wait_for("model_para")
    # A time stamp far ahead stops a server that believes it at the next client's update.
    assert hostile.send(server, Message("model_para", number, [0], model.state, [5, model.content], 1e6)) == "OK"
    wanted = hostile.wait_for("evaluate")
    few = Message("metrics", number, [0], wanted.state, {"test_total": 5, "test_acc": 1.0})
    assert hostile.send(server, few) == "OK"
    model = hostile.wait_for("model_para")
    assert hostile.send(server, Message("model_para", number, [0], model.state, [5, model.content], 0.0)) == "OK"
    wanted = hostile.wait_for("evaluate")
    assert hostile.send(server, Message("metrics", number, [0], wanted.state, {"test_acc": "all"})) == "OK"
    check_end(course, number, "its metrics is not valid: ")


UPDATES: dict[str, tuple[Any, str]] = {
    "a text": ("x", "not samples and parameters"),
    "without parameters": ([1], "not samples and parameters"),
    "no samples": ([0, GOOD], "not above zero"),
    "samples below zero": ([-1, GOOD], "not above zero"),
    "samples beyond all": ([math.inf, GOOD], "not above zero"),
    "samples that are not a number": ([math.nan, GOOD], "not above zero"),
    "samples that are a text": (["1", GOOD], "not above zero"),
    "parameters that are a list": ([1, [1.0]], "expected parameters by name"),
    "a pickle that takes all memory": ([1, {**GOOD, "fc.bias": MEMO}], "numbers an object"),
    "a parameter less": ([1, {"fc.weight": GOOD["fc.weight"]}], "lacks fc.bias"),
    "another shape": ([1, encode_parameters(OWN | {"fc.bias": np.zeros(3)})], "has shape"),
    "not a number": ([1, encode_parameters(OWN | {"fc.bias": np.array([1, np.nan])})], "not finite"),
    "beyond what training leaves": ([1, encode_parameters(OWN | {"fc.bias": np.array([1, 1e30])})], "beyond 1e"),
}


@pytest.mark.parametrize("name", UPDATES)
def test_updates_that_nobody_can_use(name: str) -> None:
    content, words = UPDATES[name]
    with pytest.raises(InvalidAnswerError, match=words):
        read_update(content, OWN)


def test_an_update_keeps_the_models_parameters_only() -> None:
    samples, parameters = read_update([3, encode_parameters({**OWN, "other": np.ones(9)})], OWN)
    assert samples == 3 and set(parameters) == set(OWN)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x", "not numbers by name"),
        ({}, "not numbers by name"),
        ({f"test_{n}": 1 for n in range(2000)}, "not numbers by name"),
        ({"test_acc": "0.9"}, "test_acc is not a number"),
        ({"test_acc": math.nan}, "test_acc is not a number"),
        ({"test_total": -1}, "test_total is below zero"),
        ({"train_acc": 1}, "not that of a metric"),
        ({"test_a\nb": 1}, "not that of a metric"),
        ({1: 1}, "not that of a metric"),
    ],
)
def test_metrics_that_nobody_can_use(content: Any, words: str) -> None:
    with pytest.raises(InvalidAnswerError, match=words):
        read_metrics(content, ["test", "val"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x", "not numbers by name"),
        ({}, "not numbers by name"),
        ({"test_acc": 0.5}, "lack test_total"),
        ({"test_total": 5, "test_acc": "all"}, "not a number"),
        ({"test_total": 5, "test_acc": math.inf}, "not a number"),
        ({"test_total": 5, "acc": 1}, "not a number with the name of a metric"),
        ({"test_total": -5}, "below zero"),
    ],
)
def test_metrics_that_federatedscope_cannot_merge(content: Any, words: str) -> None:
    answers.check_metrics({"test_total": 5, "test_acc": 0.5, "test_avg_loss": math.nan})
    with pytest.raises(answers.UnusableAnswerError, match=words):
        answers.check_metrics(content)


@pytest.mark.parametrize("content", ["x", {}, {"num_sample": "9"}, {"client_resource": 1}])
def test_information_that_federatedscope_has_asked_for_in_vain(content: Any) -> None:
    answers.check_info({"num_sample": 9, "more": "x"}, ["num_sample"])
    with pytest.raises(answers.UnusableAnswerError, match="does not say its num_sample"):
        answers.check_info(content, ["num_sample"])


def test_results_with_other_names_than_most_are_not_merged() -> None:
    usual = {"test_total": 1, "test_acc": 1}
    assert answers.like_most({1: usual, 2: {"test_total": 1}, 3: usual}) == [1, 3]
    assert answers.like_most({1: usual, 2: {"test_total": 1}}) == [1]
    assert answers.like_most({}) == []


def test_a_client_that_leaves_a_metric_out_does_not_hide_it() -> None:
    given = [{"test_total": 3}, {"test_total": 10, "test_acc": 0.5}, {"test_total": 5, "test_acc": 0.8}]
    line = merged(3, given, ["weighted_avg", "avg"])
    assert line["Results_weighted_avg"] == {"test_total": 6, "test_acc": pytest.approx(0.6)}
    assert line["Results_avg"] == {"test_total": 6, "test_acc": pytest.approx(0.65)}


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:198.18.0.2:50052", "198.18.0.2"),
        ("ipv6:%5B::1%5D:50052", "::1"),
        ("ipv6:%5B::ffff:198.18.0.2%5D:50052", "198.18.0.2"),
        ("unix:/tmp/socket", "unix:/tmp/socket"),
        ("ipv4:what", "ipv4:what"),
    ],
)
def test_the_source_of_a_message(peer: str, address: str) -> None:
    assert source_of(peer) == address


def test_only_the_hosts_file_says_where_a_client_is(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("# devices\n198.18.0.2\tpi phone # two\n\n198.18.0.3 tablet\nnonsense\n")
    assert addresses_of("phone", hosts) == {"198.18.0.2"}
    assert addresses_of("198.18.0.9", hosts) == {"198.18.0.9"}
    assert addresses_of("example.com", hosts) == frozenset()
    assert addresses_of("pi", tmp_path / "absent") == frozenset()


@pytest.mark.parametrize(
    "content",
    ["x", {}, {"host": "a"}, {"host": "a", "port": "1"}, {"host": "a", "port": 0}, {"host": "a", "port": True},
     {"host": "a b", "port": 1}, {"host": "", "port": 1}, {"host": "a\n", "port": 1}, {"host": "a" * 300, "port": 1}],
)  # fmt: skip
def test_joins_without_an_address(content: Any) -> None:
    with pytest.raises(RefusedMessageError, match="joins without"):
        read_address(content)


def test_a_sender_joins_once_and_under_its_own_name() -> None:
    door = Door()
    door.check_join({"host": "198.18.0.2", "port": 50052}, "198.18.0.2")
    with pytest.raises(RefusedMessageError, match=r"it has joined as 198\.18\.0\.2:50052"):
        door.check_join({"host": "198.18.0.2", "port": 50053}, "198.18.0.2")
    with pytest.raises(RefusedMessageError, match=r"it speaks for a client at 198\.18\.0\.3"):
        door.check_join({"host": "198.18.0.3", "port": 50052}, "198.18.0.2")
    with pytest.raises(RefusedMessageError, match="it speaks for client #2"):
        check_source("client #2", "198.18.0.3", "198.18.0.2")
    for _ in range(MOST_JOINS - 1):
        door.check_join({"host": "198.18.0.2", "port": 50052}, "198.18.0.2")
    with pytest.raises(RefusedMessageError, match="has joined 100 times"):
        door.check_join({"host": "198.18.0.2", "port": 50052}, "198.18.0.2")


def test_a_flood_is_logged_in_powers_of_ten() -> None:
    lines: list[str] = []
    refusals = Refusals(lines.append)
    for _ in range(2500):
        refusals.add("198.18.0.2", "garbage")
    assert [line.partition("198.18.0.2")[2] for line in lines] == [
        " is refused: garbage", " is refused (10 so far): garbage", " is refused (100 so far): garbage",
        " is refused (1000 so far): garbage",
    ]  # fmt: skip


def test_a_flood_of_kinds_is_logged_as_one_of_a_few() -> None:
    lines: list[str] = []
    refusals = Refusals(lines.append)
    logged = [refusals.add("198.18.0.2", f"kind {number}", str(number)) for number in range(2000)]
    assert sum(logged) == len(lines) <= MOST_KINDS + 4
    assert refusals.add("198.18.0.3", "another sender's", "1")
