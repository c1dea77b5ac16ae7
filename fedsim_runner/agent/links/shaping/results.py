"""What becomes of links: the result of shaping one, a change under way, a look at them, and differences in words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fedsim_runner.contract.agent_calls import LinkAnswer

from ...kernel.root_qdisc import Qdisc
from ..changes import Changed, Changes


@dataclass
class Result:
    """The result of shaping one device's link.

    Attributes:
        found: what is then in force of what was changed, for people.
        late_s: by how much a change was late.
    """

    changed: bool = False
    failed: str | None = None
    diff: list[dict[str, str]] = field(default_factory=list)
    found: str = ""
    late_s: float = 0.0

    def as_dict(self) -> LinkAnswer:
        return {"changed": self.changed, "failed": self.failed, "diff": self.diff}


@dataclass(frozen=True)
class Change:
    """A change of links whose time may still be to come.

    Attributes:
        devices: those whose links change.
        see: returns what has become of it; to be called once, after its time, with or without a lock.
        finish: returns what was changed, by device, from what ``see`` has returned, once that was looked at.
    """

    devices: Collection[str]
    see: Callable[[], list[Changed]]
    finish: Callable[[list[Changed]], dict[str, Result]]

    def complete(self) -> dict[str, Result]:
        """All of that, for a change whose time has come."""
        return self.finish([one.looked_at() for one in self.see()])


@dataclass(frozen=True)
class Seen:
    """A look at links: what is no longer as it was left, by device, and what a link that is so looks like."""

    changed: Mapping[str, str]
    traces: Mapping[str, object]


def judge_change(
    changes: Mapping[str, Changes], seen: Sequence[Changed], is_changed_again: Callable[[str, str], bool]
) -> dict[str, Result]:
    """What has become of a change, by device.

    Args:
        changes: what was to be changed.
        seen: what was looked at.
        is_changed_again: whether a later change is about this setting of a device: it may have been made before anybody
            looked, so what was found says nothing of this one.
    """
    results = {name: Result(changed=True) for name in changes}
    found: dict[str, dict[str, object]] = {name: {} for name in changes}
    late_s = 0.0
    for changed in seen:
        late_s = max(late_s, changed.late_s)
        for name, values in changed.found.items():
            found[name] |= values
        for name, reason in changed.failed.items():
            results[name].failed = reason
    for name, change in changes.items():
        result = results[name]
        found[name] |= {item: after for item, (_, after) in change.items() if is_changed_again(name, item)}
        missing = {item: (found[name].get(item), after) for item, (_, after) in change.items()}
        missing = {item: pair for item, pair in missing.items() if not same(pair[1], pair[0])}
        if missing and result.failed is None:
            result.failed = f"the kernel did not keep what was set: {describe(missing)}"
        result.found = "; ".join(f"{item} {value or 'none'}" for item, value in found[name].items())
        result.late_s = late_s
    return results


def same(wanted: object, active: object) -> bool:
    """Whether a setting is as wanted, up to rounding in the kernel's units."""
    return wanted is active or (wanted.matches(active) if isinstance(wanted, Qdisc) else wanted == active)


def describe(change: Mapping[str, tuple[object, object]]) -> str:
    """What differs of a device's settings, as item -> (active, wanted), for people."""
    entries = (difference(item, before, after) for item, (before, after) in change.items())
    return "; ".join(f"{entry['item']} is {entry['before']}, not {entry['after']}" for entry in entries)


def difference(item: str, before: object, after: object) -> dict[str, str]:
    """One of these differences as the agent's answers have it."""
    return {"item": item, "before": str(before or "none"), "after": str(after or "none")}
