"""Bad input ends in a message and an exit code, never in a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedsim_runner.cli import entry
from fedsim_runner.cli.entry import add_verb, call
from fedsim_runner.contract.errors import Exit, FedsimError

pytestmark = pytest.mark.process


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fedsim_runner", *arguments],
        cwd=cwd,
        env={**os.environ, "XDG_STATE_HOME": str(cwd / "state"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["stauts"], 2, 'did you mean "status"?'),
        (["nowhere.yaml"], 2, "nowhere.yaml"),
        (["plan", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["run", "--bogus"], 2, "--bogus"),
        (["plan"], 2, "EXP.YAML"),
        (["down"], 2, "--all"),
        (["down", "one", "--all"], 2, "--all"),
        (["down", "No_Name"], 2, "is not a run name"),
        (["status", "no-such-run"], 2, "no-such-run"),
        # An Engine may know a run that this machine's registry does not.
        pytest.param(["logs", "no-such-run"], 2, "no-such-run", marks=pytest.mark.docker),
        pytest.param(["exec", "no-such-run", "pi"], 2, "no-such-run", marks=pytest.mark.docker),
        (["rerun", "no-such-run"], 2, "no-such-run"),
        (["rerun", "."], 2, "has no manifest.json"),
        (["rerun", "./nowhere"], 2, "there is no run folder ./nowhere"),
        (["rerun"], 2, "RUN"),
        pytest.param(["collect", "no-such-run"], 2, "no-such-run", marks=pytest.mark.docker),
        (["run", "bad.yaml"], 2, "mistake"),
        (["bad.yaml"], 2, "bad.yaml:1"),
        (["bad.yaml", "--run", "Not A Name"], 2, "bad.yaml:1"),
        (["good.yaml", "--run", "Not A Name"], 2, "is not a run name"),
        (["good.yaml", "--runs-dir", "/proc/none"], 2, "/proc/none"),
        (["plan", "good.yaml", "-i", "a", "-i", "b"], 2, "a lab is one inventory, and 2 are given (a, b)"),
    ],
)
def test_messages(arguments: list[str], code: int, message: str, tmp_path: Path, repository: Path) -> None:
    (tmp_path / "bad.yaml").write_text("nmae: x\n", encoding="utf-8")
    example = (repository / "examples" / "quickstart.yaml").read_text(encoding="utf-8")
    (tmp_path / "good.yaml").write_text(example, encoding="utf-8")
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    "arguments", [["status"], ["down", "--all"], ["logs", "x"], ["exec", "x", "y"], ["collect", "x"]]
)
def test_without_an_engine(arguments: list[str], tmp_path: Path) -> None:
    done = command(*arguments, cwd=tmp_path, DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    assert done.returncode == 3, done.stderr
    assert "no Docker Engine answers" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["plan", "good.yaml"], ["up", "good.yaml"], ["status"], ["down", "x"], ["doctor"]],
)
def test_an_engine_on_another_machine_is_refused_before_anything_is_made(
    arguments: list[str], tmp_path: Path, repository: Path
) -> None:
    example = (repository / "examples" / "quickstart.yaml").read_text(encoding="utf-8")
    (tmp_path / "good.yaml").write_text(example, encoding="utf-8")
    done = command(*arguments, cwd=tmp_path, DOCKER_HOST="ssh://me@lab.test")
    assert done.returncode == 3, done.stderr
    assert "the Docker Engine is ssh://me@lab.test, but fedsim-runner works with an Engine on the same" in done.stderr
    assert "as DOCKER_HOST says" in done.stderr and "run fedsim-provision there" in done.stderr
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_the_version_and_help(tmp_path: Path) -> None:
    assert command("--version", cwd=tmp_path).stdout.startswith("fedsim-provision ")
    shown = command("--help", cwd=tmp_path, COLUMNS="200")
    assert shown.returncode == 0
    for verb in entry.VERBS:
        assert verb in shown.stdout
    assert "130 interrupted" in shown.stdout
    bare = command(cwd=tmp_path, COLUMNS="200")
    assert (bare.stdout.strip(), bare.returncode) == (shown.stdout.strip(), 2)


def test_a_leading_experiment_file_means_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain").touch()
    assert add_verb(["exp.yaml", "--keep"]) == ["run", "exp.yaml", "--keep"]
    assert add_verb(["plain"]) == ["run", "plain"]
    assert add_verb(["--keep", "exp.yaml"]) == ["run", "--keep", "exp.yaml"]
    assert add_verb(["plan", "exp.yaml"]) == ["plan", "exp.yaml"]
    assert add_verb(["--help"]) == ["--help"]
    with pytest.raises(FedsimError):
        add_verb(["rnu"])


def test_an_internal_error_is_one_line_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def broken(_: object) -> None:
        raise KeyError("[odd] key")

    monkeypatch.setattr(entry, "add_verb", broken)
    assert call(["plan", "x"]) == Exit.INTERNAL
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "KeyError: '[odd] key'" in said
    (log,) = (tmp_path / "fedsim" / "errors").iterdir()
    assert str(log) in said
    assert "Traceback" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "good.yaml", "-i", "~no-such-user/lab"],
        ["plan", "good.yaml", "--private-key", "~no-such-user/key"],
        ["plan", "good.yaml", "--become-password-file", "~no-such-user/password"],
        ["plan", "good.yaml", "--vault-id", "team@~no-such-user/vault"],
        ["rerun", "~no-such-user/runs/one"],
        ["report", "~no-such-user/runs/one"],
    ],
    ids=lambda arguments: arguments[-2],
)
def test_the_home_of_a_user_that_there_is_not(
    arguments: list[str], tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = str(repository / "examples" / "quickstart.yaml")
    assert call([spec if word == "good.yaml" else word for word in arguments]) == Exit.SPEC
    said = capsys.readouterr().err
    assert "~no-such-user" in said
    assert "no such user here" in said


@pytest.mark.parametrize(
    "settings", ["[]", "null", '{"proxies": 3}', '{"auths": {"registry.example": {"auth": "eA=="}}}']
)
def test_settings_of_docker_that_its_sdk_cannot_read(
    settings: str, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(settings, encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert call(["plan", str(repository / "examples" / "quickstart.yaml")]) == Exit.LAB
    said = capsys.readouterr().err
    assert "Docker's settings of this user cannot be read" in said
    assert f"correct or remove {tmp_path}/config.json" in said


def test_an_inventory_without_a_name(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `-i "$LAB"` gives it where the variable is not set: the current folder is not meant."""
    assert call(["plan", str(repository / "examples" / "quickstart.yaml"), "-i", ""]) == Exit.SPEC
    assert "-i: no inventory is named" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["good.yaml" * 40],
        ["plan", "good.yaml", "-i", "NAME"],
        ["report", "/NAME/x"],
        ["rerun", "/NAME/x"],
        ["logs", "NAME"],
    ],
    ids=["spec", "inventory", "report", "rerun", "run"],
)
@pytest.mark.parametrize("name", ["a" * 300, "loop"], ids=["long", "loop"])
def test_paths_that_no_file_can_have(
    arguments: list[str],
    name: str,
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "good.yaml").write_bytes((repository / "examples" / "quickstart.yaml").read_bytes())
    named = name if name != "loop" else str(tmp_path / "loop")
    assert call([word.replace("/NAME", f"/{named}").replace("NAME", named) for word in arguments]) == Exit.SPEC
    said = capsys.readouterr().err
    assert "internal error" not in said
    assert max(map(len, said.splitlines())) < 500


def test_in_a_folder_that_was_removed(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "removed").mkdir()
    monkeypatch.chdir(tmp_path / "removed")
    (tmp_path / "removed").rmdir()
    assert call(["plan", str(repository / "examples" / "quickstart.yaml"), "-i", "lab"]) == Exit.SPEC
    assert "the current folder has been removed" in capsys.readouterr().err


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert call(["report", "one"]) == Exit.SPEC
    assert "has no home folder: HOME is not set" in capsys.readouterr().err


def test_ctrl_c_anywhere_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "add_verb", interrupted)
    assert call(["plan", "x"]) == Exit.INTERRUPTED


def test_ctrl_c_within_a_verb_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fedsim_runner.cli.verbs.plan.load", interrupted)
    assert call(["plan", "x.yaml"]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted\n", "typer makes an exit code of it, without a word"


def test_a_reader_that_goes_away_is_not_an_error(tmp_path: Path, repository: Path) -> None:
    spec = repository / "examples" / "quickstart.yaml"
    line = f'"{sys.executable}" -m fedsim_runner plan "{spec}" --json | head -n 1'
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


def test_ansible_env_is_safe_to_evaluate(tmp_path: Path) -> None:
    done = command("ansible-env", cwd=tmp_path)
    shell = subprocess.run(
        ["sh", "-c", done.stdout + 'test -f "$ANSIBLE_CONFIG" && test -d "$FEDSIM_PLAYBOOKS"'], timeout=10
    )
    assert shell.returncode == 0
