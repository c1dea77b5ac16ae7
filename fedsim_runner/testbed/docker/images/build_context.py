"""Build contexts on the control node: one tar file per layer, with everything that its Dockerfile copies."""

from __future__ import annotations

import base64
import gzip
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedsim_runner.downloads.cache import locked

from .image_error import ImageError
from .layers import Layer, context_files, is_executable
from .rootfs import rootfs_for
from .wheelhouse import user_wheels, wheels_for


@dataclass(frozen=True)
class Context:
    """The files from which a lab host builds ``layer``. ``rootfs`` replaces a registry's Debian below the base."""

    layer: Layer
    archive: Path
    rootfs: Path | None

    def as_dict(self) -> dict[str, Any]:
        """The context in the form that the Ansible module ``fedsim_images`` takes."""
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
            "content": self._content() if layer.thin else None,
        }

    def _content(self) -> str:
        """The archive itself, which is small, so that no file has to be copied: compressed, in base 64."""
        return base64.b64encode(gzip.compress(self.archive.read_bytes(), mtime=0)).decode()


def choose(planned: Sequence[Layer], refs: Sequence[str]) -> tuple[Layer, ...]:
    """The layers of the references ``refs``, which were planned before, each after its parent.

    Raises ImageError: what they are built from has changed since, so that these would be other images.
    """
    found = tuple(layer for layer in planned if layer.ref in refs)
    if changed := set(refs) - {layer.ref for layer in found}:
        raise _changed(sorted(ref.removeprefix("fedsim/").partition(":")[0] for ref in changed))
    return found


def assemble(
    layers: Sequence[Layer], cache: Path, *, bootstrap: Collection[str] = (), suite: str = "bookworm"
) -> tuple[Context, ...]:
    """Make (or find) the contexts of ``layers`` in the cache, and the bootstraps of the architectures ``bootstrap``.

    Raises ImageError: wheels or the bootstrap cannot be obtained, or files changed meanwhile; an engine's source raises
    its own error.
    """
    for layer in layers:
        if layer.engine_source is not None and not _archive(layer, cache).is_file():
            layer.engine_source.wheel()  # first, as it most often fails
    with locked(cache):
        return tuple(_assemble(layer, cache, bootstrap, suite) for layer in layers)


def _assemble(layer: Layer, cache: Path, bootstrap: Collection[str], suite: str) -> Context:
    is_made = layer.parent is None and layer.arch in bootstrap
    rootfs = rootfs_for(layer.directory, layer.arch, suite, cache) if is_made else None
    archive = _archive(layer, cache)
    if not archive.is_file():
        wheels = {"wheels": [*_wheels(layer.requirements, layer, cache)], "tools": []}
        if layer.packages:
            wheels["wheels"] += user_wheels(layer.packages, layer.below, layer.arch, cache)
        wheels["tools"] += _wheels(layer.build_requirements, layer, cache)
        if layer.engine_source is not None:
            wheels["wheels"].append(layer.engine_source.wheel())
        archive.parent.mkdir(parents=True, exist_ok=True)
        _write(archive, layer, wheels)
    return Context(layer, archive, rootfs)


def _archive(layer: Layer, cache: Path) -> Path:
    return cache / "contexts" / f"{layer.name}-{layer.key}.tar"


def _wheels(lists: Sequence[Path], layer: Layer, cache: Path) -> Iterator[Path]:
    for requirements in lists:
        yield from wheels_for(requirements, layer.arch, cache)


def _write(archive: Path, layer: Layer, wheels: Mapping[str, Sequence[Path]]) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="context-") as folder:
        draft = Path(folder) / archive.name
        with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
            for path in context_files(layer.directory):
                _add(tar, path.as_posix(), layer.directory / path)
            for folder_name, files in sorted(wheels.items()):
                # By name, so that a wheel on two lists is added once.
                for name, wheel in sorted({wheel.name: wheel for wheel in files}.items()):
                    _add(tar, f"{folder_name}/{name}", wheel)
            for target, path in layer.python:
                _add(tar, target, path)
        if layer.has_changed:  # what was packed is not what the archive's name says
            raise _changed([layer.name])
        draft.replace(archive)


def _changed(names: Sequence[str]) -> ImageError:
    return ImageError(
        f"what images are built from has changed since this command planned them: that of {', '.join(names)}",
        hint="leave Dockerfiles, engines and fedsim-runner itself as they are until images are built. Run it again",
    )


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    """Owner, times and most of the mode are left out: the same files give the same archive."""
    entry = tarfile.TarInfo(name)
    entry.size = path.stat().st_size
    entry.mode = 0o755 if is_executable(path) else 0o644
    with path.open("rb") as file:
        tar.addfile(entry, file)
