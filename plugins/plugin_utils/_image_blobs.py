"""Program on a lab host whose Engine keeps its images in containerd: lists the blobs that it has of some layers.

Its text is sent to the lab host, where only Python's standard library is sure to be there. An Engine says of an image
which layers it has, but not in which blobs, which are what an archive has (one layer may be compressed in several
ways). So its own archive is read, of images that have such layers; nothing of that leaves the lab host.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import tarfile
import urllib.parse
from collections.abc import Iterator, Mapping, Set
from typing import IO, Any

#: So many of the newest images are looked at: older ones share few layers with new ones.
LOOKED_AT = 64
#: Manifests and configurations are smaller; what is larger is a layer.
LARGEST_TEXT = 1 << 20
BLOBS = "blobs/sha256/"
READ_AT_ONCE = 1 << 20


def main(stream: IO[bytes]) -> None:
    """The request, a line of JSON, has ``docker_socket``, the ``label`` of images and the ``chains`` of the layers.

    The last line of output is JSON: ``blobs``, digests with the diff ids of layers, which are empty for other blobs.
    """
    request = json.loads(stream.readline())
    print(json.dumps({"blobs": list_blobs(request["docker_socket"], request["label"], set(request["chains"]))}))


def list_blobs(docker_socket: str, label: str, wanted: Set[str]) -> dict[str, str]:
    """Return the blobs of images that have layers with these chain ids: digests with diff ids of layers."""
    filters = urllib.parse.urlencode({"filters": json.dumps({"label": [label]})})
    layers = {}
    for image in json.loads(_ask(docker_socket, f"/images/json?{filters}").read())[:LOOKED_AT]:
        for ref in (image.get("RepoTags") or ())[:1]:
            answer = _ask(docker_socket, f"/images/{urllib.parse.quote(ref, safe='/:')}/json")
            layers[ref] = json.loads(answer.read()).get("RootFS", {}).get("Layers") or []
    refs = choose(layers, wanted)
    if not refs:
        return {}
    return read_blobs(_ask(docker_socket, "/images/get?" + urllib.parse.urlencode({"names": refs}, doseq=True)))


def read_blobs(archive: IO[bytes]) -> dict[str, str]:
    """Return the blobs of an archive in the OCI image layout; its ``manifest.json`` says which layers they are."""
    names, texts = [], {}
    with tarfile.open(fileobj=archive, mode="r|", bufsize=READ_AT_ONCE) as members:
        for member in members:
            names.append(member.name)
            if member.size <= LARGEST_TEXT and (content := members.extractfile(member)) is not None:
                texts[member.name] = content.read()
    layers: dict[str, str] = {}
    for image in json.loads(texts.get("manifest.json", b"[]")):
        layers.update(zip(image["Layers"], json.loads(texts[image["Config"]])["rootfs"]["diff_ids"], strict=True))
    blobs = [name for name in names if name.startswith(BLOBS)]
    return {f"sha256:{name.removeprefix(BLOBS)}": layers.get(name, "") for name in blobs if name != BLOBS}


def choose(layers: Mapping[str, list[str]], wanted: Set[str]) -> list[str]:
    """Return few images that together have all of the wanted chains that any of them has.

    Args:
        layers: the diff ids of each image's layers.
        wanted: chain ids.
    """
    left = {ref: wanted & set(chains_of(found)) for ref, found in layers.items()}
    chosen = []
    while any(left.values()):
        ref = max(left, key=lambda one: len(left[one]))
        chosen.append(ref)
        taken = left[ref]
        left = {other: chains - taken for other, chains in left.items()}
    return chosen


def chains_of(layers: list[str]) -> Iterator[str]:
    """Yield the id of the chain that each layer ends (OCI image specification, "Layer ChainID")."""
    chain = ""
    for layer in layers:
        chain = f"sha256:{hashlib.sha256(f'{chain} {layer}'.encode()).hexdigest()}" if chain else layer
        yield chain


def _ask(docker_socket: str, path: str) -> Any:
    """Return the Engine's answer.

    Raises:
        SystemExit: it refuses; the text says why.
    """
    connection = http.client.HTTPConnection("engine")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(docker_socket)
    connection.request("GET", path)
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit("the Engine does not say what it has: " + answer.read().decode(errors="replace").strip())
    return answer
