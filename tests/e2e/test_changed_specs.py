"""A second ``up`` with another experiment file: devices come, go, and get other names and addresses."""

from __future__ import annotations

import json
from pathlib import Path

import docker

from tests.e2e.conftest import SMALL, Command, left_over

SERVER = "  - {name: server, type: mote, role: server}\n"
EARLY, PHONE, PI, PIE = (f"  - {{name: {name}, type: mote}}\n" for name in ("early", "phone", "pi", "pie"))
DEVICES = {
    "first": SERVER + PHONE + PI,
    "renamed": SERVER + PHONE + PIE,
    "inserted": EARLY + SERVER + PHONE + PIE,
    "swapped": SERVER + PIE + PHONE + EARLY,
    "removed": SERVER + PHONE,
}


def test_each_change_of_the_devices_is_an_up_and_the_last_a_course(engine: docker.DockerClient, tmp_path: Path) -> None:
    run = "changed-specs"
    small = SMALL.format(name="changed", cpus=0.5, rounds=1, timeout=300, silence=120, verify="off")
    head, _, rest = small.partition("devices:\n")
    rest = rest[rest.index("network:") :]
    spec = tmp_path / "changed.yaml"
    try:
        for name, devices in DEVICES.items():
            spec.write_text(f"{head}devices:\n{devices}{rest}", encoding="utf-8")
            up = Command(["up", str(spec), "--run", run], tmp_path)
            assert up.finish() == 0, f"{name}: {up.output}"
            wanted = {entry.partition(",")[0] for entry in devices.split("name: ")[1:]}
            status = Command(["status", run, "--json"], tmp_path)
            assert status.finish() == 0, status.output
            assert set(json.loads(status.output)["devices"]) == wanted, name
        course = Command([str(spec), "--run", run], tmp_path)
        assert course.finish() == 0, course.output
    finally:
        assert Command(["down", run], tmp_path).finish() == 0
    report = json.loads((tmp_path / "runs" / run / "report.json").read_text(encoding="utf-8"))
    assert report["status"] == "finished"
    assert set(report["devices"]) == {"server", "phone"}
    assert {path.name for path in (tmp_path / "runs" / run / "collected").iterdir()} == {"server", "phone"}
    assert left_over(engine, run) == []
