"""Runs that are started from Python: plain processes, as no Engine is needed to see how they are awaited and ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedsim_runner.api import Exit, FedsimError, RunFailedError, StartedRun, open_run, run, start
from fedsim_runner.runs import hold

PREFIX = hold.PREFIX
QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart.yaml"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the quickstart with one client and other settings; runs leave their traces in the test's folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    # The runs are those of another process, which the fixture for all unit tests does not reach.
    monkeypatch.setattr(hold, "PREFIX", PREFIX)

    def written(name: str = "study", **federate: Any) -> Path:
        tree = yaml.safe_load(QUICKSTART.read_text(encoding="utf-8"))
        tree["name"], tree["devices"] = name, tree["devices"][:2]
        tree["federatedscope"]["config"]["federate"].update(federate)
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return path

    return written


def wait_until_training(started: StartedRun) -> None:
    end = time.monotonic() + 60
    while "round 2/" not in started.output:
        assert time.monotonic() < end and started.in_progress, started.output
        time.sleep(0.1)


def test_mistakes_are_raised_before_anything_is_started(write: Write, tmp_path: Path) -> None:
    with pytest.raises(FedsimError, match=r"study\.yaml:\d+: .*total_round_num.*must be at least 1"):
        start(write(total_round_num=0), docker=False)
    with pytest.raises(FedsimError, match=r"gone\.yaml"):
        start(tmp_path / "gone.yaml")
    with pytest.raises(FedsimError, match="'No Name' is not a run name"):
        start(write(), name="No Name")
    for option in ("--seeds=1,2", "--run"):
        with pytest.raises(FedsimError, match=f"{option} is not an option here: "):
            start(write(), options=[option])
    assert not (tmp_path / "runs").exists()


@pytest.mark.course
def test_a_run_is_awaited(write: Write, tmp_path: Path) -> None:
    async def one() -> Any:
        return await start(write(total_round_num=2), docker=False)

    finished = asyncio.run(one())
    assert finished.status == "finished"
    assert len(finished.rounds) == 2
    assert finished.model().rounds == 2
    assert finished.folder.parent == tmp_path / "runs"
    assert open_run(finished.name).name == finished.name
    # The name is taken now, and its results are not those of a run that was refused.
    with pytest.raises(RunFailedError, match="holds the results of an earlier run") as caught:
        run(write(), docker=False, name=finished.name)
    assert caught.value.exit is Exit.SPEC
    assert caught.value.run is None


@pytest.mark.course
def test_a_run_that_is_stopped_leaves_what_it_has(write: Write) -> None:
    started = start(write(total_round_num=100_000), docker=False)
    try:
        wait_until_training(started)
        assert repr(started) == f"<run {started.name}: in progress>"
        assert open_run(started.name).status == started.status()["state"] == "running"
        with pytest.raises(TimeoutError, match=r"still in progress after 0\.1 s"):
            started.wait(timeout=0.1)
    finally:
        started.stop(timeout=60)
    started.stop()
    with pytest.raises(RunFailedError, match="ended with exit code 130: interrupted") as caught:
        started.wait()
    assert caught.value.exit is Exit.INTERRUPTED
    assert caught.value.run is not None
    assert caught.value.run.status == started.wait(check=False).status == "interrupted"
    assert len(caught.value.run.rounds) > 0


@pytest.mark.course
def test_the_options_of_the_command_can_be_given(write: Write) -> None:
    with pytest.raises(RunFailedError, match="No such option") as caught:
        start(write(), docker=False, options=["--no-such-option"]).wait()
    assert caught.value.exit is Exit.SPEC
