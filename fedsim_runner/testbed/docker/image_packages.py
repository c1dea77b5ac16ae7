"""The Python packages in an image. An image never changes, so each is queried once and the answer is cached."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException

from fedsim_runner.contract import atomic
from fedsim_runner.contract.names import LABEL_RUN
from fedsim_runner.user_folders import state_home

from .docker_engine import LabEngine

SCRIPT = (
    "import importlib.metadata as m, json, platform;"
    "print(json.dumps({'python': platform.python_version(),"
    " **{d.metadata['Name']: d.version for d in m.distributions()}}))"
)
PARALLEL = 4
WAIT_S = 60


def packages_of(
    engine: LabEngine, images: Iterable[str], run: str, cache: Path | None = None
) -> dict[str, dict[str, str]]:
    """Versions by package (and of ``python``) for image ids; an image that cannot be queried is left out."""
    path = cache or state_home() / "image-packages.json"
    cached = _read(path)
    requested = sorted(set(images))
    missing = [image for image in requested if image not in cached]
    with ThreadPoolExecutor(PARALLEL) as pool:
        queried = dict(
            zip(missing, pool.map(lambda image: _query(engine.client.api, image, run), missing), strict=True)
        )
    found = {image: versions for image, versions in queried.items() if versions is not None}
    if found:
        _write(path, {**cached, **found})
    known = {**cached, **found}
    return {image: known[image] for image in requested if image in known}


def _query(api: Any, image: str, run: str) -> dict[str, str] | None:
    """Run the image's Python once, isolated. With the run's label ``down`` finds the container if this is killed."""
    container = None
    try:
        settings = api.create_host_config(network_mode="none", read_only=True, cap_drop=["ALL"], mem_limit="256m")
        container = api.create_container(
            image, ["-c", SCRIPT], entrypoint=["python3"], labels={LABEL_RUN: run}, host_config=settings
        )["Id"]
        api.start(container)
        if api.wait(container, timeout=WAIT_S).get("StatusCode") != 0:
            return None
        answer = json.loads(api.logs(container, stdout=True, stderr=False))
        return {str(name): str(version) for name, version in sorted(answer.items())}
    except (DockerException, OSError, ValueError):
        return None
    finally:
        if container is not None:
            _remove(api, container)


def _remove(api: Any, container: str) -> None:
    try:
        api.remove_container(container, force=True)
    except APIError:
        return


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(loaded, dict):
        return {}
    return {image: versions for image, versions in loaded.items() if isinstance(versions, dict)}


def _write(path: Path, content: Mapping[str, Mapping[str, str]]) -> None:
    """Replace the cache as a whole. If its folder cannot be written, images are only queried again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, json.dumps(content, indent=1) + "\n")
    except OSError:
        return
