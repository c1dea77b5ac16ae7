"""``make soak``: hundreds of drawn moments, and every scenario; what has held before is not played again.

``python -m tests.faults.soak`` plays the scenarios, 200 interruptions and 100 courses, one after the other, and prints
whether each held. Its record is a line for each in ``build/soak/record.jsonl``; the next call goes on where this one
ended and tries again what did not hold. What a run wrote that did not hold is kept in ``build/soak/NAME``.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import docker

from tests.federatedscope import SETTINGS, SOURCE

from . import drawn
from .catalogue import all_scenarios
from .play import play
from .scenario import Scenario

FOLDER = Path("build/soak")
RECORD = "record.jsonl"


class Record:
    """What was played so far: one line for each scenario, the last one counts."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORD
        self._held: dict[str, bool] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                self._note(json.loads(line))

    def _note(self, entry: dict[str, Any]) -> None:
        self._held[entry["name"]] = entry["held"]

    def add(self, scenario: Scenario, problems: Sequence[str], took_s: float) -> None:
        """Add a scenario that was played."""
        entry = {
            "name": scenario.name,
            "what": scenario.holds,
            "held": not problems,
            "seconds": round(took_s, 1),
            "problems": list(problems),
        }
        self._note(entry)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")

    def held(self, name: str) -> bool | None:
        """Whether the scenario held; None if it was not played."""
        return self._held.get(name)


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in order as text: ``1-4, 7``; "none" if there are none."""
    parts: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1] = (parts[-1][0], number)
        else:
            parts.append((number, number))
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in parts) or "none"


def summary(record: Record, kind: str, names: Sequence[str]) -> str:
    """One line for the seeds of a kind: which held, which did not, which are still to be played."""
    found: dict[bool | None, list[int]] = {True: [], False: [], None: []}
    for seed, name in enumerate(names, 1):
        found[record.held(name)].append(seed)
    return f"{kind}: held {ranges(found[True])}; failed {ranges(found[False])}; not played {ranges(found[None])}"


def soak(
    scenarios: Iterable[Scenario], record: Record, played: Callable[[Scenario], list[str]], seconds: float = math.inf
) -> Iterator[str]:
    """Play what has not held yet, and begin nothing more after ``seconds``; one line for each when it is over."""
    end = time.monotonic() + seconds
    for scenario in scenarios:
        if record.held(scenario.name):
            continue
        if time.monotonic() > end:
            return
        began = time.monotonic()
        problems = played(scenario)
        took_s = time.monotonic() - began
        record.add(scenario, problems, took_s)
        yield f"{scenario.name}: {'FAILED' if problems else 'held'} ({took_s:.0f} s): {scenario.holds}"
        yield from (f"    {problem.splitlines()[0]}" for problem in problems)


def _play_in(folder: Path, engine: docker.DockerClient) -> Callable[[Scenario], list[str]]:
    def played(scenario: Scenario) -> list[str]:
        where = folder.resolve() / scenario.name
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir(parents=True)
        problems = play(scenario, engine, where)
        if not problems:
            shutil.rmtree(where)
        return problems

    return played


def main(arguments: Sequence[str] | None = None) -> int:
    """Play and print; 1 if something did not hold, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="Faults at drawn moments.")
    parser.add_argument("--interruptions", type=int, default=200, metavar="N", help="seeds 1 to N (200)")
    parser.add_argument("--courses", type=int, default=100, metavar="N", help="seeds 1 to N (100)")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, metavar="N", help="begin nothing more after that time"
    )
    parser.add_argument("--no-scenarios", action="store_true", help="without the scenarios that are written down")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"of the record and the failed runs ({FOLDER})")
    chosen = parser.parse_args(arguments)

    engines = ("light", "federatedscope") if SOURCE else ("light",)
    if not SOURCE:
        print(f"no course runs FederatedScope itself: {SETTINGS} name none")
    written = [one for one in all_scenarios() if one.start.engine in engines]
    kinds: dict[str, list[Scenario]] = {
        "scenarios": [] if chosen.no_scenarios else written,
        "interruptions": [drawn.interruption(seed) for seed in range(1, chosen.interruptions + 1)],
        "courses": [drawn.course(seed, engines) for seed in range(1, chosen.courses + 1)],
    }
    record = Record(chosen.folder)
    code = 0
    engine = docker.from_env(timeout=60)
    try:
        every = [scenario for scenarios in kinds.values() for scenario in scenarios]
        for line in soak(every, record, _play_in(chosen.folder, engine), chosen.minutes * 60):
            print(line, flush=True)
    except KeyboardInterrupt:
        code = 130
    finally:
        engine.close()
    for kind, scenarios in kinds.items():
        names = [scenario.name for scenario in scenarios]
        print(summary(record, kind, names))
        code = code or int(any(record.held(name) is False for name in names))
    for name in (one.name for scenarios in kinds.values() for one in scenarios if record.held(one.name) is False):
        print(f"  failed: {name}: {chosen.folder / name}")
    return code


if __name__ == "__main__":
    sys.exit(main())
