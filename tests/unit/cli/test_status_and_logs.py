"""What status and logs print."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from rich.console import Console

from fedsim_runner.cli.entry import call
from fedsim_runner.cli.verbs import status
from fedsim_runner.contract.errors import Exit
from fedsim_runner.runs import device_logs, run_status
from fedsim_runner.testbed.values import Line


def answer(state: str = "running", number: int = 3, **more: Any) -> dict[str, Any]:
    entry = {"state": "training", "round": number, "exit_code": None, "cpu": 0.04, "cpus": 0.05, "up_bps": 2_000_000}
    return {
        "run": "study",
        "state": state,
        "round": number,
        "total_rounds": 10,
        "results": {"test_acc": 0.75},
        "reason": None,
        "device": None,
        "devices": {"server": {**entry, "state": "waiting"}, **{f"pi-{n}": entry for n in range(60)}},
        "folder": "/runs/study",
        "control_node": True,
        **more,
    }


def test_status_shows_every_device(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(run_status, "status_of", lambda run, **_: answer())
    assert call(["status", "study"]) == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("study   round 3/10   accuracy 0.7500")
    assert sum(line.startswith(("server", "pi-")) for line in lines) == 61
    assert "80%" in lines[-2]
    assert lines[-1] == "run folder: /runs/study"


def test_status_shows_a_reason_and_json_stays_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = answer("failed", reason="pi-1: ended by [SIGKILL]")
    monkeypatch.setattr(run_status, "status_of", lambda run, **_: failed)
    assert call(["status", "study"]) == Exit.DONE
    out = capsys.readouterr().out
    assert "study   failed" in out
    assert "reason: pi-1: ended by [SIGKILL]" in out
    assert call(["status", "study", "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out) == failed


@pytest.mark.parametrize("arguments", [["--watch"], ["study", "--watch", "--json"]])
def test_watch_needs_one_run_and_no_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["status", *arguments]) == Exit.SPEC
    assert "--watch needs one RUN" in capsys.readouterr().err


def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(file=io.StringIO(), width=100, height=20, force_terminal=True, color_system=None)
    monkeypatch.setattr(status, "out", lambda stderr=False: console)
    monkeypatch.setattr(status, "WATCH_EVERY_S", 0.0)
    return console


@pytest.mark.parametrize("last", ["finished", "failed", "cut short: its control node is gone"])
def test_watch_refreshes_until_the_run_has_ended(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    console = terminal(monkeypatch)
    answers = iter([answer(number=3), answer(number=4), answer(last, number=5)])
    monkeypatch.setattr(run_status, "status_of", lambda run, **_: next(answers))
    assert call(["status", "study", "--watch"]) == Exit.DONE
    text = console.file.getvalue()
    assert text.index("round 3/10") < text.index("round 4/10") < text.index("round 5/10")
    assert next(answers, None) is None
    assert "... and " in text
    assert "60 training" in text


def test_ctrl_c_ends_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    console = terminal(monkeypatch)
    answers = iter([answer()])

    def status_of(run: str, **_: object) -> dict[str, Any]:
        found = next(answers, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(run_status, "status_of", status_of)
    assert call(["status", "study", "--watch"]) == Exit.DONE
    assert console.file.getvalue().rstrip().endswith("\x1b[?25h")


LINES = [Line("server", "[one]"), Line("pi-1", "two :smile:")]


def fake_log_lines(
    monkeypatch: pytest.MonkeyPatch, names: list[str], interrupted: bool = False, silent: Sequence[str] = ()
) -> list[Any]:
    asked: list[Any] = []

    def log_lines(
        run: str, devices: list[str], follow: bool, tail: int, **_: object
    ) -> tuple[list[str], Iterator[Line], Sequence[str]]:
        asked.extend([run, devices, follow, tail])

        def lines() -> Iterator[Line]:
            yield from LINES if len(names) > 1 else LINES[:1]
            if interrupted:
                raise KeyboardInterrupt

        return names, lines(), silent

    monkeypatch.setattr(device_logs, "log_lines", log_lines)
    return asked


def test_logs_of_several_devices_begin_with_their_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = fake_log_lines(monkeypatch, ["server", "pi-1"])
    assert call(["logs", "study", "server", "pi-1", "-n", "7"]) == Exit.DONE
    assert asked == ["study", ["server", "pi-1"], False, 7]
    assert capsys.readouterr().out.splitlines() == ["server | [one]", "pi-1   | two :smile:"]


def test_logs_of_one_device_are_its_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake_log_lines(monkeypatch, ["server"])
    assert call(["logs", "study", "server"]) == Exit.DONE
    assert capsys.readouterr().out == "[one]\n"


def test_logs_name_a_lab_host_whose_devices_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_log_lines(monkeypatch, ["server"], silent=["lab2 is away"])
    assert call(["logs", "study"]) == Exit.LAB
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("[one]\n", "error: lab2 is away\n")


@pytest.mark.parametrize(("options", "code"), [(["-f"], Exit.DONE), ([], Exit.INTERRUPTED)])
def test_ctrl_c_ends_following(options: list[str], code: Exit, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_log_lines(monkeypatch, ["server", "pi-1"], interrupted=True)
    assert call(["logs", "study", *options]) == code
