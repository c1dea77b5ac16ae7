"""Runs on a lab host: connects standard input and output with the socket of its Docker Engine.

ssh starts it there as ``python3 -c``, so that a lab host needs neither Docker's command line nor anything installed.
Before its first word it names the state folders of runs, of which an Engine knows nothing if a run was cut short early.
Standard library only, from Python 3.7 on.
"""

import json
import os
import select
import socket
import sys
import threading

READY = b"fedsim-relay ready\n"
FOLDERS = b"fedsim-relay folders "
CHUNK = 1 << 16
# Exit codes: this user may not open the socket; nothing listens there.
DENIED, ABSENT = 77, 78


def main() -> int:
    engine = socket.socket(socket.AF_UNIX)
    try:
        engine.connect(sys.argv[1])
    except OSError as error:
        sys.stderr.write(f"{sys.argv[1]}: {error.strerror}\n")
        return DENIED if isinstance(error, PermissionError) else ABSENT
    os.write(1, FOLDERS + json.dumps(_folders_in(sys.argv[2])).encode() + b"\n" + READY)
    for work in (_end_with_reader, lambda: _send(engine)):
        threading.Thread(target=work, daemon=True).start()
    while True:
        data = engine.recv(CHUNK)
        if not data:
            return 0
        while data:
            data = data[os.write(1, data) :]


def _folders_in(path: str) -> "list[str]":
    try:
        return sorted(entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []  # there has been no run, or this user may not look


def _send(engine: socket.socket) -> None:
    while True:
        data = os.read(0, CHUNK)
        if not data:
            break
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)


def _end_with_reader() -> None:
    """ssh is gone, but the Engine may be silent for long: nothing would be written that could fail."""
    waiting = select.poll()
    waiting.register(1, 0)
    waiting.poll()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
