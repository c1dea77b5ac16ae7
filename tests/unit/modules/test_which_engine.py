"""Every module and play works with the Engine that the user's settings name; a run on another one is left alone."""

from __future__ import annotations

import importlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.fedsim.testbed.plugins.lookup.docker_host import LookupModule
from ansible_collections.fedsim.testbed.plugins.module_utils import _docker, _module
from ansible_collections.fedsim.testbed.plugins.modules import fedsim_collect, fedsim_state, fedsim_teardown

from fedsim_runner.contract.engine_address import DEFAULT_ENGINE
from fedsim_runner.contract.paths import StateFolder
from tests.device_files import device_file

REPOSITORY = Path(__file__).parents[3]
MODULES = sorted(path.stem for path in (REPOSITORY / "plugins" / "modules").glob("fedsim_*.py"))
PLAYS = [
    pytest.param(play, id=f"{path.stem}:{play['name']}")
    for path in sorted((REPOSITORY / "playbooks").glob("*.yml"))
    for play in yaml.safe_load(path.read_text(encoding="utf-8"))
    if "hosts" in play
]
# They check variables, or work on the control node's files.
WITHOUT_ENGINE = {"Preflight", "Report", "Verdict"}


def arguments(name: str) -> dict[str, Any]:
    module = importlib.import_module(f"ansible_collections.fedsim.testbed.plugins.modules.{name}")
    found: dict[str, Any] = module.MODULE.arguments
    return found


# Once a test has had Ansible read an inventory, only its own loader imports what is not there yet from a collection.
ARGUMENTS = {name: arguments(name) for name in MODULES}


def test_the_group_has_all_modules_that_call_an_engine() -> None:
    groups = yaml.safe_load((REPOSITORY / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]
    assert groups["engine"] == [name for name in MODULES if "docker_host" in ARGUMENTS[name]]
    assert all(ARGUMENTS[name]["docker_host"]["default"] == DEFAULT_ENGINE for name in groups["engine"])


@pytest.mark.parametrize("play", PLAYS)
def test_each_play_gives_them_the_lab_hosts_engine(play: dict[str, Any]) -> None:
    group = (play.get("module_defaults") or {}).get("group/fedsim.testbed.engine")
    assert group == (None if play["name"] in WITHOUT_ENGINE else {"docker_host": "{{ fedsim_docker_host }}"})


def test_no_role_names_an_engine_of_its_own() -> None:
    named = [path for path in (REPOSITORY / "roles").rglob("*.yml") if "docker_host" in path.read_text("utf-8")]
    assert named == []


def test_plain_ansible_finds_the_engine_as_docker_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/mine.sock")
    assert LookupModule().run([]) == ["unix:///run/mine.sock"]
    monkeypatch.setenv("DOCKER_HOST", "tcp://lab.test:2376")
    with pytest.raises(AnsibleError, match=r"the Docker Engine is tcp://lab\.test:2376, .* as DOCKER_HOST says"):
        LookupModule().run([])


class NothingThere:
    """An Engine without containers and networks."""

    def containers(self, **_: Any) -> list[Any]:
        return []

    networks = containers

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run fedsim_state or fedsim_teardown for run ``r`` with the Engine at a socket in the folder of the test."""
    monkeypatch.setattr(_module, "connect", lambda _host: NothingThere())
    monkeypatch.setattr(_module, "wait_for_engine", lambda _host: NothingThere())
    archive = tmp_path / "r.tar"
    content = device_file().as_text().encode()
    with tarfile.open(archive, "w") as packed:
        member = tarfile.TarInfo("device_file.json")
        member.size = len(content)
        packed.addfile(member, io.BytesIO(content))

    def run(module: _module.Module, socket: str) -> dict[str, Any]:
        options = {"run": "r", "docker_host": f"unix://{tmp_path}/{socket}"}
        options |= {"state_root": str(tmp_path)} if module is fedsim_teardown.MODULE else {}
        options |= {"state_dir": str(tmp_path / "r"), "archive": str(archive)} if module is fedsim_state.MODULE else {}
        return module.answer(
            options, check=False, diff=False, warn=lambda _text: None, make_folder=lambda: str(tmp_path)
        )

    return run


def test_a_run_on_another_engine_is_left_alone(call: Any, tmp_path: Path) -> None:
    assert call(fedsim_state.MODULE, "one.sock")["changed"]
    assert not call(fedsim_state.MODULE, "one.sock")["changed"]
    assert (tmp_path / "r" / "engine").read_text() == f"unix://{tmp_path}/one.sock\n"
    for module in (fedsim_state.MODULE, fedsim_teardown.MODULE):
        answer = call(module, "other.sock")
        assert answer["failed"]
        assert f"run r is on the Docker Engine at unix://{tmp_path}/one.sock, and this command works" in answer["msg"]
        assert f"DOCKER_HOST=unix://{tmp_path}/one.sock" in answer["msg"]
        assert (tmp_path / "r" / "device_file.json").exists()
    # The same socket under another name, as /run and /var/run are.
    (tmp_path / "link").symlink_to(tmp_path)
    assert call(fedsim_teardown.MODULE, "link/one.sock")["changed"]
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("content", ["", "tcp://lab.test:2376\n", "\udcff"])
def test_a_state_folder_that_names_no_engine_can_be_removed(call: Any, tmp_path: Path, content: str) -> None:
    """Of 0.1.0, or broken."""
    (tmp_path / "r").mkdir()
    if content:
        (tmp_path / "r" / "engine").write_text(content, encoding="utf-8", errors="surrogateescape")
    assert call(fedsim_teardown.MODULE, "one.sock")["changed"]
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(("known", "tries"), [(True, 3), (False, 1)])
def test_an_engine_that_restarts_is_waited_for_if_the_run_was_there(
    known: bool, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def connect(host: str) -> Any:
        asked.append(host)
        if len(asked) < 3:
            raise _docker.EngineMissingError("no Docker Engine answers")
        return NothingThere()

    for module in (_docker, _module):
        monkeypatch.setattr(module, "connect", connect)
    monkeypatch.setattr(_docker, "LOOK_AGAIN_S", 0.01)
    if known:
        (tmp_path / "r").mkdir()
    answer = fedsim_teardown.MODULE.answer(
        {"run": "r", "state_root": str(tmp_path), "docker_host": DEFAULT_ENGINE},
        check=False,
        diff=False,
        warn=lambda _text: None,
        make_folder=lambda: str(tmp_path),
    )
    assert (len(asked), answer.get("failed", False)) == (tries, not known)


def test_an_engine_that_stays_away_does_not_take_the_journal_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_docker, "BACK_WITHIN_S", 0.0)
    state = StateFolder(tmp_path / "r")
    warnings: list[str] = []
    options = {"run": "r", "state_dir": str(state.path), "dest": str(tmp_path / "packed.tar"), "devices": ""}
    options |= {"agent_prefix": "", "max_file_bytes": 100, "docker_host": f"unix://{tmp_path}/none.sock"}

    def collect() -> dict[str, Any]:
        return fedsim_collect.MODULE.answer(
            options, check=False, diff=False, warn=warnings.append, make_folder=lambda: str(tmp_path)
        )

    assert "no Docker Engine answers" in collect()["msg"]
    state.agent.mkdir(parents=True)
    state.journal.write_text("{}\n")
    state.outputs("pi").mkdir(parents=True)
    (state.outputs("pi") / "log").write_text("said")
    answer = collect()
    assert answer["changed"] and answer["devices"] == ["pi"]
    assert warnings[0].startswith("consoles and containers.json are left out: no Docker Engine answers")
    with tarfile.open(answer["dest"]) as packed:
        assert {"journal.jsonl", "collected/pi/log"} <= set(packed.getnames())


def test_settings_of_docker_that_cannot_be_read_are_not_taken_for_a_missing_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"registry.test": {"auth": "not base64"}}}))
    with pytest.raises(_docker.EngineError, match="Docker's settings on this lab host cannot be read") as caught:
        _docker.connect(DEFAULT_ENGINE)
    assert not caught.value.fixable_by_role
