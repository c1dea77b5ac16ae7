"""Finding a run by its name, with its folder and testbed; and listing all runs of the testbeds and of this user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..contract.names import RunNameError, check_run
from ..results.run_files import read_manifest
from ..testbed.installed import DEFAULT, all_testbeds, find_testbed
from ..testbed.protocol import Testbed
from .folder import RUN_NAME
from .options import DEFAULT_RUNS_DIR
from .registry import Registry, RunEntry
from .sweeps.folder import find_sweep, folder_in_sweep


@dataclass(frozen=True)
class KnownRun:
    """What is known about a run. ``folder`` None: the run folder is gone or was never known here."""

    run: str
    folder: Path | None
    entry: RunEntry | None


def find_run(run: str, runs_dir: Path | None = None) -> KnownRun:
    """Look up a run in the registry, then in the folder of runs and those of sweeps there. It need not be known.

    Raises:
        RunNameError: ``run`` is not a valid run name, or that of a sweep, which is several runs.
    """
    check_run(run, RUN_NAME)
    entry = Registry().find(run)
    below = runs_dir or DEFAULT_RUNS_DIR
    places = [Path(entry.folder)] if entry is not None else []
    places.append(below / run)
    folder = next((place.resolve() for place in places if place.is_dir()), None) or folder_in_sweep(run, below)
    if entry is None and (sweep := find_sweep(run, runs_dir)) is not None:
        raise RunNameError(f"{run} is a sweep of {len(sweep.runs)} runs: name one of them: {sweep.named}")
    return KnownRun(run, folder if folder is None else folder.resolve(), entry)


def testbed_of(known: KnownRun) -> Testbed:
    """The testbed of a run; the default one if none is recorded, as the run may still have something there.

    Raises:
        FedsimError: the testbed is not installed.
    """
    if known.entry is not None:
        return find_testbed(known.entry.testbed)
    manifest = {} if known.folder is None else read_manifest(known.folder)
    return find_testbed(str(manifest.get("mode") or DEFAULT))


def all_runs(testbeds: Iterable[Testbed] | None = None) -> list[str]:
    """Runs that have something on a testbed (default: all installed ones) or an entry in the registry.

    Raises:
        FedsimError: a testbed does not answer.
    """
    names = {run for testbed in (all_testbeds() if testbeds is None else testbeds) for run in testbed.list()}
    names.update(entry.run for entry in Registry().all())
    return sorted(name for name in names if _is_run_id(name))


def _is_run_id(name: str) -> bool:
    try:
        return bool(check_run(name))
    except RunNameError:
        return False
