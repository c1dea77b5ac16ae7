"""Sending images to a lab host, compared with Docker's own commands, and building device types there."""

from __future__ import annotations

import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
from ansible_collections.fedsim.testbed.plugins.module_utils._module import Module
from ansible_collections.fedsim.testbed.plugins.modules import fedsim_image_layers, fedsim_images
from ansible_collections.fedsim.testbed.plugins.plugin_utils import _image_shipment as shipment
from ansible_collections.fedsim.testbed.plugins.plugin_utils._remote_program import LOADER, Host

from fedsim_runner.contract.engine_address import find_engine, socket_path
from fedsim_runner.engines.protocol import engine
from fedsim_runner.testbed.docker.images import Layer, LayerSources, all_logical_names, plan_layers
from fedsim_runner.testbed.docker.images.build_context import assemble
from fedsim_runner.user_folders import cache_dir
from tests.lab.lab_hosts import lab as labs

from ..tables import Limit, print_limits, print_table

#: Of the time of `docker save | ssh docker load`; and seconds for one more device type.
MOST_TIMES, MOST_TYPE_S = 1.2, 2.0
#: What stays on a lab host when an engine changes.
BELOW = ("fedsim/base", "fedsim/torch")
SOCKET_THERE = "/var/run/docker.sock"


def measure(engine_name: str, pairs: int) -> int:
    """Measure and print; return the exit code."""
    layers = _layers(engine_name)
    refs = [layer.ref for layer in layers if not layer.thin]
    here = find_engine().url
    builder = _end(here, socket_path(here), refs, Host("here", (sys.executable, "-c", LOADER)))
    docker_s, ours_s, again_s, types_s = [], [], [], []
    changed: list[int] = []
    with _lab() as lab:
        there = lab.hosts[0]
        host = Host(there.name, (*lab.ssh(there.name), f"/usr/bin/python3 -c {shlex.quote(LOADER)}"))
        for _ in range(pairs):
            _remove_images(there.engine_url)
            pipe = f"docker save {' '.join(refs)} | {' '.join(map(shlex.quote, lab.ssh(there.name)))} docker load -q"
            docker_s.append(_timed(lambda pipe=pipe: subprocess.run(pipe, shell=True, check=True, capture_output=True)))
            _remove_images(there.engine_url)
            receiver = _end(there.engine_url, SOCKET_THERE, [], host)
            ours_s.append(_timed(lambda receiver=receiver: _ship(builder, receiver, refs, [])))
            types_s += _derive(layers, there.engine_url)
            _remove_images(there.engine_url, keep=BELOW)
            receiver = _end(there.engine_url, SOCKET_THERE, [], host)
            again_s.append(_timed(lambda receiver=receiver: _ship(builder, receiver, refs, changed)))
    total, part = sum(builder.images.values()) / 2**20, changed[-1] / 2**20
    print_table(
        f"{len(refs)} images of {total:.0f} MB to a lab host: medians of {pairs} interleaved pairs",
        ("how", "seconds"),
        [
            ("docker save | ssh docker load", statistics.median(docker_s)),
            ("as a run does it", statistics.median(ours_s)),
            (f"with what is below the engine there already ({part:.0f} MB sent)", statistics.median(again_s)),
            ("one more device type, built there", statistics.median(types_s)),
        ],
    )
    times = statistics.median(one / other for one, other in zip(ours_s, docker_s, strict=True))
    limits = [
        Limit("sending images, of Docker's own way", times, MOST_TIMES),
        Limit("one more device type", statistics.median(types_s), MOST_TYPE_S, " s"),
    ]
    print_limits(limits)
    return int(any(limit.value is not None and limit.value > limit.most for limit in limits))


@contextmanager
def _lab() -> Iterator[labs.Lab]:
    with tempfile.TemporaryDirectory() as folder:
        lab = labs.up(Path(folder) / "lab", 1)
        try:
            yield lab
        finally:
            labs.down(lab)


def _layers(engine_name: str) -> Sequence[Layer]:
    source = engine(engine_name).image_source(None, "")
    sources = LayerSources.installed(sources={engine_name: source} if source is not None else {})
    with closing(docker.from_env()) as client:
        arch = client.version()["Arch"]
    return plan_layers(dict.fromkeys(all_logical_names(sources, [engine_name]), arch), sources)


def _end(url: str, socket: str, refs: list[str], host: Host) -> shipment.End:
    found = _answer(fedsim_image_layers.MODULE, {"refs": refs, "docker_host": url})
    return shipment.End(host, socket, found["chains"], found["sent"], found["images"])


def _answer(module: Module, options: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        answer = module.answer(options, check=False, diff=False, warn=print, make_folder=lambda: folder)
    if answer.get("failed"):
        raise SystemExit(f"{answer['msg']}; `fedsim-provision images` builds them")
    return answer


def _ship(builder: shipment.End, receiver: shipment.End, refs: list[str], sent: list[int]) -> None:
    seen: list[list[shipment.Progress]] = []
    errors = shipment.ship(builder, {"there": (receiver, refs)}, refs, seen.append)
    if errors:
        raise SystemExit(errors["there"])
    sent.append(seen[-1][0].sent)


def _derive(layers: Sequence[Layer], url: str) -> list[float]:
    contexts = assemble([layer for layer in layers if layer.thin], cache_dir())
    options = {"layers": [context.as_dict() for context in contexts], "folder": "/nowhere", "base_image": None}
    return list(_answer(fedsim_images.MODULE, {**options, "docker_host": url})["built"].values())


def _remove_images(url: str, keep: Collection[str] = ()) -> None:
    """Remove all images but those of these names."""
    with closing(docker.DockerClient(base_url=url, timeout=300)) as client:
        for image in client.images.list():
            if not {tag.rpartition(":")[0] for tag in image.tags} & set(keep):
                client.images.remove(image.id, force=True)


def _timed(work: Any) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
