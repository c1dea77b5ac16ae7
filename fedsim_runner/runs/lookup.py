"""Finding a run by its name, with its folder and testbed; and listing all runs of the testbeds and of this user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..contract.names import RunNameError, check_run
from ..lab.inventory_error import LabInventoryError
from ..results.run_files import read_manifest
from ..testbed.installed import DEFAULT, all_testbeds, find_testbed
from ..testbed.protocol import Testbed
from ..testbed.values import UnreachableError
from .folder import RUN_NAME
from .labs import LOCAL, NO_OPTIONS, LabOptions, choose_lab, default_inventory, on_lab_of_run
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


def testbed_of(known: KnownRun, lab: LabOptions = NO_OPTIONS) -> Testbed:
    """The testbed of a run; the default one if none is recorded, as the run may still have something there.

    ``lab``: the lab to look on, if not where the run is recorded to be. A manifest is not asked: the folder may come
    from somebody else, and Ansible carries out what is written in an inventory.

    Raises:
        FedsimError: the testbed is not installed, or the lab's inventory is wrong.
    """
    entry = known.entry
    if entry is not None:
        recorded = None if entry.lab is None else Path(entry.lab)
        return on_lab_of_run(find_testbed(entry.testbed), recorded, True, lab)
    manifest = {} if known.folder is None else read_manifest(known.folder)
    return on_lab_of_run(find_testbed(str(manifest.get("mode") or DEFAULT)), None, False, lab)


def lab_to_repeat_on(run: str, folder: Path, lab: LabOptions) -> LabOptions:
    """The lab on which a run is repeated: the named one, else the one where this user ran it.

    ``folder``: its run folder. One that is not of this user's own run says nothing: see :func:`testbed_of`.
    """
    entry = Registry().find(run)
    if lab.named is not None or entry is None or Path(entry.folder) != folder.resolve():
        return lab
    return replace(lab, named=entry.lab or LOCAL)


@dataclass(frozen=True)
class FoundRuns:
    """All runs by name, each with the lab to look for it on, and why parts of labs could not be asked."""

    labs: Mapping[str, LabOptions]
    unreachable: Sequence[str] = ()


def all_runs(lab: LabOptions = NO_OPTIONS, testbeds: Iterable[Testbed] | None = None) -> FoundRuns:
    """Runs that have something on a testbed (default: all installed ones), or an entry in the registry.

    Without a lab that is named, the user's default and all labs of the registry's runs are asked.

    Raises:
        FedsimError: this machine's testbed does not answer, or the inventory of the lab is wrong.
    """
    entries = Registry().all()
    found: dict[str, LabOptions] = {}
    unreachable: list[str] = []
    for testbed in all_testbeds() if testbeds is None else testbeds:
        if lab.named is not None and testbed.traits.name != DEFAULT:
            continue
        # Keys are for labs, and other kinds of testbeds are on none.
        own = lab if testbed.traits.name == DEFAULT else NO_OPTIONS
        places = [own] if lab.named is not None else [own, *_recorded(lab, entries, testbed)]
        for place in places:
            try:
                names = choose_lab(testbed, place)[0].list()
            except UnreachableError as error:
                # Whoever has only runs elsewhere needs no Engine here.
                if all(one.named in (None, LOCAL) for one in places) and default_inventory() is None:
                    raise
                names = error.found
                unreachable.append(str(error))
            except LabInventoryError as error:
                # That of another run must not keep this one from being seen.
                if place is own:
                    raise
                names = {}
                unreachable.append(str(error))
            for run in names:
                found.setdefault(run, place)
    if lab.named is None:
        for entry in entries:
            found[entry.run] = replace(lab, named=None) if entry.testbed == DEFAULT else NO_OPTIONS
    return FoundRuns(
        {name: found[name] for name in sorted(found) if _is_run_id(name)}, tuple(dict.fromkeys(unreachable))
    )


def _recorded(lab: LabOptions, entries: Iterable[RunEntry], testbed: Testbed) -> list[LabOptions]:
    """The labs of this user's runs, besides the default one."""
    if testbed.traits.name != DEFAULT:
        return []
    default = default_inventory()
    inventories = {entry.lab for entry in entries if entry.testbed == DEFAULT}
    inventories.discard(None if default is None else str(default))
    return [replace(lab, named=LOCAL if one is None else one) for one in sorted(inventories, key=str)]


def _is_run_id(name: str) -> bool:
    try:
        return bool(check_run(name))
    except RunNameError:
        return False
