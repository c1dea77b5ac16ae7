"""A run folder is data: what comes with it is neither run nor followed, and nothing outside of it is written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.engines.federatedscope.source import SOURCE_VARIABLE
from fedsim_runner.runs.inputs import keep_dockerfiles, keep_experiment, keep_wheel, read_experiment
from fedsim_runner.runs.options import RunOptions
from fedsim_runner.runs.repetition.rerun import open_original, rerun
from fedsim_runner.runs.trust import UntrustedCodeError, code_of, refuse_foreign_inventory
from fedsim_runner.spec.experiment import Experiment
from fedsim_runner.testbed.installed import find_testbed
from tests.builders import device_type, experiment

RUNS = Path(__file__).resolve().parents[2] / "data" / "runs-0.1.0"


@pytest.fixture
def touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the code in a run folder would write."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "touched"


@pytest.fixture
def hostile_checkout(tmp_path: Path, touched: Path) -> Path:
    """A checkout that acts when it is built, imported, or asked for its state by git."""
    folder = tmp_path / "checkout"
    (folder / "federatedscope").mkdir(parents=True)
    act = f"open({str(touched)!r}, 'w')\n"
    (folder / "setup.py").write_text(act, encoding="utf-8")
    (folder / "federatedscope" / "__init__.py").write_text(act, encoding="utf-8")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text(f"[core]\n\tfsmonitor = touch {touched}\n", encoding="utf-8")
    return folder


def run_folder(made: Experiment, folder: Path) -> Path:
    """A run folder as a run with Docker leaves it."""
    folder.mkdir()
    keep_experiment(keep_dockerfiles(made, folder), 1.0, folder)
    manifest = {"version": 1, "run": "theirs", "mode": "docker"}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def with_engine(made: Experiment, engine: str) -> Experiment:
    return replace(made, devices=tuple(replace(device, engine=engine) for device in made.devices))


def refusal(folder: Path, testbed: str = "docker") -> str:
    with pytest.raises(UntrustedCodeError) as caught:
        rerun(open_original(str(folder)), RunOptions(), Console(), find_testbed(testbed))
    assert caught.value.exit is Exit.SPEC
    assert "fedsim-provision rerun --trust" in caught.value.hint
    return caught.value.message


def test_a_checkout_that_the_folder_names_is_not_touched(
    hostile_checkout: Path, touched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SOURCE_VARIABLE, "federatedscope==0.3.0")
    made = replace(with_engine(experiment(), "federatedscope"), federatedscope_source=str(hostile_checkout))
    folder = run_folder(made, tmp_path / "theirs")
    assert f"FederatedScope from {hostile_checkout}" in refusal(folder)
    assert "which runs as you without Docker" in refusal(folder, "processes")
    assert call(["rerun", str(folder)]) == Exit.SPEC
    assert not touched.exists()


@pytest.mark.process
def test_a_checkout_that_is_also_the_users_own_needs_no_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    (own / "federatedscope").mkdir(parents=True)
    for name in ("setup.py", "federatedscope/__init__.py"):
        (own / name).touch()
    monkeypatch.setenv(SOURCE_VARIABLE, str(own))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = replace(with_engine(experiment(), "federatedscope"), federatedscope_source=str(own))
    folder = run_folder(made, tmp_path / "mine")
    assert list(code_of(read_experiment(folder), folder, with_docker=True)) == []
    wheel = tmp_path / "federatedscope-0.3.0-py3-none-any.whl"
    wheel.write_bytes(b"what ran")
    keep_wheel(wheel, folder)
    (code,) = code_of(read_experiment(folder), folder, with_docker=True)
    assert code.startswith(f"inputs/federatedscope/{wheel.name}, the FederatedScope that ran (yours, {own}, differs")


def test_a_dockerfile_of_the_folder_needs_trust_where_it_is_built(tmp_path: Path) -> None:
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / "Dockerfile").write_text("FROM x\n", encoding="utf-8")
    made = experiment(client=device_type(dockerfile=str(tmp_path / "cam")))
    folder = run_folder(made, tmp_path / "theirs")
    assert "inputs/dockerfiles/cam/Dockerfile, which an image is built from" in refusal(folder)
    assert list(code_of(read_experiment(folder), folder, with_docker=False)) == []


def test_a_data_set_that_federatedscope_loads_needs_trust(tmp_path: Path) -> None:
    made = experiment()
    made = replace(made, data=replace(made.data, dataset="federatedscope", tree={"root": str(tmp_path)}))
    assert "the data set that FederatedScope loads" in refusal(run_folder(made, tmp_path / "theirs"))


@pytest.mark.parametrize("name", ["light", "killed"])
def test_a_run_of_our_own_parts_needs_no_trust(name: str) -> None:
    original = open_original(str(RUNS / name))
    for with_docker in (True, False):
        assert list(code_of(original.experiment, original.folder, with_docker)) == []


EVIL = "{{ lookup('pipe', 'touch touched') }}"


def _experiment(content: dict[str, dict[str, object]]) -> None:
    content["experiment"]["name"] = EVIL


def _device(content: dict[str, dict[str, list[dict[str, object]]]]) -> None:
    content["experiment"]["devices"][1]["name"] = EVIL


def _same_device(content: dict[str, dict[str, list[dict[str, object]]]]) -> None:
    content["experiment"]["devices"][1]["name"] = "phone-2"


def _type(content: dict[str, dict[str, list[dict[str, dict[str, object]]]]]) -> None:
    content["experiment"]["devices"][1]["type"]["name"] = EVIL


def _dockerfile(content: dict[str, dict[str, list[dict[str, dict[str, object]]]]]) -> None:
    content["experiment"]["devices"][1]["type"]["dockerfile"] = "inputs/dockerfiles/../../../evil"


def _built_in(content: dict[str, dict[str, list[dict[str, dict[str, object]]]]]) -> None:
    content["experiment"]["devices"][1]["type"]["dockerfile"] = ".."


def _no_server(content: dict[str, dict[str, list[dict[str, object]]]]) -> None:
    content["experiment"]["devices"][0]["role"] = "client"


def _no_rounds(content: dict[str, dict[str, dict[str, object]]]) -> None:
    content["experiment"]["config"]["federate"] = {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_experiment, "experiment: .* is not a valid name"),
        (_device, "device: .* is not a valid name"),
        (_same_device, "no device may be called phone-2, or two the same"),
        (_type, "device type: .* is not a valid name"),
        (_dockerfile, "Dockerfile folder: .* is not a valid name"),
        (_built_in, "Dockerfile folder: .* is not a valid name"),
        (_no_server, "there must be one server"),
        (_no_rounds, "no federate.total_round_num"),
    ],
)
def test_values_that_no_experiment_file_can_have_are_refused(
    change: Callable[..., None], message: str, tmp_path: Path
) -> None:
    folder = run_folder(experiment(), tmp_path / "theirs")
    path = folder / "inputs" / "experiment.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FedsimError, match=f"experiment.json is damaged: .*{message}") as caught:
        read_experiment(folder)
    assert caught.value.exit is Exit.SPEC


def _link_to_file(folder: Path, outside: Path) -> None:
    (folder / "report.html").unlink(missing_ok=True)
    (folder / "report.html").symlink_to(outside)


def _link_to_folder(folder: Path, outside: Path) -> None:
    (folder / "figures").symlink_to(outside.parent)


def _dangling(folder: Path, outside: Path) -> None:
    (folder / "collected" / "rounds").symlink_to(outside)


def _pipe(folder: Path, outside: Path) -> None:
    (folder / "report.json").unlink()
    os.mkfifo(folder / "report.json")


@pytest.mark.parametrize("change", [_link_to_file, _link_to_folder, _dangling, _pipe])
@pytest.mark.parametrize("verb", ["report", "rerun", "logs", "status"])
def test_no_verb_follows_a_link_or_waits_for_a_pipe(
    change: Callable[[Path, Path], None], verb: str, tmp_path: Path, touched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs" / "theirs"
    shutil.copytree(RUNS / "light", folder)
    change(folder, touched)
    outside = {path for path in tmp_path.rglob("*") if folder not in path.parents}
    code = call([verb, "theirs", *(["--json"] if verb == "status" else [])])
    said = "".join(capsys.readouterr())
    assert "fedsim-runner writes only files and folders" in " ".join(said.split())
    assert code == (Exit.DONE if verb == "status" else Exit.SPEC)
    assert {path for path in tmp_path.rglob("*") if folder not in path.parents} == outside


def test_up_into_a_strange_folder_follows_no_inventory(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    (inventory / "device_files").mkdir(parents=True)
    (inventory / "hosts.yml").touch()
    refuse_foreign_inventory(tmp_path)
    (inventory / "group_vars").mkdir()
    with pytest.raises(UntrustedCodeError, match="group_vars is not from fedsim-provision"):
        refuse_foreign_inventory(tmp_path)


def test_packages_that_the_folder_names_need_trust_where_they_are_installed(
    touched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SOURCE_VARIABLE, "federatedscope==0.3.0")
    made = replace(with_engine(experiment(), "federatedscope"), requirements=("einops", "evil==1"))
    folder = run_folder(made, tmp_path / "theirs")
    assert "packages that an image is given for it: einops, evil==1" in refusal(folder)
    assert not any("einops" in code for code in code_of(read_experiment(folder), folder, with_docker=False))
