"""From the command line to an exit code: whatever happens, a message and never a traceback."""

from __future__ import annotations

import difflib
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

from ..contract.errors import Exit, FedsimError
from ..user_folders import state_home
from .app import app, out

# Each is a file in verbs/ that registers itself with the app when it is imported; in the order of use, for --help.
VERBS = (
    "run",
    "rerun",
    "plan",
    "up",
    "status",
    "logs",
    "exec",
    "collect",
    "report",
    "down",
    "images",
    "doctor",
    "inventory",
    "ansible-env",
)
GROUP_OPTIONS = frozenset({"-h", "--help", "--version", "--install-completion", "--show-completion"})
BROKEN_PIPE = 141  # what a shell reports for a program killed by SIGPIPE


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its code (see :class:`~fedsim_runner.contract.errors.Exit`)."""
    sys.exit(call(sys.argv[1:] if arguments is None else arguments))


def call(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    try:
        code: Any = app(args=add_verb(arguments), prog_name="fedsim-provision", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else Exit.DONE
    except FedsimError as error:
        _say(str(error))
        return int(error.exit)
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return Exit.INTERRUPTED
    except typer.Exit as error:
        return int(error.exit_code)
    except BrokenPipeError:
        # Python would complain again when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if hasattr(error, "format_message"):  # the command line is wrong
            if not arguments:  # typer has shown the help instead
                return Exit.SPEC
            _say(f"{error.format_message()} (fedsim-provision --help)")
            return Exit.SPEC
        _say(f"internal error: {type(error).__name__}: {error}; details in {_write_traceback(error)}")
        return Exit.INTERNAL


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


def _looks_like_a_file(word: str) -> bool:
    return "/" in word or word.endswith((".yaml", ".yml", ".json"))


def _say(text: str) -> None:
    out(stderr=True).print(f"[bold red]error:[/] {escape(text)}", highlight=False)


def _write_traceback(error: Exception) -> str:
    folder = state_home() / "errors"
    path = folder / f"{time.strftime('%Y%m%dt%H%M%Sz', time.gmtime())}-{os.getpid()}.log"
    text = "".join(traceback.format_exception(error))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{sys.argv}\n{text}", encoding="utf-8")
    except OSError as failed:
        return f"nowhere ({path}: {failed.strerror})"
    return str(path)
