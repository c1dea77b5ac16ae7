"""What a run is about to take of a lab host, from its plan until its agent answers for it.

A file beside the run's claim. Whoever has planned a run reserves what the plan gives its devices, on each lab host
under the lock under which claims are taken. A reservation of which the plan knows nothing refuses it: of two runs that
are planned in the same moment one is planned again, beside the other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from . import atomic
from .claim import Control, locked, read_claim, take_claim_locked, this_machine
from .errors import Exit, FedsimError
from .paths import StateFolder
from .typed_json import FormError, dump, load

#: A run of another machine, whose processes cannot be seen here, is being provisioned for so many seconds at most.
PROVISIONING_S: Final = 1800


class RunOfAnotherError(FedsimError):
    """A run of the same name is there already, and somebody else has made it."""

    exit = Exit.SPEC

    def __init__(self, run: str, control: Control) -> None:
        super().__init__(
            f"there is a run {run} already, of user {control.user} on {control.host}: choose another name for this one "
            f"(--run NAME), or have that one removed there first (`fedsim-provision down {run}`)"
        )


@dataclass(frozen=True)
class Reservation:
    """What a run is given of one lab host.

    Attributes:
        run: its id.
        user: who started it.
        made: when, in Unix seconds of the lab host; with ``run`` it tells reservations apart.
        cpus: the sum of its devices' limits.
        memory_bytes: what its devices are expected to take.
        gpu_ids: GPUs that its devices are given.
        pending: its agent does not answer for it yet.
        live: whoever is provisioning it is alive, as far as the lab host can tell.
        folder_id: what tells its run folder from others of its name; empty: it has none, or it is not known.
    """

    run: str
    user: str = ""
    made: float = 0.0
    cpus: float = 0.0
    memory_bytes: int = 0
    gpu_ids: tuple[str, ...] = ()
    pending: bool = True
    live: bool = True
    folder_id: str = ""

    def __str__(self) -> str:
        """Return words for people."""
        return describe_whose(self.run, self.user)

    @property
    def token(self) -> str:
        """What tells it from all others of its lab host."""
        return f"{self.run}@{self.made}"

    def gives_the_same_as(self, other: Reservation) -> bool:
        """Whether both are of the same processors, memory and GPUs."""
        return (self.cpus, self.memory_bytes, self.gpu_ids) == (other.cpus, other.memory_bytes, other.gpu_ids)

    @property
    def counts(self) -> bool:
        """Whether the run holds this although no agent says so."""
        return self.pending and self.live


def describe_whose(run: str, user: str) -> str:
    """Name a run and, if it is known, whose it is."""
    return f"run {run}{f' of user {user}' if user else ''}"


def read_reservations(state_root: Path) -> list[Reservation]:
    """Return the reservations of all runs of this lab host, in the order of their names."""
    try:
        folders = sorted(state_root.iterdir())
    except OSError:
        return []
    found = (read_reservation(StateFolder(path)) for path in folders)
    return [reservation for reservation in found if reservation is not None]


def reserve(
    state: StateFolder,
    control: Control,
    wanted: Reservation,
    refuses: Callable[[Reservation], bool],
) -> list[Reservation]:
    """Reserve what a plan gives a run here, and claim the run; return the other runs' reservations that refuse it.

    If there are any, nothing is reserved.

    Args:
        state: the run's state folder, which is made if it is missing.
        control: who works on the run.
        wanted: what it is given, and the id of its run folder if it has one.
        refuses: whether another run's reservation does: one of which the plan does not know.

    Raises:
        RunOfAnotherError: another user, or one of another machine, has a run of that name with another run folder here.
        RunBusyError: another process works on the run.
        OSError: the state folder cannot be written.
    """
    state.path.parent.mkdir(parents=True, exist_ok=True)
    with locked(state):
        claim, before = read_claim(state), read_reservation(state)
        folder_id = "" if before is None else before.folder_id
        if claim is not None and wanted.folder_id not in ("", folder_id) and not _is_of(claim.control, control):
            raise RunOfAnotherError(state.path.name, claim.control)
        others = (found for found in read_reservations(state.path.parent) if found.run != wanted.run)
        refusing = [found for found in others if refuses(found)]
        if refusing:
            return refusing
        take_claim_locked(state, control, make=True)
        made = replace(wanted, user=control.user, made=time.time(), folder_id=wanted.folder_id or folder_id)
        atomic.write(state.reservation, json.dumps(dump(made)) + "\n", 0o644)
    return []


def hand_over(state: StateFolder) -> None:
    """Note that the run's agent answers for it from now on.

    The reservation stays, as plans that were made before know nothing of it.

    Raises:
        OSError: it cannot be written.
    """
    found = read_reservation(state)
    if found is not None and found.pending:
        atomic.write(state.reservation, json.dumps(dump(replace(found, pending=False))) + "\n", 0o644)


def give_back(state: StateFolder, control: Control) -> None:
    """Remove what ``control`` has reserved, and its claim and the state folder if there is nothing else in it.

    What another process has reserved stays.

    Raises:
        OSError: it cannot be removed.
    """
    if not state.path.is_dir():
        return
    with locked(state):
        claim = read_claim(state)
        if claim is not None and not claim.control.is_same(control):
            return
        state.reservation.unlink(missing_ok=True)
        if {path.name for path in state.path.iterdir()} <= {state.claim.name}:
            state.claim.unlink(missing_ok=True)
            state.path.rmdir()


def _is_of(theirs: Control, ours: Control) -> bool:
    """Whether both are processes of one user of one machine."""
    return (theirs.user, theirs.host) == (ours.user, ours.host)


def read_reservation(state: StateFolder) -> Reservation | None:
    """Return the reservation of one run; None if there is none that can be read."""
    try:
        found = load(Reservation, json.loads(state.reservation.read_text(encoding="utf-8")))
    except (OSError, ValueError, FormError):
        return None
    return replace(found, run=state.path.name, live=_is_live(state, found.made))


def _is_live(state: StateFolder, made: float) -> bool:
    claim, now = read_claim(state), time.time()
    if claim is None:
        return False
    return claim.is_live(now) or (claim.control.machine != this_machine() and abs(now - made) < PROVISIONING_S)
