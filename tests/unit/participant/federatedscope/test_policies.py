"""Lost clients, stragglers and asynchronous courses."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from fedsim_runner.contract.participant_events import QuorumReached, Update
from fedsim_runner.participant.federatedscope.losses import is_at
from tests.unit.participant.federatedscope.helpers import CONTINUE, TorchCourse, accuracy, wait_until
from tests.unit.participant.helpers import merged

pytestmark = pytest.mark.federatedscope

EVALUATORS = {"server": {"federate": {"make_global_eval": True}}, "clients": {"federate": {"make_global_eval": False}}}
# Training takes longer in some rounds.
SLOW = """
import time
from fedsim_runner.participant.federatedscope import activity_records
_record = activity_records.record_client
def record_client(client, activity):
    train = client.trainer.train
    def slow_train(*arguments, **options):
        time.sleep({seconds} if client.state in {rounds} else 0)
        return train(*arguments, **options)
    client.trainer.train = slow_train
    _record(client, activity)
activity_records.record_client = record_client
"""


def rounds_of(total: int, evaluator: str) -> dict[str, Any]:
    """A course of ``total`` rounds, evaluated by the server or the clients."""
    return merged(EVALUATORS[evaluator], {"federate": {"total_round_num": total}})


def check_end(course: TorchCourse, left: list[str], timeout: float = 180) -> None:
    """Check that the server and these clients have finished the course."""
    for name in ("server", *left):
        assert course.wait(name, timeout) == 0, course.said(name)
    assert "Final evaluation is finished" in course.log("server")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_continues_without_a_lost_client(
    torch_course: Callable[..., TorchCourse], evaluator: str, how: signal.Signals
) -> None:
    config = merged(EVALUATORS[evaluator], {"federate": {"total_round_num": 6}})
    course = torch_course(clients=3, config=config, **CONTINUE)
    course.open_gate()
    course.start("server", "client-1", "client-3")
    course.start("client-2", patch=SLOW.format(seconds=60, rounds=[2]))
    course.wait_for("server", r"Starting a new training round \(Round #2\)")
    course.processes["client-2"].send_signal(how)
    course.lose("client-2", reason="ended by a test")
    check_end(course, ["client-1", "client-3"])
    lost = course.client_ids()["client-2"]
    address = f"127.0.0.1:{course.ports['client-2']}"
    line = f"Server: Client #{lost} ({address}) is lost: ended by a test; going on with 2 clients"
    assert line in course.log("server")
    assert [note["peer"] for note in course.activity("server") if note["what"] == "lost"] == [lost]
    assert len([note for note in course.activity("server") if note["what"] == "aggregated"]) == 6
    assert accuracy(course, "Results_raw" if evaluator == "server" else "Results_weighted_avg") > 0.8
    assert course.log("server", "eval_results.log").count("'test_total'") >= 6


@pytest.mark.parametrize(
    ("device", "address", "same"),
    [
        ("edge-1", "edge-1:50052", True),
        ("127.0.0.1:50052", "127.0.0.1:50052", True),
        ("edge-1", "edge-11:50052", False),
        ("127.0.0.1:5005", "127.0.0.1:50052", False),
    ],
)
def test_devices_are_identified_by_name_or_address(device: str, address: str, same: bool) -> None:
    assert is_at(device, address) is same


def test_samples_only_present_clients(torch_course: Callable[..., TorchCourse]) -> None:
    config = {"federate": {"total_round_num": 8, "sample_client_num": 2, "make_global_eval": False}}
    course = torch_course(clients=3, config=config, **CONTINUE)
    course.go()
    course.wait_for("server", r"\(Round #1\)")
    course.processes["client-1"].kill()
    course.lose("client-1")
    check_end(course, ["client-2", "client-3"])
    lost = course.client_ids()["client-1"]
    notes = course.activity("server")
    at = next(number for number, note in enumerate(notes) if note["what"] == "lost")
    assert all(note["peer"] != lost for note in notes[at + 1 :] if note["what"] == "send")


def test_a_client_that_accepts_no_message_counts_as_lost(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(config=rounds_of(6, evaluator="server"), **CONTINUE)
    course.open_gate()
    patience = "from fedsim_runner.participant.federatedscope.patches import lost_message\nlost_message.RETRY_S = 1"
    course.start("server", patch=patience)
    course.start("client-1")
    course.start("client-2", patch=SLOW.format(seconds=5, rounds=[2]))
    answer = {"what": "sent", "kind": "model_para", "round": 2}
    wait_until(
        lambda: any(answer.items() <= note.items() for note in course.activity("client-1")),
        60,
        lambda: course.said("client-1"),
    )
    course.processes["client-1"].kill()  # between two rounds, and without a report to the server
    check_end(course, ["client-2"])
    assert re.search(
        r"Client #\d \(.*\) is lost: \w+ could not be sent to .*going on with 1 clients", course.log("server")
    )


def test_too_few_are_left(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(config={"federate": {"total_round_num": 500}}, on_client_failure="continue", min_clients=2)
    course.go()
    course.wait_for("server", r"\(Round #2\)")
    course.processes["client-1"].kill()
    course.lose("client-1", reason="killed")
    assert course.wait("server") == 1
    lost = f"127.0.0.1:{course.ports['client-1']}: killed"
    error = f"1 of 2 clients are left, course.min_clients is 2; lost: {lost}"
    assert course.record("server")["error"] == error
    assert error in course.log("server")
    assert "Traceback" not in course.said("server")


def test_starts_without_clients_that_never_joined(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(clients=3, **CONTINUE)
    course.go("server", "client-1")
    course.wait_for("client-1", "is assigned with")
    course.processes["client-1"].kill()  # it has joined
    course.lose("client-1", "client-2")
    course.start("client-3")
    check_end(course, ["client-3"])
    assert course.log("server").count("is lost") == 2


def test_a_straggler_is_not_waited_for(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(config=rounds_of(6, evaluator="clients"), round_deadline_s=3)
    course.open_gate()
    course.start("server", "client-1")
    course.start("client-2", patch=SLOW.format(seconds=8, rounds=[1]))
    check_end(course, ["client-1", "client-2"])
    late = course.client_ids()["client-2"]
    assert "Server: Round #1 is aggregated after its deadline of 3 s with 1 of 2 updates" in course.log("server")
    notes = course.activity("server")
    step = ("send", "model_para", late)
    sent = [note["round"] for note in notes if (note["what"], note.get("kind"), note.get("peer")) == step]
    assert sent[:2] == [0, 1]
    assert 2 not in sent  # busy with round 1
    assert accuracy(course) > 0.75


def test_a_round_is_aggregated_with_its_quorum(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(clients=3, config=rounds_of(3, evaluator="server"), round_quorum=0.5, round_grace=0.5)
    course.open_gate()
    course.start("server", "client-1")
    course.start("client-2", patch=SLOW.format(seconds=2, rounds=[1]))
    course.start("client-3", patch=SLOW.format(seconds=60, rounds=[1]))
    check_end(course, ["client-1", "client-2"])
    assert "Server: Round #1 is aggregated with its quorum: 2 of 3 updates" in course.log("server")
    assert QuorumReached(1, 2, 3) in course.reported("server")
    models = [note for note in course.activity("server") if (note["what"], note.get("kind")) == ("send", "model_para")]
    sent = [note["peer"] for note in models if note["round"] == 2]
    assert course.client_ids()["client-3"] not in sent  # busy with round 1


def test_a_late_client_is_asked_again(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(config=rounds_of(8, evaluator="server"), round_deadline_s=1.5)
    course.open_gate()
    course.start("server")
    course.start("client-1", patch=SLOW.format(seconds=1, rounds=list(range(8))))
    course.start("client-2", patch=SLOW.format(seconds=4, rounds=[1]))
    check_end(course, ["client-1", "client-2"])
    late = course.client_ids()["client-2"]
    notes = course.activity("server")
    dropped = [note for note in notes if note["what"] == "late"]
    assert [(note["peer"], note["round"]) for note in dropped] == [(late, 1)]
    line = f"Server: The update of client #{late} for round 1 came after its end and is dropped"
    assert line in course.log("server")
    again = [note for note in notes[notes.index(dropped[0]) :] if note.get("kind") == "model_para"]
    assert any(note["what"] == "received" and note["peer"] == late for note in again)


def test_an_evaluation_has_the_same_deadline(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(config=rounds_of(1, evaluator="clients"), round_deadline_s=4)
    course.open_gate()
    course.start("server", "client-1")
    slow = SLOW.replace("client.trainer.train", "client.trainer.evaluate")
    course.start("client-2", patch=slow.format(seconds=7, rounds=[0]))
    check_end(course, ["client-1", "client-2"])
    line = "Server: Round #0 is evaluated after its deadline of 4 s with 1 of 2 results"
    assert line in course.log("server")


def test_a_time_budget_that_is_never_met_is_a_failure(torch_course: Callable[..., TorchCourse]) -> None:
    asynchronous = {"asyn": {"use": True, "min_received_num": 2, "time_budget": 1}}
    course = torch_course(config=merged(rounds_of(3, "server"), asynchronous))
    course.open_gate()
    course.start("server", "client-1")
    course.start("client-2", patch=SLOW.format(seconds=60, rounds=[0]))
    assert course.wait("server") == 1
    assert "FederatedScope gave up training in round #0" in course.record("server")["error"]
    assert course.wait("client-1") == 0


def test_a_frozen_client_delays_a_round_by_no_more_than_the_deadline(
    torch_course: Callable[..., TorchCourse],
) -> None:
    course = torch_course(config=rounds_of(4, evaluator="clients"), round_deadline_s=2, **CONTINUE)
    course.open_gate()
    course.start("server", "client-1")
    course.start("client-2", patch=SLOW.format(seconds=60, rounds=[1]))
    course.wait_for("server", r"\(Round #1\)")
    course.processes["client-2"].send_signal(signal.SIGSTOP)
    course.wait_for("server", "Final evaluation is finished")
    assert course.processes["server"].poll() is None  # its finish is not accepted: the agent will report it as lost
    course.lose("client-2")
    check_end(course, ["client-1"])
    assert re.findall(r"Round #(\d) is aggregated after its deadline of 2 s with 1 of 2", course.log("server")) == ["1"]


@pytest.mark.parametrize("sampled", [{}, {"asyn": {"overselection": True}}], ids=["all", "over-selection"])
def test_asynchronous_with_a_killed_client(torch_course: Callable[..., TorchCourse], sampled: dict[str, Any]) -> None:
    asynchronous = {"asyn": {"use": True, "min_received_num": 2, "staleness_toleration": 2}}
    config = merged(merged(rounds_of(8, evaluator="clients"), asynchronous), sampled)
    course = torch_course(clients=3, config=config, **CONTINUE)
    course.go()
    course.wait_for("server", r"\(Round #3\)")
    course.processes["client-2"].kill()
    course.lose("client-2")
    check_end(course, ["client-1", "client-3"])
    assert accuracy(course) > 0.75


@pytest.mark.parametrize("manner", ["after_aggregating", "after_receiving"])
def test_asynchronous_courses_account_for_every_update(torch_course: Callable[..., TorchCourse], manner: str) -> None:
    asynchronous = {"asyn": {"use": True, "min_received_num": 2, "staleness_toleration": 3, "broadcast_manner": manner}}
    course = torch_course(clients=3, config=merged(rounds_of(6, evaluator="server"), asynchronous))
    course.open_gate()
    course.start("server", "client-1", "client-2")
    course.start("client-3", patch=SLOW.format(seconds=0.3, rounds=list(range(6))))
    check_end(course, ["client-1", "client-2", "client-3"])
    notes = course.activity("server")
    used = [note for note in notes if note["what"] == "used"]
    taken = [note["round"] + note["staleness"] for note in used]
    assert [taken.count(number) for number in range(6)] == [2] * 6
    models = [note["round"] for note in notes if (note["what"], note.get("kind")) == ("send", "model_para")]
    assert max(models) == 5  # none is sent after the last round
    reported = [event.used for event in course.reported("server") if isinstance(event, Update)]
    fates = [note for note in notes if note["what"] in ("used", "unused")]
    assert reported == [note["what"] == "used" for note in fates]


def test_asynchronous_without_the_patch(torch_course: Callable[..., TorchCourse]) -> None:
    asynchronous = {"asyn": {"use": True, "min_received_num": 2}}
    off = ["async_updates", "hostile_messages"]  # either of them decodes the updates
    course = torch_course(config=merged(rounds_of(3, "server"), asynchronous), patches_off=off)
    course.go()
    assert course.wait("server") == 1
    assert "Traceback" in course.said("server")
    assert course.record("server")["error"].startswith(("TypeError", "ValueError"))


def test_stops_early(torch_course: Callable[..., TorchCourse]) -> None:
    early = {"early_stop": {"patience": 1, "delta": 1000.0}}
    course = torch_course(config=merged(rounds_of(20, evaluator="clients"), early), **CONTINUE)
    course.go()
    check_end(course, ["client-1", "client-2"])
    assert len([note for note in course.activity("server") if note["what"] == "aggregated"]) < 10


@pytest.mark.parametrize("launch", [{}, CONTINUE], ids=["abort", "continue"])
def test_evaluates_every_second_round(torch_course: Callable[..., TorchCourse], launch: dict[str, Any]) -> None:
    course = torch_course(config=merged(rounds_of(5, evaluator="clients"), {"eval": {"freq": 2}}), **launch)
    course.go()
    check_end(course, ["client-1", "client-2"])
    assert course.log("server").count("'Results_weighted_avg'") == 3


def test_policies_that_are_not_possible(torch_course: Callable[..., TorchCourse]) -> None:
    config = {"asyn": {"use": True, "min_received_num": 1}, "federate": {"sampler": "group"}}
    course = torch_course(clients=1, config=config, round_deadline_s=5)
    course.go("server")
    assert course.wait("server") == 2
    error = course.record("server")["error"]
    assert "federate.sampler group does not know lost clients" in error
    assert "course.round_deadline is for synchronous courses" in error


def test_a_client_that_is_lost_before_its_join_was_read_stays_out(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(clients=3, **CONTINUE)
    course.open_gate()
    # A slow server: messages wait for it while it still prepares, until it is told to go on.
    go_on = course.folder / "go-on"
    course.start(
        "server",
        patch="import pathlib, time\nfrom fedsim_runner.participant.federatedscope import policies\n"
        "_begin = policies.Policies.__init__\n"
        f"def begin(self, *arguments):\n    while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.05)\n"
        "    _begin(self, *arguments)\n"
        "policies.Policies.__init__ = begin",
    )
    course.start("client-1")
    sent = {"what": "sent", "kind": "join_in"}
    wait_until(
        lambda: any(sent.items() <= note.items() for note in course.activity("client-1")),
        60,
        lambda: course.said("client-1"),
    )
    course.processes["client-1"].kill()
    course.lose("client-1")
    go_on.touch()
    course.start("client-2", "client-3")
    check_end(course, ["client-2", "client-3"], timeout=60)
    assert sorted(course.client_ids().values()) == [1, 2]
