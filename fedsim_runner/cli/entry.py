"""From the command line to an exit code: whatever happens, a message and never a traceback."""

from __future__ import annotations

import difflib
import errno
import os
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.markup import escape
from typer.models import CommandInfo

from ..console import standard_stream
from ..contract.errors import Exit, FedsimError
from ..user_folders import state_home
from . import machine_limits, process_start
from .app import app, out

# Each is a file in verbs/ that registers itself with the app when it is imported; in the order of use, for --help.
VERBS = (
    "init",
    "run",
    "rerun",
    "plan",
    "up",
    "status",
    "logs",
    "exec",
    "verify",
    "collect",
    "report",
    "down",
    "images",
    "calibrate",
    "doctor",
    "inventory",
    "ansible-env",
)
# Of a path that is too long.
NAMED_LETTERS = 60
NO_FOLDER = "the current folder has been removed: change to another one, and start again"
GROUP_OPTIONS = frozenset({"-h", "--help", "--version", "--install-completion", "--show-completion"})


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its code (see :class:`~fedsim_runner.contract.errors.Exit`)."""
    standard_stream.install()
    code: int = Exit.INTERRUPTED
    try:
        process_start.raise_on_signals()
        code = call(sys.argv[1:] if arguments is None else arguments)
        process_start.ignore_signals()
    except KeyboardInterrupt:  # another one, while the first was being reported
        process_start.ignore_signals()
    sys.exit(code)


def call(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    try:
        if arguments and not _has_current_folder():
            raise FedsimError(NO_FOLDER, Exit.SPEC)
        code: Any = app(args=add_verb(arguments), prog_name="fedsim-provision", standalone_mode=False)
        sys.stdout.flush()
        _refuse_lost_output(code)
        if code == Exit.INTERRUPTED and not isinstance(code, Exit):  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
        return code if isinstance(code, int) else Exit.DONE
    except FedsimError as error:
        if error.exit is not Exit.OUTPUT_CLOSED:  # whoever closed it knows
            _say(str(error), *getattr(error, "__notes__", ()))
        return int(error.exit)
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return Exit.INTERRUPTED
    except typer.Exit as error:
        return int(error.exit_code)
    except SystemExit as error:
        # How typer ends a program whose pipe is broken; as standard output raises no such error, it was another pipe.
        return _report_bug(error.__context__ or error)
    except Exception as error:
        if hasattr(error, "format_message"):  # the command line is wrong
            if not arguments:  # typer has shown the help instead
                return Exit.SPEC
            _say(f"{error.format_message()} (fedsim-provision --help)")
            return Exit.SPEC
        return _report_bug(error)


def add_verb(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, with ``run`` in front if they begin with an experiment file.

    Raises:
        FedsimError: the first word is neither a verb nor a file.
    """
    verbs = sorted(list_verbs())
    first = arguments[0] if arguments else "--help"
    if first in verbs or first in GROUP_OPTIONS or not arguments:
        return list(arguments)
    if not first.startswith("-") and not Path(first).exists() and not _looks_like_a_file(first):
        near = difflib.get_close_matches(first, verbs, n=1)
        hint = f' (did you mean "{near[0]}"?)' if near else f" (verbs: {', '.join(verbs)})"
        raise FedsimError(f"{first!r} is neither a verb nor an experiment file{hint}", Exit.SPEC)
    return ["run", *arguments]


def list_verbs() -> list[str]:
    """Return the names of all verbs."""
    return [_name(command) for command in app.registered_commands]


def _name(command: CommandInfo) -> str:
    return str(command.name or getattr(command.callback, "__name__", ""))


for _verb in VERBS:
    import_module(f".verbs.{_verb.replace('-', '_')}", __package__)
# Help lists them in this order, also where one of them was imported before the others.
app.registered_commands.sort(key=lambda command: VERBS.index(_name(command)))


def _looks_like_a_file(word: str) -> bool:
    return "/" in word or word.endswith((".yaml", ".yml", ".json"))


def _refuse_lost_output(code: object) -> None:
    """A verb that had to carry on without its output does not end as if it had been read; a worse end counts.

    Raises:
        OutputLostError: something was not written.
    """
    for stream in (sys.stdout, sys.stderr):
        lost = standard_stream.loss_of(stream)
        if lost is not None and code in (None, Exit.DONE, Exit.INTERRUPTED):
            raise lost


def _say(text: str, *notes: str) -> None:
    with standard_stream.outlived(sys.stderr):
        console = out(stderr=True)
        console.print(f"[bold red]error:[/] {escape(text)}", highlight=False)
        for note in notes:
            console.print(note, markup=False, highlight=False)


def _report_bug(error: BaseException) -> int:
    if _comes_from_a_signal(error):
        _say("interrupted")
        return Exit.INTERRUPTED
    if isinstance(error, MemoryError):  # too little is left to show it as usual
        os.write(2, f"error: {machine_limits.out_of_memory()}\n".encode())
        return Exit.LAB
    if limit := machine_limits.explain(error):
        _say(limit, *getattr(error, "__notes__", ()))
        return Exit.LAB
    if mistake := _mistake_in_a_path(error):
        _say(mistake)
        return Exit.SPEC
    text = f"internal error: {type(error).__name__}: {error}; details in {_write_traceback(error)}"
    _say(text, *getattr(error, "__notes__", ()))
    return Exit.INTERNAL


def _mistake_in_a_path(error: BaseException) -> str:
    """What is wrong with a path if only one that somebody has named can be the cause; empty: it is not that."""
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop from"):  # of pathlib, before Python 3.13
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        name = str(error.filename)
        return f"{name if len(name) <= NAMED_LETTERS else name[:NAMED_LETTERS] + '...'}: {error.strerror}"
    if isinstance(error, FileNotFoundError) and not _has_current_folder():
        return NO_FOLDER
    return ""


def _has_current_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _comes_from_a_signal(error: BaseException | None) -> bool:
    """Whether an interruption is behind an error: what runs meanwhile may turn it into one of its own.

    Up to Python 3.11 a class that is being made does so: https://github.com/python/cpython/issues/77757
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _write_traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    try:
        folder = state_home() / "errors"
        path = folder / f"{time.strftime('%Y%m%dt%H%M%Sz', time.gmtime())}-{os.getpid()}.log"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{sys.argv}\n{text}", encoding="utf-8")
    except OSError as failed:
        return f"nowhere ({failed.filename}: {failed.strerror})"
    except FedsimError as failed:
        return f"nowhere ({failed})"
    return str(path)
