"""The lab hosts' image: Debian with systemd, sshd and a Docker Engine, made once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from fedsim_runner.testbed.docker.images.rootfs import apt_settings
from fedsim_runner.user_folders import cache_dir

from .program import call

REPOSITORY = "fedsim-test/lab-host"
RELEASES = ("bookworm", "trixie")
PACKAGES = (
    "ca-certificates", "dbus", "docker.io", "iproute2", "iptables", "iputils-ping", "kmod", "openssh-server", "procps",
    "python3", "sudo", "systemd-sysv",
)  # fmt: skip
# The Docker SDK for Python. Lab hosts usually lack it.
SDK = "python3-docker"
FILES = Path(__file__).parent / "files"
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def image(client: docker.DockerClient, *, sdk: bool, release: str = RELEASES[0]) -> str:
    """The reference of the image in this machine's Engine, which is made if it is missing.

    Args:
        sdk: with the Docker SDK for Python.
        release: of Debian.

    Raises:
        LabError: the bootstrap failed.
    """
    # From Debian 13 on, docker.io only recommends the command line, with which hosts are looked at.
    command_line = [] if release == RELEASES[0] else ["docker-cli"]
    packages = (*PACKAGES, *command_line, *([SDK] if sdk else []))
    recipe = [release, *packages, *_LEFT_OUT, *(path.read_text() for path in sorted(FILES.iterdir()))]
    tag = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]
    try:
        client.images.get(f"{REPOSITORY}:{tag}")
    except ImageNotFound:
        client.api.import_image_from_file(str(_bootstrap(release, packages, tag)), repository=REPOSITORY, tag=tag)
    return f"{REPOSITORY}:{tag}"


def _bootstrap(release: str, packages: tuple[str, ...], tag: str) -> Path:
    """The root file system as a tar file in the cache."""
    target = cache_dir() / "lab-hosts" / f"{release}-{tag}.tar"
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    apt = apt_settings(release)
    # In a folder of its own: two tests may make the same one at the same time.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="bootstrap-") as folder:
        draft = Path(folder) / "rootfs.tar"
        call(
            [
                "mmdebstrap", "--variant=minbase", "--format=tar", f"--include={','.join(packages)}",
                *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
                *(f"--aptopt={option}" for option in apt.options),
                *([f"--keyring={apt.keys}"] if apt.keys else []),
                f"--customize-hook={FILES / 'customize'}",
                release, str(draft), *apt.sources,
            ],
            timeout_s=1200,
        )  # fmt: skip
        draft.replace(target)
    return target
