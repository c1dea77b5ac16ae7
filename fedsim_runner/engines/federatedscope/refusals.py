"""What FederatedScope cannot do when every participant is a separate process, reported before anything is built.

Each rule stands for a crash or a hang in FederatedScope v0.3.0 (commit 480b67d) between processes, or for something
that a testbed's device does not have. Settings that only give poor results are allowed. Nothing is imported or read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from . import data_rules as fits
from . import label_rules as labels
from . import mode_rules as modes
from . import name_rules, vertical_rules
from .course_facts import Course, Participant, Refusal, Tree

__all__ = ["Course", "Participant", "Refusal", "refusals"]


Rule = Callable[[Tree, Course], Iterable[Refusal]]
# Rules that hold whatever the data are.
CONFIG_RULES: tuple[Rule, ...] = (
    modes.values,
    modes.not_between_processes,
    modes.noise,
    modes.not_here,
    vertical_rules.vertical,
    labels.graphs,
    labels.areas,
    modes.joining,
    modes.asynchronous,
    name_rules.names,
    fits.evaluation,
)
# Rules that depend on the data.
DATA_RULES: tuple[Rule, ...] = (fits.data, labels.criterion, fits.evaluation)


def refusals(course: Course, rules: Sequence[Rule]) -> list[Refusal]:
    """All reasons why this course would crash or hang; empty where no participant runs FederatedScope."""
    first = course.server if course.own_server else next(iter(course.own_clients), None)
    if first is None:
        return []
    tree = Tree(first.config)
    found: list[Refusal] = []
    for rule in rules:
        found += rule(tree, course)
    found += _first_of_each([list(fits.batches(Tree(client.config), client)) for client in course.clients])
    found += fits.server_batches(tree, course)
    return list(dict.fromkeys(found))


def _first_of_each(by_client: list[list[Refusal]]) -> list[Refusal]:
    """Make one refusal of what is wrong with many clients' shards."""
    by_kind: dict[tuple[str, str], list[Refusal]] = {}
    for found in by_client:
        own: dict[tuple[str, str], Refusal] = {}
        for refusal in found:
            own.setdefault((refusal.key, refusal.hint), refusal)
        for kind, refusal in own.items():
            by_kind.setdefault(kind, []).append(refusal)
    merged = []
    for first, *others in by_kind.values():
        more = f"; the same holds for {len(others)} more" if others else ""
        merged.append(replace(first, reason=first.reason + more))
    return merged
