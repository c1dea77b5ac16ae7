"""Run ids and run folders."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
from pathlib import Path

from ..contract.names import RUN_LENGTH, RunNameError
from ..contract.paths import COLLECTED, CONTAINERS, HOST_LOAD, JOURNAL, LINK_COUNTERS, MANIFEST, METRICS, REPORT
from ..results import RUNNING
from ..results.page import FIGURES, PAGE
from ..results.report_files import TABLES
from ..results.run_files import AGENTS, read_json
from ..system_names import is_utf8
from .sweeps.folder import is_sweep_folder

# What users call a run id: the option is --run NAME.
RUN_NAME = "run name"
# Holds what `collect` has fetched of a run that another process works on.
SO_FAR = "so-far"
# What a course leaves in its run folder.
RESULTS = (
    *(SO_FAR, COLLECTED, AGENTS, JOURNAL, METRICS, HOST_LOAD, LINK_COUNTERS, CONTAINERS, "agent.log"),
    *(REPORT, PAGE, *TABLES, FIGURES),
)
STAMP_LENGTH = len("-20260101t000000z")


def new_run_id(experiment: str, now: float) -> str:
    """``<experiment>-<YYYYMMDDtHHMMSSz>`` for the time ``now`` in unix seconds."""
    stamp = time.strftime("%Y%m%dt%H%M%Sz", time.gmtime(now))
    name = re.sub(r"[^a-z0-9-]+", "-", experiment.lower()).strip("-") or "run"
    return f"{name[: RUN_LENGTH - STAMP_LENGTH - 3].rstrip('-')}-{stamp}"


def make_new_folder(runs_dir: Path, run: str) -> Path:
    """Make the folder of a new run and return its path.

    Raises:
        RunNameError: its path is not UTF-8, so that no file of the run could name it.
        OSError: it cannot be made (FileExistsError: it is there).
    """
    folder = runs_dir / run
    if not is_utf8(place := os.path.realpath(folder)):  # with links followed, and no error for a loop of them
        raise RunNameError(f"{place}: this path is not UTF-8: go to another folder, or name one with --runs-dir")
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # it would be taken for one of the run's own name
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(runs_dir)) from error
    folder.mkdir()
    return folder


def make_or_reuse_folder(runs_dir: Path, run: str) -> tuple[Path, bool]:
    """Return the folder of a run whose name the user chose, and whether it was made now.

    The name may be used again as long as no course was tried under it, so that ``up`` and then ``run`` share it.

    Raises:
        RunNameError: the name is taken by a run that has results.
        OSError: the folder cannot be made.
    """
    try:
        return make_new_folder(runs_dir, run), True
    except FileExistsError:
        folder = runs_dir / run
    if not folder.is_dir():
        raise RunNameError(f"{folder} is not a folder: choose another --run, or remove it")
    if is_sweep_folder(folder):
        raise RunNameError(f"{folder} is a sweep: resume it with its --seeds and --grid, or choose another --run")
    # Written once a course was tried in the folder; another one must not be mixed into it.
    if read_json(folder / REPORT).get("status", RUNNING) != RUNNING:
        raise RunNameError(f"{folder} holds the results of an earlier run: choose another --run, or remove it")
    return folder, False


def forget_results(folder: Path) -> None:
    """Remove what an earlier course of this name left in a run folder, so that no report takes it for its own.

    Raises:
        OSError: something cannot be removed.
    """
    if not (folder / MANIFEST).is_file():
        return  # no run was ever begun in it, so what it holds is not ours
    for name in RESULTS:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def give_to_user(folder: Path) -> None:
    """Under sudo, give ``folder`` with its content to the invoking user, and its parent if that was created too.

    Where that is impossible, as on a disk that can only be read, they stay root's.
    """
    if os.geteuid() != 0 or "SUDO_UID" not in os.environ:
        return
    with contextlib.suppress(OSError):
        _give(folder)


def _give(folder: Path) -> None:
    uid, gid = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1"))
    parent = folder.parent
    if parent.stat().st_uid == 0 and parent.parent.stat().st_uid == uid:
        os.chown(parent, uid, gid, follow_symlinks=False)
    for root, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            path = Path(root) / name
            if path.lstat().st_uid == 0:  # what others have put there stays theirs
                os.chown(path, uid, gid, follow_symlinks=False)
