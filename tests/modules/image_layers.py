"""Layers on the busybox image, which take a second to build, and what remains of them on the Engine."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
import uuid
from pathlib import Path
from typing import Any

import docker

GOOD = "ARG BASE\nFROM ${BASE}\nLABEL org.fedsim.kind=image\nRUN echo one > /tmp/one\nRUN echo two > /tmp/two\n"


class Layers:
    """The layers of one test, whose names nobody else uses."""

    def __init__(self, engine: docker.DockerClient, base: str, folder: Path) -> None:
        self.engine, self.base, self.folder = engine, base, folder
        self.mark = uuid.uuid4().hex[:16]
        self.before = set(self.unnamed())
        self.containers_before = set(self._containers())

    def make(self, name: str, dockerfile: str, parent: str | None = None) -> dict[str, Any]:
        context = self.folder / f"{name}.tar"
        with tarfile.open(context, "w") as archive:
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(dockerfile)
            archive.addfile(entry, io.BytesIO(dockerfile.encode()))
        return {
            "ref": f"fedsim-test/{name}:{self.mark}",
            "name": name,
            "arch": self.engine.info()["Architecture"].replace("x86_64", "amd64").replace("aarch64", "arm64"),
            "key": self.mark,
            "parent": parent or self.base,
            "parent_argument": "BASE",
            "context": str(context),
            "rootfs": None,
        }

    def with_content(self, layer: dict[str, Any]) -> dict[str, Any]:
        """A layer that brings its build context along; the file is not needed any more."""
        packed = gzip.compress(Path(layer["context"]).read_bytes())
        return {**layer, "content": base64.b64encode(packed).decode(), "context": "/nowhere.tar"}

    def unnamed(self) -> list[str]:
        filters = {"label": "org.fedsim.kind=image", "dangling": True}
        return [str(image.id) for image in self.engine.images.list(filters=filters)]

    def new_containers(self) -> set[str]:
        """Containers of builds that were not there before the test: an image's label passes to its containers."""
        return set(self._containers()) - self.containers_before

    def _containers(self) -> list[str]:
        listed = self.engine.containers.list(all=True, filters={"label": "org.fedsim.kind=image"})
        return [str(item.id) for item in listed]

    def named(self) -> list[str]:
        listed = self.engine.images.list(filters={"label": f"org.fedsim.image={self.mark}"})
        return sorted(tag for image in listed for tag in image.tags)
