"""The Debian bootstrap as an image of its architecture.

It is loaded as an archive of images rather than imported: Engine 20.10 calls everything that is imported an image of
its own architecture. The archive's form is that of `docker save`.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import KIND_IMAGE, LABEL_KIND
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import MANIFEST
from ansible_collections.fedsim.testbed.plugins.module_utils._image_build import BuildFailedError

_CHUNK = 1 << 20


def load_rootfs(client: Any, rootfs: Path, arch: str) -> str:
    """Load the bootstrap as an unnamed image, which the base built on it keeps. Returns its id.

    Raises:
        BuildFailedError: the Engine does not take it.
    """
    said = []
    for message in client.load_image(archive_of(rootfs, arch)):
        said.append(str(message.get("error") or message.get("stream") or "").strip())
    match = re.search(r"sha256:[0-9a-f]{64}", " ".join(said))
    if match is None:
        raise BuildFailedError(f"the Engine did not load the Debian bootstrap {rootfs.name}: {' '.join(said)}")
    return match[0]


def archive_of(rootfs: Path, arch: str) -> Iterator[bytes]:
    """Yield the archive of an image whose only layer is the tar file ``rootfs``."""
    digest = hashlib.sha256()
    for chunk in _chunks(rootfs):
        digest.update(chunk)
    config = json.dumps(
        {
            "architecture": arch,
            "os": "linux",
            "config": {"Labels": {LABEL_KIND: KIND_IMAGE}},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
            "history": [{"created_by": "mmdebstrap"}],
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": None, "Layers": ["layer.tar"]}]).encode()
    for entry, content in ((name, config), (MANIFEST, manifest)):
        yield _header(entry, len(content)) + content + _padding(len(content))
    size = rootfs.stat().st_size
    yield _header("layer.tar", size)
    yield from _chunks(rootfs)
    yield _padding(size) + bytes(2 * tarfile.BLOCKSIZE)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
