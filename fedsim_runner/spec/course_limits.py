"""The section ``course``, checked against the rest of the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..contract.client_sampling import asked_clients
from ..yamlfile.document import Document
from .experiment import CourseLimits
from .schema import CourseSection


def build_course(
    course: CourseSection, document: Document, clients: int | None, config: Mapping[str, Any]
) -> CourseLimits:
    """Return the limits of the course; what contradicts the rest of the file is reported.

    Args:
        document: the experiment file.
        clients: how many the file has; None: that is not known.
        config: FederatedScope's configuration.
    """
    if "min_clients" in course.model_fields_set:
        if course.on_client_failure == "abort":
            document.report(
                ("course", "min_clients"),
                "means nothing with on_client_failure: abort",
                "write on_client_failure: continue, or remove it",
            )
        elif clients is not None and course.min_clients > clients:
            document.report(("course", "min_clients"), f"{course.min_clients} are more than the {clients} clients")
    if course.round_deadline is not None and course.round_deadline >= course.timeout:
        document.report(("course", "round_deadline"), "must be shorter than course.timeout")
    if course.round_quorum is not None:
        _check_quorum(course.round_quorum, document, clients, config)
    elif "round_grace" in course.model_fields_set and not document.errors_at(("course", "round_quorum")):
        document.report(("course", "round_grace"), "means nothing without round_quorum", "give that, or remove this")
    return CourseLimits(
        float(course.timeout),
        float(course.silence_timeout),
        course.on_client_failure,
        course.min_clients,
        None if course.round_deadline is None else float(course.round_deadline),
        None if course.round_quorum is None else float(course.round_quorum),
        float(course.round_grace),
        None if course.target is None else float(course.target),
    )


def _check_quorum(quorum: float, document: Document, clients: int | None, config: Mapping[str, Any]) -> None:
    path = ("course", "round_quorum")
    if quorum > 1 and quorum % 1:
        document.report(path, f"{quorum:g} is neither a count nor a share", "write a whole number, or one below 1")
    elif quorum == 1 and isinstance(document.get(path), float):
        document.report(path, "1.0 may be one update or all", "write 1 for one; without it rounds wait for all")
    elif quorum > 1 and clients is not None:
        found = config.get("federate")
        federate = found if isinstance(found, Mapping) else {}
        given = [federate.get(key, -1) for key in ("sample_client_num", "sample_client_rate")]
        if all(isinstance(value, int | float) for value in given):
            asked = asked_clients(clients, *given)
            if quorum > asked:
                hint = f"write at most {asked}, or a share"
                number = f"{asked} client{'s' * (asked != 1)}"
                document.report(path, f"{quorum:g} are more than the {number} that a round asks", hint)
