"""Where libraries write by default in a participant."""

from __future__ import annotations

from pathlib import Path

from fedsim_runner.participant.federatedscope import scratch


def test_everything_lands_in_one_folder_but_weights_that_are_there_are_found(tmp_path: Path) -> None:
    environment = {"HOME": "/root", "TORCH_HOME": "/nowhere", "LANG": "C"}
    scratch.use(tmp_path, environment)
    assert environment == {"LANG": "C", **dict.fromkeys(scratch.VARIABLES, str(tmp_path))}
    (tmp_path / "weights").mkdir()
    environment["TORCH_HOME"] = str(tmp_path / "weights")
    scratch.use(tmp_path, environment)
    assert environment["TORCH_HOME"] == str(tmp_path / "weights")
    assert environment["HOME"] == str(tmp_path)
