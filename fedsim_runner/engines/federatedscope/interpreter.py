"""The Python that runs FederatedScope without containers."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Sequence

from fedsim_runner.contract.errors import Exit, FedsimError

from ..engine_values import Interpreter
from .source_in_use import resolve_source

CHECK_S = 60.0
# Modules that FederatedScope's distributed mode needs.
NEEDED = ("torch", "numpy", "scipy", "yaml", "grpc", "google.protobuf", "federatedscope.core")
# Those with which it loads any data set.
LOADING = ("torch", "numpy", "scipy", "yaml")
_FIND = """
import importlib.util, sys
for name in sys.argv[1:]:
    try:
        found = importlib.util.find_spec(name) is not None
    except ImportError:
        found = False
    if not found:
        print(name)
"""
_READ = """
import importlib.util, pathlib, sys
found = importlib.util.find_spec(sys.argv[1])
for folder in (found and found.submodule_search_locations) or ():
    for path in (pathlib.Path(folder, sys.argv[2], "__init__.py"), pathlib.Path(folder, sys.argv[2] + ".py")):
        if path.is_file():
            print(path.read_text(encoding="utf-8"))
"""


def interpreter(source: str | None) -> Interpreter:
    """The Python that the user's configuration names, or this one; ``source``: as the experiment names it.

    Raises:
        FedsimError: FederatedScope cannot be run here; exit code 3, or 2 if the configuration is wrong.
    """
    # Brings pydantic, which a course of light participants does not need.
    from .user_settings import config_path, user_settings

    python = user_settings().python or sys.executable
    named = resolve_source(source)
    checkout = (str(named.path),) if named.kind == "checkout" else ()
    found = Interpreter(python, checkout)
    missing = missing_modules(found)
    if missing:
        raise FedsimError(
            f"engine federatedscope without Docker: {python} does not find {', '.join(missing)}; name an "
            f"interpreter that has FederatedScope's packages as federatedscope.python in {config_path()} and a "
            "checkout as federatedscope.source, or run with Docker",
            Exit.LAB,
        )
    return found


def loading_interpreter(python: str) -> Interpreter:
    """An interpreter with what it finds when it loads a data set."""
    return Interpreter(python, tuple(filter(None, [os.environ.get("PYTHONPATH")])))


def missing_modules(interpreter: Interpreter, needed: Sequence[str] = NEEDED) -> list[str]:
    """Those of the needed modules that the interpreter does not find.

    Raises:
        FedsimError: the interpreter cannot be started.
    """
    return _ask(interpreter, _FIND, *needed).split()


def names_in_module(interpreter: Interpreter, package: str, module: str) -> frozenset[str]:
    """What a package's module imports and defines, without importing it; nothing if that cannot be read."""
    try:
        tree = ast.parse(_ask(interpreter, _READ, package, module))
    except (FedsimError, SyntaxError, ValueError):
        return frozenset()
    names = set[str]()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
    return frozenset(names)


def _ask(interpreter: Interpreter, program: str, *arguments: str) -> str:
    """What a program writes.

    Raises:
        FedsimError: the interpreter cannot be started, or the program fails.
    """
    command = [interpreter.python, "-c", program, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(interpreter.path)}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=CHECK_S, check=True)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        reason = said[-1] if said else f"exit code {error.returncode}"
        raise FedsimError(f"{interpreter.python} cannot run FederatedScope: {reason}", Exit.LAB) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FedsimError(f"{interpreter.python} cannot run FederatedScope: {reason}", Exit.LAB) from error
    return done.stdout
