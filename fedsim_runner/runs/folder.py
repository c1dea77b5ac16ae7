"""Run ids and run folders."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from ..contract.names import RUN_LENGTH, RunNameError, check_run
from ..contract.paths import REPORT
from ..results import RUNNING
from ..results.run_files import read_json

# What users call a run id: the option is --run NAME.
RUN_NAME = "run name"
STAMP_LENGTH = len("-20260101t000000z")


def new_run_id(experiment: str, now: float) -> str:
    """``<experiment>-<YYYYMMDDtHHMMSSz>`` for the time ``now`` in unix seconds."""
    stamp = time.strftime("%Y%m%dt%H%M%Sz", time.gmtime(now))
    name = re.sub(r"[^a-z0-9-]+", "-", experiment.lower()).strip("-") or "run"
    return f"{name[: RUN_LENGTH - STAMP_LENGTH - 3].rstrip('-')}-{stamp}"


def create_run_folder(runs_dir: Path, run: str, named_by_user: bool) -> tuple[str, Path]:
    """Create the folder of a run and return its id and path.

    A generated id gets a suffix if two runs begin in the same second. A name chosen by the user may be used again as
    long as no course was tried under it, so that ``up`` and then ``run`` share it.

    Raises:
        RunNameError: the name is taken by a run that has results.
        OSError: the folder cannot be created.
    """
    runs_dir.mkdir(parents=True, exist_ok=True)
    if named_by_user:
        folder = runs_dir / check_run(run, RUN_NAME)
        folder.mkdir(exist_ok=True)
        # Written once a course was tried in the folder; another one must not be mixed into it.
        if read_json(folder / REPORT).get("status", RUNNING) != RUNNING:
            raise RunNameError(f"{folder} holds the results of an earlier run: choose another --run, or remove it")
        return run, folder
    candidate, number = run, 1
    while True:
        folder = runs_dir / candidate
        try:
            folder.mkdir()  # atomic: two processes cannot both succeed
        except FileExistsError:
            number += 1
            candidate = f"{run}-{number}"
            continue
        return candidate, folder


def give_to_user(folder: Path) -> None:
    """Under sudo, give ``folder`` with its content to the invoking user, and its parent if that was created too."""
    if os.geteuid() != 0 or "SUDO_UID" not in os.environ:
        return
    uid, gid = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1"))
    parent = folder.parent
    if parent.stat().st_uid == 0 and parent.parent.stat().st_uid == uid:
        os.chown(parent, uid, gid, follow_symlinks=False)
    for root, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            os.chown(Path(root) / name, uid, gid, follow_symlinks=False)
