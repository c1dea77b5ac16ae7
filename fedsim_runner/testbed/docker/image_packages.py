"""Which Python packages an image has. An image never changes, so each is asked once and the answer is kept."""

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
AT_ONCE = 4
WAIT_S = 60


def packages_of(
    engine: LabEngine, images: Iterable[str], run: str, cache: Path | None = None
) -> dict[str, dict[str, str]]:
    """Versions by package (and of ``python``) for image ids; an image that cannot be asked is left out."""
    path = cache or state_home() / "image-packages.json"
    known = _read(path)
    wanted = sorted(set(images))
    missing = [image for image in wanted if image not in known]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = dict(zip(missing, pool.map(lambda image: _ask(engine.client.api, image, run), missing), strict=True))
    told = {image: versions for image, versions in asked.items() if versions is not None}
    if told:
        _write(path, {**known, **told})
    return {image: versions for image in wanted if (versions := {**known, **told}.get(image)) is not None}


def _ask(api: Any, image: str, run: str) -> dict[str, str] | None:
    """Run the image's Python once, cut off from everything. The run's label lets ``down`` find what a kill leaves."""
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
    return loaded if isinstance(loaded, dict) else {}


def _write(path: Path, content: Mapping[str, Mapping[str, str]]) -> None:
    """Replaced as a whole. A folder that cannot be written only means that images are asked again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, json.dumps(content, indent=1) + "\n")
    except OSError:
        return
