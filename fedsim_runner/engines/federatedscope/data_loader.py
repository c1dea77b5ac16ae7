"""FederatedScope's own data sets, loaded and split by FederatedScope itself.

It runs on the control node, which unlike a device may have internet access, in the interpreter that the user's
configuration names (``federatedscope.python``): one with torch and everything else that the data set needs, such as
torchvision. Downloads stay in ``data.root``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedsim_runner.datasets.labelled_samples import Samples
from fedsim_runner.datasets.object_shards import holds_object

from .other_data import loader_settings, other_data
from .source import SettingsError, SourceError
from .source_in_use import resolve_source
from .user_settings import user_settings
from .wheel import CachedSource

PROGRAM = Path(__file__).with_name("export_program.py")
# A download over a slow line takes long.
TIMEOUT_S = 4 * 3600
# FederatedScope reads graphs that it has written itself; newer versions of torch read arrays only.
_READS_OBJECTS = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}


@dataclass(frozen=True)
class OwnObjects:
    """Every participant's part of the data as FederatedScope made it. Nothing of it is unpickled here.

    Attributes:
        files: shards by device.
        sizes: samples by device and split, of those splits whose number is known.
        reason: why they are not arrays.
    """

    files: Mapping[str, bytes]
    sizes: Mapping[str, Mapping[str, int]]
    reason: str


def export_shards(
    device_file: Mapping[str, Any], python: str | None = None, source: Path | None = None
) -> tuple[dict[str, dict[str, Samples]], tuple[str, ...]] | OwnObjects:
    """Return every participant's splits, the server's first, and the names of the classes, none for targets.

    Data that are no labelled samples of one shape are returned as objects.

    Args:
        device_file: its ``data.tree`` is FederatedScope's ``data``, ``data.parts`` what of them a device gets.
        python: the interpreter; None: the configured one, or this one.
        source: FederatedScope's checkout or wheel; None: the source in use.

    Raises:
        ValueError: FederatedScope cannot be obtained or run, or refuses; the text ends with its last line of output.
    """
    data, server, clients = device_file["data"], device_file["course"]["server"], device_file["clients"]
    if python is None:
        python = interpreter()
    if source is None:
        source = _source(device_file["federatedscope"]["source"])
    config = device_file["course"]["config"]
    kind = other_data(config, data["tree"])
    tree = {
        "federate": {"mode": "standalone", "client_num": len(clients)},
        "data": data["tree"],
        "use_gpu": False,
        "seed": data["seed"],
        **({} if kind is None else loader_settings(config)),
    }
    evaluates = config.get("federate", {}).get("make_global_eval") is True
    given = data.get("parts", {})
    parts = [{"device": device, **given.get(device, {})} for device in (server, *clients)]
    request = {"config": tree, "parts": parts, "objects": kind or "", "server_evaluates": evaluates}
    with tempfile.TemporaryDirectory(prefix="fedsim-data-") as name:
        folder = Path(name)
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        command = [python, str(PROGRAM), str(folder / "request.json"), name]
        _call(command, source, data["tree"]["type"], folder, {} if kind is None else _READS_OBJECTS)
        paths = {device: folder / f"{index}.npz" for index, device in enumerate((server, *clients))}
        if any(map(holds_object, paths.values())):
            return _objects(paths)
        shards = {device: _read(path) for device, path in paths.items()}
    return shards, _classes([samples.y for splits in shards.values() for samples in splits.values()])


def _objects(paths: Mapping[str, Path]) -> OwnObjects:
    sizes, reason = {}, ""
    for device, path in paths.items():
        with np.load(path, allow_pickle=False) as archive:
            facts = json.loads(archive["facts"].tobytes())
        sizes[device], reason = facts["sizes"], facts["reason"]
    return OwnObjects({device: path.read_bytes() for device, path in paths.items()}, sizes, reason)


def _classes(labels: Sequence[npt.NDArray[Any]]) -> tuple[str, ...]:
    """Names of the classes; none where labels are targets."""
    if any(one.dtype.kind == "f" or one.ndim > 1 or one.min() < 0 for one in labels):
        return ()
    return tuple(map(str, range(max(int(one.max()) for one in labels) + 1)))


def interpreter() -> str:
    """The interpreter that has FederatedScope's packages.

    Raises:
        ValueError: the user's configuration is wrong.
    """
    try:
        return user_settings().python or sys.executable
    except SettingsError as error:
        raise ValueError(str(error)) from error


def missing_interpreter() -> str | None:
    """What is wrong with the interpreter, as far as is known without running it; None: nothing."""
    try:
        python = interpreter()
    except ValueError as error:
        return str(error)
    return None if shutil.which(python) else f"there is no interpreter {python}"


def _source(named: str | None) -> Path:
    try:
        found = resolve_source(named)
        return found.path if found.kind == "checkout" else CachedSource(found).wheel()
    except (SettingsError, SourceError) as error:
        raise ValueError(str(error)) from error


def _call(
    command: Sequence[str], source: Path, kind: str, folder: Path, variables: Mapping[str, str] | None = None
) -> None:
    paths = [str(source), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, **(variables or {}), "PYTHONPATH": os.pathsep.join(paths)}
    what = f"data set {kind}: FederatedScope in {command[0]}"
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S,
            env=environment, cwd=_like_the_checkout(source, folder),
        )  # fmt: skip
    except OSError as error:
        raise ValueError(f"{what} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"{what} did not finish in {TIMEOUT_S // 3600} hours") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1] if lines else f"exit code {done.returncode}"
        hint = " (federatedscope.python of the user configuration names an interpreter that has what is needed)"
        raise ValueError(f"{what}: {said}{hint if 'ModuleNotFoundError' in said else ''}")


def _like_the_checkout(source: Path, folder: Path) -> Path:
    """Make a folder with all that the checkout has: FederatedScope is run there, and loaders of its users name files
    from there. It is not the checkout itself, because some loaders write to the current folder."""
    here = folder / "here"
    here.mkdir()
    if source.is_dir():
        for path in source.iterdir():
            (here / path.name).symlink_to(path)
    return here


def _read(path: Path) -> dict[str, Samples]:
    with np.load(path, allow_pickle=False) as archive:
        names = [name.removesuffix("_x") for name in archive.files if name.endswith("_x")]
        return {name: Samples(archive[f"{name}_x"], archive[f"{name}_y"]) for name in names}
