"""What of a run folder is code: a rerun runs it only if its user trusts whoever made the folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ..catalog.data_sets import FEDERATEDSCOPE as LOADED_BY_FEDERATEDSCOPE
from ..contract.errors import Exit, FedsimError
from ..contract.paths import DEVICE_FILES, INVENTORY
from ..engines.protocol import Engine, engines_of
from ..spec.experiment import Experiment
from .inputs import kept_wheel

# Its participants read numbers from their folder and nothing else; others run what their configuration names.
HARMLESS_WITHOUT_DOCKER = "light"


# What Ansible finds in a run folder's inventory is all that we write there.
OF_INVENTORY = frozenset({"hosts.yml", "hosts.json", DEVICE_FILES})


class UntrustedCodeError(FedsimError):
    """A rerun would run code of the run folder; the text names it."""

    exit = Exit.SPEC


def refuse_untrusted(experiment: Experiment, folder: Path, with_docker: bool) -> None:
    """Refuse a run folder whose repetition would run code that came with it.

    Raises:
        UntrustedCodeError: it would.
        FedsimError: the user's own source of an engine is wrong.
    """
    code = list(code_of(experiment, folder, with_docker))
    if code:
        raise UntrustedCodeError(
            f"{folder}: a rerun would run code that whoever made this folder put into it: {'; '.join(code)}",
            hint="if that was you, or if you trust them: fedsim-provision rerun --trust",
        )


def refuse_foreign_inventory(folder: Path) -> None:
    """Refuse a run folder whose inventory has files besides ours, as Ansible would follow them (``group_vars``).

    Raises:
        UntrustedCodeError: it has.
    """
    inventory = folder / INVENTORY
    names = [path.name for path in inventory.iterdir()] if inventory.is_dir() else []
    if foreign := sorted(set(names) - OF_INVENTORY):
        raise UntrustedCodeError(
            f"{inventory / foreign[0]} is not from fedsim-provision, and Ansible would follow it",
            hint="remove it, or run the playbooks yourself (ansible-playbook -i)",
        )


def code_of(experiment: Experiment, folder: Path, with_docker: bool) -> Iterator[str]:
    """Describe the code in a run folder that a rerun would run. Nothing of it is run or imported here."""
    if with_docker:
        own = sorted({device.type.dockerfile for device in experiment.devices if "/" in device.type.dockerfile})
        yield from (f"{Path(path).relative_to(folder)}/Dockerfile, which an image is built from" for path in own)
    for engine in engines_of(experiment.devices):
        if engine.facts.source is not None:
            if with_docker and experiment.requirements:
                yield f"packages that an image is given for it: {', '.join(experiment.requirements)}"
            yield from _source_of(engine, experiment, folder)
        if not with_docker and engine.facts.name != HARMLESS_WITHOUT_DOCKER:
            yield f"the configuration of engine {engine.facts.name}, which runs as you without Docker"
    if experiment.data.dataset == LOADED_BY_FEDERATEDSCOPE:
        yield "the data set that FederatedScope loads on this machine, as you"


def _source_of(engine: Engine, experiment: Experiment, folder: Path) -> Iterator[str]:
    """The engine's code that came with the folder, unless it is the same as this user's own."""
    named, wheel = experiment.federatedscope_source, kept_wheel(folder)
    try:
        own, provenance = engine.source_in_use(None), engine.provenance(None)
    except FedsimError:
        own = provenance = None
    if wheel is None:
        if named not in (None, own):
            yield f"{engine.facts.source} from {named}"
        return
    own_wheel = None if provenance is None else provenance.wheel
    if own_wheel is None or _digest(own_wheel) != _digest(wheel):
        yours = f"yours, {own}, differs or has not been built yet" if own else "you have none of your own"
        yield f"{wheel.relative_to(folder)}, the {engine.facts.source} that ran ({yours})"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
