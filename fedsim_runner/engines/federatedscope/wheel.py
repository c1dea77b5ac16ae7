"""FederatedScope as a wheel in the control node's cache: one call of pip for every kind of source."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from fedsim_runner.downloads.cache import locked
from fedsim_runner.downloads.pip_output import pip_errors
from fedsim_runner.user_folders import cache_dir

from .contrib_files import add_contrib_files
from .source import PACKAGE, Source, SourceError, checkout_fingerprint, file_digest, package_files, unreachable
from .source_in_use import resolve_source

STORE = "federatedscope"  # folder of the cache
RECORD = "source.json"
GIT_TIMEOUT_S = 45  # for one query of a repository; git itself would wait for minutes
PIP_TIMEOUT_S = 1800
SETUPTOOLS_ALONE = (70, 1)  # from this version on it builds wheels without another package

Run = Callable[[Sequence[str], float], "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class CachedSource:
    """A source and the cache that its wheel goes through. ``run`` stands in for subprocesses in tests."""

    source: Source
    cache: Path = field(default_factory=cache_dir)
    run: Run | None = None

    def identity(self) -> str:
        """Text that changes when what is installed does: an input of the images' keys.

        A branch, or a requirement without an exact version, is resolved once and stays fixed after that.

        Raises:
            SourceError: the source cannot be obtained.
        """
        fingerprint = self.source.fingerprint()
        if fingerprint is not None:
            return fingerprint
        self.wheel()
        record = self.record()
        return f"{self.source.kind} {record.get('revision') or record.get('sha256')}"

    def wheel(self) -> Path:
        """Return the wheel, built if the cache lacks it.

        Raises:
            SourceError: the source cannot be obtained; the cache then holds nothing of it.
        """
        folder = self.folder
        with locked(self.cache / STORE):
            found = _wheel_in(folder)
            if found is None:
                found = self._make(folder)
        return found

    def refuse(self, config: Mapping[str, Any]) -> None:
        """Check the keys and names of a configuration. Planning does so for local sources; this is for fetched ones.

        Raises:
            SettingsError: what FederatedScope does not know, or values of a wrong type.
        """
        from .fetched_source import refuse_unknown

        refuse_unknown(config, self.wheel())

    def cached(self) -> Path | None:
        """The wheel if the cache has it; nothing is fetched or built."""
        try:
            return _wheel_in(self.folder)
        except SourceError:
            return None

    def record(self) -> Mapping[str, Any]:
        """What was recorded when the wheel was made: revision, version, sha256 and time; empty without a wheel."""
        return _read(self.folder / RECORD)

    @property
    def folder(self) -> Path:
        """Where the cache keeps the wheel.

        Raises:
            SourceError: there is no valid checkout or wheel at the path.
        """
        key = self.source.fingerprint() or f"{self.source.kind} {self.source.text}"
        return self.cache / STORE / sha256(key.encode()).hexdigest()[:16]

    def _make(self, folder: Path) -> Path:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="wheel-") as draft:
            made = Path(draft) / "made"
            target, revision = self._target(Path(draft))
            command = wheel_command(target, made, isolated=self._isolated())
            outcome = self._call(command, PIP_TIMEOUT_S)
            wheels = sorted(made.glob("*.whl"))
            if outcome.returncode != 0 or len(wheels) != 1:
                raise self._failed(error_lines(outcome) or f"pip ended with exit code {outcome.returncode}")
            _check(wheels[0], self._failed)
            if self.source.kind == "checkout":
                self._complete(wheels[0], Path(target))
            record = {
                "source": self.source.shown,
                "revision": revision,
                "version": wheels[0].name.split("-")[1],
                "sha256": file_digest(wheels[0]),
                "made": time.time(),
            }
            (made / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)  # an earlier folder that has lost its wheel
            made.rename(folder)
        return folder / wheels[0].name

    def _target(self, draft: Path) -> tuple[str, str | None]:
        """The argument for pip, and the commit where it is known."""
        source = self.source
        if source.kind == "git":
            commit = self._commit()
            return (source.at(commit), commit) if commit else (source.text, None)
        if source.kind != "checkout":
            return source.text, None
        # Built from a copy: a build leaves files behind, and includes those that an earlier one left.
        copy = draft / "checkout"
        try:
            for path in package_files(source.path):
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source.path / path, copy / path)
        except OSError as error:
            raise self._failed(f"{error.filename}: {error.strerror}") from error
        if checkout_fingerprint(copy) != source.fingerprint():
            raise self._failed("its files changed while they were read; run again")
        return str(copy), checkout_revision(source.path)[0]

    def _complete(self, wheel: Path, checkout: Path) -> None:
        try:
            add_contrib_files(wheel, checkout)
        except (OSError, zipfile.BadZipFile) as error:
            raise self._failed(f"{wheel.name}: files of contrib cannot be added: {error}") from error

    def _commit(self) -> str | None:
        """The commit that a git source means; None: only a clone can find it. This query fails soon where pip waits."""
        source = self.source
        if shutil.which("git") is None:
            raise self._failed(
                "git is not installed here: `apt-get install git`, or name another kind of source than git+..."
            )
        outcome = self._call(["git", "ls-remote", source.git_url], GIT_TIMEOUT_S)
        if outcome.returncode != 0:
            raise self._failed(error_lines(outcome) or f"git ended with exit code {outcome.returncode}")
        pairs = (line.split("\t", 1) for line in outcome.stdout.splitlines() if "\t" in line)
        listed = {name: commit for commit, name in pairs}
        revision = source.git_revision
        if source.pinned:
            return revision
        names = ["HEAD"]
        if revision:  # a tag is itself an object where it has a message: the commit is behind it
            names = [f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}", f"refs/heads/{revision}", revision]
        return next((listed[name] for name in names if name in listed), None)

    def _isolated(self) -> bool:
        """Whether pip builds in a new environment, filled from an index. A setup.py alone needs only setuptools."""
        if self.source.kind != "checkout" or (self.source.path / "pyproject.toml").is_file():
            return True
        try:
            version = importlib.metadata.version("setuptools").split(".")
        except importlib.metadata.PackageNotFoundError:
            return True
        return tuple(int(part) for part in version[:2] if part.isdigit()) < SETUPTOOLS_ALONE

    def _call(self, command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        try:
            return (self.run or _run)(command, timeout)
        except subprocess.TimeoutExpired as error:
            raise self._failed(f"{Path(command[0]).name} had not answered after {timeout:.0f} s") from error
        except OSError as error:
            raise self._failed(f"{command[0]}: {error.strerror}") from error

    def _failed(self, reason: str) -> SourceError:
        return SourceError(unreachable(self.source, reason))


def source_manifest(named: str | None, cache: Path | None = None) -> dict[str, Any]:
    """What a manifest records about FederatedScope: where it comes from and, where the cache knows it, which version.

    ``named`` is the source in the device file. ``revision`` is a git commit, ``dirty`` whether a checkout differs from
    it; ``wheel`` and ``sha256`` are those that images were built from. Nothing is fetched; unknown values are None.

    Raises:
        SettingsError: ``named`` is not a source.
    """
    source = resolve_source(named)
    cached = CachedSource(source, cache or cache_dir())
    wheel = cached.cached()
    record: Mapping[str, Any] = {} if wheel is None else cached.record()
    revision, dirty = record.get("revision"), None
    if source.kind == "checkout":
        revision, dirty = checkout_revision(source.path)
    elif source.kind == "git" and source.pinned:
        revision = source.git_revision
    return {
        "kind": source.kind,
        "source": source.shown,
        "revision": revision,
        "dirty": dirty,
        "version": record.get("version"),
        "wheel": None if wheel is None else wheel.name,
        "sha256": record.get("sha256"),
    }


def checkout_revision(checkout: Path) -> tuple[str | None, bool | None]:
    """Commit of a checkout and whether files differ from it; None, None where it is not a git repository."""
    # As root in somebody else's repository git would refuse, and a hook of its configuration must not run.
    safe = ("-c", f"safe.directory={checkout}", "-c", "core.fsmonitor=false")
    git = ["git", "--no-optional-locks", *safe, "-C", str(checkout)]
    try:
        top = _run([*git, "rev-parse", "--show-toplevel", "HEAD"], GIT_TIMEOUT_S)
        lines = top.stdout.splitlines()
        if top.returncode != 0 or len(lines) != 2 or Path(lines[0]).resolve() != checkout.resolve():
            return None, None
        status = _run([*git, "status", "--porcelain", "--untracked-files=normal"], GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None, None
    return lines[1], bool(status.stdout.strip()) if status.returncode == 0 else None


def wheel_command(target: str, folder: Path, *, isolated: bool = True) -> tuple[str, ...]:
    """The pip call: this interpreter's pip, with the user's own configuration."""
    return (
        sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-input", "--disable-pip-version-check",
        "--progress-bar=off", *(() if isolated else ("--no-build-isolation",)), f"--wheel-dir={folder}", target,
    )  # fmt: skip


def error_lines(outcome: subprocess.CompletedProcess[str]) -> str:
    """The lines of git's or pip's output that say what is wrong."""
    lines = [line.strip() for line in (outcome.stdout + "\n" + outcome.stderr).splitlines()]
    git = [line for line in lines if line.startswith(("fatal:", "remote: ", "ssh:"))]
    return " ".join(dict.fromkeys(git)) or pip_errors(outcome.stderr or outcome.stdout)


def _check(wheel: Path, failed: Callable[[str], SourceError]) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile as error:
        raise failed(f"{wheel.name} is not a wheel: {error}") from error
    if f"{PACKAGE}/__init__.py" not in names:
        raise failed(f"{wheel.name} does not contain the package {PACKAGE}")


def _wheel_in(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.whl"))), None) if (folder / RECORD).is_file() else None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _run(command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    # Nobody can answer prompts: a password that is asked for is missing, and a stalled transfer is an error.
    environment = {
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=15",
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
        "GIT_HTTP_LOW_SPEED_TIME": "60",
        "SOURCE_DATE_EPOCH": "315619200",  # the same files give the same wheel
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
    }
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        env=environment,
    )
