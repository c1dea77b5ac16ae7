"""The launcher: loads the engine when it is admitted, runs it when the gate opens, and records how it ended.

Exit codes: 0 the course was finished, 1 it failed, 2 the engine or the configuration is not supported, 130 SIGINT,
143 SIGTERM. ``exit.json`` in the folder ``--out`` records the code and the reason, however the participant ends.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

from ..contract.participant_events import Ready, ReferenceTimed
from ..contract.records import LaunchSettings
from ..contract.reference_windows import PAUSE_S, first_until
from .exit_errors import EXIT_FAILED, EXIT_TERMINATED, EXIT_UNSUPPORTED, ParticipantError, UnsupportedError
from .gate import wait_for_gate, wait_to_load
from .launch import load_launch_settings
from .process_end import ENDING, Terminated
from .reference_timing import prepare_reference
from .reporting import Reporter

# What is left to do after the gate: the course, to its end.
Program = Callable[[], None]
# Loads an engine: imports, data, model, and a port to listen on, but not one packet.
Loader = Callable[[Path, Path, Reporter], Program]


def load_light(config: Path, gate: Path, reporter: Reporter) -> Program:
    """Engine ``light``: imported only here, so that a device that is not admitted does not hold numpy in memory."""
    from .light.lean_grpc import import_grpc

    import_grpc()
    from .light.course import load

    return load(config, gate, reporter)


def load_federatedscope(config: Path, gate: Path, reporter: Reporter) -> Program:
    """Engine ``federatedscope``: imported only here, because of torch."""
    from .federatedscope.course import load

    return load(config, gate, reporter)


ENGINES: dict[str, Loader] = {"light": load_light, "federatedscope": load_federatedscope}


def load_module(name: str, module: str, config: Path, gate: Path, reporter: Reporter) -> Program:
    """Another engine, whose module is also imported only here.

    Raises:
        UnsupportedError: the module cannot be imported here.
    """
    try:
        loader: Loader = importlib.import_module(module).load
    except (ImportError, AttributeError) as error:
        raise UnsupportedError(f"engine {name}: {module} cannot be imported here: {error}") from error
    return loader(config, gate, reporter)


def _engine(text: str) -> Loader:
    name, _, module = text.partition("=")
    if module:
        return partial(load_module, name, module)
    if name not in ENGINES:
        raise UnsupportedError(f"engine {name}: there are only {', '.join(sorted(ENGINES))}")
    return ENGINES[name]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one participant and end the process, see :mod:`.process_end`."""
    parser = argparse.ArgumentParser(prog="participant", description="Take part in one FederatedScope course.")
    parser.add_argument("--engine", required=True, help=f"one of: {', '.join(sorted(ENGINES))}; or NAME=MODULE")
    parser.add_argument("--config", required=True, type=Path, help="FederatedScope YAML of this participant")
    parser.add_argument("--gate", required=True, type=Path, help="folder in which `load/DEVICE` and `open` will appear")
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
        loader = _engine(engine_name)
        settings = load_launch_settings(config)
        wait_to_load(gate, settings.device)
        with _writing():
            reporter = Reporter(out)
        program = loader(config, gate, reporter)
        meanwhile = _prepare_timing(settings, reporter)
        with _writing():
            reporter.report(Ready())
        at = wait_for_gate(gate, meanwhile)
        del meanwhile  # its memory is the course's
        ENDING.gate_opened(at)
        program()
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


def _prepare_timing(settings: LaunchSettings, reporter: Reporter) -> Callable[[float], None] | None:
    timer = None if settings.reference is None else prepare_reference(settings.reference, settings.reference_parts)
    if timer is None:
        return None

    def time_it(open_at: float) -> None:
        if settings.corrects_limit and (timing := timer(first_until(time.time(), open_at))) is not None:
            with _writing():
                reporter.report(ReferenceTimed(timing.step_s, timing.cpu_s))
            time.sleep(PAUSE_S)
        if (timing := timer(open_at)) is not None:
            ENDING.reference_timed(timing.step_s, timing.timed_s)

    return time_it


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ParticipantError(f"cannot write: {error}") from error


if __name__ == "__main__":
    main()
