"""Whether a source has the code that our patches and launcher were made for, by the digest of the files concerned."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .source import PACKAGE

# Those with the places that fedsim_runner/participant/federatedscope relies on.
FILES = (
    "contrib/data/load_from_files.py",
    "core/aggregators/asyn_clients_avg_aggregator.py",
    "core/auxiliaries/data_builder.py",
    "core/auxiliaries/logging.py",
    "core/auxiliaries/model_builder.py",
    "core/auxiliaries/runner_builder.py",
    "core/auxiliaries/utils.py",
    "core/communication.py",
    "core/data/base_data.py",
    "core/data/utils.py",
    "core/data/wrap_dataset.py",
    "core/fed_runner.py",
    "core/gRPC_server.py",
    "core/message.py",
    "core/monitors/metric_calculator.py",
    "core/sampler.py",
    "core/trainers/utils.py",
    "core/workers/client.py",
    "core/workers/server.py",
)
# Without these nothing can run between processes.
DISTRIBUTED_MODE = (
    "core/communication.py",
    "core/fed_runner.py",
    "core/gRPC_server.py",
    "core/message.py",
    "core/workers/client.py",
    "core/workers/server.py",
)
# Of these files at the commit that the patches were made for.
DIGEST = "9dae80bf11cc75760635cf5181637febeceb30965287bdcc9af89c5798d7e7c3"


def fits(source: Path) -> bool:
    """Whether a checkout or a wheel has these very files; False also where one cannot be read."""
    return digest(source) == DIGEST


def digest(source: Path) -> str:
    """One digest of the files in a checkout or a wheel; empty if one of them is missing."""
    found = hashlib.sha256()
    try:
        with reader(source) as read:
            for name in FILES:
                found.update(hashlib.sha256(read(name)).digest())
    except (OSError, KeyError, zipfile.BadZipFile):
        return ""
    return found.hexdigest()


def cannot_be_distributed(source: Path) -> str | None:
    """Why nothing of a checkout or a wheel can run between processes, as far as the names of its files tell."""
    missing = [name for name in DISTRIBUTED_MODE if not _has(source, name)]
    if "core/workers/server.py" in missing and _has(source, "core/worker/server.py"):
        return "this is a FederatedScope of an older version than 0.3.0, with core/worker in place of core/workers"
    if not missing:
        return None
    return f"this is not FederatedScope, or one without its distributed mode: {PACKAGE}/ has no {', '.join(missing)}"


def _has(source: Path, name: str) -> bool:
    try:
        with reader(source) as read:
            read(name)
    except (OSError, KeyError, zipfile.BadZipFile):
        return False
    return True


@contextmanager
def reader(source: Path) -> Iterator[Callable[[str], bytes]]:
    """A function that reads a file of the package in a checkout or a wheel.

    Raises:
        OSError, KeyError, zipfile.BadZipFile: it cannot be read, or is not there.
    """
    if source.is_dir():
        yield lambda name: (source / PACKAGE / name).read_bytes()
        return
    with zipfile.ZipFile(source) as archive:
        yield lambda name: archive.read(f"{PACKAGE}/{name}")
