"""The launcher: gate, engine, and a record of how it ended.

Exit codes: 0 the course was finished, 1 it failed, 2 the engine or the configuration is not supported, 130 SIGINT,
143 SIGTERM. ``exit.json`` in the folder ``--out`` tells the same with the reason, whatever the ending.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from .errors import EXIT_FAILED, EXIT_TERMINATED, EXIT_UNSUPPORTED, ParticipantError, UnsupportedError
from .gate import wait_for_gate
from .usage import cpu_seconds, interface_bytes, memory_peak_bytes

EXIT_FILE = "exit.json"


def run_light(config: Path, gate: Path) -> None:
    """Engine ``light``: imported behind the gate, so that a waiting device holds no numpy in its memory."""
    from .light.course import run

    run(config, gate)


ENGINES: dict[str, Callable[[Path, Path], None]] = {"light": run_light}


def _engine(name: str) -> Callable[[Path, Path], None]:
    if name not in ENGINES:
        raise UnsupportedError(f"engine {name}: this image has only {', '.join(sorted(ENGINES))}")
    return ENGINES[name]


class Terminated(BaseException):
    """SIGTERM arrived. Not an Exception, so that no engine swallows it."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def main(arguments: list[str] | None = None) -> int:
    """Run one participant; exit codes are those of :mod:`.errors`, 0 when the course was finished."""
    parser = argparse.ArgumentParser(prog="participant", description="Take part in one FederatedScope course.")
    parser.add_argument("--engine", required=True, help=f"one of: {', '.join(sorted(ENGINES))}")
    parser.add_argument("--config", required=True, type=Path, help="FederatedScope YAML of this participant")
    parser.add_argument("--gate", required=True, type=Path, help="folder in which the file `open` will appear")
    parser.add_argument("--out", required=True, type=Path, help="folder for exit.json")
    options = parser.parse_args(arguments)

    # As PID 1 a process has no default action for SIGTERM: without a handler `docker stop` waits its ten seconds.
    signal.signal(signal.SIGTERM, _terminate)
    record: dict[str, Any] = {
        "exit_code": 0,
        "signal": None,
        "error": None,
        "started": time.time(),
        "gate_opened": None,
    }
    try:
        engine = _engine(options.engine)
        record["gate_opened"] = wait_for_gate(options.gate)
        engine(options.config, options.gate)
    except Terminated:
        record.update(exit_code=EXIT_TERMINATED, signal="SIGTERM", error="ended by SIGTERM")
    except KeyboardInterrupt:
        record.update(exit_code=130, signal="SIGINT", error="ended by SIGINT")
    except UnsupportedError as error:
        record.update(exit_code=EXIT_UNSUPPORTED, error=f"unsupported: {error}")
    except ParticipantError as error:
        record.update(exit_code=EXIT_FAILED, error=str(error))
    except BaseException as error:
        traceback.print_exc()
        record.update(exit_code=EXIT_FAILED, error=f"{type(error).__name__}: {error}")
    if record["error"]:
        record["error"] = " ".join(record["error"].split())  # one line, whatever YAML or gRPC put into it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if record["error"]:
        print(f"participant: {record['error']}", file=sys.stderr, flush=True)
    _write_record(options.out, record)
    # gRPC's threads may still be about: nothing of theirs is wanted any more.
    sys.stdout.flush()
    os._exit(record["exit_code"])


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    received, sent = interface_bytes()
    in_container = os.getpid() == 1
    record.update(
        ended=time.time(),
        rx_bytes=received if in_container else None,
        tx_bytes=sent if in_container else None,
        memory_peak_bytes=memory_peak_bytes(in_container),
        cpu_seconds=round(cpu_seconds(), 3),
    )
    draft = folder / f"{EXIT_FILE}.draft"
    try:
        draft.write_text(json.dumps(record) + "\n", encoding="utf-8")
        draft.replace(folder / EXIT_FILE)
    except OSError as error:
        print(f"participant: cannot write {folder / EXIT_FILE}: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
