"""``make soak``: hundreds of drawn moments, and every scenario; what has held before is not played again.

``python -m tests.faults.soak`` plays the scenarios one after the other, since some of them change the machine, then 200
interruptions and 100 courses, as many at once as ``--jobs`` says, and prints whether each held. Its record is a line
for each in ``build/soak/record.jsonl``; the next call goes on where this one ended and tries again what did not hold.
What a run wrote that did not hold is kept in ``build/soak/NAME``.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import docker

from tests.federatedscope import SETTINGS, SOURCE
from tests.lab.lab_hosts.lab import running

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
    scenarios: Iterable[Scenario],
    record: Record,
    played: Callable[[Scenario], Sequence[str]],
    seconds: float = math.inf,
    jobs: int = 1,
) -> Iterator[str]:
    """Play what has not held yet, so many at once; lines for each that is over.

    Args:
        played: plays one and returns what is wrong, one sentence each; called in several threads.
        seconds: after which nothing more is begun.
    """
    end = time.monotonic() + seconds

    def timed(scenario: Scenario) -> tuple[Sequence[str], float] | None:
        began = time.monotonic()
        return None if began > end else (played(scenario), time.monotonic() - began)

    pool = ThreadPoolExecutor(jobs)
    try:
        begun = {pool.submit(timed, scenario): scenario for scenario in scenarios if not record.held(scenario.name)}
        for future in as_completed(begun):
            result = future.result()
            if result is None:
                continue
            scenario, (problems, took_s) = begun[future], result
            record.add(scenario, problems, took_s)
            yield f"{scenario.name}: {'FAILED' if problems else 'held'} ({took_s:.0f} s): {scenario.holds}"
            yield from (f"    {problem.splitlines()[0]}" for problem in problems)
    finally:
        pool.shutdown(cancel_futures=True)


def play_here(scenario: Scenario, folder: Path) -> list[str]:
    """Play one in a folder with its name, which stays if something is wrong; return what is."""
    where = folder.resolve() / scenario.name
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    with ExitStack() as stack:
        engine = stack.enter_context(closing(docker.from_env(timeout=60)))
        lab = stack.enter_context(running(where / "lab", 3)) if scenario.lab else None
        problems = play(scenario, engine, where, lab)
    if not problems:
        shutil.rmtree(where)
    return problems


def play_elsewhere(scenario: Scenario, folder: Path) -> list[str]:
    """Play one in a process of its own, which Ctrl-C reaches as well: it ends its run before it ends itself."""
    command = [sys.executable, "-m", "tests.faults.soak", "--play", scenario.name, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        return list(json.loads(done.stdout))
    except ValueError:
        return [f"it was not played: exit code {done.returncode}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Play and print; 1 if something did not hold, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="Faults at drawn moments.")
    parser.add_argument("--interruptions", type=int, default=200, metavar="N", help="seeds 1 to N (200)")
    parser.add_argument("--courses", type=int, default=100, metavar="N", help="seeds 1 to N (100)")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, metavar="N", help="begin nothing more after that time"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many interruptions or courses at once (1)")
    parser.add_argument("--play", metavar="NAME", help="only this one, and print what is wrong as JSON")
    parser.add_argument("--no-scenarios", action="store_true", help="without the scenarios that are written down")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"of the record and the failed runs ({FOLDER})")
    chosen = parser.parse_args(arguments)

    engines = ("light", "federatedscope") if SOURCE else ("light",)
    if not SOURCE and not chosen.play:
        print(f"no course runs FederatedScope itself: {SETTINGS} name none")
    written = [one for one in all_scenarios() if one.start.engine in engines]
    kinds: dict[str, list[Scenario]] = {
        "scenarios": [] if chosen.no_scenarios else written,
        "interruptions": [drawn.interruption(seed) for seed in range(1, chosen.interruptions + 1)],
        "courses": [drawn.course(seed, engines) for seed in range(1, chosen.courses + 1)],
    }
    if chosen.play:
        (scenario,) = (one for scenarios in kinds.values() for one in scenarios if one.name == chosen.play)
        print(json.dumps(play_here(scenario, chosen.folder)))
        return 0

    def played(scenario: Scenario) -> list[str]:
        return play_elsewhere(scenario, chosen.folder)

    record = Record(chosen.folder)
    code = 0
    end = time.monotonic() + chosen.minutes * 60
    try:
        for scenarios, jobs in ((kinds["scenarios"], 1), (kinds["interruptions"] + kinds["courses"], chosen.jobs)):
            for line in soak(scenarios, record, played, end - time.monotonic(), jobs):
                print(line, flush=True)
    except KeyboardInterrupt:
        code = 130
    for kind, scenarios in kinds.items():
        names = [scenario.name for scenario in scenarios]
        print(summary(record, kind, names))
        code = code or int(any(record.held(name) is False for name in names))
    for name in (one.name for scenarios in kinds.values() for one in scenarios if record.held(one.name) is False):
        print(f"  failed: {name}: {chosen.folder / name}")
    return code


if __name__ == "__main__":
    sys.exit(main())
