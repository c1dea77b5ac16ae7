"""Every patch and its symptom, which is there without the patch and gone with it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from fedsim_runner.participant.federatedscope import patches
from fedsim_runner.participant.federatedscope.patch_names import PATCHES
from fedsim_runner.spec.schema import PatchName
from tests.unit.participant.federatedscope.helpers import (
    TorchCourse,
    anonymous_mb,
    cpu_seconds,
    run_python,
    wait_until,
)
from tests.unit.participant.helpers import free_ports
from tests.unit.participant.hostile import Hostile

pytestmark = pytest.mark.federatedscope

ON = pytest.param((), id="patched")

# Participants' communication without a course; sys.argv: names of patches that are off, ports.
PRELUDE = """
import json, pathlib, sys, tempfile, threading, time
from fedsim_runner.participant.activity import Activity
from fedsim_runner.participant.federatedscope import activity_records, patches
from fedsim_runner.participant.federatedscope.patch_context import PatchContext
from fedsim_runner.participant.reporting import Reporter
off = sys.argv[1].split(",")
failures = []
folder = pathlib.Path(tempfile.mkdtemp())
shared = PatchContext(Activity(folder), Reporter(folder), lambda *what: failures.append(what))
shared.accept = lambda request, source: True
patches.apply_at_import(off)
import federatedscope.core.workers
patches.check(off)
activity_records.record_messages(shared)
patches.apply_to_logs(off)
patches.apply_to_course(off, shared)
from federatedscope.core.configs.config import global_cfg
from federatedscope.core.communication import gRPCCommManager
from federatedscope.core.message import Message
ports = [int(port) for port in sys.argv[2:]]
def manager(port):
    return gRPCCommManager("127.0.0.1", port, 2, global_cfg.distribute)
def waiting(manager):
    return len(manager.server_funcs.msg_queue)
"""


# The alarm of a time budget goes off as the server begins to say that the course is over.
ALARM_AT_THE_END = """
import os, signal
from fedsim_runner.participant.federatedscope import course
_load = course._runner
def load(tree):
    runner = _load(tree)
    finish, rung = runner.server._monitor.finish_fl, []
    def finish_fl():
        if not rung:
            rung.append(True)
            os.kill(os.getpid(), signal.SIGALRM)
        finish()
    runner.server._monitor.finish_fl = finish_fl
    return runner
course._runner = load
"""


def off(*names: str) -> Any:
    """A parameter: these patches are switched off."""
    return pytest.param(names, id=f"without {', '.join(names)}")


def evaluate(source: Path, code: str, without: tuple[str, ...] = (), ports: int = 2) -> Any:
    """What the code's last line prints as JSON."""
    arguments = [",".join(without), *map(str, free_ports(ports))]
    answer = run_python(source, PRELUDE + code, *arguments)
    assert not answer.returncode, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def test_names_are_the_same_everywhere() -> None:
    assert set(patches.PLACES) == set(PATCHES) == set(get_args(PatchName))


@pytest.mark.parametrize("without", [ON, off("busy_wait")])
def test_busy_wait(torch_course: Callable[..., TorchCourse], without: tuple[str, ...]) -> None:
    course = torch_course(patches_off=without)
    course.go("server", "client-1")  # one client is missing: both wait
    course.wait_for("client-1", "is assigned with")
    time.sleep(1)
    names, seconds = ("server", "client-1"), 1.5 if without else 5.0
    before = [cpu_seconds(course.processes[name]) for name in names]
    time.sleep(seconds)
    used = [cpu_seconds(course.processes[name]) - start for name, start in zip(names, before, strict=True)]
    shares = [each / seconds for each in used]
    print(f"share of a core while waiting, server and client: {shares}")
    if without:
        assert min(shares) > 0.05  # all of a core, on an idle machine
    else:
        assert max(shares) < 0.01  # one tick of the CPU clock is 0.002


@pytest.mark.parametrize("without", [ON, off("hostile_messages")])
def test_hostile_messages(torch_course: Callable[..., TorchCourse], without: tuple[str, ...]) -> None:
    course = torch_course(patches_off=without)
    course.go("server")
    course.wait_for("server", "Listen to")
    hostile = Hostile()
    try:
        answer = hostile.join(course.ports["server"], host=None)
    finally:
        hostile.close()
    if without:
        assert answer == "OK"
        assert course.wait("server") == 1 and "KeyError" in course.record("server")["error"]
    else:
        assert answer == "PERMISSION_DENIED"
        course.wait_for("server", r"a message from 127\.0\.0\.9 is refused: it joins without the name of a host")
        assert course.processes["server"].poll() is None


@pytest.mark.parametrize("without", [ON, off("lost_join")])
def test_lost_join(torch_course: Callable[..., TorchCourse], without: tuple[str, ...]) -> None:
    course = torch_course(clients=1, patches_off=without, config={"federate": {"total_round_num": 1}})
    course.go("client-1")
    course.wait_for("client-1", "Listen to")
    time.sleep(1)
    course.start("server")
    if without:
        assert "_InactiveRpcError" in course.said("client-1")
        course.wait_for("server", "Listen to")
        time.sleep(2)
        assert course.activity("server") == []
        return
    assert [course.wait(name) for name in course.names] == [0, 0]
    assert course.client_ids() == {"client-1": 1}


def test_a_join_that_comes_twice_is_one_client(source: Path) -> None:
    code = """
from types import SimpleNamespace
from federatedscope.core.workers import Server
server = SimpleNamespace(join_in_client_num=0, ID=0, state=0, cur_timestamp=0, comm_manager=manager(ports[0]))
server._cfg, server.trigger_for_start = global_cfg, lambda: None
join = Message(msg_type="join_in", sender=-1, receiver=[0], content={"host": "127.0.0.1", "port": ports[1]})
for _ in range(2):
    Server.callback_funcs_for_join_in(server, join)
print(json.dumps([server.join_in_client_num, len(server.comm_manager.neighbors)]))
"""
    assert evaluate(source, code) == [1, 1]
    assert evaluate(source, code, ("lost_join",)) == [2, 2]


@pytest.mark.parametrize("without", [ON, off("lost_message")])
def test_lost_message(source: Path, without: tuple[str, ...]) -> None:
    code = """
sender = manager(ports[0])
sender.add_neighbors(1, {"host": "127.0.0.1", "port": ports[1]})
sender.send(Message(msg_type="evaluate", sender=0, receiver=[1], content="x"))
time.sleep(1.5)
receiver = manager(ports[1])
time.sleep(3)
print(json.dumps([waiting(receiver), failures]))
"""
    assert evaluate(source, code, without) == [0 if without else 1, []]


def test_a_message_that_nobody_accepts_is_a_named_failure(source: Path) -> None:
    code = """
from fedsim_runner.participant.federatedscope.patches import lost_message
lost_message.RETRY_S = 0.5
sender = manager(ports[0])
sender.add_neighbors(1, {"host": "127.0.0.1", "port": ports[1]})
sender.send(Message(msg_type="evaluate", sender=0, receiver=[1], content="x"))
time.sleep(2.5)
steps = [json.loads(line)["what"] for line in (folder / "activity.jsonl").read_text().splitlines()]
print(json.dumps([failures, steps]))
"""
    (failure,), steps = evaluate(source, code)
    assert failure[:2] == [1, "evaluate"]
    assert "evaluate could not be sent to 127.0.0.1:" in failure[2] and "UNAVAILABLE" in failure[2]
    assert steps == ["send", "send_failed"]


def test_a_message_that_was_sent_again_is_accepted_once(source: Path) -> None:
    code = """
import grpc
from fedsim_runner.participant.federatedscope.delivery import METHOD
from fedsim_runner.participant.marks import MARK
receiver = manager(ports[0])
request = Message(msg_type="evaluate", content="x").transform().SerializeToString()
channel = grpc.insecure_channel(f"127.0.0.1:{ports[0]}")
for mark in ("one", "one", "two"):
    channel.unary_unary(METHOD)(request, metadata=((MARK, mark),))
channel.unary_unary(METHOD)(request)
print(json.dumps(waiting(receiver)))
"""
    assert evaluate(source, code) == 3
    assert evaluate(source, code, ("lost_message",)) == 4


@pytest.mark.parametrize("without", [ON, off("second_finish")])
def test_second_finish(torch_course: Callable[..., TorchCourse], without: tuple[str, ...]) -> None:
    course = torch_course(clients=1, patches_off=without, config={"federate": {"total_round_num": 1}})
    course.go()
    # Without the patch nobody receives the second one, which is retried for a while.
    assert course.wait("client-1") == 0
    wait_until(lambda: course.log("server", "system_metrics.log"), 30, lambda: course.said("server"))
    time.sleep(1)
    ended = len(course.log("server", "system_metrics.log").splitlines())
    sent = [note for note in course.activity("server") if (note["what"], note.get("kind")) == ("send", "finish")]
    assert (ended, len(sent)) == ((2, 2) if without else (1, 1))


@pytest.mark.parametrize("without", [ON, off("async_updates")])
def test_an_alarm_while_the_end_is_said_costs_nobody_the_finish(
    torch_course: Callable[..., TorchCourse], without: tuple[str, ...]
) -> None:
    asynchronous = {"asyn": {"use": True, "min_received_num": 2, "time_budget": 100}}
    evaluated = {"federate": {"total_round_num": 1, "make_global_eval": False}}
    # Without async_updates the alarm interrupts the goodbye, which is then said again.
    course = torch_course(config={**asynchronous, **evaluated}, patches_off=without)
    course.open_gate()
    course.start("server", patch=ALARM_AT_THE_END)
    course.start("client-1", "client-2")
    assert [course.wait(name) for name in course.names] == [0, 0, 0], course.said("server")
    sent = [note for note in course.activity("server") if (note["what"], note.get("kind")) == ("send", "finish")]
    assert sorted(note["peer"] for note in sent) == [1, 2]


def test_an_alarm_ends_nothing_but_a_wait(source: Path) -> None:
    code = """
import signal
from federatedscope.core.workers import server
receiver = manager(ports[0])
inbox, found = receiver.server_funcs, []
def ring():
    signal.raise_signal(signal.SIGALRM)
def wait():
    try:
        return inbox.wait_for_message(0.01)
    except TimeoutError:
        return "time is over"
with server.Timeout(100) as clock:
    ring()
    found.append(wait())  # it went off at work
    found.append(wait())
    ring()
    clock.reset()
    found.append(wait())  # the round ended meanwhile
    inbox.msg_queue.append("a message")
    ring()
    found.append(wait())  # what has arrived counts
    inbox.msg_queue.clear()
    found.append(wait())
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        inbox.wait_for_message()
    except TimeoutError:
        found.append("ended")
print(json.dumps(found))
"""
    assert evaluate(source, code) == ["time is over", False, False, True, "time is over", "ended"]


@pytest.mark.parametrize("without", [ON, off("blocked_broadcast")])
def test_blocked_broadcast(source: Path, without: tuple[str, ...]) -> None:
    code = """
import socket
stalled = socket.create_server(("127.0.0.1", ports[1]))  # accepts connections, and never answers
sender, receiver = manager(ports[0]), manager(ports[2])
for peer in (1, 2):
    sender.add_neighbors(peer, {"host": "127.0.0.1", "port": ports[peer]})
encoded = []
transform = Message.transform
def counted(self, *arguments, **options):
    encoded.append(1)
    return transform(self, *arguments, **options)
Message.transform = counted
def send():
    for number in range(3):
        sender.send(Message(msg_type="evaluate", sender=0, receiver=[1, 2], state=number, content="x"))
threading.Thread(target=send, daemon=True).start()
time.sleep(3)
states = [receiver.receive().state for _ in range(waiting(receiver))]
print(json.dumps([states, len(encoded)]))
import os, sys
sys.stdout.flush()
os._exit(0)
"""
    assert evaluate(source, code, without, 3) == ([[], 1] if without else [[0, 1, 2], 3])


def test_log_addresses(source: Path) -> None:
    code = """
import logging
from federatedscope.core.auxiliaries.logging import LoggerPrecisionFilter
def logged(text):
    record = logging.LogRecord("x", logging.INFO, "", 0, text, None, None)
    LoggerPrecisionFilter(4).filter(record)
    return record.msg
texts = ["at 172.20.0.10:50051", "loss 0.123456789, -1.00006", "{'acc': 0.98765432}", "it took 1.23456789.", "0.5"]
print(json.dumps([logged(text) for text in texts]))
"""
    rounded = ["loss 0.1235, -1.0001", "{'acc': 0.9877}", "it took 1.2346.", "0.5"]
    assert evaluate(source, code) == ["at 172.20.0.10:50051", *rounded]
    assert evaluate(source, code, ("log_addresses",)) == ["at 172.2.0.1:50051", *rounded]


def test_lean_imports_in_figures(torch_course: Callable[..., TorchCourse]) -> None:
    found = {}
    for without in ((), ("lean_imports",)):
        course = torch_course(clients=1, patches_off=without, config={"federate": {"total_round_num": 200}})
        course.go()
        course.wait_for("client-1", r"'Round': 1, 'Results_raw': \{'train_")
        found[without] = anonymous_mb(course.processes["client-1"])
        course.end()
    lean, usual = found.values()
    print(f"memory of a client after its first training: {lean:.0f} MB, without lean_imports {usual:.0f} MB")
    assert lean < usual - 80


def test_what_lean_imports_postpone_still_works(source: Path) -> None:
    code = """
import numpy as np
import torch
from federatedscope.core.data import ClientData
from federatedscope.core.monitors import metric_calculator
lean = sorted({"sklearn", "pandas", "scipy", "sympy"} & set(sys.modules))
truth = np.array([[0], [1], [2], [1]])
scores = np.array([[3.0, 1, 0], [0, 2, 1], [0, 1, 3], [2, 1, 0]])[:, :, None]
found = [metric_calculator.eval_f1_score(truth, scores.argmax(1)), metric_calculator.eval_roc_auc(truth, scores)]
found.append(metric_calculator.eval_ap(np.array([[0], [1]]), np.array([[0], [1]])))
import scipy.sparse
import sklearn.metrics
csc_matrix = sys.modules["federatedscope.core.data.base_data"].csc_matrix
kinds = [isinstance(scipy.sparse.csc_matrix((2, 2)), csc_matrix), isinstance(torch.zeros(1), csc_matrix)]
compiler = [torch._dynamo.is_compiling(), torch._dynamo.config.cache_size_limit > 0]
optimizer = torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=0.1)
optimizer.step()
names = sklearn.metrics.__name__, torch._dynamo.__file__ is not None
print(json.dumps([lean, [round(float(each), 3) for each in found], kinds, compiler, names]))
"""
    lean, found, kinds, compiler, names = evaluate(source, code)
    assert lean == []
    assert kinds == [True, False]
    assert compiler == [False, True]
    assert names == ["sklearn.metrics", True]
    assert found == evaluate(source, code, ("lean_imports",))[1]


CONTRIB = {
    "configs/study_section.py": """
from federatedscope.core.configs.config import CN
from federatedscope.register import register_config
def extend(cfg):
    cfg.study = CN()
    cfg.study.noise = 0.1
register_config("study", extend)
""",
    "configs/a_section_that_lacks_a_package.py": "import a_package_that_nobody_has\n",
    "model/a_model_that_lacks_a_package.py": "import a_package_that_nobody_has\n",
    "model/study_net.py": """
import torch
from federatedscope.register import register_model
def build(config, data):
    if config.type == "studynet":
        return torch.nn.Linear(64, config.out_channels)
register_model("studynet", build)
""",
}


@pytest.fixture
def own_checkout(source: Path, tmp_path: Path) -> Path:
    """FederatedScope with modules of a user's own, beside others that lack a package."""
    package = tmp_path / "checkout" / "federatedscope"
    package.mkdir(parents=True)
    for path in (source / "federatedscope").iterdir():
        if path.name != "contrib":
            (package / path.name).symlink_to(path)
    shutil.copytree(source / "federatedscope" / "contrib", package / "contrib")
    for name, text in CONTRIB.items():
        (package / "contrib" / name).write_text(text, encoding="utf-8")
    return package.parent


def test_contrib_modules(torch_course: Callable[..., TorchCourse], own_checkout: Path) -> None:
    config = {"model": {"type": "studynet", "out_channels": 10}, "study": {"noise": 0.2}}
    course = torch_course(clients=1, config=config)
    course.source = own_checkout
    course.go()
    assert [course.wait(name) for name in course.names] == [0, 0]
    assert "contrib/model/a_model_that_lacks_a_package.py (ModuleNotFoundError: No module" in course.said("server")


def test_without_contrib_modules_the_users_section_is_lost(
    torch_course: Callable[..., TorchCourse], own_checkout: Path
) -> None:
    course = torch_course(clients=1, patches_off=("contrib_modules",), config={"study": {"noise": 0.2}})
    course.source = own_checkout
    course.go("server")
    assert course.wait("server") != 0
    assert "a_package_that_nobody_has" in course.record("server")["error"]


def test_a_model_that_nothing_provides_is_named_with_what_was_left_out(
    torch_course: Callable[..., TorchCourse], own_checkout: Path
) -> None:
    course = torch_course(clients=1, config={"model": {"type": "lost_net", "out_channels": 10}})
    course.source = own_checkout
    course.go("server")
    assert course.wait("server") == 1
    error = course.record("server")["error"]
    assert "Model lost_net is not provided; left out" in error and "a_model_that_lacks_a_package.py" in error
    assert error.endswith("name missing packages in federatedscope.requirements; without Docker, install them for this "
                          "interpreter")  # fmt: skip
