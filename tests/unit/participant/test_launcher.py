"""The launcher: gate, exit codes, exit.json."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from fedsim_runner.participant.gate import wait_for_gate, wait_to_load
from tests.unit.participant.helpers import REPOSITORY, command, environment

pytestmark = pytest.mark.process


def launch(own: Path, text: str, engine: str = "light") -> tuple[int, str, dict[str, object]]:
    """Exit code, standard error and exit.json of a participant with this configuration."""
    (own / "open").write_text('{"open_at": null}', encoding="utf-8")
    (own / "config.yaml").write_text(text, encoding="utf-8")
    done = subprocess.run(
        command(own, own, engine), cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=30
    )
    return done.returncode, done.stderr, json.loads((own / "exit.json").read_text(encoding="utf-8"))


def test_unsupported_engine(tmp_path: Path) -> None:
    code, stderr, record = launch(tmp_path, "", "heavy")
    assert (code, record["exit_code"]) == (2, 2)
    assert stderr == "participant: unsupported: engine heavy: there are only federatedscope, light\n"


def test_an_unsupported_config_names_all_keys(tmp_path: Path) -> None:
    code, stderr, record = launch(tmp_path, yaml.safe_dump({"asyn": {"use": True}, "model": {"type": "convnet2"}}))
    assert code == 2
    assert stderr.count("\n") == 1
    assert stderr.startswith("participant: unsupported: ")
    for part in ("asyn.use", "convnet2", "MSELoss"):
        assert part in str(record["error"])


def test_a_crash_leaves_a_traceback_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("{}", encoding="utf-8")
    patch = (
        "from fedsim_runner.participant import __main__ as launcher\n"
        "def crash(): raise ValueError('two\\nlines')\n"
        "launcher.ENGINES['light'] = lambda config, gate, reporter: crash"
    )
    done = subprocess.run(
        command(tmp_path, tmp_path, patch=patch), cwd=REPOSITORY, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    record = json.loads((tmp_path / "exit.json").read_text(encoding="utf-8"))
    assert (record["exit_code"], record["signal"], record["error"]) == (1, None, "ValueError: two lines")
    assert record["started"] <= record["gate_opened"] <= record["ended"]
    assert record["cpu_seconds"] > 0


def test_a_missing_out_folder_does_not_change_the_exit_code(tmp_path: Path) -> None:
    own = tmp_path / "gone"
    arguments = command(own, tmp_path, "none")
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "cannot write" in done.stderr


@pytest.mark.parametrize(("text", "expected"), [("{", "cannot be read"), ("- 1", "got list")])
def test_broken_config(tmp_path: Path, text: str, expected: str) -> None:
    code, stderr, record = launch(tmp_path, text)
    assert code == 1
    assert expected in str(record["error"])
    assert "Traceback" not in stderr


def test_gate_half_written(tmp_path: Path) -> None:
    gate = tmp_path / "open"
    gate.write_text('{"open', encoding="utf-8")
    threading.Timer(0.3, lambda: gate.write_text('{"open_at": null}', encoding="utf-8")).start()
    began = time.time()
    assert wait_for_gate(tmp_path) >= began + 0.3


def test_waits_for_the_time_the_gate_names(tmp_path: Path) -> None:
    open_at = time.time() + 0.7
    (tmp_path / "open").write_text(json.dumps({"open_at": open_at}), encoding="utf-8")
    assert wait_for_gate(tmp_path) == open_at <= time.time() < open_at + 0.3


def test_a_device_that_starts_anew_counts_from_when_the_gate_opened(tmp_path: Path) -> None:
    """Its course, and what it needed of power, began then, and not when it passed the gate for the second time."""
    open_at = time.time() - 100
    (tmp_path / "open").write_text(json.dumps({"open_at": open_at}), encoding="utf-8")
    assert wait_for_gate(tmp_path) == open_at


def test_a_console_on_a_full_disk_does_not_prevent_the_record(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("{}", encoding="utf-8")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            command(tmp_path, tmp_path, "heavy"), cwd=REPOSITORY, stdout=full, stderr=full, timeout=30, check=False
        )
    assert done.returncode == 2
    record = json.loads((tmp_path / "exit.json").read_text(encoding="utf-8"))
    assert record["error"].startswith("unsupported: engine heavy")


@pytest.mark.parametrize(
    ("work", "error"),
    [
        ("    raise ValueError('it crashed')\n", "ValueError: it crashed"),
        (
            "    threading.Thread(target=ENDING.give_up, args=('cannot write',), daemon=True).start()\n"
            "    time.sleep(60)\n",
            "cannot write",
        ),
    ],
    ids=["a crash", "a thread"],
)
def test_a_course_ends_although_its_console_is_on_a_full_disk(tmp_path: Path, work: str, error: str) -> None:
    (tmp_path / "open").write_text("{}", encoding="utf-8")
    patch = (
        "import threading, time\n"
        "from fedsim_runner.participant import __main__ as launcher\n"
        "from fedsim_runner.participant.process_end import ENDING\n"
        f"def work():\n{work}"
        "launcher.ENGINES['light'] = lambda config, gate, reporter: work"
    )
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            command(tmp_path, tmp_path, patch=patch), cwd=REPOSITORY, stdout=full, stderr=full, timeout=20, check=False
        )
    assert done.returncode == 1
    assert json.loads((tmp_path / "exit.json").read_text(encoding="utf-8"))["error"] == error


def test_it_loads_when_it_is_admitted_and_takes_part_when_the_gate_opens(tmp_path: Path) -> None:
    (tmp_path / "launcher.json").write_text('{"device": "pi"}', encoding="utf-8")
    patch = (
        "from pathlib import Path\n"
        "from fedsim_runner.participant import __main__ as launcher\n"
        "def load(config, gate, reporter):\n"
        "    (gate / 'loaded').touch()\n"
        "    return (gate / 'took part').touch\n"
        "launcher.ENGINES['light'] = load"
    )
    process = subprocess.Popen(command(tmp_path, tmp_path, patch=patch), cwd=REPOSITORY)
    try:
        (tmp_path / "load").mkdir()
        (tmp_path / "load" / "other").touch()
        time.sleep(1.5)
        assert process.poll() is None
        assert not (tmp_path / "loaded").exists()
        (tmp_path / "load" / "pi").touch()
        end = time.monotonic() + 20
        while not (reported := (tmp_path / "events.jsonl")).exists() or not reported.read_text(encoding="utf-8"):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert json.loads(reported.read_text(encoding="utf-8"))["event"] == "ready"
        assert (tmp_path / "loaded").exists() and not (tmp_path / "took part").exists()
        (tmp_path / "open").write_text("{}", encoding="utf-8")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "took part").exists()
    record = json.loads((tmp_path / "exit.json").read_text(encoding="utf-8"))
    assert 0 < record["startup_cpu_seconds"] <= record["cpu_seconds"]


def test_a_restarted_participant_loads_although_it_is_not_admitted_again(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("{}", encoding="utf-8")
    began = time.monotonic()
    wait_to_load(tmp_path, "pi")
    (tmp_path / "open").unlink()
    wait_to_load(tmp_path, "")
    assert time.monotonic() - began < 1


def test_the_light_engine_loads_without_what_it_does_not_use() -> None:
    code = (
        "import sys\n"
        "from fedsim_runner.participant.light.lean_grpc import import_grpc\n"
        "import_grpc()\n"
        "import fedsim_runner.participant.light.course, grpc\n"
        "assert not {'asyncio', 'grpc.aio', 'ssl'} & set(sys.modules), sorted(sys.modules)\n"
        "import asyncio\n"
        "assert asyncio.run(asyncio.sleep(0, 'works')) == 'works'"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=environment(), check=True, timeout=60)
