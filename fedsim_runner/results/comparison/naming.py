"""Which runs are repeats of one experiment, and what their group is called."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedsim_runner.contract.errors import Exit, FedsimError

from ..page.formats import text

GROUPINGS = ("spec", "name", "run")
Marks = set[tuple[str, ...]]


@dataclass(frozen=True)
class GroupedRun:
    """What is known of a run. ``spec``: its experiment with all defaults, if the run folder has it."""

    folder: Path
    report: Mapping[str, Any]
    spec: Mapping[str, Any] | None
    manifest: Mapping[str, Any]

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        return str(self.report.get("experiment") or self.manifest.get("experiment") or self.report["run"])

    @property
    def without_docker(self) -> bool:
        return bool(self.manifest.get("mode") == "processes")

    @property
    def point(self) -> dict[str, Any]:
        """The values that options gave in place of the file's, except the seed."""
        overrides = self.manifest.get("overrides")
        return {key: overrides[key] for key in overrides if key != "seed"} if isinstance(overrides, dict) else {}


def name_groups(runs: Sequence[GroupedRun], grouping: str) -> list[str]:
    """Return the name of each run's group.

    A group of a sweep is named after its values of the keys that differ. If names collide, groups of one run take the
    run's name, others a number.

    Args:
        grouping: one of :data:`GROUPINGS`, or keys of a sweep's grid, joined by commas.

    Raises:
        FedsimError: no run has such keys.
    """
    keys = _keys(runs, grouping)
    # Those of an experiment that was never varied say nothing of it.
    varied: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        varied[run.experiment].update(run.point)
    labels = {name: _labels([key for key in keys if key in found]) for name, found in varied.items()}
    several = len(varied) > 1
    known: list[Marks] = []  # by group: the marks that identify its runs
    groups: list[int] = []
    titles = []
    for run in runs:
        title = str(run.report["run"]) if grouping == "run" else _title(run, labels[run.experiment], several)
        marks = _marks(run, title, grouping)
        index = next((index for index, group in enumerate(known) if group & marks), len(known))
        if index == len(known):
            known.append(set())
        known[index] |= marks
        groups.append(index)
        titles.append(title)
    same: dict[str, list[int]] = defaultdict(list)
    for index, title in zip(groups, titles, strict=True):
        if index not in same[title]:
            same[title].append(index)
    names = []
    for index, title, run in zip(groups, titles, runs, strict=True):
        place = same[title].index(index)
        if len(same[title]) == 1:
            names.append(title)
        elif groups.count(index) == 1:
            names.append(str(run.report["run"]))
        else:
            names.append(title if place == 0 else f"{title} #{place + 1}")
    return names


def without_seed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return an experiment without what repeats differ in."""
    # ``source``, the text of the file, contains the seed as well, and all comments; ``overrides`` has it, too.
    return {key: value for key, value in spec.items() if key not in ("seed", "source", "overrides")}


def _keys(runs: Sequence[GroupedRun], grouping: str) -> list[str]:
    """Return the keys whose values name the groups: those asked for, or those that differ."""
    given = list(dict.fromkeys(key for run in runs for key in run.point))
    if grouping in GROUPINGS:
        return [] if grouping == "name" else [key for key in given if _differs(runs, key)]
    asked = [key.strip() for key in grouping.split(",")]
    found = {key: [key] if key in given else [one for one in given if one.endswith(f".{key}")] for key in asked}
    if any(not ones for ones in found.values()):
        also = f", or keys of the grid: {', '.join(given)}" if given else ""
        raise FedsimError(f"--group {grouping}: unknown, choose one of {', '.join(GROUPINGS)}{also}", Exit.SPEC)
    for key, ones in found.items():
        if len(ones) > 1:
            raise FedsimError(f"--group {key}: may mean each of {', '.join(ones)}: write the whole key", Exit.SPEC)
    return [one for ones in found.values() for one in ones]


def _differs(runs: Sequence[GroupedRun], key: str) -> bool:
    """Return whether the runs of an experiment have several values of a key."""
    values: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        values[run.experiment].add(_value(run, key))
    return any(len(found) > 1 for found in values.values())


def _labels(keys: Sequence[str]) -> dict[str, str]:
    """Return what each key is called: its last part, unless two have the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def _title(run: GroupedRun, labels: Mapping[str, str], several: bool) -> str:
    values = ", ".join(f"{label}={_value(run, key)}" for key, label in labels.items())
    named = f"{run.experiment}: {values}" if values and several else values or run.experiment
    return f"{named} (without Docker)" if run.without_docker else named


def _value(run: GroupedRun, key: str) -> str:
    value = run.point.get(key, "as in the file")
    return json.dumps(value) if isinstance(value, dict | list) else text(value)


def _marks(run: GroupedRun, title: str, grouping: str) -> Marks:
    """Return what identifies a run's experiment: its content except the seed, its file, its point in its sweep; without
    any of these, its name."""
    if grouping == "run":
        return {(str(run.folder),)}
    if grouping != "spec":
        return {(title,)}
    marks: Marks = set()
    mode = str(run.without_docker)
    if run.spec:
        digest = hashlib.sha256(json.dumps(without_seed(run.spec), sort_keys=True).encode()).hexdigest()
        marks.add(("experiment", digest, mode))
    if run.manifest.get("spec_sha256"):
        marks.add(("file", str(run.manifest["spec_sha256"]), mode))
    if run.manifest.get("sweep"):
        marks.add(("sweep", str(run.manifest["sweep"]), json.dumps(run.point, sort_keys=True), mode))
    return marks or {("name", run.experiment, mode)}
