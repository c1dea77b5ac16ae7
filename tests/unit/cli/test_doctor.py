"""What doctor prints about its findings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedsim_runner.cli.doctor_tables import rows_of
from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit
from fedsim_runner.testbed.docker import examination
from fedsim_runner.testbed.docker.examination import Findings

HOST = {"kernel": "6.12", "cpus": 1, "memory_bytes": 2**30, "disk_free_bytes": 2**33}
LINKS = {"netem": True, "tbf": True, "nfqueue": False, "backend": "netem", "missing": [{"what": "nfqueue", "fix": "x"}]}


def doctor(findings: Findings, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(examination, "examine", lambda console: findings)
    return call(["doctor", *options])


def items(text: str) -> dict[str, Any]:
    return {row["item"]: row for row in json.loads(text)["items"]}


def test_one_cpu_is_a_number(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    host = {**HOST, "engine": "26.1", "memory_limit": True}
    assert doctor(Findings(host, (), LINKS, None), monkeypatch, "--json") == Exit.DONE
    found = items(capsys.readouterr().out)
    assert found["cpus"]["found"] == "1"
    assert found["memory limits"]["found"] == "yes"


def test_a_host_with_netem_is_not_shown_what_the_other_back_end_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor(Findings({**HOST, "engine": "26.1"}, (), LINKS, None), monkeypatch, "--json") == Exit.DONE
    assert "nfqueue" not in items(capsys.readouterr().out)


def test_each_problem_is_printed_with_its_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = {"what": "no Docker Engine answers at [/sock]", "fix": "start it", "fatal": True}
    assert doctor(Findings({**HOST, "engine": None}, (problem,), LINKS, None), monkeypatch) == Exit.LAB
    printed = capsys.readouterr().out
    assert "no Docker Engine answers at [/sock]: start it" in printed
    assert "cannot be a lab host yet" in printed


def test_whether_arm64_programs_run_is_said_with_the_package_that_is_missing() -> None:
    def row(emulates: list[str] | None) -> list[tuple[str, bool | None, str]]:
        rows = rows_of(Findings({"emulates": emulates}, (), None, None))
        return [(entry["found"], entry["ok"], entry["hint"]) for entry in rows if entry["item"] == "qemu-user"]

    assert row(["arm64"]) == [("arm64", True, "")]
    ((found, ok, hint),) = row([])
    assert (found, ok) == ("none", None) and "apt-get install qemu-user-static" in hint
    assert row(None) == []  # the Engine is on a machine of its own
