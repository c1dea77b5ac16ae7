"""Names of containers: no two things of any two runs have the same."""

from __future__ import annotations

import itertools

from fedsim_runner.contract.names import RUN_PATTERN, agent_name, container_name, network_name

PARTS = ("a", "agent", "network", "-", "--agent", "-a")


def test_names_of_different_runs_do_not_collide() -> None:
    texts = {"".join(parts) for length in (1, 2, 3) for parts in itertools.product(PARTS, repeat=length)}
    runs = sorted(text for text in texts if RUN_PATTERN.fullmatch(text))
    devices = [run for run in runs if not run.endswith("-")]
    names = [container_name(run, device) for run in runs for device in devices]
    names += [name(run) for run in runs for name in (agent_name, network_name)]
    assert len(set(names)) == len(names)
    assert container_name("x-y", "z") != container_name("x", "y-z")
