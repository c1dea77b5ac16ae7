"""Which runs a sweep has: every point of its grid, with every seed. Pure: options in, runs out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...catalog.suggestions import suggestion
from ...spec.schema import ExperimentFile
from ...yamlfile.overrides import Override, parse_key, parse_values
from ...yamlfile.spec_errors import SpecError, SpecErrors

SEEDS, GRID, TARGET = "--seeds", "--grid", "--target"
# More are a slip of the hand: each run takes seconds at the very least.
RUNS_MAX = 1000
# Of a run's name, what is behind the sweep's: -p999-s2147483647.
SUFFIX_LENGTH = 17


@dataclass(frozen=True)
class Grid:
    """One key of a grid, and its values."""

    key: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class SweepRequest:
    """What the options ask for. Without ``seeds`` every point runs once, with the file's seed."""

    seeds: tuple[int, ...] = ()
    grids: tuple[Grid, ...] = ()
    target: float | None = None


@dataclass(frozen=True)
class Member:
    """A run of a sweep.

    Attributes:
        number: of its point in the grid, from 1; None: there is no grid.
        point: its values of the grid's keys.
        seed: None: the file's.
        target: the accuracy at which it ends; None: the file's, if there is one.
    """

    number: int | None
    point: tuple[Override, ...]
    seed: int | None
    target: float | None

    @property
    def suffix(self) -> str:
        """What its name adds to the sweep's."""
        point = [] if self.number is None else [f"p{self.number}"]
        return "-".join([*point, *([] if self.seed is None else [f"s{self.seed}"])])

    @property
    def varied(self) -> tuple[Override, ...]:
        """Its values of what the sweep varies."""
        seed = () if self.seed is None else (Override("seed", self.seed, f"{SEEDS} {self.seed}"),)
        return (*self.point, *seed)

    @property
    def overrides(self) -> tuple[Override, ...]:
        """All values that it has in place of the file's."""
        return (*self.varied, *(() if self.target is None else (target_override(self.target),)))

    @property
    def described(self) -> str:
        """What it is in the sweep, for people."""
        return ", ".join(f"{short_key(one.key)}={shown(one.value)}" for one in self.varied)


def read_request(seeds: str | None, grids: Sequence[str], target: float | None) -> SweepRequest:
    """Return what the options ask for.

    Raises:
        SpecErrors: they are wrong, or contradict each other; the text lists all mistakes.
    """
    errors: list[SpecError] = []
    found_seeds: tuple[int, ...] = ()
    found: list[Grid] = []
    try:
        found_seeds = () if seeds is None else _read_seeds(seeds)
    except SpecErrors as wrong:
        errors += wrong.errors
    for text in grids:
        try:
            found.append(_read_grid(text))
        except SpecErrors as wrong:
            errors += wrong.errors
    errors += _contradictions(found, target)
    request = SweepRequest(found_seeds, tuple(found), target)
    count = max(1, len(found_seeds))
    for grid in found:
        count *= len(grid.values)
    if count > RUNS_MAX:
        hint = f"at most {RUNS_MAX}: vary fewer keys at once"
        errors.append(SpecError(GRID if found else SEEDS, 0, 0, "", f"these are {count} runs", hint))
    if errors:
        raise SpecErrors(errors)
    return request


def members_of(request: SweepRequest) -> list[Member]:
    """Return the runs of a sweep, in the order in which they are executed: all points with one seed, then the next."""
    choices = [[_grid_override(grid.key, value) for value in grid.values] for grid in request.grids]
    points = list(itertools.product(*choices))
    return [
        Member(number if request.grids else None, point, seed, request.target)
        for seed in request.seeds or (None,)
        for number, point in enumerate(points, 1)
    ]


def target_override(target: float) -> Override:
    """Return the target accuracy as a value of the experiment."""
    return Override("course.target", target, f"{TARGET} {target:g}")


def short_key(key: str) -> str:
    """Return a key without the part that all keys of FederatedScope's configuration share."""
    return key.removeprefix("federatedscope.config.")


def shown(value: Any) -> str:
    """Return a value as a user would write it."""
    return value if isinstance(value, str) else json.dumps(value)


def _read_seeds(text: str) -> tuple[int, ...]:
    given = f"{SEEDS} {text}".strip()
    values = parse_values(text, given)
    for value in values:
        if type(value) is not int:
            raise _wrong(given, f'"{value}" is not a whole number', "write seeds between commas, as in 1,2,3")
    _refuse_repeated(values, given)
    return tuple(values)


def _read_grid(text: str) -> Grid:
    key, equals, values = text.partition("=")
    given = f"{GRID} {text}"
    if not equals:
        raise _wrong(given, "names no values", "write KEY=VALUE,VALUE,..., as in data.alpha=0.1,1")
    path = parse_key(key.strip(), given)
    first = str(path[0])
    if first == "seed":
        raise _wrong(given, "seeds are repeats of one point, not points", f"write {SEEDS} {values}")
    if first == "name":
        raise _wrong(given, "the name is that of all runs", "remove it: runs are numbered")
    if first not in ExperimentFile.model_fields:
        hint = suggestion(first, list(ExperimentFile.model_fields))
        below = f"keys of FederatedScope's configuration are below it: federatedscope.config.{key.strip()}"
        raise _wrong(given, f"{first}: unknown key", f"{hint}; {below}" if hint else below)
    found = parse_values(values, given)
    _refuse_repeated(found, given)
    return Grid(key.strip(), tuple(found))


def _refuse_repeated(values: Sequence[Any], given: str) -> None:
    written = [shown(value) for value in values]
    twice = next((value for number, value in enumerate(written) if value in written[:number]), None)
    if twice is not None:
        raise _wrong(given, f"{twice} is there twice", "write each once")


def _contradictions(grids: Sequence[Grid], target: float | None) -> list[SpecError]:
    """Keys that are given twice: as a whole and in part, or by two options."""
    errors = []
    paths = [(grid, parse_key(grid.key, GRID)) for grid in grids]
    for (one, first), (other, second) in itertools.combinations(paths, 2):
        shorter = min(len(first), len(second))
        if first[:shorter] == second[:shorter]:
            message = "is given twice" if first == second else f"overlaps with {GRID} {other.key}"
            hint = "write all its values in one --grid" if first == second else "vary one of the two"
            errors.append(SpecError(f"{GRID} {one.key}", 0, 0, "", message, hint))
    if target is not None and any(path == ("course", "target") for _, path in paths):
        message = f"contradicts {TARGET} {target:g}"
        errors.append(SpecError(f"{GRID} course.target", 0, 0, "", message, "give one of them"))
    return errors


def _grid_override(key: str, value: Any) -> Override:
    return Override(key, value, f"{GRID} {key}={shown(value)}")


def _wrong(given: str, message: str, hint: str) -> SpecErrors:
    return SpecErrors([SpecError(given, 0, 0, "", message, hint)])
