"""Which blobs an Engine with containerd has: what it is asked, and what its archives say."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import socket
import tarfile
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fedsim.testbed.plugins.plugin_utils import _image_blobs as blobs
from ansible_collections.fedsim.testbed.plugins.plugin_utils import _image_sender as sender

LAYERS = {"base": b"base" * 100, "engine": b"engine" * 100, "device": b"device" * 100}


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def diffs(*names: str) -> list[str]:
    return [digest(LAYERS[name]) for name in names]


def archive(*images: tuple[str, ...]) -> bytes:
    """As Engine 26.1 with containerd writes it: an OCI image layout with compressed layers, and a manifest.json."""
    members: dict[str, bytes] = {}

    def add(content: bytes) -> dict[str, Any]:
        members[blobs.BLOBS + digest(content).removeprefix("sha256:")] = content
        return {"digest": digest(content), "size": len(content)}

    index, docker = [], []
    for image in images:
        config = add(json.dumps({"rootfs": {"type": "layers", "diff_ids": diffs(*image)}}).encode())
        layers = [add(gzip.compress(LAYERS[name], mtime=0)) for name in image]
        index.append(add(json.dumps({"schemaVersion": 2, "config": config, "layers": layers}).encode()))
        paths = [blobs.BLOBS + one["digest"].removeprefix("sha256:") for one in (config, *layers)]
        docker.append({"Config": paths[0], "RepoTags": [f"fedsim/{image[-1]}:1"], "Layers": paths[1:]})
    members = dict(sorted(members.items()))
    members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": index}).encode()
    members["manifest.json"] = json.dumps(docker).encode()
    members["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for folder in ("blobs", "blobs/sha256"):
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


HAS = {"fedsim/engine:1": ("base", "engine"), "fedsim/base:1": ("base",), "other/one:2": ()}


class Engine(HTTPServer):
    """Lists, describes and saves images on a unix socket."""

    address_family = socket.AF_UNIX

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)  # type: ignore[arg-type]
        self.asked: list[str] = []

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "engine", 0


class Handler(BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        path = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(path.query)
        self.server.asked.append(path.path)
        if path.path == "/images/json":
            assert json.loads(query["filters"][0]) == {"label": ["org.fedsim.kind=image"]}
            answer = json.dumps([{"RepoTags": [ref]} for ref in HAS] + [{"RepoTags": None}]).encode()
        elif path.path == "/images/get":
            self.server.asked += query["names"]
            answer = archive(*(HAS[ref] for ref in query["names"]))
        else:
            ref = path.path.removeprefix("/images/").removesuffix("/json")
            answer = json.dumps({"RootFS": {"Layers": diffs(*HAS[ref])}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def address_string(self) -> str:
        return "the test"

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    server = Engine(tmp_path / "s")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_layers_that_containerd_has_are_left_out(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    sent = archive(("base", "engine", "device"))
    request = {
        "docker_socket": str(engine.server_address),
        "label": "org.fedsim.kind=image",
        "chains": list(blobs.chains_of(diffs("base", "engine", "device"))),
    }
    blobs.main(io.BytesIO(json.dumps(request).encode() + b"\n"))
    found = json.loads(capsys.readouterr().out)["blobs"]
    layers = {digest(gzip.compress(LAYERS[name], mtime=0)): digest(LAYERS[name]) for name in ("base", "engine")}
    assert layers.items() < found.items()
    assert sorted(found.values())[:2] == ["", ""], "a manifest and a configuration"
    assert engine.asked[-2:] == ["/images/get", "fedsim/engine:1"], "one image has all that is shared"
    kept = b"".join(sender.leave_out(io.BytesIO(sent), {}, frozenset(found)))
    with tarfile.open(fileobj=io.BytesIO(sent)) as before, tarfile.open(fileobj=io.BytesIO(kept)) as after:
        gone = set(before.getnames()) - set(after.getnames())
        assert set(after.getnames()) < set(before.getnames())
    assert gone == {blobs.BLOBS + one.removeprefix("sha256:") for one in layers}


def test_an_engine_that_shares_nothing_saves_nothing(engine: Engine) -> None:
    assert blobs.list_blobs(str(engine.server_address), "org.fedsim.kind=image", {"sha256:another"}) == {}
    assert "/images/get" not in engine.asked


def test_few_images_have_all_shared_layers() -> None:
    layers = {"a": ["1", "2"], "b": ["1", "2", "3"], "c": ["1", "9"], "d": ["7"]}
    wanted = {chain for one in ("a", "b", "c") for chain in blobs.chains_of(layers[one])}
    assert sorted(blobs.choose(layers, wanted)) == ["b", "c"]
    assert blobs.choose(layers, set()) == []
