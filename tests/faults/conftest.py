"""The Engine on which scenarios are played."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Engine; if it is missing, the test fails rather than being skipped."""
    client = docker.from_env(timeout=60)
    client.ping()
    yield client
    client.close()
