"""Which layers an archive of images can do without, as all that receive it have them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import KIND_IMAGE, LABEL_KIND
from ansible_collections.fedsim.testbed.plugins.plugin_utils._remote_program import Host

#: Seconds within which a lab host has to say what it has; else it gets everything.
LISTED_WITHIN_S = 300


@dataclass(frozen=True)
class Known:
    """What can be left out of an archive.

    Attributes:
        chains: of an archive of an Engine up to version 24: chain ids with the diff id of the last layer.
        blobs: of an archive in the OCI image layout, by digest.
    """

    chains: Mapping[str, str] = field(default_factory=dict)
    blobs: frozenset[str] = frozenset()


def find_known(
    sent: Mapping[str, str],
    chains: Sequence[Mapping[str, str]],
    blobs: Sequence[Collection[str]],
    layers: Mapping[str, str],
) -> Known:
    """Return what can be left out for all receivers.

    An Engine that keeps its images itself opens only layers whose chain it lacks, whatever an archive has for the
    others. One that keeps them in containerd also wants the blobs that a manifest names, and takes archives without
    blobs only as a whole.

    Args:
        sent: the layers of the archive's images: chain ids with diff ids.
        chains: for each receiver of the first kind, the layers that it has.
        blobs: for each of the second kind, the digests of the blobs that it has.
        layers: by digest, the diff ids of the archive's blobs where they are not the same, as blobs are compressed.
    """
    common = find_common_layers(sent, chains) if chains else {}
    known = set(common.values())
    opened = frozenset(known | {digest for digest, layer in layers.items() if layer in known})
    held = [opened] * bool(chains) + [frozenset(found) for found in blobs]
    return Known({} if blobs else common, frozenset.intersection(*held) if held else frozenset())


def find_common_layers(sent: Mapping[str, str], receivers: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the layers that an archive can do without: each receiver has all chains that end with that layer.

    An archive may hold the same layer of two chains once; a receiver that lacks one of the chains opens it.
    """
    common = set(sent)
    for chains in receivers:
        common &= set(chains)
    lacking = {layer for chain, layer in sent.items() if chain not in common}
    return {chain: layer for chain, layer in sent.items() if layer not in lacking}


def list_blobs(sockets: Mapping[Host, str], chains: Iterable[str]) -> dict[Host, dict[str, str]]:
    """Ask lab hosts whose Engines keep images in containerd for their blobs of layers with these chain ids.

    Args:
        sockets: where each one's Engine listens.
        chains: of the layers that are to be sent.

    Returns:
        By lab host, digests with the diff ids of layers.
    """
    if not sockets:
        return {}
    program = Path(__file__).with_name("_image_blobs.py").read_bytes()
    request = {"label": f"{LABEL_KIND}={KIND_IMAGE}", "chains": list(chains)}
    started = [host.start(program, {**request, "docker_socket": path}) for host, path in sockets.items()]
    try:
        with ThreadPoolExecutor(len(started)) as pool:
            return dict(zip(sockets, pool.map(_answer, started), strict=True))
    finally:
        for process in started:
            process.kill()
            process.wait()


def _answer(process: subprocess.Popen[bytes]) -> dict[str, str]:
    """What a lab host says; nothing if it does not say it: it then gets everything, or fails with the reason."""
    try:
        out, _ = process.communicate(timeout=LISTED_WITHIN_S)
        return dict(json.loads(out.decode(errors="replace").strip().rpartition("\n")[2])["blobs"])
    except (subprocess.TimeoutExpired, ValueError, LookupError, TypeError):
        return {}
