"""Layers and their keys: pure functions of the files that go into an image.

A layer's key is a hash of everything its image is built from: its folder under dockerfiles/, our own code copied into
it, the source of its engine if that is installed in it, its architecture and its parent's key. So an image with that
key never has to be built twice, anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedsim_runner.catalog.engines import EngineFacts, usable_engines
from fedsim_runner.content import PACKAGE_DIR, content_root
from fedsim_runner.engines.engine_values import EngineSource

from .image_error import ImageError
from .rootfs import recipe

AUTO_BASE = "auto"  # a registry's Debian if one answers, otherwise the bootstrap
BOOTSTRAP_BASE = "bootstrap"
ENGINE_PREFIX = "engine-"
ENGINE_ARGUMENT = "ENGINE"  # the build argument that takes the parent of a device type
AGENT = "agent"
PACKAGE = "fedsim_runner"
BASE = "base"
TORCH = "torch"
CUDA = "-cuda"  # suffix of the name of a layer's other build, for devices with a GPU
KEY_LENGTH = 16
# A layer that is built from less than this, in bytes, is built where it is needed rather than shipped.
THIN_BYTES = 256 * 1024
_FORMAT = "fedsim-image-2"  # raise it when the build process makes other images from the same files


@dataclass(frozen=True)
class LayerSources:
    """The sources of layers. Of folders with the same name the first one in ``dockerfiles`` counts."""

    dockerfiles: tuple[Path, ...]
    package: Path  # our own package, from which an image gets the folders it needs
    sources: Mapping[str, EngineSource] = field(default_factory=dict)  # of the engines that devices use, by name
    engines: tuple[EngineFacts, ...] = field(default_factory=usable_engines)
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the user's pip requirements, by engine

    @classmethod
    def installed(
        cls,
        extra: Sequence[Path] = (),
        sources: Mapping[str, EngineSource] | None = None,
        packages: Mapping[str, tuple[str, ...]] | None = None,
    ) -> LayerSources:
        """The sources of this installation, preceded by folders of the user's own device types."""
        return cls((*extra, content_root() / "dockerfiles"), PACKAGE_DIR, sources or {}, packages=packages or {})

    def directory(self, layer: str) -> Path | None:
        """The folder that holds ``layer``'s Dockerfile."""
        engine = self.engine(layer)
        own = [engine.dockerfile] if engine is not None and engine.dockerfile is not None else []
        candidates = (*(root / layer for root in self.dockerfiles), *own)
        return next((path for path in candidates if (path / "Dockerfile").is_file()), None)

    def names(self) -> tuple[str, ...]:
        """All layers with a Dockerfile, sorted."""
        found = {path.parent.name for root in self.dockerfiles for path in root.glob("*/Dockerfile")}
        found |= {ENGINE_PREFIX + engine.name for engine in self.engines if engine.dockerfile is not None}
        return tuple(sorted(found))

    def engine(self, layer: str) -> EngineFacts | None:
        """The engine to which this layer belongs."""
        return next((engine for engine in self.engines if layer == ENGINE_PREFIX + engine.name), None)

    def has_cuda(self, layer: str) -> bool:
        """Whether a layer has another build for devices with a GPU."""
        own = {engine.below for engine in self.engines if engine.cuda} - {BASE}
        engine = self.engine(layer)
        return layer in own or (engine is not None and engine.cuda)


@dataclass(frozen=True)
class Layer:
    """One image: its name, what it is built from, and its parent."""

    name: str  # the logical name: base, engine-light, agent, smartphone-low-light
    arch: str
    key: str
    directory: Path
    parent: str | None  # the parent's ref; None: the base, which is built on Debian
    parent_argument: str  # the Dockerfile's build argument that takes the parent
    python: tuple[tuple[str, Path], ...]  # our own code in it: target and source of each file
    variant: str = ""  # CUDA or nothing
    engine_source: EngineSource | None = field(default=None, repr=False)
    packages: tuple[str, ...] = ()  # the user's pip requirements
    below: tuple[Path, ...] = ()  # the requirements files of the parent, which those must fit
    identity: tuple[str, ...] = ()  # what its key is made of besides files: architecture, parent, what is installed

    @property
    def ref(self) -> str:
        """The tag under which the image exists on a lab host."""
        return f"fedsim/{self.name}:{self.key}"

    @property
    def thin(self) -> bool:
        """Whether this is a device type that adds next to nothing to its engine's image: labels, environment."""
        if self.parent_argument != ENGINE_ARGUMENT:
            return False
        files = context_files(self.directory)
        return sum((self.directory / path).stat().st_size for path in files) <= THIN_BYTES

    @property
    def has_changed(self) -> bool:
        """Whether its files are no longer those that its key was made of."""
        return _key(self.identity, self.directory, self.python) != self.key

    @property
    def requirements(self) -> tuple[Path, ...]:
        """The requirements files that this layer installs."""
        own = self.variant or f"-{self.arch}"
        return self._files("requirements.txt", f"requirements{own}.txt")

    @property
    def build_requirements(self) -> tuple[Path, ...]:
        """The requirements files that are needed only to build this layer."""
        return self._files("build-requirements.txt")

    def _files(self, *names: str) -> tuple[Path, ...]:
        return tuple(path for path in (self.directory / name for name in names) if path.is_file())


def plan_layers(
    images: Mapping[str, str], sources: LayerSources, *, base: str = AUTO_BASE, suite: str = "bookworm"
) -> tuple[Layer, ...]:
    """The layers that ``images`` (logical image name -> architecture) need, each after its parent.

    Raises ImageError: a name without a Dockerfile.
    """
    planned: dict[tuple[str, str], Layer] = {}
    for name, arch in sorted(images.items()):
        _add(planned, name, arch, sources, f"{base} {suite} {recipe(suite)}")
    return tuple(planned.values())


def all_logical_names(sources: LayerSources, engines: Iterable[str] = ("light",)) -> tuple[str, ...]:
    """Every device type's image with each of ``engines``, and the agent."""
    ours = (BASE, AGENT, TORCH)
    types = [name for name in sources.names() if name not in ours and not name.startswith(ENGINE_PREFIX)]
    return tuple(sorted([AGENT, *(f"{name}-{engine}" for name in types for engine in engines)]))


def context_files(directory: Path) -> tuple[Path, ...]:
    """The relevant files of ``directory``, relative and sorted: no bytecode and no hidden files."""
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    kept = (path for path in found if path.suffix != ".pyc" and not any(map(_ignored, path.parts)))
    return tuple(sorted(kept, key=lambda path: path.as_posix()))


def _ignored(part: str) -> bool:
    return part == "__pycache__" or part.startswith(".")


def _add(
    planned: dict[tuple[str, str], Layer], name: str, arch: str, sources: LayerSources, base_identity: str
) -> Layer:
    if (name, arch) in planned:
        return planned[name, arch]
    folder, variant, parent_name, argument = _lineage(name, sources)
    directory = sources.directory(folder)
    if directory is None:
        known = ", ".join(sources.names())
        raise ImageError(
            f"image {name}: there is no Dockerfile in dockerfiles/{folder}; folders with one: {known}. "
            "Add the folder, or correct the device type's `dockerfile` or the device's engine."
        )
    parent = _add(planned, parent_name, arch, sources, base_identity) if parent_name else None
    python = _python(name, _parts(folder), sources)
    source = None
    engine = sources.engine(folder)
    if engine is not None and engine.source is not None:
        source = sources.sources.get(engine.name)
        if source is None:
            raise ImageError(f"image {name}: no source of {engine.source} was named")
    installed = [variant] if variant else []
    if source is not None:
        installed.append(source.identity())
    packages = sources.packages.get(engine.name, ()) if engine is not None else ()
    installed += packages
    identity = (arch, parent.key if parent else base_identity, *installed)
    key = _key(identity, directory, python)
    layer = Layer(
        name,
        arch,
        key,
        directory,
        parent.ref if parent else None,
        argument,
        python,
        variant,
        source,
        packages,
        parent.requirements if parent else (),
        identity,
    )
    planned[name, arch] = layer
    return layer


def _lineage(name: str, sources: LayerSources) -> tuple[str, str, str | None, str]:
    """Folder, variant, parent and build argument of a logical name."""
    folder = name.removesuffix(CUDA)
    variant = CUDA if name.endswith(CUDA) and sources.has_cuda(folder) else ""
    folder = folder if variant else name
    if name == BASE:
        return BASE, "", None, "BASE"
    own = sources.engine(folder)
    if own is not None:
        return folder, variant, own.below + (variant if sources.has_cuda(own.below) else ""), "BASE"
    if folder in (AGENT, TORCH) or name.startswith(ENGINE_PREFIX):
        return folder, variant, BASE, "BASE"
    engines = [known.removeprefix(ENGINE_PREFIX) for known in sources.names() if known.startswith(ENGINE_PREFIX)]
    engines += [known.name + CUDA for known in sources.engines if known.cuda]
    # Names of engines and of device types may both contain dashes.
    engine = max((known for known in engines if name.endswith(f"-{known}")), key=len, default=None)
    folder, dash, last = (name.removesuffix(f"-{engine}"), "-", engine) if engine else name.rpartition("-")
    if not dash:
        raise ImageError(f"image {name}: not the name of an image; expected <device type folder>-<engine>")
    return folder, "", f"{ENGINE_PREFIX}{last}", ENGINE_ARGUMENT


def _parts(folder: str) -> tuple[str, ...]:
    """Folders of our own package that an image needs."""
    if folder == AGENT:
        return ("contract", "agent")
    if folder.startswith(ENGINE_PREFIX):
        return ("contract", "participant")
    return ()


def _python(name: str, parts: Sequence[str], sources: LayerSources) -> tuple[tuple[str, Path], ...]:
    if not parts:
        return ()
    top = sources.package
    files = [(f"{PACKAGE}/__init__.py", top / "__init__.py")]
    for part in parts:
        if not (top / part / "__init__.py").is_file():
            raise ImageError(f"image {name}: its Python package {part} is missing; reinstall fedsim-runner")
        files += [(f"{PACKAGE}/{part}/{path.as_posix()}", top / part / path) for path in context_files(top / part)]
    return tuple(files)


def _key(identity: Sequence[str], directory: Path, python: Sequence[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()

    def feed(*parts: str | bytes) -> None:
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            digest.update(len(data).to_bytes(8, "big") + data)  # lengths first: no two inputs read the same

    feed(_FORMAT, *identity)
    own = [(path.as_posix(), directory / path) for path in context_files(directory)]
    for target, path in (*own, *python):
        feed(target, path.read_bytes(), "x" if is_executable(path) else "-")
    return digest.hexdigest()[:KEY_LENGTH]


def is_executable(path: Path) -> bool:
    """Whether the owner may execute the file: the one bit of its mode that reaches an image."""
    return bool(path.stat().st_mode & 0o100)
