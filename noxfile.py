"""The only list of checks; ``make test`` and CI run all of them, in the environment of scripts/bootstrap."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests"]

# Whole runs of the command wait for the Engine and for timeouts most of the time; there are as many at a time as cores.
WHOLE_RUNS = ("-m", "(e2e or faults) and not alone", "tests/e2e", "tests/faults")
SIDE_BY_SIDE = ("-n", "auto", "--maxprocesses", "4", "--dist", "worksteal", *WHOLE_RUNS)
# These start programs that compute (FederatedScope and torch, where the machine has them), and judge no times.
ENGINES = "tests/unit/engines"
ON_ALL_CORES = ("-n", "auto", "--maxprocesses", "4", "--dist", "worksteal", ENGINES)
# Those that measure times are run one after the other by one process (tests/conftest.py), beside one for all others.
# Two cores are enough for that; more processes would disturb the times.
MEASURING_AND_OTHERS = (
    *("-n", "2", "--dist", "loadscope", "--no-loadscope-reorder"),
    *("-m", "(not (e2e or faults) or alone) and not own_kernels", f"--ignore={ENGINES}"),
)
# Thousands of tests of timers, threads and kernels: one that a busy machine disturbed must not discard the whole run.
# It is run once more, and named in the summary (RERUN) as a fault of the test to fix. A test that hung is not.
ONCE_MORE = ("--reruns", "1", "--rerun-except", "Timeout", "-raR")

# Programs that call each other (ansible-lint calls ansible-playbook) must find this environment's ones first.
ENVIRONMENT = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])}


def _python(session: nox.Session, *arguments: str, **environment: str) -> None:
    session.run(sys.executable, "-m", *arguments, env={**ENVIRONMENT, **environment}, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Style of Python, YAML and Ansible content, and the layers of the package."""
    _python(session, "ruff", "check", ".")
    _python(session, "ruff", "format", "--check", ".")
    # It has no module that python -m could run.
    session.run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache", env=ENVIRONMENT, external=True)
    _python(session, "yamllint", "--strict", ".")
    _python(session, "ansiblelint", "--offline", "--strict", "playbooks", "roles")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    _python(session, "mypy")


@nox.session
def unit(session: nox.Session) -> None:
    """The pure tests, which only call functions and are quick; ``tests`` runs these as well."""
    # On all cores: these tests share nothing. What was compiled is kept for the next time, whatever the caller has set:
    # to rewrite all assertions takes each process as long as many of the tests.
    _python(
        session,
        "pytest",
        "-n",
        "auto",
        "-m",
        "pure",
        "tests/unit",
        "tests/golden",
        *session.posargs,
        PYTHONDONTWRITEBYTECODE="",
    )


@nox.session
def tests(session: nox.Session) -> None:
    """All tests; arguments after ``--`` go to pytest, which then takes one test after the other."""
    if session.posargs:
        _python(session, "pytest", *session.posargs)
        return
    failed = []
    for options in (SIDE_BY_SIDE, ON_ALL_CORES, MEASURING_AND_OTHERS):
        try:
            _python(session, "pytest", *ONCE_MORE, *options)
        except CommandFailed:
            failed.append(" ".join(options))
    if failed:
        session.error(f"failed: pytest {'; pytest '.join(failed)}")


@nox.session
def soak(session: nox.Session) -> None:
    """Not part of the checks: faults at hundreds of random moments, for a night. Resumes where it was stopped."""
    failed = []
    properties = ("pytest", "-q", "--hypothesis-profile=soak", "tests/unit/properties")
    for module in (properties, ("tests.faults.soak", *session.posargs)):
        try:
            _python(session, *module)
        except CommandFailed:
            failed.append(module[0])
    if failed:
        session.error(f"did not hold: {', '.join(failed)}")


@nox.session
def packaging(session: nox.Session) -> None:
    """Only the tests of sdist, wheel and the collection's artefact; ``tests`` runs these as well."""
    _python(session, "pytest", "tests/packaging", *session.posargs)
