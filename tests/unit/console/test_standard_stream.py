"""Standard output that cannot be written: a reader that went away, a full disk, characters that a terminal lacks."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from fedsim_runner.console.bars import HEIGHTS, bar
from fedsim_runner.console.standard_stream import REPLACE, OutputLostError, StandardStream, loss_of, outlived
from fedsim_runner.contract.errors import Exit


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(writer)


def stream_to(descriptor: int, encoding: str = "utf-8") -> StandardStream:
    return StandardStream(descriptor, "standard output", encoding, line_buffering=False)


def test_what_is_printed_arrives(pipe: tuple[int, int]) -> None:
    stream = stream_to(pipe[1])
    Console(file=stream).print("one ✓")
    assert os.read(pipe[0], 100) == "one ✓\n".encode()
    assert (loss_of(stream), stream.fileno(), stream.isatty()) == (None, pipe[1], False)


@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [(True, Exit.OUTPUT_CLOSED, "Broken pipe"), (False, Exit.OUTPUT, "No space left on device")],
)
def test_a_loss_is_raised_once_as_an_error_with_its_own_exit_code(
    closed: bool, code: Exit, said: str, pipe: tuple[int, int]
) -> None:
    os.close(pipe[0])
    full = os.open("/dev/full", os.O_WRONLY)
    stream = stream_to(pipe[1] if closed else full)
    # Rich would end the process for a broken pipe.
    with pytest.raises(OutputLostError, match=f"standard output cannot be written: {said}") as caught:
        Console(file=stream).print("x")
    assert caught.value.exit is code
    stream.write("more, which is dropped")
    stream.flush()
    assert loss_of(stream) is caught.value
    os.close(full)


def test_a_loss_that_is_to_be_outlived_raises_nothing(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    stream = stream_to(pipe[1])
    with outlived(stream):
        for _ in range(3):
            Console(file=stream).print("x")
    Console(file=stream).print("nothing is printed twice")
    lost = loss_of(stream)
    assert lost is not None
    assert lost.exit is Exit.OUTPUT_CLOSED


def test_other_streams_are_left_alone() -> None:
    stream = io.StringIO()
    with outlived(stream):
        stream.write("x")
    assert loss_of(stream) is None


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    stream = stream_to(pipe[1])
    text = "x" * (1 << 20)  # more than a pipe holds
    writer = threading.Thread(target=lambda: (stream.write(text), stream.flush()))
    writer.start()
    read = 0
    while read < len(text):
        read += len(os.read(pipe[0], 1 << 16))
    writer.join(10)
    assert not writer.is_alive()
    assert loss_of(stream) is None


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_every_character_that_we_draw_has_a_lookalike(encoding: str, tmp_path: Path) -> None:
    drawn = f"{HEIGHTS}{bar(0.55, 10)}✓✗±…–—→"
    shown = drawn.encode(encoding, REPLACE).decode(encoding)
    assert len(shown) == len(drawn)
    assert "?" not in shown
    path = tmp_path / "shown"
    with path.open("wb") as file:
        table = Table()
        table.add_row("Zoë", "日本")
        Console(file=stream_to(file.fileno(), encoding), width=40).print("✓ done", table)
    text = path.read_bytes().decode(encoding)
    assert "+ done" in text
    assert ("Zoë" if encoding == "latin-1" else "Zoe") in text
    assert "??" in text


def test_names_of_files_that_are_no_text_can_be_printed(pipe: tuple[int, int]) -> None:
    stream = stream_to(pipe[1])
    stream.write(os.fsdecode(b"exp-\xff.yaml"))
    stream.flush()
    assert os.read(pipe[0], 100) == b"exp-?.yaml"
