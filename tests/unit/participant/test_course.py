"""Whole courses of the light engine: real processes, real gRPC, real data."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedsim_runner.contract.participant_events import TargetReached
from fedsim_runner.participant.federatedscope import loglines
from fedsim_runner.participant.model_file import load_model
from tests.unit.participant.helpers import Course, supervised

pytestmark = pytest.mark.course

MakeCourse = Callable[..., Course]
PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:]{8},\d{3} \(\w+:\d+\) [A-Z]+: .*$")
QUICK = "from fedsim_runner.participant.light import transport; transport.PROBE_S, transport.RETRY_S = 0.3, 1.0"
BUSY = (
    "import time; from fedsim_runner.participant.light.trainer import Trainer\n"
    "Trainer.train = lambda self: time.sleep(99)"
)
ENDLESS = {"federate": {"total_round_num": 100_000}, "eval": {"freq": 100_000}}


def accuracy(course: Course, round_number: int) -> float:
    """The server's test accuracy after a round."""
    for line in course.log("server").splitlines():
        parsed = loglines.parse(line)
        if parsed and parsed.kind == "result" and parsed.role == "server" and parsed.number == round_number:
            results = parsed.results or {}
            return (results.get("weighted_avg") or results["raw"])["test_acc"]
    raise AssertionError(f"no evaluation of round {round_number}")


def run(course: Course) -> None:
    course.start()
    course.open_gate()
    for name in course.names:
        assert course.wait(name) == 0, course.said(name)
    supervisor, _ = supervised(course)
    assert supervisor.outcome is not None and supervisor.outcome.status == "finished", supervisor.outcome
    assert set(supervisor.states.values()) == {"exited"}


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.05)


def test_a_course_goes_on_from_the_model_of_another(make_course: MakeCourse) -> None:
    first = make_course(clients=2, config={"federate": {"total_round_num": 8, "save_to": "last.pt"}})
    run(first)
    saved = load_model(first.folder / "server" / "last.pt")
    assert saved.rounds == 8
    assert sorted(saved.parameters) == ["fc.bias", "fc.weight"]
    still = {"total_round_num": 1, "restore_from": str(first.folder / "server" / "last.pt"), "save_to": "last.pt"}
    second = make_course(clients=2, config={"federate": still, "train": {"optimizer": {"lr": 1e-9}}})
    run(second)
    assert accuracy(second, 1) == accuracy(first, 8) > 0.8
    assert "starts with the model in " in second.log("server")
    again = load_model(second.folder / "server" / "last.pt")
    np.testing.assert_allclose(again.parameters["fc.weight"], saved.parameters["fc.weight"], atol=1e-6)


def test_digits_with_lr(make_course: MakeCourse) -> None:
    course = make_course()
    run(course)
    assert accuracy(course, 10) > 0.85
    server = course.log("server")
    assert all(PREFIX.match(line) for line in server.splitlines())
    kinds = [parsed.kind for line in server.splitlines() if (parsed := loglines.parse(line))]
    assert kinds[0] == "ready"
    assert kinds.count("round") == 10
    assert kinds.count("evaluating") == 9
    assert (kinds.count("training_finished"), kinds.count("done")) == (1, 1)
    assert f"Server: Listen to 127.0.0.1:{course.ports['server']}..." in server
    assert len(course.log("server", "eval_results.log").splitlines()) == 11
    assert course.log("server", "config.yaml")
    ids = set()
    for name in course.names[1:]:
        log = course.log(name)
        match = re.search(r"Client \(address 127\.0\.0\.1:(\d+)\) is assigned with #(\d+)\.", log)
        assert match and int(match.group(1)) == course.ports[name]
        ids.add(int(match.group(2)))
        assert log.count("received finish message") == 1
        assert len(course.log(name, "system_metrics.log").splitlines()) == 1
        assert course.log(name, "eval_results.raw").count("train_acc") >= 10
    assert ids == {1, 2, 3}
    metrics = json.loads(course.log("server", "system_metrics.log"))
    assert metrics["total_model_size"] == 650
    assert metrics["total_upload_bytes"] > 0
    record = course.record("server")
    assert (record["exit_code"], record["signal"], record["error"]) == (0, None, None)
    assert record["started"] <= record["gate_opened"] <= record["ended"]
    for name in course.names:
        assert course.record(name)["memory_peak_bytes"] > 0
    assert supervised(course)[1] == list(range(1, 11))


def test_clients_evaluate_and_are_sampled(make_course: MakeCourse) -> None:
    federate = {"make_global_eval": False, "sample_client_num": 2, "join_in_info": ["num_sample"]}
    course = make_course(config={"federate": federate, "early_stop": {"patience": 0}})
    run(course)
    assert accuracy(course, 9) > 0.8  # FederatedScope's number of the tenth evaluation by clients
    assert "Server: Client #3 has joined in !" in course.log("server")
    assert "Results_weighted_avg" in course.log("server", "eval_results.log")
    assert "Results_raw" in course.log("server", "eval_results.raw")
    assert supervised(course)[1] == list(range(1, 11))
    assert supervised(course)[0].results["test_total"] == 30


def test_mlp(make_course: MakeCourse) -> None:
    course = make_course(
        config={
            "model": {"type": "mlp", "hidden": 32, "dropout": 0.0},
            "dataloader": {"drop_last": True},
            "federate": {"total_round_num": 6},
        }
    )
    run(course)
    assert accuracy(course, 6) > 0.85


def test_early_stop(make_course: MakeCourse) -> None:
    course = make_course(
        config={
            "federate": {"make_global_eval": False},
            # An improvement of 100 in the loss never comes: stops after two evaluations without one.
            "early_stop": {"patience": 2, "delta": 100.0},
        }
    )
    run(course)
    assert course.log("server").count("Starting evaluation") == 3
    assert "Server: Final evaluation is finished!" in course.log("server")


@pytest.mark.parametrize("evaluator", ["server", "clients"])
def test_a_target_ends_the_course(make_course: MakeCourse, evaluator: str) -> None:
    config = {"federate": {"make_global_eval": evaluator == "server"}, "early_stop": {"patience": 0}}
    course = make_course(config=config, policy={"target": 0.7})
    run(course)
    evaluated = supervised(course)[1]
    assert 1 <= len(evaluated) < 10
    (reached,) = [event for event in course.reported("server") if isinstance(event, TargetReached)]
    last = accuracy(course, evaluated[-1] - (evaluator == "clients"))
    assert (reached.accuracy, reached.target) == (pytest.approx(last, abs=1e-6), 0.7)
    assert last >= 0.7
    assert "converged" not in {note.get("kind") for note in course.activity("server")}


def test_a_target_that_the_last_round_reaches_ends_nothing_early(make_course: MakeCourse) -> None:
    course = make_course(clients=1, config={"federate": {"total_round_num": 1}}, policy={"target": 0.01})
    run(course)
    assert not [event for event in course.reported("server") if isinstance(event, TargetReached)]
    assert "Server: Training is finished!" in course.log("server")


def test_same_seed_same_results(make_course: MakeCourse) -> None:
    courses = [make_course(clients=1, config={"federate": {"total_round_num": 3}}) for _ in range(2)]
    for course in courses:
        run(course)
    assert courses[0].log("server", "eval_results.log") == courses[1].log("server", "eval_results.log")


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("waiting", ["client-1", "server"])
def test_any_order_of_starts_and_no_cpu_while_waiting(make_course: MakeCourse, waiting: str) -> None:
    course = make_course(clients=1)
    course.start(waiting)
    course.open_gate()
    wait_for(lambda: "Listen to" in course.log(waiting))
    time.sleep(0.5)
    before = cpu_seconds(course.processes[waiting].pid)
    time.sleep(2)
    assert cpu_seconds(course.processes[waiting].pid) - before < 0.1
    course.start("client-1" if waiting == "server" else "server")
    assert [course.wait(name) for name in course.names] == [0, 0]


def catches_sigterm(process: int) -> bool:
    """Whether a process has installed its handler of SIGTERM."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    caught = int(re.findall(r"^SigCgt:\s+(\w+)$", status, re.MULTILINE)[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("phase", ["gate", "joining", "waiting"])
def test_sigterm(make_course: MakeCourse, phase: str) -> None:
    course = make_course(clients=2)
    name = "server" if phase == "waiting" else "client-1"
    course.start(name)
    if phase == "gate":
        wait_for(lambda: catches_sigterm(course.processes[name].pid))
    else:
        course.open_gate()
        wait_for(lambda: "Listen to" in course.log(name))
    began = time.monotonic()
    course.processes[name].terminate()
    assert course.wait(name, 10) == 143
    assert time.monotonic() - began < 4
    record = course.record(name)
    assert (record["exit_code"], record["signal"]) == (143, "SIGTERM")
    assert (record["gate_opened"] is None) == (phase == "gate")


def test_a_client_that_has_ended_is_named(make_course: MakeCourse) -> None:
    course = make_course(clients=2, config=ENDLESS)
    course.start(patch=QUICK)
    course.open_gate()
    wait_for(lambda: "Starting a new training round" in course.log("server"))
    # The first delays the round while the second, which has answered, ends: the next round cannot be sent to it.
    course.processes["client-1"].send_signal(signal.SIGSTOP)
    time.sleep(1)
    course.processes["client-2"].kill()
    course.wait("client-2")
    course.processes["client-1"].send_signal(signal.SIGCONT)
    assert course.wait("server", 20) == 1
    assert re.search(
        rf"client #[12] \(127\.0\.0\.1:{course.ports['client-2']}\) failed", course.record("server")["error"]
    )
    assert "does not answer, trying again" in course.log("server")


@pytest.mark.parametrize("gone", ["server", "client-2"])
def test_a_participant_whose_peer_has_ended_names_it(make_course: MakeCourse, gone: str) -> None:
    course = make_course(clients=2, config=ENDLESS)
    course.start("server", "client-1", patch=QUICK)
    course.start("client-2", patch=BUSY)
    course.open_gate()
    wait_for(lambda: "{'Role': 'Client" in course.log("client-1"))
    time.sleep(2)  # longer than refused connections are retried: a slow peer is not a reason
    waiting = "client-1" if gone == "server" else "server"
    assert course.processes[waiting].poll() is None
    course.processes[gone].kill()
    assert course.wait(waiting, 20) == 1
    peer = "the server" if gone == "server" else r"client #[12]"
    assert re.match(rf"{peer} \(127\.0\.0\.1:{course.ports[gone]}\) is gone: ", course.record(waiting)["error"])
    assert "is gone" in course.log(waiting)


def test_sigterm_while_sending(make_course: MakeCourse) -> None:
    course = make_course(clients=2, config=ENDLESS)
    course.start()
    course.open_gate()
    wait_for(lambda: "Starting a new training round" in course.log("server"))
    for name in course.names[1:]:
        course.processes[name].send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    course.processes["server"].terminate()
    assert course.wait("server", 4) == 143
    assert course.record("server")["signal"] == "SIGTERM"


@pytest.mark.parametrize("moment", ["joined", "training"])
def test_a_restarted_client_keeps_its_id(make_course: MakeCourse, moment: str) -> None:
    course = make_course(clients=2, config={"federate": {"total_round_num": 2}})
    course.open_gate()
    course.start("server", "client-1")
    wait_for(lambda: "is assigned with #1" in course.said("client-1"))
    if moment == "joined":
        course.processes["client-1"].kill()
        course.start("client-1")
        wait_for(lambda: "is assigned with #1" in course.said("client-1"))
    else:
        course.start("client-2", patch=BUSY)
        wait_for(lambda: "{'Role': 'Client" in course.said("client-1"))
        course.processes["client-2"].kill()
        assert "joins again" not in course.log("server")
    course.start("client-2")
    assert [course.wait(name) for name in course.names] == [0, 0, 0]
    assert "is assigned with #2" in course.said("client-2")
    assert ("joins again" in course.log("server")) == (moment == "training")


def test_taken_port(make_course: MakeCourse) -> None:
    course = make_course(clients=1)
    course.start("server")
    course.open_gate()
    wait_for(lambda: "Listen to" in course.log("server"))
    course.processes["second"] = course.processes.pop("server")
    (course.folder / "server" / "course").rename(course.folder / "server" / "first")
    course.start("server")
    assert course.wait("server") == 1
    assert "cannot listen on 127.0.0.1:" in course.record("server")["error"]
    assert "cannot listen on" in course.log("server")


def test_a_stuck_client_does_not_hide_one_that_has_ended(make_course: MakeCourse) -> None:
    course = make_course(clients=3, config=ENDLESS)
    # The third client is restarted below: on a busy machine that takes seconds.
    course.start("server", "client-1", "client-2", patch=QUICK.replace("1.0", "8.0"))
    course.start("client-3", patch=BUSY)
    course.open_gate()
    wait_for(lambda: all("{'Role': 'Client" in course.log(name) for name in ("client-1", "client-2")))
    # A client logs its results before it sends them: stopped in between, it would be waited for instead of sent to.
    time.sleep(0.5)
    course.processes["client-1"].send_signal(signal.SIGSTOP)
    course.processes["client-2"].kill()
    course.processes["client-3"].kill()
    course.wait("client-3")
    course.start("client-3")  # joins again, answers, and so lets the next round be sent
    assert course.wait("server", 60) == 1
    assert f"(127.0.0.1:{course.ports['client-2']}) failed" in course.record("server")["error"]
