"""The inputs of a run, kept in its folder: from the folder alone, even if it was moved, the run can be repeated.

experiment.yaml         the experiment file as the user wrote it, for readers, below what options gave in its place;
                        its digest is in the manifest
inputs/experiment.json  the resolved experiment: catalogue, bases, overrides and FederatedScope's tree (also from a
                        config_file) as values, so are traces of links, and the cpu factor that was used
inputs/dockerfiles/     the user's own Dockerfile folders; images are built from these copies, so they are what ran
inputs/initial_model.pt the model that the server starts with, if the experiment names one
inputs/federatedscope/  the wheel of FederatedScope that was installed, if a device ran it
participants/           each device's configuration and share of the data; with these the data set itself is not needed

A run is repeated from values rather than from the file, because the file may mean something else with another
catalogue, and its paths may lead to files that have changed or are gone.
"""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..catalog.name_rules import RESERVED, explain_wrong_kind, explain_wrong_name
from ..contract.errors import Exit, FedsimError
from ..contract.paths import INITIAL_MODEL, PARTICIPANTS
from ..engines.initial_model import initial_model_file
from ..spec.experiment import Device, Experiment

INPUTS = "inputs"
EXPERIMENT = "experiment.json"
DOCKERFILES = "dockerfiles"
FEDERATEDSCOPE = "federatedscope"
SPEC = "experiment.yaml"
# Raise it when the values of an older version no longer mean the same.
VERSION = 2
#: Version 1 (fedsim-runner 0.1.0) differs in one key: it has ``mends_off`` for ``patches_off``.
SUPPORTED = (1, 2)

_ADAPTER = TypeAdapter(Experiment)
# The stricter of the two rules for names holds for these.
_HOST_NAMES = ("experiment", "device")


def keep_dockerfiles(experiment: Experiment, folder: Path) -> Experiment:
    """Copy the user's own Dockerfile folders into the run folder; return the experiment with the copies in their place.

    Raises:
        FedsimError: two different folders, and so their images, have the same name, or one cannot be read.
        OSError: the run folder cannot be written.
    """
    kept = folder / INPUTS / DOCKERFILES
    own = {Path(device.type.dockerfile) for device in experiment.devices if "/" in device.type.dockerfile}
    names = [path.name for path in own]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        both = " and ".join(sorted(str(path) for path in own if path.name == twice[0]))
        raise FedsimError(f"{both}: images are named after the folder, so rename one of them", Exit.SPEC)
    if kept.exists() and not any(kept in path.parents for path in own):
        shutil.rmtree(kept)  # left by an earlier `up` of this run
    for path in own:
        if kept not in path.parents:
            try:
                shutil.copytree(path, kept / path.name, ignore=_all_but_runs(folder))
            except (OSError, shutil.Error) as error:
                raise FedsimError(f"{path} cannot be copied into the run folder: {_first(error)}", Exit.SPEC) from error
    return _with_dockerfiles(experiment, lambda path: str(kept / Path(path).name))


def keep_initial_model(experiment: Experiment, folder: Path) -> Experiment:
    """Copy the model that the server starts with into the run folder; return the experiment with the copy in its place.

    Raises:
        FedsimError: it cannot be read, or has changed since it was checked.
        OSError: the run folder cannot be written.
    """
    kept = folder / INPUTS / INITIAL_MODEL
    if experiment.initial_model is None:
        kept.unlink(missing_ok=True)  # of an earlier `up` of this run
        return experiment
    content = initial_model_file(experiment.initial_model)
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(content)
    return replace(experiment, initial_model=replace(experiment.initial_model, path=str(kept)))


def keep_experiment(experiment: Experiment, cpu_factor: float, folder: Path) -> None:
    """Write experiment.yaml and inputs/experiment.json; ``cpu_factor`` is the plan's.

    Raises:
        OSError: the run folder cannot be written.
    """
    (folder / SPEC).write_text(kept_text(experiment), encoding="utf-8")
    hide_as(experiment.path, folder / SPEC)
    relative = _with_dockerfiles(experiment, lambda path: f"{INPUTS}/{DOCKERFILES}/{Path(path).name}")
    if relative.initial_model is not None:
        model = replace(relative.initial_model, path=f"{INPUTS}/{INITIAL_MODEL}")
        relative = replace(relative, initial_model=model)
    values = _ADAPTER.dump_python(replace(relative, cpu_factor=cpu_factor), mode="json")
    for key in ("path", "source"):
        del values[key]
    del values["data"]["rendered"]  # each run has its own
    (folder / INPUTS).mkdir(exist_ok=True)
    text = json.dumps({"version": VERSION, "experiment": values}, indent=1) + "\n"
    (folder / INPUTS / EXPERIMENT).write_text(text, encoding="utf-8")


def hide_as(original: Path | None, path: Path) -> None:
    """Hide a folder with all that is in it, or a file, from those who cannot read the user's experiment file.

    ``original``: the experiment file; one that is not there hides nothing.
    """
    try:
        if original is None:
            return
        theirs, ours = original.stat(), path.stat()
    except OSError:
        return
    readable = 0o4 & theirs.st_mode
    # To those of another group it is what it is to all others.
    readable |= 0o40 & theirs.st_mode if theirs.st_gid == ours.st_gid else readable << 3
    hidden = 0o77 & ~(readable | readable >> 1 | readable >> 2)
    if ours.st_mode & hidden:
        path.chmod(stat.S_IMODE(ours.st_mode) & ~hidden)


def kept_text(experiment: Experiment) -> str:
    """The experiment file for readers of the run folder: as the user wrote it, below what options gave in its place."""
    if not experiment.overrides:
        return experiment.source
    lines = [f"#   {one.key}: {json.dumps(one.value)}\n" for one in experiment.overrides]
    head = "".join(["# In this run options gave, in place of what is written below:\n", *lines])
    return experiment.source if experiment.source.startswith(head) else head + experiment.source


def keep_wheel(wheel: Path, folder: Path) -> None:
    """Copy the FederatedScope wheel that a run installs, and remove any other.

    Raises:
        OSError: the wheel cannot be read, or the run folder cannot be written.
    """
    kept = folder / INPUTS / FEDERATEDSCOPE
    if wheel.parent == kept:
        return
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    shutil.copy2(wheel, kept / wheel.name)


def kept_wheel(folder: Path) -> Path | None:
    """The FederatedScope wheel in a run folder."""
    return next(iter(sorted((folder / INPUTS / FEDERATEDSCOPE).glob("*.whl"))), None)


def read_experiment(folder: Path) -> Experiment:
    """Read the experiment of a run folder, with its paths pointing into that folder.

    Raises:
        FedsimError: there is no experiment, it is damaged, or another version wrote it.
    """
    path = folder / INPUTS / EXPERIMENT
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        source = (folder / SPEC).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).relative_to(folder)
        raise FedsimError(f"{folder} cannot be run again: it has no {missing}", Exit.SPEC) from error
    except OSError as error:
        raise FedsimError(f"{folder} cannot be run again: {_first(error)}", Exit.SPEC) from error
    except (ValueError, RecursionError) as error:
        raise FedsimError(f"{path} is damaged: {error}", Exit.SPEC) from error
    version = content.get("version") if isinstance(content, dict) else None
    if version not in SUPPORTED:
        raise FedsimError(
            f"{path} has version {version}, and this fedsim-runner reads versions {' and '.join(map(str, SUPPORTED))}: "
            "repeat the run with the fedsim-runner that its manifest names",
            Exit.SPEC,
        )
    try:
        values = content["experiment"]
        if version == 1:
            values = {"patches_off" if key == "mends_off" else key: value for key, value in values.items()}
        experiment = _ADAPTER.validate_python(values)
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise FedsimError(f"{path} is damaged: {_first(error)}", Exit.SPEC) from error
    _check_values(experiment, path)
    experiment = replace(experiment, path=folder / SPEC, source=source)
    if (folder / PARTICIPANTS).is_dir():
        experiment = replace(experiment, data=replace(experiment.data, rendered=str(folder / PARTICIPANTS)))
    if experiment.initial_model is not None:
        # Only the copy: the path in a folder from somebody else could name any file of its reader.
        model = replace(experiment.initial_model, path=str(folder / INPUTS / INITIAL_MODEL))
        experiment = replace(experiment, initial_model=model)
        if not Path(model.path).is_file():
            raise FedsimError(f"{folder} cannot be run again: it has no {INPUTS}/{INITIAL_MODEL}", Exit.SPEC)
    experiment = _with_dockerfiles(experiment, lambda relative: str(folder / relative))
    for device in experiment.devices:
        if "/" in device.type.dockerfile and not (Path(device.type.dockerfile) / "Dockerfile").is_file():
            raise FedsimError(f"{folder} cannot be run again: it has no {device.type.dockerfile}", Exit.SPEC)
    return experiment


def _check_values(experiment: Experiment, path: Path) -> None:
    """Check what reading the experiment file would have refused and a type does not: names go into paths and plays.

    Raises:
        FedsimError: a value is wrong.
    """
    for name, what in _names(experiment):
        wrong = explain_wrong_name(name) if what in _HOST_NAMES else explain_wrong_kind(name)
        if wrong:
            raise FedsimError(f"{path} is damaged: {what}: {wrong[0]}", Exit.SPEC)
    names = [device.name for device in experiment.devices]
    twice = sorted({name for name in names if names.count(name) > 1 or name in RESERVED})
    if twice:
        raise FedsimError(f"{path} is damaged: no device may be called {twice[0]}, or two the same", Exit.SPEC)
    roles = [device.role for device in experiment.devices]
    if roles.count("server") != 1 or "client" not in roles:
        raise FedsimError(f"{path} is damaged: devices: there must be one server, and a client", Exit.SPEC)
    varying = [device.network.varying for device in experiment.devices if device.network.varying is not None]
    missing = {
        name for one in varying for name in (one.up, one.down) if name is not None and name not in experiment.tracks
    }
    if missing:
        raise FedsimError(f"{path} is damaged: tracks: {min(missing)} is missing", Exit.SPEC)
    try:
        rounds = experiment.total_rounds
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FedsimError(f"{path} is damaged: config: no federate.total_round_num", Exit.SPEC) from error
    if rounds < 1:
        raise FedsimError(f"{path} is damaged: config: federate.total_round_num is {rounds}", Exit.SPEC)


def _names(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Every name in the experiment, and what it is the name of."""
    yield experiment.name, "experiment"
    for device in experiment.devices:
        yield device.name, "device"
        yield device.type.name, "device type"
        yield device.network.name, "network profile"
        # Of the user's own Dockerfiles the folder has copies, which are nowhere else.
        yield device.type.dockerfile.removeprefix(f"{INPUTS}/{DOCKERFILES}/"), "Dockerfile folder"


def _all_but_runs(folder: Path) -> Callable[[str, list[str]], list[str]]:
    """For copytree: ignore the run folder and the folder of runs, which may be inside the folder that is copied."""
    runs = {folder.resolve(), folder.resolve().parent}

    def ignore(directory: str, names: list[str]) -> list[str]:
        here = Path(directory).resolve()
        return [name for name in names if here / name in runs]

    return ignore


def _with_dockerfiles(experiment: Experiment, change: Callable[[str], str]) -> Experiment:
    def changed(device: Device) -> Device:
        if "/" not in device.type.dockerfile:
            return device
        return replace(device, type=replace(device.type, dockerfile=change(device.type.dockerfile)))

    return replace(experiment, devices=tuple(map(changed, experiment.devices)))


def _first(error: Exception) -> str:
    """The first problem that pydantic or shutil reports, in one line."""
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, details['loc']))}: {details['msg']}"
    if isinstance(error, shutil.Error):
        return str(error.args[0][0][2])
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {error}"
