"""Reading a command's output ends: with the output, at its time limit, or with the container."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from fedsim_runner.contract import exec_output
from fedsim_runner.contract.exec_output import FRAME, NoOutputError, read_output


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The reader's end of a connection, and the Engine's."""
    ours, theirs = socket.socketpair()
    yield ours, theirs
    theirs.close()


def frame(number: int, data: bytes) -> bytes:
    return FRAME.pack(number, len(data)) + data


def test_outputs_are_told_apart_however_they_arrive(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends

    def answer() -> None:
        for byte in frame(1, b"one") + frame(2, b"oh") + frame(1, b"") + frame(1, b" two"):
            theirs.sendall(bytes([byte]))
            time.sleep(0.001)
        theirs.close()

    threading.Thread(target=answer).start()
    assert read_output(ours, 10.0, lambda: True) == (b"one two", b"oh")
    assert ours.fileno() == -1


def test_a_container_that_has_ended_ends_it(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_output, "LOOK_AFTER_S", 0.01)
    answers = [True, False]
    ends[1].sendall(frame(1, b"not all"))
    with pytest.raises(NoOutputError, match="the container has ended"):
        read_output(ends[0], 60.0, lambda: answers.pop(0))
    assert (answers, ends[0].fileno()) == ([], -1)


def test_a_command_that_never_ends_is_given_up(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(NoOutputError, match="has not ended in time"):
        read_output(ends[0], 0.05, lambda: True)
    assert ends[0].fileno() == -1
