"""Probing the local lab host."""

from __future__ import annotations

import pytest

from fedsim_runner.lab.local_host import local_lab_host


@pytest.mark.process
def test_the_local_lab_host_has_this_machines_capacity() -> None:
    host = local_lab_host("here")
    assert host.name == "here"
    assert host.cpus >= 1
    assert host.memory_bytes > 2**28
    assert host.arch in {"amd64", "arm64"}
