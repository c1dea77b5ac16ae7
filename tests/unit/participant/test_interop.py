"""Courses of this engine together with FederatedScope itself, where one is configured (tests/federatedscope.py)."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fedsim_runner.participant.light import wire
from fedsim_runner.participant.light.shards import load_shard
from fedsim_runner.participant.tensors import decode_parameters, encode_parameters
from tests.federatedscope import PYTHON, runnable_checkout
from tests.unit.participant.helpers import Course, environment, merged, supervised

pytestmark = pytest.mark.federatedscope

ROUNDS = 5
CONFIG = {
    "use_gpu": False,
    "federate": {"total_round_num": ROUNDS},
    "trainer": {"type": "general"},
    "eval": {"split": ["test"], "report": ["weighted_avg", "raw"], "count_flops": False},
    "early_stop": {"patience": 0},
}
# Upstream's server cannot evaluate an mlp: its normalisation keeps its initial statistics.
COURSES = {
    "lr, evaluated by the server": {"federate": {"make_global_eval": True}},
    "lr, evaluated by clients": {"federate": {"make_global_eval": False}},
    "mlp, evaluated by clients": {
        "federate": {"make_global_eval": False},
        "model": {"type": "mlp", "hidden": 32, "dropout": 0.0},
        # A test split below one batch would be dropped whole: upstream drops the last batch of evaluations too.
        "dataloader": {"batch_size": 16, "drop_last": True},
    },
}
# Shards as FederatedScope reads them: a pickle of torch tensors.
CONVERT = """
import pickle, sys
import numpy as np, torch
source, target = sys.argv[1:]
arrays = np.load(source)
splits = sorted({name.rpartition("_")[0] for name in arrays})
tree = {s: {"x": torch.from_numpy(arrays[s + "_x"]), "y": torch.from_numpy(arrays[s + "_y"])} for s in splits}
pickle.dump(tree, open(target, "wb"))
"""


@pytest.fixture(scope="module")
def federatedscope() -> Path:
    """Folder of a checkout that the interpreter can run."""
    return runnable_checkout()


def run_python(source: Path, code: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``code`` where FederatedScope can be imported; ``stdin``: its standard input."""
    return subprocess.run(
        [PYTHON, "-c", code, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment() | {"PYTHONPATH": str(source)},
        cwd=source,
        check=False,
    )


def start_federatedscope(course: Course, source: Path, *names: str) -> None:
    """Start FederatedScope itself as these participants."""
    for name in names:
        own = course.folder / name
        answer = run_python(source, CONVERT, str(own / "shard.npz"), str(own / "shard.pkl"))
        assert not answer.returncode, answer.stderr
        tree = yaml.safe_load((own / "config.yaml").read_text(encoding="utf-8"))
        tree["data"]["file_path"] = str(own / "shard.pkl")
        (own / "federatedscope.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
        program = [PYTHON, str(source / "federatedscope" / "main.py"), "--cfg", str(own / "federatedscope.yaml")]
        course.spawn(name, program, environment() | {"PYTHONPATH": str(source)}, own)


def check_finished(course: Course) -> None:
    """All participants ended with 0, the supervisor saw each round, and the model has learnt."""
    for name in course.names:
        assert course.wait(name, 120) == 0, course.said(name)
    supervisor, evaluated = supervised(course)
    assert supervisor.outcome is not None and supervisor.outcome.status == "finished", supervisor.outcome
    assert evaluated == list(range(1, ROUNDS + 1))
    assert supervisor.results["test_acc"] > 0.85


@pytest.mark.parametrize("kind", COURSES)
def test_our_clients_with_federatedscopes_server(
    federatedscope: Path, make_course: Callable[..., Course], kind: str
) -> None:
    course = make_course(config=merged(CONFIG, COURSES[kind]))
    course.open_gate()
    start_federatedscope(course, federatedscope, "server")
    course.start(*course.names[1:])  # they wait for the server: any order of starts works
    check_finished(course)


@pytest.mark.parametrize("kind", COURSES)
def test_federatedscopes_clients_and_one_of_ours_with_our_server(
    federatedscope: Path, make_course: Callable[..., Course], kind: str
) -> None:
    course = make_course(config=merged(CONFIG, COURSES[kind]))
    course.open_gate()
    course.start("server")
    start_federatedscope(course, federatedscope, "client-1", "client-2")
    course.start("client-3")
    check_finished(course)


@pytest.mark.parametrize("evaluator", ["server", "clients"])
def test_both_learn_the_same(federatedscope: Path, make_course: Callable[..., Course], evaluator: str) -> None:
    """One client, no shuffling: after each round FederatedScope's numbers and ours are equal up to rounding."""
    config = merged(
        CONFIG,
        {
            "federate": {"make_global_eval": evaluator == "server", "total_round_num": 3},
            "dataloader": {"shuffle": False},
            "train": {"optimizer": {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.01}},
            "grad": {"grad_clip": 1.0},
        },
    )
    losses = []
    initial = (
        "from fedsim_runner.participant.light import models\n"
        "import numpy as np\n"
        "original = models.Linear.__init__\n"
        "def zeros(self, name, inputs, outputs, rng):\n"
        "    original(self, name, inputs, outputs, rng)\n"
        "    self.initial = {key: np.zeros_like(value) for key, value in self.initial.items()}\n"
        "models.Linear.__init__ = zeros"
    )
    for theirs in (False, True):
        course = make_course(clients=1, config=config)
        course.open_gate()
        course.start("server", patch=initial)
        if theirs:
            start_federatedscope(course, federatedscope, "client-1")
        else:
            course.start("client-1")
        assert [course.wait(name, 120) for name in course.names] == [0, 0], course.said("client-1")
        lines = course.log("server", "eval_results.log").splitlines()
        form = "Results_raw" if evaluator == "server" else "Results_weighted_avg"
        losses.append([ast.literal_eval(line)[form]["test_loss"] for line in lines[:3]])
    assert len(losses[0]) == 3
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_messages_of_its_own_classes(federatedscope: Path) -> None:
    content = [437, {"fc.weight": [[0.5, -1.25]], "note": "x"}, {3: "b"}]
    code = (
        "from federatedscope.core.message import Message\n"
        f"message = Message(msg_type='m', sender=-1, receiver=[1, 2], state=3, content={content!r}, timestamp=1.5)\n"
        "print(message.transform().SerializeToString().hex())"
    )
    answer = run_python(federatedscope, code)
    assert not answer.returncode, answer.stderr
    theirs = bytes.fromhex(answer.stdout.strip())
    message = wire.Message("m", -1, [1, 2], 3, content, 1.5)
    assert wire.decode(theirs) == message
    assert len(wire.encode(message)) == len(theirs)


def test_tensors_both_ways(federatedscope: Path) -> None:
    code = (
        "import json, sys, torch\n"
        "from federatedscope.core.message import Message\n"
        "from federatedscope.core.auxiliaries.utils import param2tensor\n"
        "model = {name: param2tensor(value) * 2 for name, value in json.load(sys.stdin).items()}\n"
        "model['counter'] = torch.tensor(3)\n"
        "model['turned'] = torch.arange(6, dtype=torch.float64).reshape(2, 3).t()\n"
        "sent = Message(msg_type='model_para').transform_to_list(model)\n"
        "print(json.dumps({name: value.decode() for name, value in sent.items()}))\n"
    )
    ours: dict[str, Any] = {"weight": np.array([[0.5, -1.25]], np.float32), "bias": np.array([3.0], np.float32)}
    answer = run_python(federatedscope, code, stdin=json.dumps(encode_parameters(ours)))
    assert not answer.returncode, answer.stderr
    received = decode_parameters(json.loads(answer.stdout.splitlines()[-1]))
    assert received["weight"].tolist() == [[1.0, -2.5]]
    assert received["bias"].tolist() == [6.0]
    assert (received["counter"].shape, int(received["counter"])) == ((), 3)
    assert received["turned"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


def test_shard_of_torch_tensors(federatedscope: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "shard.npz", tmp_path / "shard.pkl"
    np.savez(source, test_x=np.arange(8, dtype=np.float32).reshape(2, 4), test_y=np.array([1, 0]))
    answer = run_python(federatedscope, CONVERT, str(source), str(target))
    assert not answer.returncode, answer.stderr
    ours, theirs = load_shard(source), load_shard(target)
    assert theirs["test"].x.tolist() == ours["test"].x.tolist()
    assert theirs["test"].y.tolist() == [1, 0]
