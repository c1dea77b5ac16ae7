"""Sending images from one lab host to others through the control node, in memory only.

One program on the builder reads the images from its Engine, once for all; what it sends goes to a program on each
receiver at the same time. A receiver that stops taking data, or whose connection breaks, drops out; the others go on.
"""

from __future__ import annotations

import json
import select
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Full, Queue
from typing import Any

from ansible_collections.fedsim.testbed.plugins.plugin_utils._known_layers import find_known, list_blobs
from ansible_collections.fedsim.testbed.plugins.plugin_utils._remote_program import Host, input_of, output_of

FRAME = struct.Struct(">II")
ARCHIVE = b"fedsim-archive\n"
#: Frames of a mebibyte that wait for a receiver.
WAITING = 16
#: Seconds for which a builder may send nothing: an Engine writes the whole archive to its disk first.
SILENT_S = 900
#: Seconds for which a receiver may take nothing, and within which its Engine must have loaded all it was sent.
STALLED_S = 300
LOADED_WITHIN_S = 1800
#: Receivers at the same time; for more, the builder reads its images again.
AT_ONCE = 32
LOOK_EVERY_S = 0.05
ENDED_WITHIN_S = 5


@dataclass(frozen=True)
class End:
    """A lab host as one end of a shipment.

    Attributes:
        host: how to start programs there.
        docker_socket: where its Engine listens.
        chains: layers that it has: each chain id with the last layer's diff id.
        sent: the same for the images that it sends.
        images: bytes of each image that it sends, beyond its parent's.
        has_containerd_store: its Engine keeps images in containerd.
    """

    host: Host
    docker_socket: str
    chains: Mapping[str, str] = field(default_factory=dict)
    sent: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)
    has_containerd_store: bool = False


@dataclass
class Progress:
    """How far one receiver is.

    Attributes:
        total: estimated bytes of the archive; layers that are left out count if their image is sent.
        sent: bytes of the archive that it was sent so far, and ``packed`` those that went over the network.
        archive_ended: it has all, and its Engine loads it.
        ended: it has loaded all, or failed.
        error: why it failed.
    """

    name: str
    total: int
    sent: int = 0
    packed: int = 0
    archive_ended: bool = False
    ended: bool = False
    error: str = ""


def ship(
    builder: End,
    receivers: Mapping[str, tuple[End, Sequence[str]]],
    refs: Sequence[str],
    watch: Callable[[list[Progress]], None],
) -> dict[str, str]:
    """Send images to the receivers, each named with the references that it must have afterwards.

    Args:
        builder: the lab host that has the images.
        receivers: the other ends by name.
        refs: all references to send.
        watch: called often with the progress of the receivers.

    Returns:
        Why it failed, by receiver; nothing if all have them.
    """
    errors: dict[str, str] = {}
    total = sum(builder.images.get(ref, 0) for ref in refs)
    names = sorted(receivers)
    for first in range(0, len(names), AT_ONCE):
        batch = [_Receiver(name, *receivers[name], total) for name in names[first : first + AT_ONCE]]
        errors |= _ship_batch(builder, batch, refs, watch)
    return errors


def _ship_batch(
    builder: End, receivers: list[_Receiver], refs: Sequence[str], watch: Callable[[list[Progress]], None]
) -> dict[str, str]:
    ends = [receiver.end for receiver in receivers]
    asked = [end for end in (builder, *ends) if end.has_containerd_store]
    blobs = list_blobs({end.host: end.docker_socket for end in asked}, builder.sent)
    known = find_known(
        builder.sent,
        [end.chains for end in ends if not end.has_containerd_store],
        [blobs[end.host] for end in ends if end.has_containerd_store],
        blobs.get(builder.host, {}),
    )
    request = {
        "docker_socket": builder.docker_socket,
        "refs": list(refs),
        "chains": known.chains,
        "blobs": sorted(known.blobs),
    }
    program = Path(__file__).with_name("_image_sender.py").read_bytes()
    sender = builder.host.start(program, request)
    feeder = threading.Thread(target=_feed, args=(builder.host.name, sender, receivers), daemon=True)
    threads = (feeder, *(receiver.thread for receiver in receivers))
    for thread in threads:
        thread.start()
    try:
        while not all(receiver.progress.ended for receiver in receivers):
            time.sleep(LOOK_EVERY_S)
            watch([receiver.progress for receiver in receivers])
    finally:
        started = [sender, *(receiver.process for receiver in receivers if receiver.process is not None)]
        for process in started:
            process.kill()
        for thread in threads:
            thread.join(ENDED_WITHIN_S)  # each ends with the pipe that it waits for
        for process in started:
            _close(process)
    return {receiver.progress.name: receiver.progress.error for receiver in receivers if receiver.progress.error}


def _feed(name: str, sender: subprocess.Popen[bytes], receivers: list[_Receiver]) -> None:
    """Give every receiver what the builder sends; None at its end, or the reason why that does not come."""
    end: str | None = None
    try:
        _close_input(sender)
        while _read_line(sender) != ARCHIVE:
            pass  # what a login shell or sudo may print
        while True:
            head = _read(sender, FRAME.size)
            length, size = FRAME.unpack(head)
            frame = (length, head + _read(sender, size))
            live = [receiver for receiver in receivers if receiver.put(frame)]
            if not length or not live:
                break
    except (EOFError, OSError) as error:
        end = f"lab host {name} did not send its images: {_last_words(sender) or error}"
    for receiver in receivers:
        receiver.put(end)


class _Receiver:
    """One receiver: a queue of frames, and a thread that hands them to the program there."""

    def __init__(self, name: str, end: End, refs: Sequence[str], total: int) -> None:
        self.end = end
        self.progress = Progress(name, total)
        self.process: subprocess.Popen[bytes] | None = None
        self.thread = threading.Thread(target=self._run, args=(list(refs),), daemon=True)
        self._frames: Queue[tuple[int, bytes] | str | None] = Queue(WAITING)

    def put(self, frame: tuple[int, bytes] | str | None) -> bool:
        """Hand it the next frame; return whether it still takes part."""
        deadline = time.monotonic() + STALLED_S
        while not self.progress.ended:
            try:
                self._frames.put(frame, timeout=1)
                return True
            except Full:
                if time.monotonic() > deadline:
                    self._fail(f"it has taken no data for {STALLED_S} s")
        return False

    def _run(self, refs: list[str]) -> None:
        try:
            error = self._receive(refs)
        except OSError as failure:
            error = str(failure)
        if error:
            self._fail(error)
        self.progress.ended = True

    def _receive(self, refs: list[str]) -> str:
        program = Path(__file__).with_name("_image_receiver.py").read_bytes()
        request = {"docker_socket": self.end.docker_socket, "refs": refs}
        process = self.process = self.end.host.start(program, request)
        try:
            while isinstance(frame := self._frames.get(), tuple):
                length, data = frame
                _write(process, data)
                self.progress.sent += length
                self.progress.packed += len(data)
        except BrokenPipeError:
            frame = None  # it has ended: its output says why
        if frame is not None:
            return frame
        try:
            self.progress.archive_ended = True
            _close_input(process)
            out, err = process.communicate(timeout=LOADED_WITHIN_S)
        except subprocess.TimeoutExpired:
            return f"its Engine has not loaded the images within {LOADED_WITHIN_S} s"
        answer = _parse_last_line(out)
        if "error" in answer:
            return str(answer["error"] or "")
        return err.decode(errors="replace").strip().rpartition("\n")[2] or "the program there ended without an answer"

    def _fail(self, error: str) -> None:
        self.progress.error = self.progress.error or error
        self.progress.ended = True


def _close_input(process: subprocess.Popen[bytes]) -> None:
    input_of(process).close()
    process.stdin = None  # or communicate() would use it


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    view, target = memoryview(data), input_of(process)
    while view:
        view = view[target.write(view) :]


def _read(process: subprocess.Popen[bytes], size: int) -> bytes:
    parts, source = [], output_of(process)
    while size:
        if not select.select([source], [], [], SILENT_S)[0]:
            raise EOFError(f"nothing came for {SILENT_S} s")
        part = source.read(min(size, 1 << 20))
        if not part:
            raise EOFError("it ended early")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _read_line(process: subprocess.Popen[bytes]) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += _read(process, 1)
    return line


def _last_words(process: subprocess.Popen[bytes]) -> str:
    """The last line that a program wrote to its error output, if it has ended."""
    try:
        _out, err = process.communicate(timeout=10)
    except (subprocess.TimeoutExpired, ValueError):
        return ""
    return err.decode(errors="replace").strip().rpartition("\n")[2]


def _parse_last_line(output: bytes) -> dict[str, Any]:
    try:
        found = json.loads(output.decode(errors="replace").strip().rpartition("\n")[2])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    process.wait()
