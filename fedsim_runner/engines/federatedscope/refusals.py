"""What FederatedScope cannot do when every participant is a process of its own, told before anything is built.

Each rule stands for a crash or a hang in FederatedScope v0.3.0 (commit 480b67d) between processes, or for something
that a testbed's device does not have. What only gives poor results is let through. Nothing is imported or read here.
"""

from __future__ import annotations

from dataclasses import replace

from . import data_rules as fits
from . import mode_rules as modes
from .course_facts import Course, Participant, Refusal, Tree

__all__ = ["Course", "Participant", "Refusal", "refusals"]


def refusals(course: Course) -> list[Refusal]:
    """All reasons why this course would crash or hang; empty where no participant runs FederatedScope."""
    first = course.server if course.own_server else next(iter(course.own_clients), None)
    if first is None:
        return []
    tree = Tree(first.config)
    found: list[Refusal] = []
    for rule in (
        modes.values,
        modes.not_between_processes,
        modes.not_here,
        fits.data,
        modes.joining,
        modes.asynchronous,
        fits.criterion,
        fits.evaluation,
    ):
        found += rule(tree, course)
    found += _first_of_each([list(fits.batches(Tree(client.config), client)) for client in course.clients])
    found += fits.server_batches(tree, course)
    return list(dict.fromkeys(found))


def _first_of_each(by_client: list[list[Refusal]]) -> list[Refusal]:
    """One line for what is wrong with many clients' shards."""
    alike: dict[tuple[str, str], list[Refusal]] = {}
    for found in by_client:
        own: dict[tuple[str, str], Refusal] = {}
        for refusal in found:
            own.setdefault((refusal.key, refusal.mend), refusal)
        for kind, refusal in own.items():
            alike.setdefault(kind, []).append(refusal)
    told = []
    for first, *others in alike.values():
        more = f"; the same of {len(others)} more" if others else ""
        told.append(replace(first, reason=first.reason + more))
    return told
