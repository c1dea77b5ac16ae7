"""Whose a run is: the process that works on it, as its lab host knows it.

A claim is a file in the run's state folder. A process that changes something of the run there takes it first, and is
refused while another one that is alive has it. So two commands never work on one run, whichever user, home, shell or
machine they come from.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from . import atomic
from .errors import Exit, FedsimError
from .paths import StateFolder
from .process_identity import is_alive, own_identity, start_time

#: Environment variables of every process that works on a run: its run, and the process that works for the user.
RUN_VARIABLE: Final = "FEDSIM_RUN"
CONTROL_VARIABLE: Final = "FEDSIM_CONTROL"

#: A process of another machine cannot be seen here: it counts as alive for so many seconds after its last sign.
LEASE_S: Final = 120
#: A claim says again that its process is alive once it is this old.
RENEW_AFTER_S: Final = 10


class RunBusyError(FedsimError):
    """Another process works on the run; the text says whose it is."""

    exit = Exit.SPEC

    def __init__(self, run: str, who: str, control: Control | None = None, free_in_s: float | None = None) -> None:
        """``free_in_s``: in how many seconds it stops counting if it has ended, which is not known here."""
        ended = "" if free_in_s is None else f"; if it was killed, the run is free in {free_in_s:.0f} s"
        super().__init__(f"run {run} is being worked on by {who}: wait for it, or press Ctrl-C there{ended}")
        self.control = control


@dataclass(frozen=True)
class Control:
    """A process that works on runs.

    Attributes:
        process: its identity on its machine (see :mod:`.process_identity`).
        machine: its machine since the last boot, and the pid namespace there.
        host: the machine's name.
        user: who started it.
        program: what it is.
        gone: another process of its machine that has ended, which a lab host elsewhere cannot know.
    """

    process: str
    machine: str
    host: str
    user: str
    program: str
    gone: str = ""

    def __str__(self) -> str:
        """Return words for people."""
        pid = self.process.partition(":")[0]
        return f"process {pid} of user {self.user} on {self.host} ({self.program})"

    def is_same(self, other: Control) -> bool:
        """Whether both are the same process."""
        return (self.process, self.machine) == (other.process, other.machine)

    def knows_gone(self, other: Control) -> bool:
        """Whether this one says that the other one has ended."""
        return (self.gone, self.machine) == (other.process, other.machine)


@dataclass(frozen=True)
class Claim:
    """``seen``: when ``control`` was last known to be alive, in the lab host's Unix seconds."""

    control: Control
    seen: float

    def is_live(self, now: float) -> bool:
        """Whether the process is alive, as far as this machine can tell."""
        left_s = self.left_s(now)
        return is_alive(self.control.process) if left_s is None else left_s > 0

    def left_s(self, now: float) -> float | None:
        """For how many seconds a process of another machine counts as alive; None: it is one of this machine."""
        return None if self.control.machine == this_machine() else LEASE_S - abs(now - self.seen)


def this_machine() -> str:
    """Identify this machine since its last boot, with the pid namespace of this process."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"


def own_control(program: str) -> Control:
    """Describe this process."""
    return Control(own_identity(), this_machine(), socket.gethostname(), _user(), program)


def control_of_worker() -> Control:
    """Describe the process for which this worker of ansible-playbook works: fedsim-provision, else ansible-playbook."""
    own = os.environ.get(CONTROL_VARIABLE)
    parent = os.getppid()
    process, program = (own, "fedsim-provision") if own else (f"{parent}:{start_time(parent)}", "ansible-playbook")
    return Control(process, this_machine(), socket.gethostname(), _user(), program)


def parse_control(values: Mapping[str, Any]) -> Control:
    """Return the control whose fields are ``values``.

    Raises:
        ValueError: a field is missing, unknown or no text.
    """
    names = list(Control.__dataclass_fields__)
    if {*values, "gone"} != set(names) or not all(isinstance(value, str) for value in values.values()):
        raise ValueError(f"control: it has the texts {', '.join(names)}, and nothing else")
    return Control(**values)


def read_claim(state: StateFolder) -> Claim | None:
    """Return the claim on the run of this state folder; None if there is none that can be read."""
    try:
        content = json.loads(state.claim.read_text(encoding="utf-8"))
        return Claim(parse_control(content["control"]), float(content["seen"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def take_claim(state: StateFolder, control: Control, *, make: bool, check: bool = False) -> None:
    """Claim a run, or renew the claim.

    Args:
        state: the run's state folder, which has the run's name.
        control: who claims it.
        make: make the state folder if it is missing; otherwise nothing is claimed then.
        check: only look whether another process has it.

    Raises:
        RunBusyError: another process has claimed it and is alive.
        OSError: the state folder cannot be written.
    """
    if not state.path.is_dir() and (check or not make):
        return
    state.path.parent.mkdir(parents=True, exist_ok=True)
    with locked(state):
        take_claim_locked(state, control, make=make, check=check)


def take_claim_locked(state: StateFolder, control: Control, *, make: bool, check: bool = False) -> None:
    """Like :func:`take_claim`, by whoever holds the lock already.

    Raises:
        RunBusyError: another process has claimed it and is alive.
        OSError: the state folder cannot be written.
    """
    now, found = time.time(), read_claim(state)
    if found is not None and is_claimed_by_another(state, control):
        raise RunBusyError(state.path.name, str(found.control), found.control, found.left_s(now))
    if check or not (make or state.path.is_dir()):
        return
    if found is not None and found.control.is_same(control) and abs(now - found.seen) < RENEW_AFTER_S:
        return
    state.path.mkdir(exist_ok=True)
    text = json.dumps({"control": asdict(control), "seen": now}) + "\n"
    # What is on a disk that is full must still be removed.
    atomic.write_or_overwrite(state.claim, text, 0o644)


def is_claimed_by_another(state: StateFolder, control: Control) -> bool:
    """Whether another process than ``control`` has claimed the run and is alive, as far as it is known here."""
    found = read_claim(state)
    if found is None or found.control.is_same(control) or control.knows_gone(found.control):
        return False
    return found.is_live(time.time())


def release_claim(state: StateFolder) -> None:
    """Remove the claim together with its state folder, which is empty otherwise: nobody gets in between.

    Raises:
        OSError: the folder cannot be removed, or is not empty.
    """
    with locked(state):
        state.claim.unlink(missing_ok=True)
        state.path.rmdir()


@contextmanager
def locked(state: StateFolder) -> Iterator[None]:
    """Hold the lock of a lab host's claims and reservations; ``state`` is a state folder there."""
    # The parent of all state folders stays when a run's goes, so that all takers lock the same file.
    root = os.open(state.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(root, fcntl.LOCK_EX)
        yield
    finally:
        os.close(root)


def _user() -> str:
    if os.geteuid() == 0 and (name := os.environ.get("SUDO_USER")):
        return name
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
