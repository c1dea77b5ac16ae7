"""Images that this machine's Engine has by now, for lab hosts that would otherwise build them anew."""

from __future__ import annotations

from contextlib import closing

import docker
from docker.errors import ImageNotFound

from fedsim_runner.testbed.docker.images import LayerSources, plan_layers

from .hosts import LabHost

# The agent's, and that of the light engine, on which device types are built in a moment.
NAMES = ("agent", "engine-light")


def give(client: docker.DockerClient, host: LabHost) -> None:
    """Copy what courses with the light engine need to a lab host, which then ships it to others.

    Args:
        client: this machine's Engine; what it lacks is left to the lab host.
    """
    with closing(docker.DockerClient(base_url=host.engine_url, timeout=300)) as engine:
        arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(client.info()["Architecture"], "")
        for layer in plan_layers(dict.fromkeys(NAMES, arch), LayerSources.installed()):
            try:
                engine.images.load(client.images.get(layer.ref).save(named=layer.ref))
            except ImageNotFound:
                continue
