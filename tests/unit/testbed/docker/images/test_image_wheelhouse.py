"""The wheelhouse downloads once, for the image's Python, and gives one useful message when that fails."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from fedsim_runner.content import content_root
from fedsim_runner.testbed.docker.images import ImageError
from fedsim_runner.testbed.docker.images.wheelhouse import download_command, read_requirements, wheels_for


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "engine-toy" / "requirements.txt"
    path.parent.mkdir()
    path.write_text("# what it needs\nnumpy==2.0.0  # arrays\n\nidna==3.7\n")
    return path


class FakePip:
    """Stands in for pip: creates a wheel for each requirement, or fails as pip does without a network."""

    def __init__(self, error: str = "") -> None:
        self.error = error
        self.calls: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.calls.append(command)
        target = Path(next(part for part in command if part.startswith("--dest=")).removeprefix("--dest="))
        for pin in [part for part in command if "==" in part]:
            if not self.error:
                (target / f"{pin.replace('==', '-')}-py3-none-any.whl").write_bytes(b"wheel")
        return subprocess.CompletedProcess(command, 1 if self.error else 0, "", self.error)


def test_downloads_once(requirements: Path, tmp_path: Path) -> None:
    pip = FakePip()
    first = wheels_for(requirements, "amd64", tmp_path / "cache", pip)
    assert [path.name for path in first] == ["idna-3.7-py3-none-any.whl", "numpy-2.0.0-py3-none-any.whl"]
    assert wheels_for(requirements, "amd64", tmp_path / "cache", pip) == first
    assert len(pip.calls) == 1


def test_a_lost_wheel_is_downloaded_again(requirements: Path, tmp_path: Path) -> None:
    pip = FakePip()
    wheels_for(requirements, "amd64", tmp_path / "cache", pip)[0].unlink()
    assert all(path.is_file() for path in wheels_for(requirements, "amd64", tmp_path / "cache", pip))
    assert len(pip.calls) == 2


def test_a_comment_changes_nothing_but_a_pin_does(requirements: Path, tmp_path: Path) -> None:
    pip = FakePip()
    wheels_for(requirements, "amd64", tmp_path / "cache", pip)
    requirements.write_text("numpy==2.0.0\nidna==3.7\n")
    wheels_for(requirements, "amd64", tmp_path / "cache", pip)
    assert len(pip.calls) == 1
    requirements.write_text("numpy==2.0.1\nidna==3.7\n")
    wheels_for(requirements, "amd64", tmp_path / "cache", pip)
    assert len(pip.calls) == 2


def test_a_failure_quotes_pip_and_names_the_remedies(requirements: Path, tmp_path: Path) -> None:
    pip = FakePip("WARNING: Retrying\nERROR: No matching distribution found for numpy==2.0.0\n")
    with pytest.raises(ImageError) as caught:
        wheels_for(requirements, "amd64", tmp_path / "cache", pip)
    message = str(caught.value)
    assert "dockerfiles/engine-toy/requirements.txt: ERROR: No matching distribution found for numpy==2.0.0" in message
    for remedy in ("pip config list", "HTTPS_PROXY", "PIP_INDEX_URL", "find-links"):
        assert remedy in message
    assert "Retrying" not in message
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left == []


class PickyPip(FakePip):
    """The user's own indexes lack the wheel; the one that the file names has it, or is unreachable."""

    def __init__(self, reachable: bool) -> None:
        super().__init__()
        self.reachable = reachable

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        asked = any(part.startswith("--extra-index-url=") for part in command)
        self.error = "" if asked and self.reachable else f"ERROR: no torch ({'there' if asked else 'here'})"
        return super().__call__(command)


@pytest.mark.parametrize("reachable", [True, False])
def test_the_index_in_the_file_is_tried_where_the_users_own_lack_a_wheel(
    requirements: Path, tmp_path: Path, reachable: bool
) -> None:
    requirements.write_text("--extra-index-url https://example.org/whl/cpu\ntorch==2.0.0+cpu\n")
    pip = PickyPip(reachable)
    if reachable:
        (wheel,) = wheels_for(requirements, "amd64", tmp_path / "cache", pip)
        assert wheel.name == "torch-2.0.0+cpu-py3-none-any.whl"
    else:
        with pytest.raises(ImageError) as caught:
            wheels_for(requirements, "amd64", tmp_path / "cache", pip)
        for words in ("no torch (here)", "no torch (there)", "https://example.org/whl/cpu was tried as well"):
            assert words in str(caught.value)
    first, second = pip.calls
    assert not any(part.startswith(("--extra-index-url", "--retries", "--timeout")) for part in first)
    assert {"--extra-index-url=https://example.org/whl/cpu", "--retries=1", "--timeout=15"} <= set(second)


def test_only_a_resolved_list_includes_dependencies(requirements: Path, tmp_path: Path) -> None:
    pip = FakePip()
    wheels_for(requirements, "amd64", tmp_path / "cache", pip)
    wheels_for(requirements, "amd64", tmp_path / "cache", pip, resolve_within=requirements)
    bare, resolved = pip.calls
    assert "--no-deps" in bare and "--no-deps" not in resolved
    assert f"--constraint={requirements}" in resolved


def test_wheels_are_for_the_images_python_not_for_this_one() -> None:
    command = download_command(["numpy==2.0.0"], "arm64", Path("/t"), Path("/s"))
    assert "--python-version=3.11" in command
    assert "--only-binary=:all:" in command
    assert {part for part in command if part.startswith("--platform=")} >= {"--platform=manylinux2014_aarch64"}
    with pytest.raises(ImageError, match="riscv64; known: amd64, arm64"):
        download_command([], "riscv64", Path("/t"), Path("/s"))


@pytest.mark.parametrize("loose", ["numpy>=2", "numpy", "numpy==2.*"])
def test_loose_requirements_are_refused(requirements: Path, loose: str) -> None:
    requirements.write_text(f"{loose}\n")
    with pytest.raises(ImageError, match="not an exact pin"):
        read_requirements(requirements)


def test_ours_are_exact() -> None:
    files = sorted((content_root() / "dockerfiles").glob("*/*requirements*.txt"))
    assert {path.parent.name for path in files} >= {"engine-light", "torch", "engine-federatedscope"}
    for path in files:
        assert read_requirements(path).pins
