"""What a device's engine will not do is said before anything is built, with the line that asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..contract.errors import Exit, FedsimError
from ..inventory import build_inventory
from ..participant.errors import UnsupportedError
from ..participant.light.settings import parse_settings
from ..plan.model import Plan
from ..spec.experiment import Experiment
from ..spec.federatedscope_tree import tree_document
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import SpecErrors
from .participant_files import effective_config

# A reason of the light engine begins with the key that it is about.
_KEY = re.compile(r"([a-z_]+(?:\.[A-Za-z_]+)*)(?:: )?")


def refuse_unsupported(plan: Plan) -> None:
    """Check the configuration of all participants with each engine that the experiment uses.

    Raises:
        FedsimError: an engine refuses its configuration, or the source of FederatedScope is not FederatedScope.
    """
    document = tree_document(plan.experiment.source, plan.experiment.path)
    device_files = list(build_inventory(plan).device_files.values())
    for reason in _of_light(device_files):
        found = _KEY.match(reason)
        key = found.group(1) if found else ""
        document.report(tuple(key.split(".")) if key else (), reason.removeprefix(f"{key}: "))
    if any(device.engine == "federatedscope" for device in plan.experiment.devices):
        _of_federatedscope(plan.experiment, device_files, document)
    if document.errors:
        errors = SpecErrors(document.errors)
        count = len(errors.errors)
        where = plan.experiment.path or "the experiment file"
        raise FedsimError(f"{errors}\n{count} mistake{'s' if count > 1 else ''} in {where}", Exit.SPEC)


def _of_light(device_files: list[Mapping[str, Any]]) -> Iterator[str]:
    told: set[str] = set()
    for device_file in device_files:
        light = [device for device in device_file["devices"] if device["engine"] == "light"]
        # Clients differ in addresses alone.
        for device in {device["role"]: device for device in light}.values():
            try:
                parse_settings(effective_config(device_file, device))
            except UnsupportedError as error:
                fresh = [reason for reason in str(error).split("; ") if reason not in told]
                told.update(fresh)
                yield from fresh


def _of_federatedscope(experiment: Experiment, device_files: list[Mapping[str, Any]], document: Document) -> None:
    # Behind the question whether any device uses it: the light engine plans without.
    from .federatedscope.keys import KeysError, check_keys, known_keys
    from .federatedscope.refusals import refusals
    from .federatedscope.source import WAYS_OUT

    source = _source_at_hand(experiment)
    if source is not None:
        try:
            for problem in check_keys(experiment.config, known_keys(source)):
                document.report(problem.path, problem.message, problem.mend)
        except KeysError as error:
            raise FedsimError(f"{error}\n{WAYS_OUT}", Exit.LAB) from error
    if document.errors:
        return  # a key of another type would only be misread
    for refusal in refusals(_course(experiment, device_files)):
        document.report(refusal.path, refusal.reason, refusal.mend)


def _source_at_hand(experiment: Experiment) -> Path | None:
    """The checkout or wheel in use; None where the source must be fetched first."""
    from .federatedscope.source import parse_source
    from .federatedscope.wheel import CachedSource

    if experiment.federatedscope_source is None:
        return None
    source = parse_source(experiment.federatedscope_source, Path.cwd(), "the experiment file")
    return source.path if source.kind in ("checkout", "wheel") else CachedSource(source).cached()


def _course(experiment: Experiment, device_files: list[Mapping[str, Any]]) -> Any:
    from .federatedscope.refusals import Course, Participant

    samples, classes, shape = _data(device_files[0])
    participants = {
        device["name"]: Participant(
            device["name"], device["engine"], effective_config(device_file, device), samples.get(device["name"])
        )
        for device_file in device_files
        for device in device_file["devices"]
    }
    clients = [participants[device.name] for device in experiment.clients]
    deadline = experiment.course.round_deadline_s is not None
    return Course(participants[experiment.server.name], clients, classes, shape, deadline)


def _data(device_file: Mapping[str, Any]) -> tuple[dict[str, dict[str, int]], int | None, tuple[int, ...] | None]:
    """Samples by device and split, number of classes, shape of one sample; as far as the data can be read here."""
    from ..datasets.dealing import make_shards

    try:
        dealt = make_shards(device_file)
    except (ValueError, OSError):
        return {}, None, None  # told where the data are made, with what mends it
    samples = {name: {split: len(part.y) for split, part in splits.items()} for name, splits in dealt.shards.items()}
    parts = [part for splits in dealt.shards.values() for part in splits.values()]
    return samples, len(dealt.classes), tuple(parts[0].x.shape[1:]) if parts else None
