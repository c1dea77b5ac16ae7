"""Every scenario that is not left to ``make soak``, each on this machine's Docker Engine."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from tests.faults.catalogue import all_scenarios
from tests.faults.play import play
from tests.faults.scenario import Scenario
from tests.federatedscope import SETTINGS, SOURCE


def _parameter(scenario: Scenario) -> object:
    # Those on a lab share one, which is started once: they are played one after the other.
    marks = [pytest.mark.alone] if scenario.alone or scenario.lab else []
    if scenario.start.engine == "federatedscope":
        marks.append(pytest.mark.skipif(not SOURCE, reason=f"no FederatedScope to run: {SETTINGS} name none"))
    return pytest.param(scenario, id=scenario.name, marks=marks)


@pytest.mark.parametrize("scenario", [_parameter(scenario) for scenario in all_scenarios() if not scenario.soak])
def test_scenario(
    scenario: Scenario, engine: docker.DockerClient, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    lab = request.getfixturevalue("three_lab_hosts") if scenario.lab else None
    problems = play(scenario, engine, tmp_path, lab)
    assert not problems, f"{scenario.holds}\n" + "\n".join(problems)
