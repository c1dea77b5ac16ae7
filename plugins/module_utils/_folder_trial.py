"""Trying whether the Docker Engine sees this machine's folders, without an image and without making anything."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._docker import APIError, explain

NOT_SHARED = "the Docker Engine does not see this machine's folder {folder}"
#: What helps.
SHARE_IT = (
    "it runs on a machine of its own or in a confinement (Docker Desktop, snap, another host): share that folder with "
    "it, or use an Engine that runs directly on the lab host (Debian, Ubuntu: `apt-get install docker.io`)"
)


def try_folder(client: Any, state_root: str) -> str | None:
    """Ask the Engine to mount a new folder below ``state_root``; return the reason if it does not see it.

    The container that the call asks for would have an image that does not exist. The Engine checks the folders first.

    Raises:
        OSError: no folder can be made here.
    """
    with _new_folder(Path(state_root)) as folder:
        mount = {"Type": "bind", "Source": str(folder), "Target": "/trial", "ReadOnly": True}
        body = {"Image": f"sha256:{secrets.token_hex(32)}", "HostConfig": {"NetworkMode": "none", "Mounts": [mount]}}
        try:
            client.create_container_from_config(body)
        except APIError as error:
            # The image is not there, as expected: the folder is.
            return None if error.status_code == 404 else explain(error)
    return None


@contextlib.contextmanager
def _new_folder(parent: Path) -> Iterator[Path]:
    """Make a folder that nobody has seen before; it and the parents that it needed go again."""
    missing = [path for path in (parent, *parent.parents) if not path.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".trial-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for path in missing:
            with contextlib.suppress(OSError):  # somebody uses it by now
                path.rmdir()
