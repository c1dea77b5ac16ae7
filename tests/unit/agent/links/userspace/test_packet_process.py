"""The packet process answers, however many files the agent has open."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from fedsim_runner.agent.links.userspace.packet_process import PacketProcess

#: select() takes no descriptor from here on.
FIRST_ABOVE = 1024


@pytest.fixture
def many_open_files() -> Iterator[None]:
    """The next file that is opened gets a descriptor above those that select() takes."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FIRST_ABOVE + 50
    if most != resource.RLIM_INFINITY and most < needed:
        pytest.skip(f"this process may have {most} files open, and the test needs {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, needed), most))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while opened[-1] < FIRST_ABOVE:
            opened.append(os.dup(opened[0]))
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.process
@pytest.mark.usefixtures("many_open_files")
def test_it_is_asked_and_answers_above_a_thousand_open_files() -> None:
    process = PacketProcess()
    try:
        answer = process.ask({"op": "set", "devices": {}})
    finally:
        process.stop()
    assert (answer["failed"], answer["devices"]) == ({}, {})
