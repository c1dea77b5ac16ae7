"""The wheelhouse: wheels downloaded once on the control node, with the user's pip configuration, and known by hash."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedsim_runner.downloads.pip_output import pip_errors

from .image_error import ImageError

TARGET_PYTHON = "3.11"  # Debian bookworm's
INDEX_OPTION = "--extra-index-url"
HASH_OPTION = "--hash=sha256:"
_PIN = re.compile(rf"[A-Za-z0-9][\w.-]*==[\w.+!-]+( {HASH_OPTION}[0-9a-f]{{64}})*")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# bookworm has glibc 2.36; pip compares tags literally, and NVIDIA's wheels are tagged 2_18.
_GLIBC = tuple(f"2_{minor}" for minor in range(36, 16, -1))

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def wheels_for(requirements: Path, arch: str, cache: Path, run: Run | None = None) -> tuple[Path, ...]:
    """The wheel files of ``requirements`` (exact pins) for ``arch``, downloaded if the cache lacks them.

    An index that ``requirements`` names is used only if pip's own configuration does not find the wheels.

    Raises ImageError: pip could not download a wheel, a wheel is not the one that is pinned, or the architecture is not
    supported.
    """
    pinned = read_requirements(requirements)
    wanted = _Wanted(
        pinned.pins, pinned.indexes, f"the wheels of dockerfiles/{requirements.parent.name}/{requirements.name}"
    )
    return _obtain(wanted, pinned.allows, arch, cache, run or _run)


def user_wheels(
    packages: Sequence[str], below: Sequence[Path], arch: str, cache: Path, run: Run | None = None
) -> tuple[Path, ...]:
    """The wheels of a user's pip requirements and of what they need, besides those of the requirements files ``below``,
    which the image has already; their versions must fit.

    A requirement without an exact version is resolved once and stays fixed after that.

    Raises ImageError: pip could not resolve or download them, or the architecture is not supported.
    """
    pinned = [read_requirements(path) for path in below]
    pins = tuple(sorted(pin.split()[0] for one in pinned for pin in one.pins))
    indexes = tuple(index for one in pinned for index in one.indexes)
    what = f"the packages of federatedscope.requirements ({', '.join(packages)})"
    wanted = _Wanted(tuple(packages), indexes, what, pins)
    return _obtain(wanted, lambda wheel: True, arch, cache, run or _run)


@dataclass(frozen=True)
class _Wanted:
    """``pins``: the image below has these; None: pip resolves nothing. ``what``: what messages call it."""

    lines: tuple[str, ...]
    indexes: tuple[str, ...]
    what: str
    pins: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """What determines the wheels."""
        return "\n".join(self.lines if self.pins is None else (*self.pins, "", *self.lines))

    def is_below(self, wheel: Path) -> bool:
        """Whether the image below has the wheel's package."""
        return _package(wheel.name.partition("-")[0]) in {_package(pin.partition("==")[0]) for pin in self.pins or ()}


def _obtain(wanted: _Wanted, allows: Callable[[Path], bool], arch: str, cache: Path, run: Run) -> tuple[Path, ...]:
    store = cache / "wheels"
    key = hashlib.sha256("\n".join([TARGET_PYTHON, arch, wanted.text]).encode()).hexdigest()[:16]
    index = cache / "wheelhouses" / f"{key}.json"
    if index.is_file():
        files = tuple(store / name for name in json.loads(index.read_text()))
        if all(path.is_file() and allows(path) for path in files):
            return files
    store.mkdir(parents=True, exist_ok=True)
    index.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as folder:
        listed, constraints = Path(folder) / "requirements.txt", None
        listed.write_text("".join(f"{line}\n" for line in wanted.lines))
        if wanted.pins is not None:
            constraints = Path(folder) / "constraints.txt"
            constraints.write_text("".join(f"{pin}\n" for pin in wanted.pins))
        outputs = []
        for more in ((), *((url,) for url in wanted.indexes)):
            command = download_command(listed, arch, Path(folder), store, extra_indexes=more, constraints=constraints)
            outcome = run(command)
            if outcome.returncode == 0:
                break
            outputs.append(outcome.stderr or outcome.stdout)
        else:
            raise ImageError(download_message(wanted.what, outputs, wanted.indexes))
        names = sorted(path.name for path in Path(folder).glob("*.whl") if not wanted.is_below(path))
        for name in names:
            (Path(folder) / name).replace(store / name)
        draft = Path(folder) / "index.json"
        draft.write_text(json.dumps(names))
        draft.replace(index)  # last: an index never names a wheel that is not there
    return tuple(store / name for name in names)


def _package(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name.split("[")[0].strip()).lower()


@dataclass(frozen=True)
class Requirements:
    """A requirements file: sorted pins with their hashes, and the indexes to use where the user's own lack them."""

    pins: tuple[str, ...]
    indexes: tuple[str, ...]

    def allows(self, wheel: Path) -> bool:
        """Whether the file has one of the hashes; true if there are none, as in a file of the user's own."""
        hashes = {part for pin in self.pins for part in pin.split() if part.startswith(HASH_OPTION)}
        if not hashes:
            return True
        with wheel.open("rb") as file:
            return f"{HASH_OPTION}{hashlib.file_digest(file, 'sha256').hexdigest()}" in hashes


def read_requirements(path: Path) -> Requirements:
    """``name==version [--hash=sha256:...]`` and ``--extra-index-url URL`` lines.

    Raises ImageError: something else is in the file, or only some of its pins have hashes.
    """
    text = path.read_text().replace("\\\n", " ")
    lines = [" ".join(line.split()) for line in (line.partition("#")[0] for line in text.splitlines()) if line.strip()]
    indexes = [line.split()[1] for line in lines if line.startswith(INDEX_OPTION) and len(line.split()) == 2]
    pins = sorted(line for line in lines if not line.startswith(INDEX_OPTION))
    loose = [pin for pin in pins if not _PIN.fullmatch(pin)]
    if loose:
        raise ImageError(f"{path.parent.name}/{path.name}: not an exact pin (name==version): {loose[0]}")
    bare = [pin for pin in pins if HASH_OPTION not in pin]
    if bare and len(bare) < len(pins):
        raise ImageError(
            f"{path.parent.name}/{path.name}: other pins have a hash ({HASH_OPTION}...), this not: {bare[0]}"
        )
    return Requirements(tuple(pins), tuple(indexes))


def download_command(
    requirements: Path,
    arch: str,
    target: Path,
    store: Path,
    *,
    extra_indexes: Sequence[str] = (),
    constraints: Path | None = None,
) -> tuple[str, ...]:
    """The pip call: this interpreter's pip, the user's pip configuration, wheels of the *image's* Python.

    pip refuses a wheel whose hash is not in ``requirements`` if that has hashes. With ``constraints`` it also downloads
    what the wheels need.
    """
    machine = _MACHINES.get(arch)
    if machine is None:
        raise ImageError(f"no wheels are known for the architecture {arch}; known: {', '.join(sorted(_MACHINES))}")
    platforms = [f"manylinux_{glibc}_{machine}" for glibc in _GLIBC] + [f"manylinux2014_{machine}"]
    return (
        sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check",
        "--no-deps" if constraints is None else f"--constraint={constraints}",
        "--only-binary=:all:", "--implementation=cp", f"--python-version={TARGET_PYTHON}",
        *(f"--platform={platform}" for platform in platforms),
        # An index that the user did not choose may be unreachable: then fail quickly.
        *(part for url in extra_indexes for part in (f"--extra-index-url={url}", "--retries=1", "--timeout=15")),
        f"--find-links={store}", f"--dest={target}", f"--requirement={requirements}",
    )  # fmt: skip


def download_message(what: str, outputs: Sequence[str], indexes: Sequence[str] = ()) -> str:
    """One message for every kind of failed download: pip's errors, and where its settings are."""
    elsewhere = f"{', '.join(indexes)} was tried as well. " if indexes else ""
    return (
        f"pip could not download {what}: "
        f"{' '.join(dict.fromkeys(filter(None, map(pip_errors, outputs)))) or 'no output'}\n"
        "They are downloaded here, on the control node, with this user's own pip configuration "
        f"(`pip config list` shows it). {elsewhere}"
        "Behind a proxy or a mirror set `proxy`, `index-url` or `cert` there "
        "(or HTTPS_PROXY, PIP_INDEX_URL, PIP_CERT); without a network put the wheels into a folder and name it "
        "with `find-links` (PIP_FIND_LINKS) together with `no-index`. Then run again."
    )


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None:
        raise ImageError(f"the Python interpreter {command[0]} no longer exists: create the environment again")
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
