"""How fast device types are: the figures of each, its own, its base's, or another type's times a factor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..compute.references import REFERENCES
from ..compute.values import Compute
from .entries import ComputeEntry, DeviceTypeEntry
from .problem import Problem
from .suggestions import suggestion
from .types import DeviceType

AT = ("compute",)
NEEDED = ("reference", "seconds", "source")
#: Of a step on any device, in seconds: from the tick of a clock to a fortnight.
LEAST_S, MOST_S = 1e-6, 1e6


def settle_compute(
    entries: Mapping[str, DeviceTypeEntry],
    known: Mapping[str, DeviceType | None],
    types: Mapping[str, DeviceType | None],
    report: Callable[[str, Problem], None],
) -> dict[str, DeviceType | None]:
    """Return ``types`` with their figures.

    Args:
        entries: those that define types.
        known: types that are there without them, whose figures are settled.
        types: all types.
        report: takes what is wrong with an entry.
    """
    settled: dict[str, Compute | None] = {}

    def of(name: str, chain: tuple[str, ...]) -> Compute | None:
        # An entry that refers to its own name means the one that is there without it.
        if name not in entries or (chain and chain[-1] == name and name in known):
            there = known.get(name)
            return None if there is None else there.compute
        if name not in settled:
            settled[name] = _own(name, (*chain, name))
        return settled[name]

    def inherits_from(name: str) -> str | None:
        # Figures are of the whole device: with other cores than its base's a type has none.
        base, cpus = entries[name].based_on, entries[name].cpus
        there = None if base is None else known.get(base) if base == name else types.get(base)
        return base if cpus is None or (there is not None and there.cpus == cpus) else None

    def has_figures(name: str) -> bool:
        """Whether an entry gives or inherits figures, which are then wrong and reported where they are given."""
        seen: set[str] = set()
        at: str | None = name
        while at is not None and at in entries and at not in seen:
            if entries[at].compute is not None:
                return True
            seen.add(at)
            at = inherits_from(at)
        return False

    def _own(name: str, chain: tuple[str, ...]) -> Compute | None:
        entry = entries[name]
        if entry.compute is None:
            base = inherits_from(name)
            if base is None or base not in types or (base == name and name not in known):
                return None
            if base in chain[:-1]:
                circle = chain[chain.index(base) :]
                like = next((one for one in reversed(circle) if entries[one].compute is not None), None)
                if like is not None:  # of types that are only based on each other, another check says so
                    report(like, Problem((*AT, "like"), f"is like itself: {' -> '.join((*circle, base))}"))
                return None
            return of(base, chain)
        problems = _check(entry.compute, types)
        if not problems and entry.compute.like is not None:
            like = entry.compute.like
            if like in chain[:-1] or (like == name and name not in known):
                problems.append(Problem((*AT, "like"), f"is like itself: {' -> '.join((*chain, like))}"))
            else:
                other = of(like, chain)
                if other is not None:
                    scaled = _scaled(entry.compute, like, other)
                    if LEAST_S <= scaled.seconds <= MOST_S:
                        return scaled
                    problems.append(_out_of_range("speed", scaled.seconds))
                elif types.get(like) is not None and not has_figures(like):
                    text = f'device type "{like}" has no figures: it is nominal'
                    problems.append(Problem((*AT, "like"), text, "name one that has compute"))
        for problem in problems:
            report(name, problem)
        if problems or entry.compute.reference is None:
            return None
        compute = entry.compute
        return Compute(str(compute.reference), float(compute.seconds or 0), str(compute.source), compute.accelerator)

    return {
        name: value if value is None or name not in entries else replace(value, compute=of(name, ()))
        for name, value in types.items()
    }


def _scaled(entry: ComputeEntry, like: str, other: Compute) -> Compute:
    speed = float(entry.speed or 1)
    source = entry.source or f"{speed:g} times as fast as {like}"
    return Compute(other.reference, other.seconds / speed, source, entry.accelerator)


def _out_of_range(key: str, seconds: float) -> Problem:
    text = f"a step of its reference would take {seconds:g} s"
    return Problem((*AT, key), text, f"from {LEAST_S:g} to {MOST_S:g} s are possible")


def _check(entry: ComputeEntry, types: Mapping[str, DeviceType | None]) -> list[Problem]:
    given = entry.model_dump(exclude_none=True)
    hint = "give reference, seconds and source, or like and speed"
    empty = [
        Problem((*AT, key), "is empty", hint_of)
        for key, hint_of in (("source", "say where the figure is from"), ("accelerator", "name it, or remove the key"))
        if key in given and not given[key].strip()
    ]
    if entry.like is None:
        wrong = [*empty]
        wrong += [Problem((*AT, "speed"), "is for like", hint)] if "speed" in given else []
        missing = [key for key in NEEDED if key not in given]
        wrong += [Problem(AT, f'missing key "{key}"', hint) for key in missing]
        if entry.reference is not None and entry.reference not in REFERENCES:
            text = f'there is no reference "{entry.reference}"'
            wrong.append(Problem((*AT, "reference"), text, suggestion(entry.reference, list(REFERENCES))))
        if entry.seconds is not None and entry.seconds < LEAST_S:
            wrong.append(_out_of_range("seconds", entry.seconds))
        return wrong
    wrong = [*empty]
    wrong += [
        Problem((*AT, key), "is for a figure of its own, and like takes another type's", "remove one of them")
        for key in ("reference", "seconds")
        if key in given
    ]
    if entry.speed is None:
        wrong.append(Problem(AT, 'missing key "speed"', "how many times as fast it is, for example speed: 0.5"))
    if entry.like not in types:
        text = f'there is no device type "{entry.like}"'
        wrong.append(Problem((*AT, "like"), text, suggestion(entry.like, list(types))))
    return wrong
