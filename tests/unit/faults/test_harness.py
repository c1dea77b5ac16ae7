"""The scenarios of tests/faults can be played, and their verdicts see what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.runs.experiment_file import load_experiment
from fedsim_runner.testbed.docker.stages import STAGES
from tests.faults import drawn, verdict
from tests.faults.catalogue import all_scenarios
from tests.faults.live_run import LiveRun
from tests.faults.scenario import Outcome, Scenario, Start
from tests.faults.soak import Record, ranges, soak, summary

SCENARIOS = all_scenarios()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.name))
def test_a_scenario_can_be_played(scenario: Scenario, tmp_path: Path) -> None:
    # The process id that is appended to the run's name has up to six digits.
    assert len(scenario.name) <= 40 and scenario.name.replace("-", "").isalnum() and scenario.name.islower()
    assert scenario.holds[0].isupper() or scenario.holds[0] == "`"
    assert scenario.steps or scenario.start.around is not nullcontext
    if scenario.start.engine == "light":  # the other one may not be there to check the file
        experiment = load_experiment(scenario.start.write(tmp_path))
        assert len(experiment.devices) == scenario.start.clients + 1


def test_the_names_of_scenarios_are_unique() -> None:
    assert [name for name, times in Counter(scenario.name for scenario in SCENARIOS).items() if times > 1] == []


def test_drawn_scenarios_repeat_and_differ() -> None:
    for draw in (drawn.interruption, drawn.course):
        drawings = [draw(seed).holds for seed in range(1, 101)]
        assert drawings == [draw(seed).holds for seed in range(1, 101)]
        assert len(set(drawings)) > 50
    names = {stage.name for stage in STAGES}
    assert set(drawn.WITH_DOCKER) - {""} <= names
    engines = Counter(drawn.course(seed).start.engine for seed in range(1, 101))
    assert engines == {"light": 50, "federatedscope": 50}


class Ended(LiveRun):
    """A run that is over, whose command printed these lines."""

    def __init__(self, folder: Path, *lines: str, code: int = 5) -> None:
        self.folder, self.where, self.run = folder, folder, "ended"
        self.lines, self.exit_code, self.stepped = list(lines), code, 1000.0
        self.left: list[str] = []
        self.copies: list[str] = []
        self.temporary = folder

    def left_over(self) -> list[str]:
        return self.left

    def copies_of_the_environment(self) -> list[str]:
        return self.copies


def write(folder: Path, status: str, reason: str, events: list[dict[str, Any]], rounds: int = 3) -> None:
    report = {"status": status, "reason": reason, "rounds": [{}] * rounds, "total_rounds": 3}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (folder / "journal.jsonl").write_text(lines, encoding="utf-8")


RIGHT = Outcome(5, noticed_s=10, says=("mote-1",), reason="mote-1 is frozen", blames="mote-1")
FAILED = {"event": "course_failed", "device": "mote-1", "t": 1004.0}
LOST = {"event": "client_lost", "device": "mote-1", "reason": "frozen", "t": 1004.0}


def all_problems(outcome: Outcome, run: LiveRun) -> list[str]:
    return [
        problem
        for part in (verdict.ending, verdict.report, verdict.journal, verdict.remains)
        for problem in part(outcome, run)
    ]


def test_a_right_end_has_no_problems(tmp_path: Path) -> None:
    write(tmp_path, "failed", "mote-1 is frozen", [FAILED])
    assert all_problems(RIGHT, Ended(tmp_path, "course failed:", "mote-1 is frozen")) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"exit": 0}, "exit code 5 instead of 0"),
        ({"exit": (0, 130)}, "exit code 5 instead of 0 or 130"),
        ({"says": ("mote-2",)}, "it did not say 'mote-2'"),
        ({"reason": "silent"}, "instead of 'silent'"),
        ({"blames": "mote-2"}, "instead of mote-2"),
        ({"lost": {"mote-1": "frozen"}}, "lost are [] instead of ['mote-1']"),
        ({"noticed_s": 3}, "noticed after [4.0] s instead of 3 s"),
        ({"finished": True}, "instead of 'finished'"),
        ({"collected": ("server",)}, "not collected from server: course/exp_print.log"),
    ],
)
def test_a_wrong_end_is_seen(changes: dict[str, Any], problem: str, tmp_path: Path) -> None:
    write(tmp_path, "failed", "mote-1 is frozen", [FAILED])
    (found,) = all_problems(replace(RIGHT, **changes), Ended(tmp_path, "mote-1 is frozen"))
    assert problem in found


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "object of type 'dict' has no attribute 'finished'",
        "unexpected {{ fedsim_run }}",
        "Error while evaluating conditional",
    ],
)
def test_what_nobody_may_see_is_seen(line: str, tmp_path: Path) -> None:
    write(tmp_path, "failed", "mote-1 is frozen", [FAILED])
    assert len(all_problems(RIGHT, Ended(tmp_path, "mote-1", line))) == 1
    write(tmp_path, "failed", f"mote-1 is frozen: {line}", [FAILED])
    assert len(all_problems(RIGHT, Ended(tmp_path, "mote-1"))) == 1


def test_a_wrong_reason_of_a_loss_and_missing_rounds_are_seen(tmp_path: Path) -> None:
    write(tmp_path, "finished", "", [LOST], rounds=2)
    outcome = Outcome(0, lost={"mote-1": "SIGKILL"}, finished=True)
    problems = all_problems(outcome, Ended(tmp_path, code=0))
    assert problems == [
        "2 of 3 rounds are in the report",
        "mote-1 is lost because of 'frozen' instead of 'SIGKILL'",
    ]


def test_what_is_left_is_seen(tmp_path: Path) -> None:
    run = Ended(tmp_path, code=0)
    run.left, run.copies = ["/fedsim-x-server"], ["/tmp/env"]
    (tmp_path / "fedsim-ansible-1").mkdir()
    assert all_problems(Outcome(0), run) == [
        f"temporary folders are left: {tmp_path}/fedsim-ansible-1",
        "left: /fedsim-x-server",
        "the user's environment is left in /tmp/env",
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_soak_goes_on_where_it_was_ended_and_says_what_held(tmp_path: Path, jobs: int) -> None:
    played: list[str] = []

    def play(scenario: Scenario) -> list[str]:
        played.append(scenario.name)
        return ["it hung\nfor ever"] if scenario.name == "s-2" and played.count("s-2") == 1 else []

    scenarios = [Scenario(f"s-{n}", "A run", Start(), (), Outcome(0)) for n in range(1, 5)]
    names = [scenario.name for scenario in scenarios]
    lines = list(soak(scenarios[:3], Record(tmp_path), play, jobs=jobs))
    assert sorted(line.partition(" (")[0] for line in lines) == ["    it hung", "s-1: held", "s-2: FAILED", "s-3: held"]
    assert summary(Record(tmp_path), "runs", names) == "runs: held 1, 3; failed 2; not played 4"
    assert list(soak(scenarios, Record(tmp_path), play, seconds=-1)) == []
    assert len(list(soak(scenarios, Record(tmp_path), play))) == 2
    assert sorted(played) == ["s-1", "s-2", "s-2", "s-3", "s-4"]
    assert summary(Record(tmp_path), "runs", names) == "runs: held 1-4; failed none; not played none"


def test_ranges() -> None:
    assert ranges([]) == "none"
    assert ranges([3, 1, 2, 7, 9, 10]) == "1-3, 7, 9-10"
