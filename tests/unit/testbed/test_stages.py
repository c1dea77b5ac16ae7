"""The stages as data: they match the plays, and every end of a run is covered."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fedsim_runner.testbed.docker.stages import STAGES
from fedsim_runner.testbed.stages import clean_up, exit_of, stage_named

NOTHING: list[str] = []


def plays(playbook: Path) -> list[str]:
    """Names of a playbook's plays in lower case, with those of imported playbooks in place."""
    names = []
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        imported = play.get("ansible.builtin.import_playbook")
        names += plays(_file(playbook, imported)) if imported else [play["name"].lower()]
    return names


def _file(playbook: Path, imported: str) -> Path:
    return playbook.parent / (imported if imported.endswith(".yml") else f"{imported.rpartition('.')[2]}.yml")


def test_the_stages_of_a_run_are_its_plays_in_order(repository: Path) -> None:
    of_a_run = plays(repository / "playbooks" / "run_experiment.yml")
    assert [stage.name for stage in STAGES if stage.name in of_a_run] == of_a_run


def test_every_play_is_a_stage(repository: Path) -> None:
    named = {name for path in (repository / "playbooks").glob("*.yml") for name in plays(path)}
    assert named == {stage.name for stage in STAGES}


def test_a_stage_that_fails_is_ended_by_its_own_play(repository: Path) -> None:
    stages = {stage.name: stage for stage in STAGES}
    ended = {}
    for playbook in ("provision.yml", "course.yml"):
        for play in yaml.safe_load((repository / "playbooks" / playbook).read_text(encoding="utf-8")):
            for block in (task for task in play["tasks"] if "rescue" in task):
                [rescue] = block["rescue"]
                assert rescue["ansible.builtin.include_tasks"] == "tasks/failed_stage.yml"
                ended[play["name"].lower()] = rescue["vars"]["failed_stage_collects"]
    names = [stage.name for stage in STAGES]
    of_a_run = names[names.index("lab host") : names.index("collect")]
    assert ended == {name: stages[name].collect for name in of_a_run}


@pytest.mark.parametrize(
    ("stage", "exit", "steps", "steps_if_kept"),
    [
        (None, 4, ["destroy"], NOTHING),
        ("preflight", 3, NOTHING, NOTHING),
        ("lab host", 3, NOTHING, NOTHING),
        ("images", 4, ["destroy"], NOTHING),
        ("participants", 4, ["destroy"], NOTHING),
        ("network", 4, ["destroy"], NOTHING),
        ("agent", 4, ["destroy"], NOTHING),
        ("devices", 4, ["collect", "destroy"], ["collect"]),
        ("links", 4, ["collect", "destroy"], ["collect"]),
        ("course", 5, ["collect", "destroy"], ["collect"]),
        ("collect", 5, ["collect", "destroy"], ["collect"]),
        ("teardown", 4, ["destroy"], NOTHING),
        ("report", 5, NOTHING, NOTHING),
        ("verdict", 5, NOTHING, NOTHING),
        ("doctor", 3, NOTHING, NOTHING),
        ("probe", 3, NOTHING, NOTHING),
    ],
)
def test_every_end_of_a_run(stage: str | None, exit: int, steps: list[str], steps_if_kept: list[str]) -> None:
    failed = stage_named(STAGES, stage)
    assert (exit_of(failed), exit_of(failed, 6), exit_of(failed, 99)) == (exit, 6, exit)
    assert (clean_up(failed, keep=False), clean_up(failed, keep=True)) == (steps, steps_if_kept)
