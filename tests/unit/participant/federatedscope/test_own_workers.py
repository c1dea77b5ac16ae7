"""Methods of a user's own: their messages pass, their contents are as they are without us, and the rest is named."""

from __future__ import annotations

import base64
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract.participant_events import Finished, MessageRefused, Update
from fedsim_runner.participant.light.wire import Message
from tests.unit.participant.federatedscope.helpers import TorchCourse
from tests.unit.participant.federatedscope.own_methods import METRIC_NAME, checkout_with_methods
from tests.unit.participant.hostile import ADDRESS, Hostile
from tests.unit.participant.test_hostile_clients import hostile  # noqa: F401 - pytest finds it here
from tests.unit.participant.test_tensors import Call

pytestmark = pytest.mark.federatedscope

# By method: the clients, and what its server logs.
COURSES: dict[str, tuple[int, str]] = {
    "withstatistics": (1, r"statistics of \d+ samples, mean 0\.3"),
    "withsignals": (1, r"counts \[\d+(, \d+){9}\]"),
    "withprototypes": (2, r"10 prototypes, sum \d+\.\d+"),
    "witharrays": (1, r"Server: ArrayServer is not FederatedScope's own"),
    "withgossip": (3, r"gossip \[\(1, 65\.0\), \(2, 52\.0\), \(3, 39\.0\)\]"),
}


@pytest.fixture(scope="module")
def methods(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout_with_methods(source, tmp_path_factory.mktemp("checkout") / "FederatedScope")


def start(make: Callable[..., TorchCourse], checkout: Path, method: str, clients: int, **launch: Any) -> TorchCourse:
    # One of the user's metrics may come without being asked for, as he says which he offers.
    metrics = ["acc", METRIC_NAME] if method == "withsignals" else ["acc"]
    federate = {"method": method, "total_round_num": 2, "make_global_eval": False}
    course = make(clients=clients, config={"federate": federate, "eval": {"metrics": metrics}}, **launch)
    course.source = checkout
    return course


@pytest.mark.parametrize("method", COURSES)
def test_a_method_of_the_users_own_runs(method: str, methods: Path, torch_course: Callable[..., TorchCourse]) -> None:
    clients, says = COURSES[method]
    course = start(torch_course, methods, method, clients)
    course.go()
    for name in course.names:
        assert course.wait(name, 120) == 0, course.said(name)
        assert any(isinstance(event, Finished) for event in course.reported(name))
    assert re.search(says, course.log("server"))
    assert course.log("server", "eval_results.log").count(f"test_{METRIC_NAME}") >= 2
    events = course.reported("server")
    assert not [event for event in events if isinstance(event, MessageRefused)]
    updates = [event for event in events if isinstance(event, Update)]
    # Nobody knows what becomes of an update in rounds of the user's own.
    assert all(update.used for update in updates)
    assert len(updates) == (2 * clients if method in ("withstatistics", "witharrays", "withgossip") else 0)


def test_a_program_in_a_message_of_the_users_own_costs_its_client(
    methods: Path,
    torch_course: Callable[..., TorchCourse],
    hostile: Hostile,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    course = start(torch_course, methods, "withstatistics", 2)
    course.go("server", "client-1")
    server = course.ports["server"]
    assert hostile.join(server) == "OK"
    number = int(hostile.wait_for("assign_client_id").content)
    hostile.wait_for("ask_statistics")
    assert hostile.send(server, Message("nonsense", number, [0], 0, "x")) == "OK"
    mark = tmp_path / "ran"
    code = base64.b64encode(pickle.dumps(Call(os.mkdir, str(mark)))).decode("ascii")
    # The message ends the server, which may be gone before it has answered.
    assert hostile.send(server, Message("statistics", number, [0], 0, {"means": [code]})) in ("OK", "UNAVAILABLE")
    assert course.wait("server", 60) == 1
    said = course.said("server")
    assert f"client #{number}: its statistics is not valid: a text is a pickle that asks for" in said
    assert "federatedscope.patches.hostile_messages: false takes it unchecked" in said
    refused = [event for event in course.reported("server") if isinstance(event, MessageRefused)]
    assert [(one.client_id, one.kind) for one in refused] == [(number, "nonsense")]
    assert f"a message from {ADDRESS} is refused: StatisticsServer has no handler for 'nonsense'" in course.log(
        "server"
    )
    assert not mark.exists()
