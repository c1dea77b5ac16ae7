"""Lines of several devices: sorted by time, from containers and from files, followed to the end."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.lab.host import LabHost
from fedsim_runner.runs.device_logs import log_lines
from fedsim_runner.runs.hold import hold
from fedsim_runner.runs.registry import Registry
from fedsim_runner.testbed.docker.container_logs import in_order
from fedsim_runner.testbed.docker.docker_engine import NoEngineError
from fedsim_runner.testbed.docker.testbed import DockerTestbed
from fedsim_runner.testbed.values import Line
from tests.fake_engine import FakeEngine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return FakeEngine()


def lines_of(engine: FakeEngine, run: str, *arguments: Any) -> tuple[Sequence[str], Iterator[Line], Sequence[str]]:
    """Log lines from a lab host with this Engine, all of whose containers are the run's devices."""
    engine.devices[run] = dict.fromkeys(engine.client.api.chunks, "running")
    testbed = DockerTestbed([LabHost("one")], connect=lambda host, timeout_s: nullcontext(engine))
    return log_lines(run, *arguments, testbed=testbed)


def stamp(second: int) -> bytes:
    return f"2026-01-01T00:00:{second:02d}.000000000Z ".encode()


@pytest.mark.parametrize("follow", [False, True])
def test_lines_of_containers_are_merged_by_time(follow: bool, engine: FakeEngine) -> None:
    api = engine.client.api
    api.chunks["server"] = [stamp(1) + b"\x1b[33mone\x1b[0m\n" + stamp(4) + b"fo", b"ur\n" + stamp(5) + b"no end"]
    api.chunks["pi"] = [stamp(2) + b"two\r\n" + stamp(3) + b"three\n", b"broken"]
    names, lines, _ = lines_of(engine, "study", [], follow, 5)
    assert names == ["server", "pi"]
    assert [(line.device, line.text) for line in lines] == [
        ("server", "one"),
        ("pi", "two"),
        ("pi", "three"),
        ("server", "four"),
        ("server", "no end"),
    ]
    assert all(asked["tail"] == 5 and asked["follow"] is follow for asked in api.asked)


def test_lines_are_shown_as_they_arrive() -> None:
    lines: queue.Queue[Line | None] = queue.Queue()
    lines.put(Line("pi", "first", (1,)))
    got = in_order(lines, 1)
    began = time.monotonic()
    assert next(got).text == "first"
    assert time.monotonic() - began < 1
    timer = threading.Timer(0.1, lambda: [lines.put(Line("pi", "second", (2,))), lines.put(None)])
    timer.start()
    assert [line.text for line in got] == ["second"]


def test_a_device_that_never_pauses_is_shown_too() -> None:
    lines: queue.Queue[Line | None] = queue.Queue()
    for number in range(1000):
        lines.put(Line("pi", str(number), (number,)))
    clock = itertools.count(0, 0.01)
    got = in_order(lines, 1, lambda: float(next(clock)))
    assert next(got).text == "0"
    assert not lines.empty()


def test_an_unknown_device_is_refused_with_the_names_of_the_others(engine: FakeEngine) -> None:
    engine.client.api.chunks = {"server": [], "phone-1": [], "phone-2": []}
    with pytest.raises(FedsimError, match="no device phone1: did you mean phone-1"):
        lines_of(engine, "study", ["server", "phone1"], False, 0)
    with pytest.raises(FedsimError, match="no device xyz: it has phone-1, phone-2, server"):
        lines_of(engine, "study", ["xyz"], False, 0)
    assert lines_of(engine, "study", ["phone-1", "server", "phone-1"], False, 0)[0] == ["phone-1", "server"]


def collected(folder: Path, device: str, text: str, name: str = "course/exp_print.log") -> Path:
    path = folder / "runs" / "study" / "collected" / device / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


SERVER = """\
2026-01-01 00:00:01,000 (server:1) INFO: one
2026-01-01 00:00:04,000 (server:1) INFO: four
"""
PI = """\
2026-01-01 00:00:02,500 (client:1) INFO: two
Traceback (most recent call last):
  three
"""


def test_a_run_that_is_over_is_read_from_its_folder(engine: FakeEngine, tmp_path: Path) -> None:
    collected(tmp_path, "server", SERVER)
    collected(tmp_path, "pi", PI)
    collected(tmp_path, "early", "no log yet\n", "console.log")
    _, lines, _ = lines_of(engine, "study", ["server", "pi"], True, 0)
    texts = [line.text.rpartition(": ")[2].strip() for line in lines]
    assert texts == ["one", "two", "Traceback (most recent call last):", "three", "four"]
    names, lines, _ = lines_of(engine, "study", [], False, 1)
    assert sorted(names) == ["early", "pi", "server"]
    assert sorted(line.text.strip().rpartition(": ")[2] for line in lines) == ["four", "no log yet", "three"]
    with pytest.raises(FedsimError, match="did you mean server"):
        lines_of(engine, "study", ["sever"], False, 0)


def test_without_an_engine_the_folder_is_enough(engine: FakeEngine, tmp_path: Path) -> None:
    def none(host: LabHost, timeout_s: int) -> Any:
        raise NoEngineError("no Docker Engine answers")

    testbed = DockerTestbed([LabHost("one")], connect=none)
    with pytest.raises(NoEngineError):
        log_lines("study", [], False, 0, testbed)
    collected(tmp_path, "pi", PI)
    assert [line.device for line in log_lines("study", [], False, 0, testbed)[1]] == ["pi"] * 3


def test_plain_processes_are_followed_until_their_run_ends(engine: FakeEngine, tmp_path: Path) -> None:
    path = collected(tmp_path, "pi", PI)
    Registry().record("study", tmp_path / "runs" / "study", "processes", [], "running")
    held = ExitStack()
    held.enter_context(hold("study"))
    _, lines, _ = log_lines("study", [], True, 0)
    assert [next(lines).text.strip() for _ in range(3)][-1] == "three"

    def write() -> None:
        with path.open("a", encoding="utf-8") as stream:
            stream.write("2026-01-01 00:00:09,000 (client:1) INFO: nine\nlast words")
        held.close()

    threading.Timer(0.2, write).start()
    assert [line.text.rpartition(": ")[2] for line in lines] == ["nine", "last words"]


def test_a_run_without_any_logs_is_an_error(engine: FakeEngine) -> None:
    with pytest.raises(FedsimError, match="there is no container and nothing was collected"):
        lines_of(engine, "study", [], False, 0)


EVIL = "\x1b]0;title\x07\x9b2J\x9d8;;https://evil\x9c\x1b[1;1H\u202eround 1 [link=x]"


def test_no_line_controls_the_terminal(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.client.api.chunks["pi"] = [stamp(1) + EVIL.encode() + b"\n" + stamp(2) + b"\xff\x9b31m\n"]
    _, lines, _ = lines_of(engine, "study", [], False, 0)
    assert [line.text for line in lines] == ["round 1 [link=x]", "\ufffd\ufffd31m"]
    collected = Path("runs/old/collected/pi/course")
    collected.mkdir(parents=True)
    (collected / "exp_print.log").write_text(f"{EVIL}\n", encoding="utf-8")
    assert call(["logs", "old"]) == Exit.DONE
    assert capsys.readouterr().out == "round 1 [link=x]\n"
