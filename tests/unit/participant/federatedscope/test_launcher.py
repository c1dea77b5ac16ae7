"""How the launcher of FederatedScope starts and ends."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from fedsim_runner.participant.federatedscope.patch_names import PATCHES
from tests.unit.participant.federatedscope.helpers import TorchCourse, run_python
from tests.unit.participant.helpers import merged

pytestmark = pytest.mark.federatedscope

INBOX = "federatedscope/core/gRPC_server.py"
# Minutes in one library call, which no Python signal handler interrupts.
DEEP = """
import torch
from fedsim_runner.participant.federatedscope import activity_records
_record = activity_records.record_client
def record_client(client, activity):
    _record(client, activity)
    many = torch.ones(12000, 12000)
    client.trainer.train = lambda: many @ many
activity_records.record_client = record_client
"""


def changed(course: TorchCourse, **tree: object) -> None:
    """Change the server's configuration."""
    path = course.folder / "server" / "config.yaml"
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text(encoding="utf-8")), tree)), encoding="utf-8")


def changed_copy(source: Path, folder: Path, *replaced: tuple[str, str, str]) -> Path:
    """A copy of FederatedScope in which these texts of these files are replaced."""
    shutil.copytree(source / "federatedscope", folder / "federatedscope", ignore=shutil.ignore_patterns("*.pyc"))
    for name, old, new in replaced:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def test_what_has_changed_is_named(torch_course: Callable[..., TorchCourse], source: Path, tmp_path: Path) -> None:
    other = changed_copy(source, tmp_path / "other", (INBOX, "msg_queue", "messages"))
    course = torch_course()
    course.source = other
    course.go("server")
    assert course.wait("server") == 2
    error = course.record("server")["error"]
    assert error.startswith("unsupported: patch busy_wait: federatedscope.core.gRPC_server.gRPCComServeFunc.")
    assert "is not what it was made for (FederatedScope 0.3.0: it does not use msg_queue" in error
    assert "switch it off with federatedscope.patches.busy_wait: false or use FederatedScope 0.3.0, revision" in error
    assert "Traceback" not in course.said("server")


def test_a_revision_that_kept_what_matters_runs(
    torch_course: Callable[..., TorchCourse], source: Path, tmp_path: Path
) -> None:
    changes = (
        (INBOX, "        while len(self.msg_queue) == 0:\n", "        while not self.msg_queue:  # wait for it\n"),
        ("federatedscope/__init__.py", "0.3.0", "0.3.1"),
    )
    course = torch_course(clients=1, config={"federate": {"total_round_num": 1}})
    course.source = changed_copy(source, tmp_path / "other", *changes)
    course.go()
    assert [course.wait(name) for name in course.names] == [0, 0], course.said("server")


def test_all_patches_can_be_switched_off(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(clients=1, config={"federate": {"total_round_num": 1}}, patches_off=list(PATCHES))
    course.go("server")
    course.wait_for("server", "Listen to")
    course.start("client-1")
    assert course.wait("client-1") == 0
    steps = [(note["what"], note.get("kind")) for note in course.activity("client-1")]
    for step in (("sent", "join_in"), ("received", "model_para"), ("trained", None), ("sent", "model_para")):
        assert step in steps


def test_activity_of_a_course(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(clients=1, config={"federate": {"total_round_num": 2, "make_global_eval": False}})
    course.go()
    assert [course.wait(name) for name in course.names] == [0, 0]
    of_client = [(note["what"], note.get("kind"), note.get("round")) for note in course.activity("client-1")]
    for step in ("train", "trained", "evaluate", "evaluated"):
        assert [number for what, _, number in of_client if what == step] == [0, 1]
    for step, kind in (
        ("received", "model_para"),
        ("sent", "model_para"),
        ("received", "evaluate"),
        ("sent", "metrics"),
    ):
        assert [number for what, of, number in of_client if (what, of) == (step, kind)] == [0, 1]
    assert of_client.index(("trained", None, 0)) < of_client.index(("send", "model_para", 0))
    assert of_client.index(("evaluated", None, 0)) < of_client.index(("send", "metrics", 0))
    notes = course.activity("server")
    assert [note["round"] for note in notes if note["what"] == "aggregated"] == [0, 1]
    sizes = [{note["bytes"] for note in both if (note["what"], note.get("kind")) == (step, "evaluate")}
             for both, step in ((notes, "sent"), (course.activity("client-1"), "received"))]  # fmt: skip
    assert sizes[0] == sizes[1] and min(sizes[0]) > 5000


@pytest.mark.parametrize("busy", ["waiting", "deep in a library", "sending"])
def test_sigterm_ends_it_immediately(torch_course: Callable[..., TorchCourse], busy: str) -> None:
    # Without that patch it is the main thread that sends.
    config = {"federate": {"total_round_num": 10000}}
    course = torch_course(clients=1, config=config, patches_off=["blocked_broadcast"] if busy == "sending" else [])
    course.open_gate()
    course.start("server")
    course.start("client-1", patch=DEEP if busy == "deep in a library" else None)
    if busy == "waiting":
        course.wait_for("server", "Starting training")
        ended = "server"
    else:
        ended = "client-1"
        course.wait_for("client-1", "is assigned with")
        if busy == "sending":
            course.processes["server"].send_signal(signal.SIGSTOP)
        time.sleep(1.5)
    began = time.monotonic()
    course.processes[ended].send_signal(signal.SIGTERM)
    assert course.wait(ended) == 143
    assert time.monotonic() - began < 2.5
    assert course.record(ended)["signal"] == "SIGTERM"


def test_without_federatedscope(tmp_path: Path, torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course()
    course.source = tmp_path
    course.go("server")
    assert course.wait("server") == 2
    assert "engine federatedscope: it cannot be imported here: No module named 'federatedscope'" in str(
        course.record("server")["error"]
    )


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"nonsense": 1}, "FederatedScope refuses it: 'Non-existent config key: nonsense'"),
        ({"federate": {"mode": "standalone"}}, "expected federate.mode distributed"),
        ({"data": {"file_path": "/nowhere/shard.npz"}}, "/nowhere/shard.npz: cannot be read as a shard"),
        ({"asyn": {"use": True, "aggregator": "nobody"}}, "Please specify the cfg.asyn.aggregator"),
    ],
)
def test_bad_configuration(torch_course: Callable[..., TorchCourse], tree: dict[str, object], expected: str) -> None:
    course = torch_course()
    changed(course, **tree)
    course.go("server")
    assert course.wait("server") == 1
    assert expected in str(course.record("server")["error"])
    assert "Traceback" not in course.said("server")


def test_taken_port(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course()
    changed(course, distribute={"server_host": "192.0.2.1"})
    course.go("server")
    assert course.wait("server") == 1
    assert str(course.record("server")["error"]).startswith("cannot listen: ")


def test_shards_become_tensors_without_a_pickle(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "shard.npz"
    np.savez(path, test_x=np.arange(8, dtype=np.float32).reshape(2, 4), test_y=np.array([1, 0]))
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from fedsim_runner.participant.federatedscope.data import load_tensors\n"
        "tree, _ = load_tensors(Path(sys.argv[1]))\n"
        "print([(split, str(x['x'].dtype), x['x'].tolist(), str(x['y'].dtype)) for split, x in tree.items()])"
    )
    answer = run_python(source, code, str(path))
    assert (
        answer.stdout.strip()
        == "[('test', 'torch.float32', [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]], 'torch.int64')]"
    )
    np.savez(path, test_x=np.zeros((2, 4)), test_y=np.zeros(3))
    assert "test: x has shape (2, 4) and y (3,)" in run_python(source, code, str(path)).stderr


@pytest.mark.parametrize(("more", "kind"), [((), "dict"), (("in_batches",), "DataLoader")])
def test_samples_come_as_federatedscope_gives_them(
    source: Path, tmp_path: Path, more: Sequence[str], kind: str
) -> None:
    path = tmp_path / "shard.npz"
    samples = {f"{split}_x": np.zeros((8, 4), np.float32) for split in ("train", "test")}
    labels = {f"{split}_y": np.zeros(8, np.int64) for split in ("train", "test")}
    np.savez(path, **samples, **labels, **{name: np.empty(0) for name in more})
    code = (
        "import sys\n"
        "from federatedscope.core.configs.config import global_cfg as config\n"
        "from federatedscope.register import data_dict\n"
        "from fedsim_runner.participant.federatedscope.data import register_npz_loader\n"
        "import federatedscope.core.auxiliaries.data_builder\n"
        "register_npz_loader()\n"
        "config.federate.mode, config.data.type, config.data.file_path = 'distributed', 'file', sys.argv[1]\n"
        "data, _ = data_dict['file'](config, None)\n"
        "print(*(type(data[split]).__name__ for split in ('train', 'test')))"
    )
    assert run_python(source, code, str(path)).stdout.splitlines()[-1:] == [f"{kind} {kind}"]


def test_writes_land_in_the_out_folder(torch_course: Callable[..., TorchCourse]) -> None:
    course = torch_course(clients=1, config={"federate": {"total_round_num": 1, "save_to": "model.pt"}})
    course.go()
    assert [course.wait(name) for name in course.names] == [0, 0]
    assert sorted(path.name for path in (course.folder / "server").iterdir()) == [
        "config.yaml", "console.log", "course", "events.jsonl", "exit.json", "launcher.json", "model.pt",
        "shard.npz",
    ]  # fmt: skip
