"""What an inventory states about a lab host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.lab.lab_variables import HOST_VARIABLES, PLAY_VARIABLES, HostSettings, host_settings
from tests.conftest import REPOSITORY


def test_everything_that_can_be_stated() -> None:
    stated = {
        "fedsim_labels": {"site": "north", "gpu": "a100"},
        "fedsim_cpus": "3.5",
        "fedsim_memory": "16GB",
        "fedsim_gpus": 2,
        "fedsim_lab_address": "10.0.0.7",
        "fedsim_state_root": "/srv/fedsim",
        "fedsim_processor": "throttled EPYC",
        "fedsim_lab_port": "14000",
        "fedsim_registry": "registry.example:5000/team",
        "ansible_user": "lab",
    }
    settings = HostSettings(
        {"site": "north", "gpu": "a100"}, 3.5, 16 * 2**30, ("0", "1"), "10.0.0.7", Path("/srv/fedsim"), "throttled EPYC"
    )
    assert host_settings(stated) == (settings, [])
    assert host_settings({"fedsim_gpus": ["1", 3]})[0].gpu_ids == ("1", "3")
    assert host_settings({}) == (HostSettings(), [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fedsim_labels", {"rack": 3}),
        ("fedsim_labels", ["north"]),
        ("fedsim_labels", {"site": "two words"}),
        ("fedsim_cpus", 0),
        ("fedsim_cpus", True),
        ("fedsim_cpus", "many"),
        ("fedsim_memory", 16),
        ("fedsim_memory", "0GB"),
        ("fedsim_gpus", [1, 1]),
        ("fedsim_gpus", 0),
        ("fedsim_lab_address", "127.0.0.1"),
        ("fedsim_lab_address", "lab1"),
        ("fedsim_processor", " "),
        ("fedsim_processor", "two\nlines"),
        ("fedsim_lab_port", 65535),
        ("fedsim_lab_port", "many"),
        ("fedsim_registry", "https://registry.example"),
        ("fedsim_state_root", "fedsim"),
        ("fedsim_gpus", 10**9),
        ("fedsim_gpus", ["0 1"]),
        ("fedsim_gpus", ["GPU-8f"]),
        ("fedsim_gpus", [1, "1"]),
        ("fedsim_cpus", 10**400),
        ("fedsim_memory", "9" * 400 + "GB"),
        *((name, value) for name in HOST_VARIABLES for value in (None, [], {1: 2}, float("nan"), -1)),
    ],
)
def test_a_mistake_names_the_variable_and_what_it_must_be(name: str, value: Any) -> None:
    _, mistakes = host_settings({name: value})
    (mistake,) = mistakes
    assert mistake.startswith(f"{name} is {value!r}"[:60])
    assert mistake.endswith(f", and must be {HOST_VARIABLES[name]}")
    assert len(mistake) < 300


def test_a_variable_that_nothing_reads_is_a_mistake() -> None:
    assert host_settings({"fedsim_label": {}})[1] == ['unknown variable fedsim_label (did you mean "fedsim_labels"?)']


def test_variables_of_plays_may_be_set_for_a_host() -> None:
    for name in PLAY_VARIABLES:
        assert any(name in path.read_text(encoding="utf-8") for path in (REPOSITORY / "playbooks").rglob("*.yml")), name
