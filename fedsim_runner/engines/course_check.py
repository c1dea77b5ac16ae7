"""Report what an engine will not do before anything is built, with the line that asks for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

from ..catalog.data_sets import BUNDLED, FEDERATEDSCOPE
from ..catalog.engines import engine_facts
from ..content import content_root
from ..contract.errors import FedsimError
from ..inventory import build_common_part, device_config
from ..plan.model import Plan
from ..spec.device_settings import device_document, experiment_document
from ..spec.draft import Draft
from ..spec.experiment import Experiment
from ..spec.federatedscope_tree import tree_document
from ..spec.requirements import contradictions
from ..spec.testbed_keys import common_config, participant_config
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import SpecError, SpecErrors
from .engine_values import Course, Participant, Refusal, SplitData
from .federatedscope.contrib_packages import lacking_in_images
from .federatedscope.own_data_sets import download_notes, known_facts, not_in_images, not_loadable, unknown_sets
from .initial_model import initial_shapes
from .participant_files import override
from .protocol import engines_of

# An exact version in a requirements file of the images.
_PIN = re.compile(r"^[A-Za-z0-9][\w.-]*==[\w.+!-]+", re.MULTILINE)


def check_engines(draft: Draft) -> Draft:
    """Check what each engine can say of the file alone; mistakes are reported in the draft, together with all others.

    Sections that the file lacks are not judged yet: nobody has written anything wrong there. What is known to be wrong
    is not reported twice.
    """
    experiment = draft.experiment
    roles = [device.role for device in experiment.devices]
    if draft.tree is None or roles.count("server") != 1 or "client" not in roles:
        return draft
    common = common_config(experiment.config, experiment.seed, roles.count("client"))
    # Addresses and folders are not known yet; every engine takes these.
    course = Course(
        tuple(
            Participant(
                device.name,
                device.role,
                device.engine,
                override(
                    override(common, device.config),
                    participant_config(device.role, (device.name, 1), ("server", 1)),
                ),
                device.config,
            )
            for device in experiment.devices
        ),
        experiment.config,
        experiment.federatedscope_source,
        experiment.course.round_limits,
        lambda: SplitData({}),
        experiment.data.tree,
        goes_offline=experiment.goes_offline,
    )
    checks: list[Callable[[], Iterable[Refusal]]] = [
        partial(engine.check_config, course) for engine in engines_of(experiment.devices)
    ]
    if experiment.data.tree is not None:
        checks.append(partial(unknown_sets, experiment.data.tree, experiment.federatedscope_source))
    for check in checks:
        try:
            found = [one for one in check() if not _is_told(one, draft, draft.tree)]
            _report(found, course, experiment, draft.tree)
        except FedsimError:
            continue  # an engine that cannot be asked yet is asked again, and heard, when the course is planned
    return draft


def _is_told(refusal: Refusal, draft: Draft, tree: Document) -> bool:
    """Whether a key, or something above it, is known to be wrong; or its section is not in the file."""
    documents = [tree]
    if refusal.device is not None:
        documents.append(device_document(draft.experiment, refusal.device, draft.document.errors))
    elif tree.get(refusal.path[:1]) is None:
        return True
    depths = range(1, len(refusal.path) + 1)
    return any(one.errors_at(refusal.path[:depth]) for one in documents for depth in depths)


def refuse_unsupported(plan: Plan, builds_images: bool = True) -> tuple[str, ...]:
    """Check the configuration of all participants with each engine that the experiment uses.

    Returns what the user should know of a course that can run. ``builds_images``: whether devices have images, and not
    this machine's packages.

    Raises:
        FedsimError: an engine refuses its configuration, or its source is wrong.
    """
    document = tree_document(plan.experiment.source, plan.experiment.path, plan.experiment.overrides)
    course = _course(plan)
    loaded = _loaded_tree(plan)
    if loaded is not None:
        config = next(one.config for one in course.participants if one.role == "server")
        _report(unknown_sets(loaded, plan.experiment.federatedscope_source), course, plan.experiment, document)
        devices = [one.name for one in (plan.experiment.server, *plan.experiment.clients)]
        found = not_loadable(loaded, config, plan.experiment.data.parts, devices)
        _report(found, course, plan.experiment, document)
        if builds_images:
            found = not_in_images(loaded, config, plan.experiment.requirements)
            _report(found, course, plan.experiment, document)
    if builds_images and plan.experiment.requirements:
        _report_requirements(plan.experiment, document)
    engines = engines_of(plan.experiment.devices)
    for engine in engines:
        _report(engine.check_config(course), course, plan.experiment, document)
    if not document.errors:  # a value of the wrong type would only be misread
        for engine in engines:
            _report(engine.check_course(course), course, plan.experiment, document)
        if builds_images:
            dockerfiles = {one.type.dockerfile for one in plan.experiment.devices}
            found = lacking_in_images(course, plan.experiment.requirements, dockerfiles)
            _report(found, course, plan.experiment, document)
    _report_ignored(plan.experiment, document)
    if document.errors:
        errors = SpecErrors(document.errors)
        raise errors.counted(str(plan.experiment.path or "the experiment file")) from errors
    notes = [note for engine in engines for note in engine.notes(course)]
    return (*notes, *(() if loaded is None else download_notes(loaded)))


def _loaded_tree(plan: Plan) -> Mapping[str, Any] | None:
    """FederatedScope's ``data``, where it has to load the data set."""
    data = plan.experiment.data
    return data.tree if data.dataset == FEDERATEDSCOPE and data.rendered is None else None


def _report(refusals: Iterable[Refusal], course: Course, experiment: Experiment, document: Document) -> None:
    own = {one.name: override(one.own, experiment.data.parts.get(one.name, {})) for one in course.participants}
    for refusal in refusals:
        where = document
        if refusal.device is not None and _has(own[refusal.device], refusal.path):
            where = device_document(experiment, refusal.device, document.errors)
        where.report(refusal.path, refusal.reason, refusal.hint, refusal.topic)


def _has(settings: Any, path: Iterable[str | int]) -> bool:
    for part in path:
        if not isinstance(settings, Mapping) or part not in settings:
            return False
        settings = settings[part]
    return True


def _report_requirements(experiment: Experiment, document: Document) -> None:
    """Report requirements that contradict what the images of an engine have already."""
    engines = [engine_facts(name) for name in sorted({device.engine for device in experiment.devices})]
    where = experiment_document(experiment, document.errors)
    for layer in sorted({facts.below for facts in engines if facts.source}):
        files = sorted((content_root() / "dockerfiles" / layer).glob("requirements*.txt"))
        pins = [pin for file in files for pin in _PIN.findall(file.read_text(encoding="utf-8"))]
        for wanted, there in contradictions(experiment.requirements, pins):
            message = f'"{wanted}" contradicts {there}, which the images have (dockerfiles/{layer})'
            where.report(("federatedscope", "requirements"), message, "leave the version out, or write that one")


def _report_ignored(experiment: Experiment, document: Document) -> None:
    """Report what the server's engine would ignore without a word."""
    server = experiment.server
    facts, who = engine_facts(server.engine), f"engine {server.engine} of {server.name}, the server,"
    if experiment.course.target is not None and not facts.ends_at_target:
        message = f"{who} does not end a course early"
        document.errors.append(SpecError(document.file, 0, 0, "course.target", message, "remove it"))
    if experiment.initial_model is not None and not facts.keeps_models:
        document.report(("federate", "restore_from"), f"{who} starts with no saved model", "remove it")


def _course(plan: Plan) -> Course:
    experiment = plan.experiment
    common = build_common_part(plan)
    found = {
        item.device.name: Participant(
            item.device.name,
            item.device.role,
            item.device.engine,
            override(common.course.config, device_config(plan, item)),
            item.device.config,
        )
        for item in plan.placed
    }
    data = cache(lambda: _data(common.as_dict()))
    bundled = experiment.data.dataset in BUNDLED
    return Course(
        tuple(found[device.name] for device in experiment.devices),
        experiment.config,
        experiment.federatedscope_source,
        experiment.course.round_limits,
        data,
        experiment.data.tree,
        lambda: experiment.data.targets == "numbers" if bundled else data().target_shape is not None,
        initial_model=initial_shapes(experiment.initial_model) if experiment.initial_model else None,
        goes_offline=experiment.goes_offline,
    )


def _data(device_file: Mapping[str, Any]) -> SplitData:
    if device_file["data"]["dataset"] == FEDERATEDSCOPE:
        return known_facts(device_file["data"]["tree"])
    from ..datasets.data_split import make_shards

    try:
        data_split = make_shards(device_file)
    except (ValueError, OSError):
        return SplitData({})  # reported where the data are made, with a hint
    samples = {
        name: {split: len(part.y) for split, part in splits.items()} for name, splits in data_split.shards.items()
    }
    parts = [part for splits in data_split.shards.values() for part in splits.values() if len(part.y)]
    if not parts:
        return SplitData(samples)
    classes = len(data_split.classes) or None
    first = parts[0]
    whole = [part.x for part in parts] if first.x.dtype.kind in "iu" else []
    return SplitData(
        samples,
        classes,
        tuple(first.x.shape[1:]),
        None if classes else tuple(first.y.shape[1:]),
        max((int(x.max()) for x in whole), default=None),
        min((int(x.min()) for x in whole), default=None),
    )
