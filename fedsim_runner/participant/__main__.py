"""The launcher: waits at the gate, runs the engine and records how it ended.

Exit codes: 0 the course was finished, 1 it failed, 2 the engine or the configuration is not supported, 130 SIGINT,
143 SIGTERM. ``exit.json`` in the folder ``--out`` records the code and the reason, however the participant ends.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from .exit_errors import EXIT_FAILED, EXIT_TERMINATED, EXIT_UNSUPPORTED, ParticipantError, UnsupportedError
from .gate import wait_for_gate
from .process_end import ENDING, Terminated
from .reporting import Reporter

Program = Callable[[Path, Path, Reporter], None]


def run_light(config: Path, gate: Path, reporter: Reporter) -> None:
    """Engine ``light``: imported after the gate, so that a waiting device does not hold numpy in memory."""
    from .light.course import run

    run(config, gate, reporter)


def run_federatedscope(config: Path, gate: Path, reporter: Reporter) -> None:
    """Engine ``federatedscope``: imported after the gate, so that a waiting device does not hold torch in memory."""
    from .federatedscope.course import run

    run(config, gate, reporter)


ENGINES: dict[str, Program] = {"light": run_light, "federatedscope": run_federatedscope}


def run_module(name: str, module: str, config: Path, gate: Path, reporter: Reporter) -> None:
    """Another engine, whose module is also imported after the gate.

    Raises:
        UnsupportedError: the module cannot be imported here.
    """
    try:
        program: Program = importlib.import_module(module).run
    except (ImportError, AttributeError) as error:
        raise UnsupportedError(f"engine {name}: {module} cannot be imported here: {error}") from error
    program(config, gate, reporter)


def _engine(text: str) -> Program:
    name, _, module = text.partition("=")
    if module:
        return partial(run_module, name, module)
    if name not in ENGINES:
        raise UnsupportedError(f"engine {name}: there are only {', '.join(sorted(ENGINES))}")
    return ENGINES[name]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one participant and end the process, see :mod:`.process_end`."""
    parser = argparse.ArgumentParser(prog="participant", description="Take part in one FederatedScope course.")
    parser.add_argument("--engine", required=True, help=f"one of: {', '.join(sorted(ENGINES))}; or NAME=MODULE")
    parser.add_argument("--config", required=True, type=Path, help="FederatedScope YAML of this participant")
    parser.add_argument("--gate", required=True, type=Path, help="folder in which the file `open` will appear")
    parser.add_argument("--out", required=True, type=Path, help="folder for exit.json")
    options = parser.parse_args(arguments)

    try:
        _take_part(options.engine, options.config.absolute(), options.gate.absolute(), options.out.absolute())
    except Terminated:
        ENDING.end(EXIT_TERMINATED, error="ended by SIGTERM", by="SIGTERM")
    ENDING.end(0)


def _take_part(engine_name: str, config: Path, gate: Path, out: Path) -> None:
    try:
        ENDING.prepare(out)
        engine = _engine(engine_name)
        ENDING.gate_opened(wait_for_gate(gate))
        try:
            reporter = Reporter(out)
        except OSError as error:
            raise ParticipantError(f"cannot write: {error}") from error
        engine(config, gate, reporter)
    except KeyboardInterrupt:
        ENDING.end(130, error="ended by SIGINT", by="SIGINT")
    except UnsupportedError as error:
        ENDING.end(EXIT_UNSUPPORTED, error=f"unsupported: {error}")
    except ParticipantError as error:
        ENDING.end(EXIT_FAILED, error=str(error))
    except Exception as error:
        with contextlib.suppress(OSError):  # the console may be on a disk that is full
            traceback.print_exc()
        ENDING.end(EXIT_FAILED, error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
