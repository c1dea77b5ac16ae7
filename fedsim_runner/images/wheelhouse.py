"""The wheelhouse: wheels downloaded once on the control node, with its own pip configuration."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fedsim_runner.images.errors import ImageError

TARGET_PYTHON = "3.11"  # Debian bookworm's
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_GLIBC = ("2_36", "2_34", "2_31", "2_28", "2_27", "2_24", "2_17")  # bookworm has 2.36; pip takes each tag as it is

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def wheels_for(requirements: Path, arch: str, cache: Path, run: Run | None = None) -> tuple[Path, ...]:
    """The wheel files of ``requirements`` (exact pins) for ``arch``, downloaded if the cache lacks them.

    Raises ImageError: pip could not get one, or no wheel is known for the architecture.
    """
    store = cache / "wheels"
    pins = read_pins(requirements)
    key = hashlib.sha256("\n".join([TARGET_PYTHON, arch, *pins]).encode()).hexdigest()[:16]
    index = cache / "wheelhouses" / f"{key}.json"
    if index.is_file():
        files = tuple(store / name for name in json.loads(index.read_text()))
        if all(path.is_file() for path in files):
            return files
    store.mkdir(parents=True, exist_ok=True)
    index.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as folder:
        command = download_command(pins, arch, Path(folder), store)
        outcome = (run or _run)(command)
        if outcome.returncode != 0:
            raise ImageError(download_message(requirements, outcome.stderr or outcome.stdout))
        names = sorted(path.name for path in Path(folder).glob("*.whl"))
        for name in names:
            (Path(folder) / name).replace(store / name)
        draft = Path(folder) / "index.json"
        draft.write_text(json.dumps(names))
        draft.replace(index)  # last: an index never names a wheel that is not there
    return tuple(store / name for name in names)


def read_pins(requirements: Path) -> tuple[str, ...]:
    """The ``name==version`` lines, sorted. Raises ImageError for anything that is not an exact pin."""
    lines = (line.partition("#")[0].strip() for line in requirements.read_text().splitlines())
    pins = tuple(sorted(line for line in lines if line))
    loose = [pin for pin in pins if "==" not in pin or "*" in pin]
    if loose:
        raise ImageError(
            f"{requirements.parent.name}/{requirements.name}: not an exact pin (name==version): {loose[0]}"
        )
    return pins


def download_command(pins: Sequence[str], arch: str, target: Path, store: Path) -> tuple[str, ...]:
    """The pip call: this interpreter's pip, the user's pip configuration, wheels of the *image's* Python."""
    machine = _MACHINES.get(arch)
    if machine is None:
        raise ImageError(f"no wheels are known for the architecture {arch}; known: {', '.join(sorted(_MACHINES))}")
    platforms = [f"manylinux_{glibc}_{machine}" for glibc in _GLIBC] + [f"manylinux2014_{machine}"]
    return (
        sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check",
        "--no-deps", "--only-binary=:all:", "--implementation=cp", f"--python-version={TARGET_PYTHON}",
        *(f"--platform={platform}" for platform in platforms),
        f"--find-links={store}", f"--dest={target}", *pins,
    )  # fmt: skip


def download_message(requirements: Path, output: str) -> str:
    """One message for all the ways in which a download fails: what pip said and where its settings are."""
    said = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in said if line.startswith("ERROR")] or said[-2:]
    return (
        f"pip could not download the wheels of dockerfiles/{requirements.parent.name}/{requirements.name}: "
        f"{' '.join(errors) or 'no output'}\n"
        "They are downloaded here, on the control node, with this user's own pip configuration "
        "(`pip config list` shows it). Behind a proxy or a mirror set `proxy`, `index-url` or `cert` there "
        "(or HTTPS_PROXY, PIP_INDEX_URL, PIP_CERT); without a network put the wheels into a folder and name it "
        "with `find-links` (PIP_FIND_LINKS) together with `no-index`. Then run again."
    )


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None:
        raise ImageError(f"the Python interpreter {command[0]} is not there any more: make the environment again")
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
