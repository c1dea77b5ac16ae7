"""What a run holds of its lab host, as its agent says it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fedsim_runner.agent.holds import what_is_held
from fedsim_runner.contract.claim import own_control, take_claim
from fedsim_runner.contract.paths import StateFolder
from tests.device_files import device, device_file


def test_a_run_holds_what_its_devices_were_given_until_its_course_is_over(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "study")
    take_claim(state, replace(own_control("test"), user="ada"), make=True)
    devices = (
        device("server", "server", 0, cpus=1.0),
        device("pi-1", gpus=2, gpu_ids=("0", "GPU-8f")),
        device("pi-2", index=2, cpus=None),
    )
    state.device_file.write_text(replace(device_file(*devices), expected_memory_bytes=77).as_text())
    given = {
        "cpu_factor": 1.0,
        "devices": {
            "server": {"cpus": 1.0, "gpu_ids": []},
            "pi-1": {"cpus": 0.5, "gpu_ids": ["0", "GPU-8f"]},
            "pi-2": {"cpus": None, "gpu_ids": []},
        },
    }
    held = {"user": "ada", "cpus": 1.5, "memory_bytes": 77, "gpu_ids": ["0", "GPU-8f"]}
    assert what_is_held(state, course_ended=False) == held | given
    nothing = {"user": "ada", "cpus": 0.0, "memory_bytes": 0, "gpu_ids": []}
    assert what_is_held(state, course_ended=True) == nothing | given
