"""Rules: courses in which each client has other features of the same samples."""

from __future__ import annotations

from collections.abc import Iterator

from .course_facts import Course, Refusal, Tree
from .other_data import KEYS, VERTICAL, asked_by

# Of vertical.algo, those whose messages FederatedScope can send between processes: trees.
ALGORITHMS = ("xgb", "gbdt", "rf")
_ENCRYPTED = "its messages are encrypted numbers, which FederatedScope cannot send between processes"
_SPLITS = "the testbed's own splits are of samples, not features"
_LOADED = "`data: {dataset: federatedscope}` lets FederatedScope split them"


def vertical(tree: Tree, course: Course) -> Iterator[Refusal]:
    """What FederatedScope's trees need; only FederatedScope itself splits features."""
    asking = [key for key in KEYS if asked_by(key, str(tree[key])) == VERTICAL]
    uses = tree["vertical.use"] is True
    if course.other_data == VERTICAL:
        if uses:
            yield from _between_processes(tree)
            yield from _parts(tree, course)
            yield from _rounds(tree, course)
        else:
            yield Refusal("vertical.use", "the features are split, and FederatedScope does not know", "write true")
        return
    if uses:
        yield Refusal("vertical.use", _SPLITS, f"write false; {_LOADED}", VERTICAL)
    for key in asking if not course.loads_data else ():
        yield Refusal(key, f"{tree[key]} needs {VERTICAL}; {_SPLITS}", f"choose another; {_LOADED}", VERTICAL)


def _between_processes(tree: Tree) -> Iterator[Refusal]:
    if tree["vertical.algo"] not in ALGORITHMS:
        yield Refusal("vertical.algo", _ENCRYPTED, f"write {' or '.join(ALGORITHMS)}", VERTICAL)
        return
    for key in ("vertical.protect_method", "vertical.eval_protection"):
        if tree.text(key) == "he":
            yield Refusal(key, _ENCRYPTED, "remove it", VERTICAL)
    if tree["vertical.mode"] != "feature_gathering":
        reason = "it sends values that are nothing (None), which FederatedScope cannot send between processes"
        yield Refusal("vertical.mode", reason, "write feature_gathering", VERTICAL)


def _parts(tree: Tree, course: Course) -> Iterator[Refusal]:
    ends, clients = tree["vertical.dims"], len(course.clients)
    if not isinstance(ends, list) or not all(type(end) is int and end > 0 for end in ends):
        yield Refusal("vertical.dims", "it is not where each client's features end", "write, for instance, [5, 10]")
        return
    if len(ends) != clients:
        reason = f"it splits the features among {len(ends)} clients, and the experiment has {clients}"
        yield Refusal("vertical.dims", reason, "as many numbers as client devices")
    elif any(end != ends[0] * number for number, end in enumerate(ends, 1)):
        reason = (
            "between processes a client learns late which part is its own: FederatedScope's trees work only where all "
            "clients have equally many features"
        )
        yield Refusal("vertical.dims", reason, f"write {[ends[0] * number for number in range(1, clients + 1)]}")


def _rounds(tree: Tree, course: Course) -> Iterator[Refusal]:
    for key in course.round_limits:
        reason = f"a tree needs all clients, so that {key} has no meaning"
        yield Refusal("vertical.use", reason, "remove it")
    if course.goes_offline:
        reason = "a tree needs all clients, and devices go offline during this course"
        yield Refusal("vertical.use", reason, "remove available, and events that have devices offline or restarted")
