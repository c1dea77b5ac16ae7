"""The wheel is made once, whole or not at all; the message of a failure quotes git and pip."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.engines.federatedscope.source import SourceError, parse_source
from fedsim_runner.engines.federatedscope.source_state import source_state
from fedsim_runner.engines.federatedscope.wheel import CachedSource, source_manifest, wheel_command

COMMIT = "480b67de851df2fa02b7cc2189f1803d947998d7"
TAG_OBJECT = "1" * 40
LISTED = f"{COMMIT}\tHEAD\n{COMMIT}\trefs/heads/master\n{TAG_OBJECT}\trefs/tags/v1\n{COMMIT}\trefs/tags/v1^{{}}\n"


class Programs:
    """Stands in for git and pip: answers as they do, and remembers its calls."""

    def __init__(self, *, git: str = "", pip: str = "", package: str = "federatedscope") -> None:
        self.git, self.pip, self.package = git, pip, package
        self.calls: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        self.calls.append(command)
        if command[0] == "git":
            return subprocess.CompletedProcess(command, 128 if self.git else 0, "" if self.git else LISTED, self.git)
        folder = Path(next(part for part in command if part.startswith("--wheel-dir=")).partition("=")[2])
        folder.mkdir()
        with zipfile.ZipFile(folder / "federatedscope-0.3.0-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{self.package}/__init__.py", "")
        return subprocess.CompletedProcess(command, 1 if self.pip else 0, "", self.pip)

    @property
    def targets(self) -> list[str]:
        return [command[-1] for command in self.calls if command[0] != "git"]


Make = Callable[..., CachedSource]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def cached(text: str, programs: Programs | None = None) -> CachedSource:
        return CachedSource(parse_source(text, Path("/"), "a test"), tmp_path / "cache", programs or Programs())

    return cached


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "federatedscope").mkdir(parents=True)
    (folder / "federatedscope" / "__init__.py").write_text("")
    (folder / "setup.py").write_text("import setuptools\nsetuptools.setup(name='federatedscope', version='0.3.0')\n")
    return folder


def left(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "cache").rglob("*") if path.name not in ("federatedscope", ".lock")]


def test_made_once(make: Make) -> None:
    programs = Programs()
    cached = make("federatedscope==0.3.0", programs)
    assert cached.cached() is None and cached.record() == {}
    first = cached.wheel()
    assert cached.wheel() == first == cached.cached()
    assert programs.targets == ["federatedscope==0.3.0"]
    assert cached.record()["version"] == "0.3.0"


def test_a_lost_wheel_is_made_again(make: Make) -> None:
    programs = Programs()
    make("federatedscope==0.3.0", programs).wheel().unlink()
    assert make("federatedscope==0.3.0", programs).wheel().is_file()
    assert len(programs.targets) == 2


def test_an_exact_source_is_known_without_a_program(make: Make) -> None:
    programs = Programs()
    pinned = f"git+https://example.org/a/b@{COMMIT}"
    assert make(pinned, programs).identity() == f"git {pinned}"
    assert make("federatedscope==0.3.0", programs).identity() == "requirement federatedscope==0.3.0"
    assert programs.calls == []


@pytest.mark.parametrize("revision", ["", "@master", "@v1"])
def test_a_moving_source_is_resolved_once(make: Make, revision: str) -> None:
    programs = Programs()
    cached = make(f"git+https://example.org/a/b{revision}#egg=x", programs)
    assert cached.identity() == f"git {COMMIT}"
    assert programs.targets == [f"git+https://example.org/a/b@{COMMIT}#egg=x"]
    assert cached.identity() == f"git {COMMIT}"
    assert len(programs.targets) == 1
    assert cached.record()["revision"] == COMMIT


def test_a_requirement_without_version_stays_what_it_was(make: Make) -> None:
    programs = Programs()
    cached = make("federatedscope", programs)
    assert cached.identity() == cached.identity() == f"requirement {cached.record()['sha256']}"
    assert len(programs.targets) == 1


@pytest.mark.process
def test_a_checkout_is_built_from_a_copy(make: Make, checkout: Path, tmp_path: Path) -> None:
    (checkout / "build").mkdir()
    (checkout / "build" / "stale.py").write_text("")
    seen: list[list[str]] = []

    class Watching(Programs):
        def __call__(self, command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
            copy = Path(command[-1])
            seen.append(sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()))
            assert copy != checkout
            return super().__call__(command, timeout)

    make(str(checkout), Watching()).wheel()
    assert seen == [["federatedscope/__init__.py", "setup.py"]]
    assert sorted(left(tmp_path))[1:] == ["federatedscope-0.3.0-py3-none-any.whl", "source.json"]


@pytest.mark.parametrize(
    ("text", "programs", "words"),
    [
        (
            f"git+https://nowhere.invalid/a/b@{COMMIT}",
            Programs(git="fatal: unable to access 'https://nowhere.invalid/': Could not resolve host\n"),
            "Could not resolve host",
        ),
        (
            "federatedscope==9",
            Programs(pip="WARNING: Retrying\nERROR: No matching distribution found for federatedscope==9\n"),
            "ERROR: No matching distribution found",
        ),
        ("somethingelse==1", Programs(package="somethingelse"), "does not contain the package federatedscope"),
    ],
)
def test_a_failure_is_one_message_and_leaves_nothing(
    make: Make, tmp_path: Path, text: str, programs: Programs, words: str
) -> None:
    cached = make(text, programs)
    with pytest.raises(SourceError) as caught:
        cached.wheel()
    message = str(caught.value)
    assert words in message and text in message and "Alternatives:" in message
    assert "Retrying" not in message
    assert left(tmp_path) == []


def test_a_program_that_never_ends_is_given_up(make: Make) -> None:
    def stuck(command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired(list(command), timeout)

    cached = replace(make(f"git+https://example.org/a/b@{COMMIT}"), run=stuck)
    with pytest.raises(SourceError, match="git had not answered after 45 s"):
        cached.wheel()


def test_git_is_needed_only_for_git(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    make("federatedscope==0.3.0").wheel()
    with pytest.raises(SourceError, match="git is not installed here"):
        make(f"git+https://example.org/a/b@{COMMIT}").wheel()


def test_the_pip_call_keeps_the_users_configuration() -> None:
    command = wheel_command("x", Path("/w"))
    assert "--no-deps" in command and "--no-build-isolation" not in command
    assert not any("index" in part or "isolated" in part for part in command)
    assert "--no-build-isolation" in wheel_command("x", Path("/w"), isolated=False)


@pytest.mark.process
def test_pip_really_builds_a_checkout(checkout: Path, tmp_path: Path) -> None:
    arguments = "name='federatedscope', version='0.3.0', packages=['federatedscope']"
    (checkout / "setup.py").write_text(f"import setuptools\nsetuptools.setup({arguments})\n")
    cached = CachedSource(parse_source(str(checkout), Path("/"), "a test"), tmp_path / "cache")
    wheel = cached.wheel()
    with zipfile.ZipFile(wheel) as archive:
        assert "federatedscope/__init__.py" in archive.namelist()
    assert sorted(path.name for path in checkout.iterdir()) == ["federatedscope", "setup.py"]
    again = CachedSource(cached.source, tmp_path / "other")
    assert again.wheel().read_bytes() == wheel.read_bytes()


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.process
def test_the_manifest_of_a_checkout(make: Make, checkout: Path, tmp_path: Path) -> None:
    bare = source_manifest(str(checkout), tmp_path / "cache")
    assert (bare["kind"], bare["revision"], bare["dirty"], bare["wheel"]) == ("checkout", None, None, None)
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "x")
    make(str(checkout)).wheel()
    clean = source_manifest(str(checkout), tmp_path / "cache")
    assert (clean["revision"], clean["dirty"]) == (git(checkout, "rev-parse", "HEAD"), False)
    assert (clean["version"], clean["wheel"]) == ("0.3.0", "federatedscope-0.3.0-py3-none-any.whl")
    assert len(clean["sha256"]) == 64
    (checkout / "federatedscope" / "new.py").write_text("")
    edited = source_manifest(str(checkout), tmp_path / "cache")
    assert (edited["dirty"], edited["wheel"]) == (True, None)
    below = source_manifest(str(checkout / "federatedscope"), tmp_path / "cache")
    assert below["revision"] is None, "a folder inside a repository is not the repository"


def test_the_manifest_of_a_git_source_needs_no_cache(tmp_path: Path) -> None:
    text = f"git+https://example.org/a/b@{COMMIT}"
    manifest = source_manifest(text, tmp_path / "cache")
    assert (manifest["kind"], manifest["revision"], manifest["wheel"]) == ("git", COMMIT, None)


def test_doctor_reports_what_is_in_use(
    make: Make, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    cache = tmp_path / "cache"

    def state(text: str) -> tuple[str, bool | None, str]:
        monkeypatch.setenv("FEDSIM_FEDERATEDSCOPE_SOURCE", text)
        found = source_state(cache)
        if found.found != "not known":
            assert found.found.endswith("named by FEDSIM_FEDERATEDSCOPE_SOURCE")
        return found.state, found.ok, found.hint

    assert state(str(checkout)) == ("readable", True, "")
    there, ok, hint = state(str(checkout / "nowhere"))
    assert (there, ok) == ("there is no such folder", None) and "correct or remove it" in hint
    there, ok, hint = state("federatedscope==0.3.0")
    assert (there, ok) == ("not cached", None) and "fedsim-provision images --engine federatedscope" in hint
    make("federatedscope==0.3.0").wheel()
    there, ok, hint = state("federatedscope==0.3.0")
    assert there.startswith("cached on ") and (ok, hint) == (True, "")
    make("federatedscope").wheel()
    assert "to fetch it again" in state("federatedscope")[2]
    assert state("two words")[1] is None
