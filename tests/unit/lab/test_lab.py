"""Probing the local lab host, and address ranges held while runs are planned."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fedsim_runner.lab import Reservations, local_lab_host


@pytest.mark.process
def test_the_local_lab_host_has_this_machines_capacity() -> None:
    host = local_lab_host("here")
    assert host.name == "here"
    assert host.cpus >= 1
    assert host.memory_bytes > 2**28
    assert host.arch in {"amd64", "arm64"}


def test_a_reservation_of_a_running_process_is_seen_and_can_be_released(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path / "held")
    with reservations.locked():
        assert reservations.networks() == ()
        reservations.reserve("one", "198.18.0.0/24")
    assert Reservations(tmp_path / "held").networks() == ("198.18.0.0/24",)
    reservations.release("one")
    reservations.release("one")
    assert reservations.networks() == ()


@pytest.mark.process
def test_a_reservation_of_a_dead_process_is_stale(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from fedsim_runner.lab import Reservations;"
        "r = Reservations(pathlib.Path(sys.argv[1])); "
        "\nwith r.locked(): r.reserve('gone', '198.18.5.0/24')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / "gone.json").exists()
    assert Reservations(tmp_path).networks() == ()
    assert not (tmp_path / "gone.json").exists()


def test_a_broken_reservation_file_is_removed(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(json.dumps({"pid": "x"}), encoding="utf-8")
    assert Reservations(tmp_path).networks() == ()
