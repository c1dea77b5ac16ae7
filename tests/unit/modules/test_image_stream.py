"""The two ends of a shipment of images: what is left out of an archive, its frames, and the Engine that loads it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import socket
import tarfile
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import IO, Any

import pytest
from ansible_collections.fedsim.testbed.plugins.plugin_utils import _image_receiver as receiver
from ansible_collections.fedsim.testbed.plugins.plugin_utils import _image_sender as sender
from ansible_collections.fedsim.testbed.plugins.plugin_utils._known_layers import Known, find_common_layers, find_known

# The description and name of a layer in an archive of Docker Engine 20.10.24.
CONFIG = (
    '{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,'
    '"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"",'
    '"Entrypoint":null,"OnBuild":null,"Labels":null}'
)
LOWEST = "83ca2bee662991ff04b68dadcb6983f536fae8a6523107898553513b2893c03f"
SECOND = "dd4fe3484a972d5900657d87f6bfc39da9b18debbf7657043c3f8173041a2e13"
CREATED = '"created":"1970-01-01T00:00:00Z"'
DESCRIPTIONS = {
    LOWEST: f'{{"id":"{LOWEST}",{CREATED},"container_config":{CONFIG},"os":"linux"}}',
    SECOND: f'{{"id":"{SECOND}","parent":"{LOWEST}",{CREATED},"container_config":{CONFIG},"os":"linux"}}',
}
DIFFS = (
    "sha256:dcc72c0a5dc987accb65e326e87afb56a01094122e3b332961225daf3b4e127b",
    "sha256:54d5bfcccfb484244fd2bde9bffa0e8fcc1a882f782bd4dcaf9dca712d6ef4a7",
)
CHAINS = (DIFFS[0], "sha256:" + hashlib.sha256(" ".join(DIFFS).encode()).hexdigest())


def archive_of(members: Mapping[str, bytes]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.pax_headers = {"mtime": "1.5"}
            tar.addfile(entry, io.BytesIO(content))
    stream.seek(0)
    return stream


def old_archive() -> io.BytesIO:
    members = {}
    for name, text in DESCRIPTIONS.items():
        members[f"{name}/VERSION"] = b"1.0"
        members[f"{name}/json"] = text.encode()
        members[f"{name}/layer.tar"] = name.encode() * 1000
    return archive_of({**members, "manifest.json": b"[]"})


def read_members(data: bytes) -> dict[str, int]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member.size for member in tar}


def test_the_name_of_a_layer_proves_its_chain() -> None:
    known = dict(zip(CHAINS, DIFFS, strict=True))
    for name, chain in zip((LOWEST, SECOND), CHAINS, strict=True):
        assert sender.find_chain(name, DESCRIPTIONS[name].encode(), known) == chain
        assert sender.find_chain(name, DESCRIPTIONS[name].encode(), {DIFFS[1]: DIFFS[1]}) is None
    assert sender.find_chain(LOWEST, b"no JSON", known) is None


def test_known_layers_are_left_out_of_an_archive_of_engine_20() -> None:
    complete = read_members(old_archive().getvalue())
    kept = read_members(b"".join(sender.leave_out(old_archive(), {CHAINS[0]: DIFFS[0]})))
    assert set(complete) - set(kept) == {f"{LOWEST}/layer.tar"}
    assert kept.items() <= complete.items()


def test_known_layers_are_left_out_of_an_archive_of_engine_25() -> None:
    members = {f"{sender.BLOBS}{diff.removeprefix('sha256:')}": diff.encode() for diff in DIFFS}
    archive = archive_of({**members, f"{sender.BLOBS}{'0' * 64}": b"{}", "manifest.json": b"[]"})
    kept = read_members(b"".join(sender.leave_out(archive, {CHAINS[1]: DIFFS[1]}, {DIFFS[1]})))
    assert list(kept) == [*list(members)[:1], f"{sender.BLOBS}{'0' * 64}", "manifest.json"]


def test_without_known_layers_nothing_changes() -> None:
    assert b"".join(sender.leave_out(old_archive(), {})) == old_archive().getvalue()


def test_an_archive_that_is_cut_off_is_an_error() -> None:
    for length in (700, len(old_archive().getvalue()) // 2):
        with pytest.raises(EOFError):
            list(sender.leave_out(io.BytesIO(old_archive().getvalue()[:length]), {}))
        with pytest.raises(EOFError):
            sender.send(sender.leave_out(io.BytesIO(old_archive().getvalue()[:length]), {}), io.BytesIO())


def test_frames_are_a_gzip_file_in_pieces() -> None:
    content = bytes(range(256)) * 20_000
    out = io.BytesIO()
    sender.send(sender.leave_out(archive_of({"a": content}), {}), out)
    out.seek(0)
    packed, lengths = b"", []
    while True:
        length, size = sender.FRAME.unpack(out.read(sender.FRAME.size))
        if not size:
            break
        lengths.append(length)
        packed += out.read(size)
    assert out.read() == b""
    unpacked = gzip.decompress(packed)
    assert unpacked == archive_of({"a": content}).getvalue()
    assert sum(lengths) == len(unpacked) and max(lengths) < 2 * sender.PIECE


def test_a_layer_is_left_out_only_if_every_receiver_has_it_in_all_its_chains() -> None:
    sent = {"c1": "a", "c2": "b", "c3": "a", "c4": "d"}
    assert find_common_layers(sent, [{"c1": "a", "c2": "b", "c4": "d"}, {"c2": "b", "c1": "a"}]) == {"c2": "b"}
    assert find_common_layers(sent, [dict(sent)]) == sent
    assert find_common_layers(sent, [dict(sent), {}]) == {}


def test_what_can_be_left_out_depends_on_how_receivers_keep_images() -> None:
    sent = {"c1": "a", "c2": "b"}
    own = [sent, {"c1": "a"}]
    assert find_known(sent, own, [], {}) == Known({"c1": "a"}, frozenset({"a"}))
    assert find_known(sent, own, [], {"z1": "a", "z2": "b"}) == Known({"c1": "a"}, frozenset({"a", "z1"}))
    # In containerd: blobs by their digests, compressed or not, and nothing of an archive that has none.
    assert find_known(sent, [], [{"a", "z1", "z2"}, {"a", "z2"}], {}) == Known({}, frozenset({"a", "z2"}))
    assert find_known(sent, own, [{"a", "b", "z1"}], {}) == Known({}, frozenset({"a"}))
    assert find_known(sent, own, [{"z1", "z2"}], {"z1": "a", "z2": "b"}) == Known({}, frozenset({"z1"}))
    assert find_known(sent, own, [set()], {}) == Known()


class FakeEngine(HTTPServer):
    """Loads images on a unix socket: keeps what it was sent, and says whether that had an end."""

    address_family = socket.AF_UNIX

    def __init__(self, path: Path, says: str, present: tuple[str, ...]) -> None:
        super().__init__(str(path), Handler)  # type: ignore[arg-type]
        self.says, self.present, self.loaded, self.complete = says, present, b"", False

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "engine", 0


class Handler(BaseHTTPRequestHandler):
    server: FakeEngine
    rfile: IO[bytes]  # type: ignore[assignment]

    def do_POST(self) -> None:
        while line := self.rfile.readline():
            size = int(line, 16)
            self.server.loaded += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                self.server.complete = True
                self._answer(200, self.server.says)
                return
        self.close_connection = True

    def do_GET(self) -> None:
        found = any(ref in self.path for ref in self.server.present)
        self._answer(200 if found else 404, "{}")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def address_string(self) -> str:
        return "the test"

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    server = FakeEngine(tmp_path / "s", "", ("fedsim/a:1",))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield server
    server.shutdown()
    server.server_close()


def framed(*parts: bytes, end: bool = True) -> io.BytesIO:
    frames = [sender.FRAME.pack(len(part), len(part)) + part for part in parts]
    return io.BytesIO(b"".join(frames) + (sender.FRAME.pack(0, 0) if end else b""))


def receive(engine: FakeEngine, stream: io.BytesIO, *refs: str) -> str | None:
    return receiver.receive(stream, str(engine.server_address), list(refs))


def test_the_engine_gets_the_frames_contents(engine: FakeEngine) -> None:
    assert receive(engine, framed(b"one", b"two"), "fedsim/a:1") is None
    assert (engine.loaded, engine.complete) == (b"onetwo", True)


def test_frames_that_end_early_have_no_end_for_the_engine(engine: FakeEngine) -> None:
    error = receive(engine, framed(b"one", end=False), "fedsim/a:1")
    assert error == "the connection that the images came over was lost"
    cut = io.BytesIO(framed(b"one", b"two").getvalue()[:-12])
    assert receive(engine, cut, "fedsim/a:1") == error
    assert not engine.complete


def test_what_the_engine_says_of_a_failure_is_passed_on(engine: FakeEngine) -> None:
    engine.says = json.dumps({"stream": "Loading"}) + "\r\n" + json.dumps({"error": "no space left on device"})
    assert receive(engine, framed(b"one")) == "the Engine did not load the images: no space left on device"


def test_an_image_that_was_not_unpacked_is_an_error(engine: FakeEngine) -> None:
    engine.says = json.dumps({"stream": "Loaded image: fedsim/a:1\nError unpacking image fedsim/a:1: no blob\n"})
    error = receive(engine, framed(b"one"), "fedsim/a:1")
    assert error == "the Engine did not load the images: Error unpacking image fedsim/a:1: no blob"


def test_an_archive_without_a_reference_is_an_error(engine: FakeEngine) -> None:
    assert receive(engine, framed(b"one"), "fedsim/a:1", "fedsim/b:2") == "the archive does not hold fedsim/b:2"


def test_an_engine_that_does_not_listen_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = json.dumps({"docker_socket": str(tmp_path / "none"), "refs": []}).encode() + b"\n"
    with pytest.raises(SystemExit) as ended:
        receiver.main(io.BytesIO(request))
    assert ended.value.code == 1
    assert "the Engine took no images" in json.loads(capsys.readouterr().out)["error"]
