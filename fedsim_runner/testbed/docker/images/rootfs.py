"""The base without a registry: a Debian bootstrap by mmdebstrap, from the mirror that this machine's apt uses."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .image_error import ImageError

# Nobody reads documentation or translations inside a device; Debian's own slim image leaves out the same.
_EXCLUDED = (
    "/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*",
    "/usr/share/linda/*", "/usr/share/groff/*",
)  # fmt: skip
# Python's tests and help texts are removed only at the end: its package compiles them and fails without them.
_CLEAN_UP = (
    'rm -rf "$1"/usr/lib/python3*/test "$1"/usr/lib/python3*/pydoc_data "$1"/usr/lib/python3*/idlelib; '
    'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/cache/debconf/*-old "$1"/var/log/* '
    '"$1"/var/lib/dpkg/*-old "$1"/etc/apt/apt.conf.d/99mmdebstrap'
)
# /bin is a link to /usr/bin from the start, so the program that would make the link is not needed, nor is Perl (46 MB).
_MERGED_USR = ("usr-is-merged",)
_MERGED_USR_HOOKS = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"
# Debian's keys, which apt does not trust by default everywhere (Ubuntu). apt takes one folder and one file of keys:
# the machine's own file has precedence.
_DEBIAN_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_OWN_KEYS = Path("/etc/apt/trusted.gpg")
# Parts of apt's messages about an archive whose key is missing.
_UNSIGNED = ("is not signed", "NO_PUBKEY", "Missing key")
# Parts of mmdebstrap's messages about another architecture.
_FOREIGN = ("foreign architecture", "qemu user emulation")
_ACQUIRE = re.compile(r'^(Acquire::https?(?:::[^ ]+)?) "(.*)";$')


@dataclass(frozen=True)
class AptSettings:
    """The apt configuration of this machine: source lines for mmdebstrap, proxy and certificate options, keys."""

    sources: tuple[str, ...]
    options: tuple[str, ...]
    keys: Path | None = None  # None: the keys that apt already trusts


def rootfs_for(directory: Path, arch: str, suite: str, cache: Path) -> Path:
    """The bootstrap of the packages that ``directory``/packages.txt lists, as a tar file in the cache.

    Raises ImageError: mmdebstrap is missing or fails.
    """
    packages = read_packages(directory / "packages.txt")
    key = hashlib.sha256("\n".join([arch, recipe(suite), *packages]).encode()).hexdigest()[:16]
    target = cache / "rootfs" / f"{suite}-{arch}-{key}.tar"
    if target.is_file():
        return target
    if shutil.which("mmdebstrap") is None:
        raise ImageError(
            "no image registry answers and mmdebstrap, which makes the base image without one, is not installed: "
            "`apt-get install mmdebstrap debian-archive-keyring` (on Debian and Ubuntu, WSL2 included), or name a "
            "Debian image that the lab host can pull: -e fedsim_image_base=IMAGE"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="bootstrap-") as folder:
        draft = Path(folder) / "rootfs.tar"
        command = bootstrap_command(packages, arch, suite, draft, apt_settings(suite))
        outcome = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if outcome.returncode != 0:
            raise ImageError(bootstrap_message(outcome.stderr, root=os.geteuid() == 0))
        draft.replace(target)
    return target


def recipe(suite: str) -> str:
    """How a bootstrap is made, apart from its packages: like the Dockerfile, this is an input of the base image."""
    return "\n".join([*suites_of(suite), *_MERGED_USR, *_EXCLUDED, _CLEAN_UP])


def suites_of(suite: str) -> tuple[str, str, str]:
    """The suites from which a bootstrap takes its packages: the release, its updates and its security updates."""
    return suite, f"{suite}-updates", f"{suite}-security"


def read_packages(path: Path) -> tuple[str, ...]:
    """The package names of a packages.txt, sorted."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return tuple(sorted(line for line in lines if line))


def bootstrap_command(
    packages: Sequence[str], arch: str, suite: str, target: Path, apt: AptSettings
) -> tuple[str, ...]:
    """The mmdebstrap call. Without sources mmdebstrap uses Debian's own mirror, with all of :func:`suites_of`."""
    return (
        "mmdebstrap", "--variant=minbase", "--format=tar", f"--architectures={arch}",
        f"--include={','.join([*packages, *_MERGED_USR])}", f"--hook-dir={_MERGED_USR_HOOKS}",
        *(f"--dpkgopt=path-exclude={path}" for path in _EXCLUDED),
        *(f"--aptopt={option}" for option in apt.options),
        *([f"--keyring={apt.keys}"] if apt.keys else []),
        f"--customize-hook={_CLEAN_UP}",
        suite, str(target), *apt.sources,
    )  # fmt: skip


def bootstrap_message(output: str, *, root: bool) -> str:
    """Explain why a bootstrap failed: the lines with errors, and the usual causes."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "Err:", "dpkg: error"))] or lines
    rights = "" if root else " As a normal user it needs user namespaces and the package uidmap; else run as root."
    hint = (
        "mmdebstrap uses the mirror, proxy and certificates of this machine's apt: check that `apt-get update` works."
    )
    if any(sign in line for line in lines for sign in _UNSIGNED):
        hint = (
            "This machine lacks the keys that Debian signs its archive with (Ubuntu does not install them): "
            "`apt-get install debian-archive-keyring`."
        )
    if any(sign in line for line in lines for sign in _FOREIGN):
        hint = (
            "A base of another architecture needs programs that run its programs: `apt-get install arch-test "
            "qemu-user-static` (Debian and Ubuntu)."
        )
    return f"the Debian bootstrap failed: {' '.join(errors[-4:]) or 'mmdebstrap printed nothing'}\n{hint}{rights}"


def apt_settings(suite: str) -> AptSettings:
    """Read this machine's apt settings; empty where there is no apt (then mmdebstrap's defaults apply)."""
    if shutil.which("apt-get") is None or shutil.which("apt-config") is None:
        return AptSettings((), ())
    # --no-release-info: on a fresh machine there is a configuration, but lists may never have been fetched.
    targets = _output("apt-get", "indextargets", "--no-release-info", "--format",
                      "$(SITE)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)")  # fmt: skip
    keys = _DEBIAN_KEYS if _DEBIAN_KEYS.is_file() and not _OWN_KEYS.exists() else None
    return AptSettings(parse_sources(targets, suite), parse_options(_output("apt-config", "dump")), keys)


def parse_sources(targets: str, suite: str) -> tuple[str, ...]:
    """mmdebstrap source lines for ``suite`` out of ``apt-get indextargets`` (site|release|component|...).

    They always cover :func:`suites_of`, so that the same recipe includes updates on every machine. On a machine with
    another Debian release, that release's mirror is used. Empty if apt has no Debian archive.
    """
    found: dict[str, str] = {}
    for line in targets.splitlines():
        fields = line.split("|")
        if len(fields) >= 4 and fields[2:4] == ["main", "Packages"]:
            found.setdefault(fields[1], fields[0].rstrip("/"))
    main, updates, security = suites_of(suite)
    # "/debian" is the path of Debian's archive on every mirror; other archives have other paths.
    lent = (site for release, site in found.items() if site.endswith("/debian") and "-" not in release)
    archive = found.get(main) or next(lent, None)
    if archive is None:
        return ()
    lent = (site for release, site in found.items() if release.endswith("-security") and "debian" in site)
    # Without a security source, the mirror's own copy, which lies next to the archive.
    secured = found.get(security) or next(lent, f"{archive}-security")
    sites = {main: archive, updates: found.get(updates, archive), security: secured}
    return tuple(f"deb {site} {release} main" for release, site in sites.items())


def parse_options(dump: str) -> tuple[str, ...]:
    """Proxy and certificate settings out of ``apt-config dump``, as apt options."""
    matches = (_ACQUIRE.match(line) for line in dump.splitlines())
    return tuple(f'{match[1]} "{match[2]}"' for match in matches if match and match[2])


def _output(*command: str) -> str:
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return outcome.stdout if outcome.returncode == 0 else ""
