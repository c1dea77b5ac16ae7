"""Report links that none of the link back ends that may be used does, with the line that asks for them."""

from __future__ import annotations

from collections import defaultdict

from ..agent.links.backends import AUTO, UnshapableError, able_backends
from ..spec.draft import Draft
from ..spec.experiment import Device, Experiment
from ..yamlfile.spec_errors import PathPart
from .approximate_links import LinksDuring, links_of
from .names import join_names

#: The parts of the file that links come from. Of one that is wrong, nothing more is said than that.
SECTIONS = ("devices", "device_types", "network", "network_profiles", "topology", "regions", "events")


def check_links(draft: Draft) -> Draft:
    """Report in the draft, together with all other mistakes, what no back end does, whatever a kernel has."""
    experiment = draft.experiment
    if experiment.allow_unshaped or not all(draft.is_sound(section) for section in SECTIONS):
        return draft
    if _refused(experiment, links_of(experiment, experiment.devices, between=True)) is None:
        return draft
    names: defaultdict[tuple[tuple[PathPart, ...], str, str], list[str]] = defaultdict(list)
    for device in experiment.devices:
        if refused := _refused(experiment, links_of(experiment, [device], between=False)):
            names[_place(experiment, device, draft), refused.message, refused.hint].append(device.name)
    for (here, message, hint), alike in names.items():
        draft.document.report(here, f"links of {join_names(alike)}: {message}", hint)
    if refused := _refused(experiment, links_of(experiment, [], between=True)):
        draft.document.report(("topology", "edges"), refused.message, refused.hint)
    return draft


def _place(experiment: Experiment, device: Device, draft: Draft) -> tuple[PathPart, ...]:
    if experiment.link_backend != AUTO:
        return ("network", "backend")
    entry = ("devices", device.entry)
    return entry if draft.document.get((*entry, "network")) is None else (*entry, "network")


def _refused(experiment: Experiment, links: LinksDuring) -> UnshapableError | None:
    try:
        able_backends(experiment.link_backend, links.ever, links.changing)
    except UnshapableError as error:
        return error
    return None
