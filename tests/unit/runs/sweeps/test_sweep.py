"""Sweeps on a testbed that only records calls: what is executed, resumed, reported and found by its name."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.runs import lookup
from fedsim_runner.runs.hold import hold
from fedsim_runner.runs.options import RunOptions
from fedsim_runner.runs.registry import Registry
from fedsim_runner.runs.sweeps import execution
from fedsim_runner.runs.sweeps.folder import find_sweep, read_sweep
from fedsim_runner.runs.sweeps.members import read_request
from fedsim_runner.runs.sweeps.rerun import rerun_sweep
from fedsim_runner.runs.sweeps.start import run_sweep
from fedsim_runner.testbed.values import Listener, Order
from tests.e2e.conftest import small_spec
from tests.fake_testbed import FakeTestbed

# Manifests name the checkout's commit, which another program says.
pytestmark = pytest.mark.process
WORDS = ["fedsim-provision", "run", "small.yaml"]


class Lab(FakeTestbed):
    """Its courses finish in two rounds, except those of runs that end with one of ``fails``; with ``stops`` in place of
    that, the user interrupts them. ``late``: the signal comes when there is nothing left to stop."""

    def __init__(self, fails: Sequence[str] = (), stops: Sequence[str] = (), late: bool = False) -> None:
        super().__init__()
        self.executed: list[str] = []
        self._fails, self._stops, self._late = tuple(fails), tuple(stops), late

    def follow(self, order: Order, listener: Listener) -> None:
        self.executed.append(order.run)
        self._fails_in = "course" if self._fails and order.run.endswith(self._fails) else None
        stops = bool(self._stops) and order.run.endswith(self._stops)
        if stops and not self._late:
            interrupt(listener)
        super().follow(order, listener)
        accuracy = 0.6 + 0.1 * (order.plan.experiment.seed % 3)
        events = [
            {"t": 10.0, "event": "gate_opened", "open_at": 10.0},
            *({"t": 10.0 + n, "event": "round_started", "round": n} for n in (1, 2)),
            *({"t": 10.5 + n, "event": "evaluated", "round": n, "results": {"test_acc": accuracy}} for n in (1, 2)),
            {"t": 13.0, "event": "course_finished", "rounds": 2, "results": {"test_acc": accuracy}},
        ]
        (order.folder / "journal.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events), encoding="utf-8")
        if stops and self._late:
            interrupt(listener)


def interrupt(listener: Listener) -> None:
    """The user presses Ctrl-C, and the command has seen it."""
    os.kill(os.getpid(), signal.SIGINT)
    end = time.monotonic() + 10
    while not listener.cancelled() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures, except of real courses: they take longer than all the rest."""
    if not request.node.get_closest_marker("drawing"):
        monkeypatch.setattr("fedsim_runner.results.figures.draw_all", lambda run_dir, report: ({}, []))
        monkeypatch.setattr("fedsim_runner.results.figures.comparison.draw_comparison", lambda compared: {})


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return small_spec(tmp_path, "small", rounds=2)


def sweep(
    spec: Path, testbed: FakeTestbed, seeds: str | None = "1,2", grids: Sequence[str] = (), run: str | None = "mine"
) -> tuple[Exit, dict[str, Any], str]:
    console = Console(file=io.StringIO(), width=300)
    options = RunOptions(run, Path("runs"))
    code, compared = run_sweep(spec, read_request(seeds, grids, None), options, console, testbed, WORDS)
    assert isinstance(console.file, io.StringIO)
    return code, compared, console.file.getvalue()


def content(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return loaded


def test_all_runs_are_executed_and_compared(spec: Path) -> None:
    lab = Lab()
    code, compared, printed = sweep(spec, lab, "1,2,3", ["course.timeout=60,90"])
    assert code is Exit.DONE
    assert lab.executed == [f"mine-p{point}-s{seed}" for seed in (1, 2, 3) for point in (1, 2)]
    assert "run 2 of 6: mine-p2-s1 (course.timeout=90, seed=1)" in printed
    assert [(group["group"], group["runs"]) for group in compared["groups"]] == [("timeout=60", 3), ("timeout=90", 3)]
    first = compared["groups"][0]
    # Student's t for three values: 4.303 of their standard error.
    assert first["final_accuracy_mean"] == pytest.approx(0.7)
    assert first["final_accuracy_ci95"] == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)
    page = Path("runs/mine/comparison.html").read_text(encoding="utf-8")
    assert '<a href="mine-p2-s1/report.html">mine-p2-s1</a>' in page
    manifest = content("runs/mine/mine-p2-s1/manifest.json")
    assert (manifest["sweep"], manifest["seed"]) == ("mine", 1)
    assert manifest["overrides"] == {"course.timeout": 90, "seed": 1}
    text = Path("runs/mine/mine-p2-s1/experiment.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[1:3] == ["#   course.timeout: 90", "#   seed: 1"]
    assert text.endswith(spec.read_text(encoding="utf-8"))


def test_an_interrupted_sweep_goes_on_where_it_was(spec: Path) -> None:
    stopped = Lab(stops=["s2"])
    code, compared, printed = sweep(spec, stopped, "1,2,3")
    assert (code, compared, stopped.executed) == (Exit.INTERRUPTED, {}, ["mine-s1", "mine-s2"])
    assert stopped.there == {}, "its testbed was torn down"
    assert "1 of 3 runs have finished; resume with: fedsim-provision run small.yaml --run mine" in printed
    lab = Lab()
    code, compared, printed = sweep(spec, lab, "1,2,3,4")
    assert (code, lab.executed) == (Exit.DONE, ["mine-s2", "mine-s3", "mine-s4"])
    assert "run 1 of 4: mine-s1 (seed=1): has finished before" in printed
    assert len(compared["runs"]) == 4
    assert content("runs/mine/unfinished/mine-s2-1/report.json")["status"] == "interrupted"


def test_a_signal_when_a_run_is_over_ends_the_sweep(spec: Path) -> None:
    lab = Lab(stops=["s1"], late=True)
    code, _, printed = sweep(spec, lab)
    assert (code, lab.executed) == (Exit.INTERRUPTED, ["mine-s1"])
    assert "of 2 runs have finished; resume with" in printed


def test_a_failed_course_does_not_end_the_sweep(spec: Path) -> None:
    lab = Lab(fails=["s1"])
    code, compared, printed = sweep(spec, lab)
    assert (code, lab.executed) == (Exit.COURSE, ["mine-s1", "mine-s2"])
    assert any(note.startswith("not finished: mine-s1") for note in compared["notes"])
    assert "1 of 2 runs have finished; resume with: " in printed


def test_without_a_lab_the_sweep_ends_at_its_first_run(spec: Path) -> None:
    lab = Lab()
    lab._fails_in = "preflight"
    lab.follow = lambda order, listener: FakeTestbed.follow(lab, order, listener)  # type: ignore[method-assign]
    code, compared, _ = sweep(spec, lab)
    assert (code, compared, lab.calls.count("provision")) == (Exit.LAB, {}, 1)


def test_another_sweep_is_not_mixed_in(spec: Path) -> None:
    sweep(spec, Lab())
    for seeds, grids, words in (
        ("1", [], "--seeds lacks 2"),
        ("1,2", ["course.timeout=60"], "--grid is another"),
        (None, ["course.timeout=60"], "--grid is another, or in another order; --seeds lacks 1, 2"),
    ):
        with pytest.raises(FedsimError, match=f"sweep mine .* cannot be resumed: {words}"):
            sweep(spec, Lab(), seeds, grids)
    elsewhere = Lab()
    elsewhere.traits = replace(elsewhere.traits, name="elsewhere")
    with pytest.raises(FedsimError, match="it was executed on another testbed"):
        sweep(spec, elsewhere)
    Path("runs/mine").rename("runs/other")
    with pytest.raises(FedsimError, match="cannot be resumed: its folder was that of mine"):
        sweep(spec, Lab(), run="other")
    Path("runs/other").rename("runs/mine")
    spec.write_text(spec.read_text(encoding="utf-8") + "# a comment\n", encoding="utf-8")
    with pytest.raises(FedsimError, match="the experiment file, or one that it names, has changed: choose another"):
        sweep(spec, Lab())
    assert call(["run", str(spec), "--run", "mine", "--no-docker"]) == Exit.SPEC


def test_points_keep_their_numbers(spec: Path) -> None:
    first, second = "course.timeout=60,90", "data.test_fraction=0.2,0.3"
    sweep(spec, Lab(), None, [first, second])
    # Its second point would be the first one's third, which has finished.
    with pytest.raises(FedsimError, match="--grid is another, or in another order"):
        sweep(spec, Lab(), None, [second, first])
    with pytest.raises(FedsimError, match="--grid is another"):  # 60.0 is equal to 60, but not written as it
        sweep(spec, Lab(), None, ["course.timeout=60.0,90", second])


def test_a_file_that_the_experiment_names_counts_as_well(spec: Path) -> None:
    content = yaml.safe_load(spec.read_text(encoding="utf-8"))
    config = content["federatedscope"].pop("config")
    content["federatedscope"]["config_file"] = "mine.fs.yaml"
    spec.write_text(yaml.safe_dump(content), encoding="utf-8")
    Path("mine.fs.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    sweep(spec, Lab())
    config["train"]["optimizer"]["lr"] = 0.7
    Path("mine.fs.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(FedsimError, match="the experiment file, or one that it names, has changed"):
        sweep(spec, Lab(), "1,2,3")


def test_two_sweeps_begin_in_one_second(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "now", lambda: 1_700_000_000.0)
    with hold("small-20231114t221320z"):
        sweep(spec, Lab(), run=None)
    sweep(spec, Lab(), run=None)
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        "small-20231114t221320z",
        "small-20231114t221320z-2",
    ]


def test_attempts_are_kept_beside_each_other(spec: Path) -> None:
    for _ in range(3):
        sweep(spec, Lab(fails=["s1"]), "1")
    shutil.rmtree("runs/mine/unfinished/mine-s1-1")
    sweep(spec, Lab(), "1")
    assert sorted(path.name for path in Path("runs/mine/unfinished").iterdir()) == ["mine-s1-1", "mine-s1-2"]


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        '{"version": 1}',
        '{"version": 7}',
        '{"version": 1, "sweep": "mine", "experiment": "small", "asked": 5, "runs": []}',
        '{"version": 1, "sweep": "mine", "experiment": "small", "asked": {"seeds": 5}, "runs": []}',
        '{"version": 1, "sweep": "mine", "experiment": "small", "asked": {}, "runs": [{"run": "../x", "varied": {}}]}',
        '{"version": 1, "sweep": "mine", "experiment": "small", "asked": {}, "runs": [{"run": "x", "varied": 3}]}',
    ],
)
def test_a_damaged_folder_is_said_to_be_so(damage: str, spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/sweep.json").write_text(damage, encoding="utf-8")
    for verb in ("status", "report", "rerun", "collect", "down", "logs"):
        assert call([verb, "mine"]) == Exit.SPEC
        assert "sweep.json" in capsys.readouterr().err
    with pytest.raises(FedsimError, match=r"sweep\.json"):
        sweep(spec, Lab())


def test_folders_that_were_removed(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab()
    monkeypatch.setattr(lookup, "find_testbed", lambda name: lab)
    sweep(spec, lab)
    lab.there["mine-s2"] = ["server"]  # its control node was killed
    shutil.rmtree("runs/mine/mine-s2")
    assert call(["down", "mine"]) == Exit.DONE
    assert lab.there == {}
    sweep(spec, lab)
    lab.there["mine-s2"] = ["server"]
    shutil.rmtree("runs/mine")
    capsys.readouterr()
    assert call(["down", "mine"]) == Exit.SPEC
    assert "mine is gone, so its runs are unknown" in capsys.readouterr().err
    assert call(["down", "mine-s2"]) == Exit.DONE
    assert lab.there == {}


def test_the_state_of_a_run_whose_report_was_edited(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(spec, Lab(), "1")
    Path("runs/mine/mine-s1/report.json").write_text('{"status": "finished", "rounds": 5, "final": [1]}')
    assert call(["status", "mine"]) == Exit.DONE
    assert capsys.readouterr().out.splitlines()[2].split() == ["mine-s1", "1", "finished", "-", "-"]
    Path("runs/mine/mine-s1/report.json").write_text('{"status": "failed", "rounds": 5, "final": [1], "devices": [2]}')
    monkeypatch.setattr(lookup, "find_testbed", lambda name: Lab())
    for name in ("mine", "mine-s1"):
        assert call(["status", name]) == Exit.DONE


def test_no_file_can_have_this_name(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["status", "x" * 300]) == Exit.SPEC
    assert "is not a run name" in capsys.readouterr().err


def test_every_point_is_checked_before_the_first_run(spec: Path) -> None:
    lab = Lab()
    with pytest.raises(FedsimError) as caught:
        sweep(spec, lab, "1,2", ["course.timeout=60,0", "data.test_fraction=0.2,9"])
    assert str(caught.value).splitlines() == [
        "--grid course.timeout=0: course.timeout: must be more than 0, not 0",
        "--grid data.test_fraction=9: data.test_fraction: must be at most 0.9, not 9",
        f"2 mistakes in {spec}",
    ]
    with pytest.raises(FedsimError, match=r"--grid federatedscope\.config\.model\.type=tower: .*the light engine"):
        sweep(spec, lab, "1,2", ["federatedscope.config.model.type=lr,tower"])
    assert (lab.calls, Path("runs").exists()) == ([], False)


def test_one_command_executes_a_sweep(spec: Path) -> None:
    with hold("mine"), pytest.raises(FedsimError, match="mine"):
        sweep(spec, Lab())
    assert not Path("runs").exists()


def test_a_run_that_another_command_works_on_ends_the_sweep_until_it_is_free(spec: Path) -> None:
    lab = Lab()
    with hold("mine-s2"), pytest.raises(FedsimError, match="mine-s2"):
        sweep(spec, lab)
    code, _, _ = sweep(spec, lab)
    assert (code, lab.executed) == (Exit.DONE, ["mine-s1", "mine-s2"])


def test_verbs_know_a_sweep(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(stops=["s2"])
    monkeypatch.setattr(lookup, "find_testbed", lambda name: lab)
    monkeypatch.setattr(lookup, "all_testbeds", lambda: [lab])
    sweep(spec, lab, "1,2,3")
    monkeypatch.chdir("/")  # another shell finds it by name
    assert call(["status", "mine"]) == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep mine: not complete, 1 of 3 runs finished"
    assert [line.split() for line in lines[1:5]] == [
        ["run", "seed", "state", "round", "accuracy"],
        ["mine-s1", "1", "finished", "2/2", "0.7000"],
        ["mine-s2", "2", "interrupted", "0/2", "-"],
        ["mine-s3", "3", "not", "begun", "-", "-"],
    ]
    assert call(["status", "mine", "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["finished"] == 1
    assert call(["report", "mine"]) == Exit.DONE
    assert str(tmp_path / "runs/mine/comparison.html") in capsys.readouterr().out
    for verb in (["logs", "mine"], ["status", "mine", "--watch"], ["collect", "mine"]):
        assert call(verb) == Exit.SPEC
        assert "sweep" in capsys.readouterr().err
    lab.there["mine-s2"] = ["server"]
    assert call(["down", "mine"]) == Exit.DONE
    assert (lab.there, Registry().all(), find_sweep("mine")) == ({}, [], None)
    assert find_sweep(str(tmp_path / "runs" / "mine")) is not None


def test_a_sweep_is_repeated_from_its_folder(spec: Path, tmp_path: Path) -> None:
    sweep(spec, Lab(), "1,2", ["course.timeout=60,90"])
    moved = (tmp_path / "runs" / "mine").rename(tmp_path / "elsewhere")
    spec.unlink()
    lab = Lab()
    console = Console(file=io.StringIO(), width=300)
    options = RunOptions("again", tmp_path / "runs")
    code, compared = rerun_sweep(read_sweep(moved), options, console, lambda _: lab, ["fedsim-provision", "rerun", "x"])
    assert (code, lab.executed) == (Exit.DONE, [f"again-p{p}-s{s}" for s in (1, 2) for p in (1, 2)])
    assert [group["group"] for group in compared["groups"]] == ["timeout=60", "timeout=90"]
    manifest = content("runs/again/again-p1-s1/manifest.json")
    assert (manifest["sweep"], manifest["repeats"]) == ("again", "mine-p1-s1")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--seeds", ""], "--seeds: has no values"),
        (["--seeds", "1,1"], "--seeds 1,1: 1 is there twice"),
        (["--grid", "data.aplha=1,2"], 'data.aplha: unknown key (did you mean "alpha"?)'),
        (["--grid", "data.alpha=1", "--keep"], "--keep: the runs of a sweep follow each other"),
        (["--target", "7"], "--target 7: course.target: must be at most 1, not 7"),
        (["--seeds", "1", "--run", "x" * 50], "of a sweep at most 43 characters"),
    ],
)
def test_bad_options_are_one_message_and_exit_code_2(
    options: list[str], expected: str, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["run", str(spec), "--no-docker", *options]) == Exit.SPEC
    assert expected in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.course
@pytest.mark.drawing
def test_real_courses_end_at_the_target_and_are_compared_by_it(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = spec.read_text(encoding="utf-8").replace("total_round_num: 2", "total_round_num: 30")
    spec.write_text(text, encoding="utf-8")
    assert call(["run", str(spec), "--no-docker", "--seeds", "1,2", "--target", "0.6", "--run", "mine", "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    (group,) = compared["groups"]
    assert (group["runs"], group["reached_target"], compared["target_accuracy"]) == (2, 2, 0.6)
    assert compared["target_ends"]
    for run in compared["runs"]:
        assert (run["status"], run["rounds"]) == ("finished", run["rounds_to_target"])
        assert run["final_accuracy"] >= 0.6
        assert run["rounds"] < 30
        (note,) = [one for one in content(f"{run['folder']}/report.json")["notes"] if "target" in one]
        assert note.startswith(f"the course ended after round {run['rounds']}: its accuracy ")
