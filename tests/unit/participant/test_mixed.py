"""Light clients under a FederatedScope server and the reverse, in one course, as accurate as the pure ones.

The tolerance: each participant draws its own batches and the server the first model, so two courses of one kind differ.
Accuracy is measured on about 400 samples, so one at 0.9 has a standard deviation of 0.015 from the choice of the
samples alone; 0.06 is four of them. A course in which one engine's updates were lost or garbled differs by far more
(a model that does not learn has 0.1).
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.federatedscope import runnable_checkout
from tests.unit.participant.federatedscope.helpers import TorchCourse, accuracy
from tests.unit.participant.helpers import Course, merged, supervised, write_digits
from tests.unit.participant.test_policies import slow

pytestmark = pytest.mark.federatedscope

ROUNDS = 6
TOLERANCE = 0.06
CLIENTS = ("client-1", "client-2", "client-3")
COMMON: dict[str, Any] = {"federate": {"total_round_num": ROUNDS}}
MODELS: dict[str, dict[str, Any]] = {
    "lr": {"federate": {"make_global_eval": True}},
    # Evaluated by clients: the running statistics of its normalisation stay on the clients, and a FederatedScope
    # server has none.
    "mlp": {
        "federate": {"make_global_eval": False},
        "model": {"type": "mlp", "hidden": 32, "dropout": 0.0},
        "dataloader": {"batch_size": 16, "drop_last": True},
    },
}
# Who runs the light engine; the others run FederatedScope.
MIXES = {
    "light server, both kinds of clients": ("server", "client-2", "client-3"),
    "FederatedScope server, light clients": CLIENTS,
    "FederatedScope server, both kinds of clients": ("client-1", "client-3"),
}
KINDS = {True: "Results_raw", False: "Results_weighted_avg"}

MakeCourse = Callable[..., "MixedCourse"]


class MixedCourse(TorchCourse):
    """A course in which the participants ``light`` run the light engine."""

    def __init__(self, folder: Path, source: Path, light: tuple[str, ...], **options: Any) -> None:
        super().__init__(folder, source, clients=3, **options)
        self.light = light
        for number, name in enumerate(self.names):
            _write_shard(self.folder / name / "shard.npz", number, len(self.names))

    def start(self, *names: str, patch: str | None = None) -> None:
        """Start these participants, or all, each with its engine."""
        for name in names or self.names:
            (Course if name in self.light else TorchCourse).start(self, name, patch=patch)


def _write_shard(path: Path, part: int, parts: int) -> None:
    """130 test samples for a client; all 450 of its share for the server."""
    write_digits(path, part, parts, ("train", "val", "test"))
    with np.load(path) as archive:
        x = np.concatenate([archive[f"{name}_x"] for name in ("train", "val", "test")])
        y = np.concatenate([archive[f"{name}_y"] for name in ("train", "val", "test")])
    if part == 0:
        np.savez(path, test_x=x, test_y=y)
        return
    cuts = {"train": slice(0, 304), "val": slice(304, 320), "test": slice(320, None)}
    splits = {f"{name}_x": x[cut] for name, cut in cuts.items()}
    np.savez(path, **splits, **{f"{name}_y": y[cut] for name, cut in cuts.items()})


@pytest.fixture(scope="module")
def source() -> Path:
    """Folder of a checkout that the interpreter can run."""
    return runnable_checkout()


@pytest.fixture(scope="module")
def make_mixed(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Iterator[MakeCourse]:
    """Makes mixed courses whose processes are ended after the tests."""
    made: list[MixedCourse] = []

    def make(light: tuple[str, ...], **options: Any) -> MixedCourse:
        made.append(MixedCourse(tmp_path_factory.mktemp("course") / "course", source, light, **options))
        return made[-1]

    yield make
    for course in made:
        course.end()


def finish(course: MixedCourse, config: Mapping[str, Any]) -> float:
    """Run a course to its end, and return its accuracy."""
    course.go()
    for name in course.names:
        assert course.wait(name, 180) == 0, course.said(name)
    supervisor, evaluated = supervised(course)
    assert supervisor.outcome is not None and supervisor.outcome.status == "finished", supervisor.outcome
    assert evaluated == list(range(1, ROUNDS + 1))
    return accuracy(course, KINDS[config["federate"]["make_global_eval"]])


@pytest.fixture(scope="module")
def pure(make_mixed: MakeCourse) -> Callable[[str], dict[str, float]]:
    """Accuracy of the pure courses by engine, each run once."""
    accuracies: dict[str, dict[str, float]] = {}

    def of(model: str) -> dict[str, float]:
        if model not in accuracies:
            config = merged(COMMON, MODELS[model])
            engines = {"light": ("server", *CLIENTS), "federatedscope": ()}
            accuracies[model] = {
                name: finish(make_mixed(light, config=config), config) for name, light in engines.items()
            }
        return accuracies[model]

    return of


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("mix", MIXES)
def test_as_accurate_as_the_pure_courses(
    make_mixed: MakeCourse, pure: Callable[[str], dict[str, float]], mix: str, model: str
) -> None:
    config = merged(COMMON, MODELS[model])
    mixed = finish(make_mixed(MIXES[mix], config=config), config)
    assert mixed > 0.8
    for engine, expected in pure(model).items():
        assert abs(mixed - expected) <= TOLERANCE, f"{mix}: {mixed:.3f}, {engine} alone: {expected:.3f}"


@pytest.mark.parametrize("server", ["light", "federatedscope"])
@pytest.mark.parametrize("lost", ["light", "federatedscope"])
def test_continues_without_a_lost_client_of_either_engine(make_mixed: MakeCourse, server: str, lost: str) -> None:
    light = ("client-1", "client-2") if lost == "light" else ("client-1",)
    light = ("server", *light) if server == "light" else light
    rounds = {"federate": {"total_round_num": 150, "make_global_eval": True}, "eval": {"freq": 30}}
    course = make_mixed(light, config=rounds, on_client_failure="continue")
    course.go()
    course.wait_for("server", r"new training round \(Round #2\)")
    course.processes["client-2"].kill()
    course.lose("client-2", reason="it was killed")
    for name in ("server", "client-1", "client-3"):
        assert course.wait(name, 120) == 0, course.said(name)
    number = course.client_ids()["client-2"]
    line = rf"Server: Client #{number} \([^)]*\) is lost: it was killed; going on with 2 clients"
    assert len(re.findall(line, course.log("server"))) == 1
    assert [event["peer"] for event in course.activity("server") if event["what"] == "lost"] == [number]
    assert accuracy(course, "Results_raw") > 0.8


@pytest.mark.parametrize("server", ["light", "federatedscope"])
def test_a_light_straggler_is_not_waited_for(make_mixed: MakeCourse, server: str) -> None:
    light = ("server", *CLIENTS) if server == "light" else CLIENTS
    course = make_mixed(light, config={"federate": {"total_round_num": 8}}, round_deadline_s=0.6)
    course.start("server")
    course.start("client-1", "client-3", patch=slow(0.3))
    course.start("client-2", patch=slow(1.2))
    began = time.monotonic()
    course.open_gate()
    for name in course.names:
        assert course.wait(name, 120) == 0, course.said(name)
    assert time.monotonic() - began < 60
    log, number = course.log("server"), course.client_ids()["client-2"]
    assert "Server: Round #0 is aggregated after its deadline of 0.6 s with 2 of 3 updates" in log
    late = [event for event in course.activity("server") if event["what"] == "late"]
    assert late and {event["peer"] for event in late} == {number}
    for event in late:
        line = f"The update of client #{number} for round {event['round']} came after its end and is dropped"
        assert log.count(line) == 1


def test_a_frozen_federatedscope_client_is_a_straggler_of_a_light_server(make_mixed: MakeCourse) -> None:
    course = make_mixed(
        ("server", "client-1", "client-3"), config={"federate": {"total_round_num": 40}}, round_deadline_s=1.5
    )
    course.start("server", "client-2")
    course.start("client-1", "client-3", patch=slow(0.2))
    course.open_gate()
    course.wait_for("server", r"new training round \(Round #2\)")
    course.processes["client-2"].send_signal(signal.SIGSTOP)
    course.wait_for("server", r"is aggregated after its deadline of 1\.5 s with 2 of 3 updates")
    course.wait_for("server", r"new training round \(Round #12\)")
    course.processes["client-2"].send_signal(signal.SIGCONT)
    for name in course.names:
        assert course.wait(name, 120) == 0, course.said(name)
    number = course.client_ids()["client-2"]
    late = [event["peer"] for event in course.activity("server") if event["what"] == "late"]
    assert late and set(late) == {number}
    rounds_sent = [
        event["round"]
        for event in course.activity("server")
        if (event["what"], event.get("kind"), event.get("peer")) == ("send", "model_para", number)
    ]
    assert max(rounds_sent) > 12, "it takes part again"
