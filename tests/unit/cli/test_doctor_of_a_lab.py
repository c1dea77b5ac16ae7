"""What doctor prints about the hosts of a lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit
from fedsim_runner.runs import labs
from fedsim_runner.testbed.docker import examination
from fedsim_runner.testbed.docker.examination import Findings
from fedsim_runner.testbed.docker.remote.clock import Clock

HOST = {"engine": "26.1", "kernel": "6.12", "cpus": 1, "memory_bytes": 2**30, "disk_free_bytes": 2**33}
LINKS = {"netem": True, "tbf": True, "nfqueue": False, "backend": "netem", "missing": []}
PROBLEM = {"what": "swap is on", "fix": "swapoff -a", "fatal": False}
FATAL = {"what": "no Engine", "fix": "start it", "fatal": True}


def doctor(monkeypatch: pytest.MonkeyPatch, examined: dict[str, Findings | str], *options: str) -> int:
    monkeypatch.setattr(labs, "load_lab", lambda access: ())
    monkeypatch.setattr(examination, "examine_lab", lambda console, hosts, access: examined)
    return call(["doctor", "-i", str(Path("lab")), *options])


def test_what_hosts_share_is_said_once_and_what_keeps_one_out_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examined: dict[str, Findings | str] = {
        "one": Findings(HOST, (PROBLEM,), LINKS, None, Clock(0.0701, 0.0002)),
        "two": Findings(HOST, (PROBLEM, FATAL), LINKS, None, Clock(-0.001, 0.0002)),
        "three": "ssh: No route to host",
    }
    assert doctor(monkeypatch, examined) == Exit.LAB
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["ok", "one"], ["missing", "two"], ["missing", "three"]]
    assert lines[4:6] == ["two: no Engine: start it", "three: cannot be reached: ssh: No route to host"]
    assert "one, two: swap is on: swapoff -a" in lines
    assert any(line.startswith("one: clock: have all lab hosts take their time") for line in lines)
    assert not any(line.startswith("two: clock") for line in lines)
    assert lines[-1] == "1 of 3 hosts can be lab hosts; not yet: two, three"


def test_data_of_a_lab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    examined: dict[str, Findings | str] = {"one": Findings(HOST, (), LINKS, None)}
    assert doctor(monkeypatch, examined, "--json") == Exit.DONE
    answer = json.loads(capsys.readouterr().out)
    assert answer["fit"] and answer["lab_hosts"]["one"]["lab_host"]["cpus"] == 1
    assert doctor(monkeypatch, {"one": "gone"}, "--json") == Exit.LAB
    assert json.loads(capsys.readouterr().out)["lab_hosts"] == {"one": {"fit": False, "reason": "gone"}}


def test_hosts_that_cannot_encrypt_are_named_and_still_lab_hosts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"one": False, "two": True, "three": False, "four": None}
    examined: dict[str, Findings | str] = {
        name: Findings({**HOST, "wireguard": has}, (), LINKS, None) for name, has in found.items()
    }
    assert doctor(monkeypatch, examined) == Exit.DONE
    named = [line for line in capsys.readouterr().out.splitlines() if "WireGuard" in line]
    assert [line.split(" `")[0] for line in named] == ["one, three: WireGuard: only for lab.encrypt:"]
    assert "modprobe wireguard" in named[0]
