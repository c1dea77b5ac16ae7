"""The wheelhouse downloads once, for the image's Python, and gives one useful message when that fails."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from fedsim_runner.content import content_root
from fedsim_runner.testbed.docker.images import ImageError
from fedsim_runner.testbed.docker.images.wheelhouse import (
    download_command,
    read_requirements,
    user_wheels,
    wheels_for,
)


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "engine-toy" / "requirements.txt"
    path.parent.mkdir()
    path.write_text("# what it needs\nnumpy==2.0.0  # arrays\n\nidna==3.7\n")
    return path


WHEEL = b"wheel"
HASH = f"--hash=sha256:{hashlib.sha256(WHEEL).hexdigest()}"


class FakePip:
    """Stands in for pip: creates a wheel for each requirement, or fails as pip does without a network."""

    def __init__(self, error: str = "") -> None:
        self.error = error
        self.calls: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.calls.append(command)
        target = Path(next(part for part in command if part.startswith("--dest=")).removeprefix("--dest="))
        listed = Path(
            next(part for part in command if part.startswith("--requirement=")).removeprefix("--requirement=")
        )
        for pin in listed.read_text().splitlines():
            if not self.error:
                (target / f"{pin.split()[0].replace('==', '-')}-py3-none-any.whl").write_bytes(WHEEL)
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


def test_a_wheel_in_the_cache_that_is_not_the_pinned_one_is_downloaded_again(
    requirements: Path, tmp_path: Path
) -> None:
    requirements.write_text(f"numpy==2.0.0 \\\n    {HASH}\n")
    pip = FakePip()
    (wheel,) = wheels_for(requirements, "amd64", tmp_path / "cache", pip)
    assert wheels_for(requirements, "amd64", tmp_path / "cache", pip) == (wheel,)
    assert len(pip.calls) == 1
    wheel.write_bytes(b"another")
    wheels_for(requirements, "amd64", tmp_path / "cache", pip)
    assert wheel.read_bytes() == WHEEL
    assert len(pip.calls) == 2


@pytest.mark.process
def test_pip_refuses_a_wheel_of_another_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an index that was tampered with would give it."""
    wheel = tmp_path / "index" / "toy-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
        archive.writestr("toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("toy-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    requirements = tmp_path / "engine-toy" / "requirements.txt"
    requirements.parent.mkdir()
    requirements.write_text(f"toy==1.0 {HASH}\n")
    with pytest.raises(ImageError, match="THESE PACKAGES DO NOT MATCH THE HASHES"):
        wheels_for(requirements, "amd64", tmp_path / "cache")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    requirements.write_text(f"toy==1.0 --hash=sha256:{digest}\n")
    assert [path.name for path in wheels_for(requirements, "amd64", tmp_path / "cache")] == [wheel.name]


def test_a_hash_for_one_pin_means_one_for_all(requirements: Path) -> None:
    requirements.write_text(f"numpy==2.0.0 {HASH}\nidna==3.7\n")
    with pytest.raises(ImageError, match=r"other pins have a hash \(--hash=sha256:\.\.\.\), this not: idna==3.7"):
        read_requirements(requirements)


def test_wheels_are_for_the_images_python_not_for_this_one() -> None:
    command = download_command(Path("/r"), "arm64", Path("/t"), Path("/s"))
    assert "--python-version=3.11" in command
    assert "--only-binary=:all:" in command
    assert {part for part in command if part.startswith("--platform=")} >= {"--platform=manylinux2014_aarch64"}
    with pytest.raises(ImageError, match="riscv64; known: amd64, arm64"):
        download_command(Path("/r"), "riscv64", Path("/t"), Path("/s"))


@pytest.mark.parametrize("loose", ["numpy>=2", "numpy", "numpy==2.*", "numpy==2.0 --hash=md5:0", "numpy==2.0 --pre"])
def test_loose_requirements_are_refused(requirements: Path, loose: str) -> None:
    requirements.write_text(f"{loose}\n")
    with pytest.raises(ImageError, match="not an exact pin"):
        read_requirements(requirements)


def test_ours_are_exact_and_have_hashes() -> None:
    files = sorted((content_root() / "dockerfiles").glob("*/*requirements*.txt"))
    assert {path.parent.name for path in files} >= {"engine-light", "torch", "engine-federatedscope"}
    for path in files:
        pins = read_requirements(path).pins
        assert pins and all("--hash=sha256:" in pin for pin in pins)


class ResolvingPip(FakePip):
    """Also downloads what the packages need: torch, which the image has, and one that it has not."""

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        target = Path(next(part for part in command if part.startswith("--dest=")).removeprefix("--dest="))
        for name in ("Torch_Vision-1.0", "helper-2.0"):
            (target / f"{name}-py3-none-any.whl").write_bytes(WHEEL)
        return super().__call__(command)


def test_packages_of_the_user_must_fit_the_image_and_bring_what_it_lacks(requirements: Path, tmp_path: Path) -> None:
    requirements.write_text("torch-vision==1.0 " + HASH + "\n")
    pip = ResolvingPip()
    wanted = ("einops==0.8.0", "timm==1.0")
    found = user_wheels(wanted, [requirements], "amd64", tmp_path / "cache", pip)
    assert [path.name.partition("-")[0] for path in found] == ["einops", "helper", "timm"]
    assert user_wheels(wanted, [requirements], "amd64", tmp_path / "cache", pip) == found
    user_wheels((*wanted, "more==1"), [requirements], "amd64", tmp_path / "cache", pip)
    (first, _) = pip.calls
    assert "--no-deps" not in first and "--only-binary=:all:" in first
    assert any(part.startswith("--constraint=") for part in first)


def test_packages_that_pip_cannot_resolve_are_named(requirements: Path, tmp_path: Path) -> None:
    pip = FakePip("ERROR: Cannot install numpy>=2 because these package versions have conflicting dependencies.")
    with pytest.raises(ImageError, match=r"federatedscope\.requirements \(numpy>=2\): ERROR: Cannot install"):
        user_wheels(["numpy>=2"], [requirements], "amd64", tmp_path / "cache", pip)
