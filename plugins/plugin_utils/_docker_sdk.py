"""The Docker SDK of the Python that runs Ansible, packed for lab hosts that have none. It is pure Python."""

from __future__ import annotations

import base64
import functools
import importlib.util
import io
import tarfile
from pathlib import Path

#: The SDK and what it needs. charset_normalizer also has compiled modules, and does without.
PACKAGES = ("docker", "requests", "urllib3", "idna", "certifi", "charset_normalizer")
SUFFIXES = (".py", ".pem")


@functools.cache
def pack_sdk() -> str:
    """The packages as a compressed tar file in base64; the same packages give the same text."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:xz") as archive:
        for package in PACKAGES:
            folder = _folder_of(package)
            for path in sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES):
                member = tarfile.TarInfo(f"{package}/{path.relative_to(folder)}")
                content = path.read_bytes()
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return base64.b64encode(target.getvalue()).decode()


def _folder_of(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{package}, which is installed with fedsim-runner, is missing")
    return Path(found.origin).parent
