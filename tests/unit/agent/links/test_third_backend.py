"""A third link back end is one folder: everything that lists, tries, chooses or names back ends then knows it."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner import spec
from fedsim_runner.agent import links
from fedsim_runner.agent.links import backends, probe
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.run_settings import read_run_settings
from fedsim_runner.cli.entry import call
from fedsim_runner.contract.link import Link
from fedsim_runner.testbed.docker import examination
from fedsim_runner.testbed.docker.examination import Findings

from .fake_kernel import FakeKernel

THIRD = Path(__file__).parent / "third"


@pytest.fixture(autouse=True)
def third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "__path__", [*links.__path__, str(THIRD)])


def test_the_probe_tries_it_and_auto_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeKernel(lacks=("netem", "tbf", "iptables-nft", "iptables-legacy", "iptables")).install(monkeypatch)
    found = probe.probe()
    assert (found["toy"], found["netem"], found["backend"]) == (True, False, "toy")
    slow = Profile([DeviceLink("a", "198.18.0.2", Link(1000, 20), Link())])
    assert backends.choose("auto", slow, found) == backends.choose("toy", slow, found) == "toy"


def test_experiment_and_device_file_may_name_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device_file: dict[str, Any]
) -> None:
    monkeypatch.setattr(spec, "schema", importlib.import_module("fedsim_runner.spec.schema"))
    monkeypatch.delitem(sys.modules, "fedsim_runner.spec.schema")
    schema = importlib.import_module("fedsim_runner.spec.schema")
    assert schema.NetworkSection.model_validate({"backend": "toy"}).backend == "toy"
    (tmp_path / "device_file.json").write_text(json.dumps({**device_file, "link_backend": "toy"}))
    assert read_run_settings(tmp_path / "device_file.json").link_backend == "toy"


def test_doctor_has_a_row_for_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    host = {"kernel": "6.12", "cpus": 1, "memory_bytes": 2**30, "disk_free_bytes": 2**33, "engine": "26.1"}
    tried = {"toy": True, "backend": "toy", "missing": [{"what": "netem", "fix": "x"}]}
    monkeypatch.setattr(examination, "examine", lambda console: Findings(host, (), tried, None))
    call(["doctor", "--json"])
    rows = {row["item"]: row for row in json.loads(capsys.readouterr().out)["items"]}
    assert rows["links: toy"]["ok"] is True and rows["links: netem"]["ok"] is None
    assert rows["links: toy"]["needed"] == "rate, delay, jitter and loss, by toy"
    names = " or ".join(backend.name for backend in backends.load_all())
    assert (rows["link back end"]["found"], rows["link back end"]["needed"]) == ("toy", names)
