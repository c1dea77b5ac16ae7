"""Where FederatedScope comes from: which source was named, where, and of what kind it is.

The first of these wins: ``federatedscope.source`` of the experiment file, the environment variable
FEDSIM_FEDERATEDSCOPE_SOURCE, the user's configuration file, upstream at the commit that the patches were made for.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedsim_runner.contract.errors import Exit, FedsimError

Kind = Literal["checkout", "wheel", "git", "requirement"]

SOURCE_VARIABLE = "FEDSIM_FEDERATEDSCOPE_SOURCE"
UPSTREAM = "git+https://github.com/alibaba/FederatedScope"
UPSTREAM_COMMIT = "480b67de851df2fa02b7cc2189f1803d947998d7"
DEFAULT_SOURCE = f"{UPSTREAM}@{UPSTREAM_COMMIT}"
PACKAGE = "federatedscope"

SOURCE_FORMS = (
    "the path of a checkout or of a wheel, git+https://HOST/REPO@REVISION, or a pip requirement such as "
    "federatedscope==0.3.0"
)

ALTERNATIVES = (
    "Alternatives: a local checkout or a wheel, named by `federatedscope: {source: PATH}` in the experiment file, by "
    f"{SOURCE_VARIABLE}=PATH, or in the user configuration (~/.config/fedsim/config.yaml); or another git URL "
    "(git+https://HOST/REPO@COMMIT) or pip requirement there. Behind a proxy set HTTPS_PROXY, which git and pip "
    "both use; pip's index and certificates are set in its own configuration (`pip config list`). "
    "Devices with the light engine need no FederatedScope."
)

# Origins, as doctor and messages name them; the user configuration's is the path of the file.
FROM_SPEC = "the experiment file"
FROM_DEFAULT = "the default"

_COMMIT = re.compile(r"[0-9a-f]{40}$")
_EXACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?\s*==\s*[^*,;\s]+$")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*([=<>!~].*)?$")
_PASSWORD = re.compile(
    r"((?<=http://)|(?<=https://))[^/@\s]*@|(?<=://)[^/@\s\[]*:(?!\d*/)[^@\s]*@|[^/@\s:]*:[^/@\s]*@", re.IGNORECASE
)
# Over HTTP a user alone may be a token; over SSH it is not.
_CREDENTIALS = re.compile(r"(git\+)?(https?://[^/@\s]*@|[a-z+]+://[^/@\s\[]*:(?!\d*/)[^@\s]*@)", re.IGNORECASE)
# Top-level files that determine how the package's folder is built.
_BUILD_FILES = ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in")
_BUILD_TEXTS = ("README", "LICENSE")


class SourceError(FedsimError):
    """FederatedScope cannot be obtained from its source; the text says why and names alternatives."""

    exit = Exit.LAB


class SettingsError(FedsimError):
    """A setting that names the source is wrong; the text says where it is and what helps."""

    exit = Exit.SPEC


class SourceNameError(SettingsError):
    """The text that names the source is wrong. ``origin``: where it was written."""

    def __init__(self, origin: str, reason: str) -> None:
        super().__init__(f"{origin}: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Source:
    """A source of FederatedScope. ``text`` names it on this machine from any folder, so paths in it are absolute."""

    text: str
    kind: Kind
    origin: str

    @property
    def shown(self) -> str:
        """The text without passwords, for messages and manifests."""
        return without_password(self.text)

    @property
    def path(self) -> Path:
        """The path of a checkout or a wheel."""
        return Path(self.text)

    @property
    def pinned(self) -> bool:
        """Whether the text alone says what is installed: a whole commit, or an exact version."""
        if self.kind == "git":
            return _COMMIT.match(self.git_revision or "") is not None
        return self.kind == "requirement" and _EXACT.match(self.text) is not None

    @property
    def git_url(self) -> str:
        """What git calls the repository."""
        return self._git_parts()[0]

    @property
    def git_revision(self) -> str | None:
        """The branch, tag or commit of a git source, if it names one."""
        return self._git_parts()[1]

    def at(self, commit: str) -> str:
        """The text of a git source with its revision replaced."""
        head, mark, fragment = self.text.partition("#")
        revision = self.git_revision
        base = head.removesuffix(f"@{revision}") if revision else head
        return f"{base}@{commit}{mark}{fragment}"

    def _git_parts(self) -> tuple[str, str | None]:
        url = self.text[self.text.index("git+") + 4 :].partition("#")[0]
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        path, at, revision = path.rpartition("@") if "@" in path else (path, "", "")
        return f"{scheme}://{host}{slash}{path}", revision if at else None

    def fingerprint(self) -> str | None:
        """Text that changes when what is installed does; None where it is only known after a look at the source.

        Raises:
            SourceError: there is no valid checkout or wheel at the path.
        """
        problem = self.problem()
        if problem is not None:
            raise SourceError(unreachable(self, problem))
        try:
            if self.kind == "checkout":
                return checkout_fingerprint(self.path)
            if self.kind == "wheel":
                return f"wheel {self.path.name} {file_digest(self.path)}"
        except OSError as error:
            raise SourceError(unreachable(self, f"{error.filename}: {error.strerror}")) from error
        return f"{self.kind} {self.shown}" if self.pinned else None

    def problem(self) -> str | None:
        """What is visibly wrong with a checkout or wheel; None: nothing, or the source is not a local one."""
        try:
            return self._problem()
        except OSError as error:  # a folder above that this user may not enter, a name that is too long
            return error.strerror or type(error).__name__

    def _problem(self) -> str | None:
        if self.kind == "wheel":
            if not self.path.is_file():
                return "there is no such file"
            return None if os.access(self.path, os.R_OK) else "this user may not read it"
        if self.kind != "checkout":
            return None
        if not self.path.is_dir():
            return "there is no such folder"
        if not (self.path / PACKAGE / "__init__.py").is_file():
            return f"it has no {PACKAGE}/__init__.py, so it is not a checkout of FederatedScope"
        if not any((self.path / name).is_file() for name in ("setup.py", "pyproject.toml")):
            return "it has neither setup.py nor pyproject.toml, so no wheel can be built from it"
        return None


def parse_source(text: str, folder: Path, origin: str) -> Source:
    """Determine what kind of source ``text`` names. Relative paths start at ``folder``; no file is read.

    Raises:
        SourceNameError: ``text`` does not name a source.
    """
    written = text.strip()
    name, at, url = written.partition(" @ ")
    address = url.strip() if at and re.match(r"[A-Za-z0-9._-]+$", name.strip()) else written
    if _CREDENTIALS.match(address):
        raise SourceNameError(
            origin,
            f'"{without_password(address)}" was written with a password or a user in it, which device files '
            "and run folders would keep: write the URL without it, and the password into ~/.netrc, which git and pip "
            "read, or use git+ssh://",
        )
    if address.startswith("git+") and re.match(r"git\+[a-z]+://[^/]*/.", address):
        return Source(address, "git", origin)
    if address.startswith("file://"):
        address = address.removeprefix("file://")
    elif re.match(r"https?://.", address):
        return Source(f"{name.strip() if at else PACKAGE} @ {address}", "requirement", origin)
    if "://" in address or not address or not address.isprintable():
        raise _not_a_source(text, origin)
    if "/" in address or address.startswith((".", "~")) or address.endswith(".whl"):
        try:
            path = Path(os.path.normpath(folder.absolute() / Path(address).expanduser()))
        except RuntimeError as error:
            raise SourceNameError(origin, f'"{address}": there is no such user here') from error
        return Source(str(path), "wheel" if path.suffix == ".whl" else "checkout", origin)
    if not _REQUIREMENT.match(address):
        raise _not_a_source(text, origin)
    return Source(address, "requirement", origin)


def unreachable(source: Source, reason: str) -> str:
    """The message about a source that cannot be obtained."""
    return f"FederatedScope cannot be obtained from {source.shown} (named by {source.origin}): {reason}\n{ALTERNATIVES}"


def package_files(checkout: Path) -> Iterator[Path]:
    """The files of a checkout that a wheel is built from, relative and sorted."""
    tops = [path.name for path in checkout.iterdir() if path.is_file()]
    texts = [name for name in tops if name in _BUILD_FILES or name.startswith(_BUILD_TEXTS)]
    found = [Path(name) for name in texts]
    for folder, below, names in os.walk(checkout / PACKAGE):
        below[:] = [name for name in below if name != "__pycache__" and not name.startswith(".")]
        relative = Path(folder).relative_to(checkout)
        found += [relative / name for name in names if not name.endswith((".pyc", ".pyo")) and not name.startswith(".")]
    yield from sorted(found)


def contrib_files(checkout: Path) -> list[Path]:
    """What stands beside the user's own code in contrib's folders, relative and sorted: weights, tables and the like.

    Data sets do not count: they are loaded on the control node, and devices get their parts.
    """
    contrib = Path(PACKAGE, "contrib")
    found = (path.relative_to(contrib) for path in package_files(checkout) if path.is_relative_to(contrib))
    return [
        contrib / path for path in found if len(path.parts) > 1 and path.parts[0] != "data" and path.suffix != ".py"
    ]


def checkout_fingerprint(checkout: Path) -> str:
    """Text that changes when a wheel of this checkout does."""
    # Wheels that earlier versions made have none of those files.
    return f"checkout {'with files ' if contrib_files(checkout) else ''}{tree_digest(checkout)}"


def tree_digest(checkout: Path) -> str:
    """One digest of everything that a wheel of this checkout is built from."""
    digest = hashlib.sha256()
    for path in package_files(checkout):
        data = (checkout / path).read_bytes()
        digest.update(f"{path.as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_password(text: str) -> str:
    """Remove the user and the password of a URL from a text for messages."""
    return _PASSWORD.sub("", text)


def _not_a_source(text: str, origin: str) -> SourceNameError:
    reason = f'"{without_password(text)}" is not a source of FederatedScope: write {SOURCE_FORMS}'
    return SourceNameError(origin, reason)
