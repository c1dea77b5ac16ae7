"""Packages that a user's own module in a contrib folder imports, and that the images do not have. Nothing is run."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from fedsim_runner.catalog.federatedscope_keys import METHODS
from fedsim_runner.content import content_root
from fedsim_runner.yamlfile.spec_errors import PACKAGES_NOT_AT_HAND

from ..engine_values import Course, Refusal
from .course_facts import Kind, Tree
from .name_rules import KINDS
from .source import PACKAGE
from .source_at_hand import local_source
from .source_code import modules
from .source_in_use import resolve_source
from .source_names import texts_of

# Packages of the images whose modules have another name, and what comes with them.
_MODULES = {"scikit-learn": "sklearn", "pyyaml": "yaml", "protobuf": "google", "grpcio": "grpc"}
# Modules whose package has another name.
_PACKAGES = {"PIL": "pillow", "cv2": "opencv-python-headless", "skimage": "scikit-image"}
_OF_THE_LAYER = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
_ENGINE = "federatedscope"


@dataclass(frozen=True)
class _Named:
    """A name in the configuration that code in contrib may decide about."""

    key: str
    kind: Kind
    name: str


def lacking_in_images(course: Course, requirements: Sequence[str], dockerfiles: Iterable[str]) -> Iterator[Refusal]:
    """Report names whose module in contrib cannot be imported in the images.

    A module counts if it has the name as a text, and an import that nothing guards. Where ``requirements`` are given,
    or a device type has an image of the user's own, nothing is reported: what those bring is known when they are built.

    Args:
        course: the course's configuration and its source.
        requirements: ``federatedscope.requirements``.
        dockerfiles: those of the device types, as :class:`fedsim_runner.catalog.types.DeviceType` has them.

    Raises:
        CodeError: the source cannot be read.
    """
    source = local_source(resolve_source(course.source))
    if source is None or requirements or any(PurePath(folder).is_absolute() for folder in dockerfiles):
        return
    there = _modules_of_images()
    for one in course.participants:
        if one.engine != _ENGINE:
            continue
        for named in _names(Tree(one.config)):
            for file, module in _missing(source, named, there):
                package = _PACKAGES.get(module, module)
                yield Refusal(
                    tuple(named.key.split(".")),
                    f'{file} provides "{named.name}" and imports {module}, which the images do not have',
                    f"add `requirements: [{package}]` under federatedscope in the experiment file",
                    PACKAGES_NOT_AT_HAND,
                    device=one.name,
                )


def _names(tree: Tree) -> Iterator[_Named]:
    """Names that FederatedScope itself does not have."""
    for kind in KINDS:
        if kind.kind is not None:
            for given in tree.names(kind.key):
                if given.lower() not in map(str.lower, (*kind.offered, *kind.others)):
                    yield _Named(kind.key, kind.kind, given)
    method = tree.text("federate.method")
    if method not in map(str.lower, METHODS):
        yield _Named("federate.method", "worker", method)


def _missing(source: Path, named: _Named, there: frozenset[str]) -> Iterator[tuple[str, str]]:
    for path, text in modules(source, f"contrib/{named.kind}"):
        try:
            tree = ast.parse(text, path)
        except (SyntaxError, ValueError):  # FederatedScope says so if it needs the file
            continue
        if named.name.lower() in {one.lower() for one in texts_of(tree)}:
            file = PurePath(path)
            short = "/".join(file.parts[file.parts.index("contrib") :])
            yield from ((short, module) for module in sorted(_imported(tree) - there))


def _imported(tree: ast.Module) -> set[str]:
    """Top-level modules that a module imports whatever happens."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _modules_of_images() -> frozenset[str]:
    files = sorted((content_root() / "dockerfiles" / "torch").glob("requirements*.txt"))
    packages = {name for file in files for name in _OF_THE_LAYER.findall(file.read_text(encoding="utf-8"))}
    named = {_MODULES.get(name.lower(), name.lower().replace("-", "_")) for name in packages}
    return frozenset(named | sys.stdlib_module_names | {PACKAGE, "pkg_resources"})
