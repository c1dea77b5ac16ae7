"""Build contexts on the control node: one tar file per layer, with everything its Dockerfile copies."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedsim_runner.images.cache import locked
from fedsim_runner.images.layers import Layer, context_files, is_executable
from fedsim_runner.images.rootfs import rootfs_for
from fedsim_runner.images.wheelhouse import wheels_for


@dataclass(frozen=True)
class Context:
    """What a lab host builds ``layer`` from. ``rootfs`` stands in for a registry's Debian under the base."""

    layer: Layer
    archive: Path
    rootfs: Path | None

    def as_dict(self) -> dict[str, Any]:
        """As the Ansible module ``fedsim_images`` takes it."""
        layer = self.layer
        return {
            "ref": layer.ref,
            "name": layer.name,
            "arch": layer.arch,
            "key": layer.key,
            "parent": layer.parent,
            "parent_argument": layer.parent_argument,
            "context": str(self.archive),
            "rootfs": str(self.rootfs) if self.rootfs else None,
        }


def assemble(layers: Sequence[Layer], cache: Path, *, bootstrap: bool, suite: str = "bookworm") -> tuple[Context, ...]:
    """Make (or find) the contexts of ``layers`` in the cache, and the bootstrap if ``bootstrap``.

    Raises ImageError: wheels or the bootstrap cannot be had.
    """
    with locked(cache):
        return tuple(_assemble(layer, cache, bootstrap, suite) for layer in layers)


def _assemble(layer: Layer, cache: Path, bootstrap: bool, suite: str) -> Context:
    rootfs = rootfs_for(layer.directory, layer.arch, suite, cache) if bootstrap and layer.parent is None else None
    archive = cache / "contexts" / f"{layer.name}-{layer.key}.tar"
    if not archive.is_file():
        wheels = wheels_for(layer.requirements, layer.arch, cache) if layer.requirements else ()
        archive.parent.mkdir(parents=True, exist_ok=True)
        _write(archive, layer, wheels)
    return Context(layer, archive, rootfs)


def _write(archive: Path, layer: Layer, wheels: Sequence[Path]) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="context-") as folder:
        draft = Path(folder) / archive.name
        with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
            for path in context_files(layer.directory):
                _add(tar, path.as_posix(), layer.directory / path)
            for wheel in sorted(wheels):
                _add(tar, f"wheels/{wheel.name}", wheel)
            if layer.package is not None:
                for path in context_files(layer.package):
                    _add(tar, f"{layer.package.name}/{path.as_posix()}", layer.package / path)
        draft.replace(archive)


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    """Owner, times and most of the mode are left out: the same files give the same archive."""
    data = path.read_bytes()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = 0o755 if is_executable(path) else 0o644
    tar.addfile(entry, io.BytesIO(data))
